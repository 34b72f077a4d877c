"""What good nodes of a cluster say of themselves, which a test may spoil."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from bundle.base.reference import Reference
from bundle.model.finding import Finding
from installer.preflight.ask_site import JUDGEMENTS
from installer.preflight.facts import read_facts
from installer.preflight.judge_machine import SYSCTLS
from installer.preflight.question import Wanted
from installer.preflight.situation import Cluster, Offset, Subject
from installer.site.document import Site
from tests.support.sites.plain import HOST_KEY, site_data, site_of

NOON: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
GIB: Final = 1024**3
Raw = dict[str, dict[str, Any]]
"""The facts of a node, as it says them."""
Spoil = Callable[[dict[str, Raw]], object]
"""Changes what the nodes say, by name."""

_PLACES: Final = (
    "/", "/etc", "/opt", "/tmp", "/tmp/releases", "/usr", "/usr/local/bin", "/var/lib",
    "/var/lib/containerd", "/var/lib/etcd", "/var/lib/kubelet", "/var/log",
)  # fmt: skip
_FEATURES: Final = (
    "overlay", "br_netfilter", "nf_tables", "ip_tables", "nf_conntrack", "ip_set", "ip_vs", "vxlan",
)  # fmt: skip


def cluster_site(**options: Any) -> Site:
    """Return a site of two nodes: one that is everything, and a worker."""
    roles = (["control-plane", "etcd", "worker"], ["worker"])
    nodes = [
        {
            "name": f"node{i}", "address": f"10.1.0.{i}", "zone": "clinical",
            "roles": roles[i - 1], "hostKey": HOST_KEY[:-1] + "UV"[i - 1],
        }
        for i in (1, 2)
    ]  # fmt: skip
    kubernetes = {"version": "v1.35.4", "networkPlugin": "calico", **options}
    return site_of(
        site_data(
            depot={"address": "10.1.0.250"},
            nodes=nodes,
            kubernetes=kubernetes,
            zones=[{"name": "clinical", "networks": ["10.1.0.0/24"]}],
        )
    )


def wanted(**settings: str) -> Wanted:
    """Return what is wanted of the nodes."""
    image = Reference("registry.k8s.io", "kube-apiserver", "", "sha256:" + "a" * 64)
    return Wanted(
        "depot.example",
        5443,
        b"PEM",
        image,
        ("linux/amd64",),
        lambda: NOON,
        settings,
        ("debian-12",),
        lambda release, machine: (release, machine) == ("debian-12", "x86_64"),
    )


def good_facts(number: int) -> Raw:
    """Return what node `number` says when all is well."""
    place = {
        "at": "/", "device": 1, "free": 100 * GIB, "files": 10**6, "files_free": 9 * 10**5,
        "read_only": False, "no_exec": False,
    }  # fmt: skip
    return {
        "machine": {
            "kernel": "6.1.0-25-amd64", "architecture": "x86_64", "cpus": 4,
            "memory_kib": 8 * 1024**2, "swap": [],
            "cgroups": {"version": 2, "controllers": ["cpuset", "cpu", "io", "memory", "pids"]},
            "features": dict.fromkeys(_FEATURES, "present"),
            "sysctls": {
                name: {"value": "0", "settable": True} for name in SYSCTLS
            } | {
                "net.bridge.bridge-nf-call-iptables": {"value": "", "settable": False},
            },
            "selinux": "off", "apparmor": True, "container": "",
        },
        "identity": {
            "release": "debian-12", "hostname": f"node{number}", "machine_id": f"{number}" * 32,
            "product_uuid": f"uuid-{number}",
            "names": {"localhost": ["127.0.0.1", "::1"], f"node{number}": ["127.0.1.1"]},
            "name_servers": [], "search": [], "proxies": [],
        },
        "disks": {
            "places": {path: copy.copy(place) for path in _PLACES},
            "sync": {"at": "/var/lib", "writes": 900, "slow_ms": 2.5} if number == 1 else None,
        },
        "network": {
            "interfaces": [
                {"name": "eth0", "mtu": 1500, "mac": f"02:00:00:00:00:0{number}",
                 "addresses": [f"10.1.0.{number}"]},
            ],
            "routes": ["10.1.0.0/24"], "listeners": [],
            "firewall": {"asked": True, "drops": [], "managers": []},
            "unreached": [], "too_large": [], "silent": [],
        },
        "outside": {
            "depots": [
                {"trouble": "", "statuses": [200, 200], "ends": int(NOON.timestamp()) + 10**7}
            ],
            "connected": [], "resolved": [],
        },
        "leftovers": {
            "site": "", "files": [], "processes": [], "networks": [], "engines": [],
            "engine_files": [], "tasks": [], "locks": [], "unfinished": [], "unsigned": [],
        },
    }  # fmt: skip


def judged(
    spoil: Spoil = lambda _: None,
    offsets: tuple[float, float] = (0.0, 0.0),
    settings: dict[str, str] | None = None,
    site: Site | None = None,
) -> dict[str, dict[str, Finding]]:
    """Return all findings, by node and question, after something was spoilt."""
    said = {f"node{i}": good_facts(i) for i in (1, 2)}
    spoil(said)
    chosen = site or cluster_site()
    cluster = Cluster(
        chosen,
        wanted(**(settings or {})),
        {name: read_facts(raw) for name, raw in said.items()},
        {f"node{i + 1}": Offset(seconds, 0.01) for i, seconds in enumerate(offsets)},
    )
    found: dict[str, dict[str, Finding]] = {}
    for node in chosen.nodes:
        subject = Subject(node, cluster.facts[node.name], cluster)
        answers = {
            j.id: j.judge(subject) for j in JUDGEMENTS if j.part not in subject.facts.troubles
        }
        found[node.name] = {id_: finding for id_, finding in answers.items() if finding}
    return found


def alarms(found: dict[str, dict[str, Finding]]) -> set[tuple[str, str, str]]:
    """Return node, question and verdict of all that is not as it should be."""
    return {
        (node, id_, finding.verdict.value)
        for node, findings in found.items()
        for id_, finding in findings.items()
        if finding.verdict.value != "ok"
    }
