"""Judging names: what the machine calls itself, that no other does, and whom it asks for names."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from bundle.model.finding import Finding, fail, ok, warn
from installer.preflight.facts import Facts
from installer.preflight.situation import Judgement, Subject, shown

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LOOPBACK: Final = ("127.0.0.1", "::1")
_MACHINE_ID: Final = re.compile(r"[0-9a-f]{32}")
_SERVERS: Final = 3
_DOMAINS: Final = 32
"""More than these a pod's resolver does not take (Kubernetes, "DNS for Services and Pods")."""


def judge_hostname(subject: Subject) -> Finding | None:
    """Judge the name that the machine has, which the node's is going to be."""
    identity = subject.facts.identity
    if identity is None:
        return None
    expected, name = f"{subject.node.name}, or none yet", identity.hostname
    if name in {subject.node.name, "localhost", "localhost.localdomain"}:
        return ok(expected, shown(name))
    if not _NAME.fullmatch(name):
        advice = "Use small letters, digits, - and . only: hostnamectl set-hostname NAME."
        return fail(expected, shown(name), advice)
    return warn(
        expected,
        shown(name),
        "Is it the machine that you mean? The installation will rename it.",
    )


def judge_own_name(subject: Subject) -> Finding | None:
    """Judge whether localhost leads to the machine itself."""
    identity = subject.facts.identity
    if identity is None:
        return None
    expected = "localhost as 127.0.0.1 in /etc/hosts"
    known = identity.names.get("localhost", [])
    if _LOOPBACK[0] in known and not set(known) - set(_LOOPBACK):
        return ok(expected, shown(known))
    found = shown(known) if known else "no localhost in /etc/hosts"
    return fail(expected, found, "Write 127.0.0.1 localhost into /etc/hosts.")


def judge_node_names(subject: Subject) -> Finding | None:
    """Judge whether /etc/hosts takes a node's name for another machine."""
    identity = subject.facts.identity
    if identity is None:
        return None
    expected = "no node's name for another address in /etc/hosts"
    wrong = [
        f"{node.name} is {address}"
        for node in subject.cluster.site.nodes
        for address in identity.names.get(node.name, [])
        if address != node.address
        and not (node.name == subject.node.name and address.startswith(("127.", "::1")))
    ]
    if not wrong:
        return ok(expected, "none")
    return fail(expected, shown(wrong), "Take these lines out of /etc/hosts, or correct them.")


def _unique(what: str, read: Callable[[Facts], str], advice: str) -> Callable[[Subject], Finding]:
    """Return a judge that looks for the same value at the other nodes."""

    def judge(subject: Subject) -> Finding:
        mine = read(subject.facts)
        expected = f"{what} that no other node has"
        others = [
            name
            for name, facts in subject.cluster.facts.items()
            if name != subject.node.name and mine and read(facts) == mine
        ]
        if others:
            return fail(expected, f"{shown(mine)}, as {', '.join(others)} has", advice)
        return ok(expected, shown(mine) or "none")

    return judge


def _hostname(facts: Facts) -> str:
    name = facts.identity.hostname.lower() if facts.identity else ""
    # What a machine has that nobody named; the installation does.
    return "" if name.startswith("localhost") else name


def _machine_id(facts: Facts) -> str:
    return facts.identity.machine_id if facts.identity else ""


def _product(facts: Facts) -> str:
    # A container shows the one of the machine that it is on.
    if facts.identity is None or facts.machine is None or facts.machine.container:
        return ""
    return facts.identity.product_uuid


def judge_machine_id(subject: Subject) -> Finding:
    """Judge the machine's id: there must be one, and it must be its own."""
    mine = _machine_id(subject.facts)
    if not _MACHINE_ID.fullmatch(mine):
        return fail(
            "an id in /etc/machine-id",
            shown(mine) or "none",
            "Run `systemd-machine-id-setup` on the node.",
        )
    return _unique_machine_id(subject)


_unique_machine_id: Final = _unique(
    "a machine id",
    _machine_id,
    "A machine was copied. On the copy: rm /etc/machine-id, then systemd-machine-id-setup.",
)


def judge_resolver(subject: Subject) -> Finding | None:
    """Judge /etc/resolv.conf by what pods will make of it."""
    identity = subject.facts.identity
    if identity is None:
        return None
    expected = f"at most {_SERVERS} name servers and {_DOMAINS} search domains"
    servers, domains = len(identity.name_servers), len(identity.search)
    found = f"{servers} and {domains}"
    if servers <= _SERVERS and domains <= _DOMAINS:
        return ok(expected, found)
    return warn(expected, found, "Shorten /etc/resolv.conf: pods would lose what is beyond.")


def judge_proxies(subject: Subject) -> Finding | None:
    """Judge whether a proxy would be asked in place of the depot."""
    identity = subject.facts.identity
    if identity is None:
        return None
    if not identity.proxies:
        return ok("no proxy", "none")
    return fail(
        "no proxy",
        shown(identity.proxies),
        "Remove it: downloads from the depot would go to the proxy.",
    )


JUDGEMENTS: Final = (
    Judgement("hostname", "Does it call itself by its name?", "identity", judge_hostname),
    Judgement("own-name", "Does localhost mean itself?", "identity", judge_own_name),
    Judgement("node-names", "Does it take no node for another?", "identity", judge_node_names),
    Judgement(
        "unique-hostname",
        "Has no other node its host name?",
        "identity",
        _unique("a host name", _hostname, "Give each node a name of its own: hostnamectl."),
    ),
    Judgement("unique-machine-id", "Has it a machine id of its own?", "identity", judge_machine_id),
    Judgement(
        "unique-product-uuid",
        "Has no other node its product_uuid?",
        "identity",
        _unique("a product_uuid", _product, "Give the virtual machine a UUID of its own."),
    ),
    Judgement("resolv-conf", "Is its resolver one for pods?", "identity", judge_resolver),
    Judgement("proxy", "Is no proxy set?", "identity", judge_proxies),
)
