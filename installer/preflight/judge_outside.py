"""Judging what answers a node: the depots must, and nothing else may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

from bundle.model.finding import Finding, fail, ok, warn
from installer.preflight.facts import Depot
from installer.preflight.question import Wanted
from installer.preflight.reachable import ACCEPT
from installer.preflight.situation import Judgement, Subject, shown
from installer.site.document import DepotAddress

OUTSIDE: Final = (
    ("198.41.0.4", 53),
    ("193.0.14.129", 53),
    ("9.9.9.9", 443),
    ("2001:7fd::1", 53),
    ("2620:fe::fe", 443),
)
"""Addresses that the whole world reaches: two root name servers and one public resolver."""
OUTSIDE_NAME: Final = "example.com"
"""Kept in the public name system for examples (RFC 2606)."""
_HTTP_OK: Final = 200
_SECONDS_PER_DAY: Final = 86_400
_DAYS_LEFT: Final = 7


def depot_wants(depots: tuple[DepotAddress, ...], wanted: Wanted) -> list[dict[str, Any]]:
    """Return what to ask the depots for, as the node's program reads it."""
    image = wanted.image
    path = f"/v2/{quote(image.repository)}/manifests/{quote(image.digest)}"
    paths = ["/v2/", f"{path}?ns={quote(image.registry, safe='')}"]
    return [
        {"address": depot.address, "port": depot.port, "paths": paths, "accept": ACCEPT}
        for depot in depots
    ]


def _depot(index: int) -> Callable[[Subject], Finding | None]:
    """Return a judge of one of the depots, and of the certificate that it shows."""

    def judge(subject: Subject) -> Finding | None:
        address, answer = _answer(subject, index)
        if address is None:
            return None
        expected = f"the depot at {address.address}:{address.port}, by the site's CA"
        if answer is None or answer.trouble or answer.statuses[:1] != [_HTTP_OK]:
            return fail(
                expected,
                shown(_trouble(answer)),
                "Is `isoward serve` running there, is its address in the site file right, is its "
                "certificate by the CA that was given, and are both clocks right?",
            )
        days = (answer.ends - subject.cluster.wanted.now().timestamp()) / _SECONDS_PER_DAY
        if days < _DAYS_LEFT:
            return warn(
                f"a certificate for {_DAYS_LEFT} more days", f"{days:.1f} days",
                "Restart `isoward serve`, which renews it, or give it a new one.",
            )  # fmt: skip
        return ok(expected, f"it answers; its certificate is good for {days:.0f} days")

    return judge


def judge_image(subject: Subject) -> Finding | None:
    """Judge whether each depot that answers has the image, as containerd will ask for it."""
    image = subject.cluster.wanted.image
    expected = f"{image.name} with the digest of the bundle, in every depot"
    lacking = []
    for index in range(len(subject.cluster.site.depots)):
        address, answer = _answer(subject, index)
        if address is None or answer is None or answer.trouble or len(answer.statuses) < 2:  # noqa: PLR2004
            continue
        if answer.statuses[1] != _HTTP_OK:
            lacking.append(f"HTTP status {answer.statuses[1]} from {address.address}")
    if not lacking:
        return ok(expected, "it is there")
    advice = "Does `isoward serve` there serve a depot with the same bundle?"
    return fail(expected, "; ".join(lacking), advice)


def judge_egress(subject: Subject) -> Finding | None:
    """Judge whether a connection to the world was made."""
    outside = subject.facts.outside
    if outside is None:
        return None
    expected = f"no connection to {', '.join(sorted({end[0] for end in OUTSIDE}))}"
    if not outside.connected:
        return ok(expected, "none was made")
    return fail(
        expected,
        f"connected to {shown(outside.connected)}",
        "Close the way at the site's edge, and take the default route away.",
    )


def judge_dns(subject: Subject) -> Finding | None:
    """Judge whether a name of the world is resolved."""
    outside = subject.facts.outside
    if outside is None:
        return None
    expected = f"no answer for {OUTSIDE_NAME}"
    if not outside.resolved:
        return ok(expected, "none")
    return fail(
        expected,
        shown(outside.resolved),
        "Take the name server out of /etc/resolv.conf or dnsServers, or let it answer for the "
        "site's own names only: names are a way out as well.",
    )


def _answer(subject: Subject, index: int) -> tuple[DepotAddress | None, Depot | None]:
    depots, outside = subject.cluster.site.depots, subject.facts.outside
    if index >= len(depots) or outside is None:
        return None, None
    return depots[index], outside.depots[index] if index < len(outside.depots) else None


def _trouble(answer: Depot | None) -> str:
    if answer is None:
        return "no answer"
    return answer.trouble or f"HTTP status {answer.statuses[0] if answer.statuses else 'none'}"


JUDGEMENTS: Final = (
    Judgement("depot", "Does the node reach the depot?", "outside", _depot(0)),
    Judgement("second-depot", "Does the node reach the second depot?", "outside", _depot(1)),
    Judgement("image", "Have the depots an image of the bundle?", "outside", judge_image),
    Judgement("egress", "Does a connection leave the site?", "outside", judge_egress),
    Judgement("outside-names", "Does anybody resolve outside names?", "outside", judge_dns),
)
