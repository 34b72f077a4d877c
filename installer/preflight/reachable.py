"""Questions about what the machine runs and reaches: containerd, the depot, and nothing else."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from bundle.model.finding import Finding, fail, ok, warn
from installer.preflight.question import Machine, Question, Wanted
from installer.preflight.shell import NOT_FOUND

_CONTAINERD: Final = (1, 5)
"""The first release that reads hosts.toml."""

ACCEPT: Final = (
    "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json"
)
"""The kinds of image that containerd takes."""
_HTTP_OK: Final = "200"
# Runs on the node. The CA comes over standard input and nothing else is trusted.
_ASK_DEPOT: Final = """\
import http.client, ssl, sys
context = ssl.create_default_context(cadata=sys.stdin.read())
depot = http.client.HTTPSConnection(sys.argv[1], int(sys.argv[2]), timeout=10, context=context)
try:
    depot.request("HEAD", sys.argv[4], headers={"Accept": sys.argv[3]})
    print(depot.getresponse().status)
except (OSError, http.client.HTTPException) as error:
    sys.exit(str(error) or type(error).__name__)
"""
# Documentation addresses (RFC 5737, RFC 3849): the kernel says whether it would know a way, and no
# packet leaves.
_OUTSIDE: Final = ("198.51.100.1", "2001:db8::1")


def ask_containerd(machine: Machine, _: Wanted) -> Finding:
    """Ask containerd itself for its version."""
    expected = f"containerd {_CONTAINERD[0]}.{_CONTAINERD[1]} or newer, answering"
    answer = machine.run_as_root("ctr", "--connect-timeout", "3s", "version")
    server = answer.out.partition("Server:")[2]
    version = re.search(r"Version:\s+v?(([0-9]{1,9})\.([0-9]{1,9})\S*)", server)
    if answer.code == NOT_FOUND:
        return fail(expected, "no containerd", "Install containerd and runc on the node.")
    if version is None:
        return fail(expected, answer.said, "See `systemctl status containerd` on the node.")
    if (int(version[2]), int(version[3])) < _CONTAINERD:
        return fail(expected, version[1], "Install a newer containerd.")
    return ok(expected, version[1])


def ask_depot(machine: Machine, wanted: Wanted) -> Finding:
    """Ask the depot from the node, trusting the site's CA alone."""
    expected = f"the depot at {wanted.depot_address}:{wanted.depot_port}, by the site's CA"
    return _ask_depot(
        machine,
        wanted,
        "/v2/",
        expected=expected,
        advice="Is `isoward serve` running there, and is depot: in the site file right?",
    )


def ask_image(machine: Machine, wanted: Wanted) -> Finding:
    """Ask from the node whether the depot has the image, as containerd will."""
    image = wanted.image
    path = f"/v2/{quote(image.repository)}/manifests/{quote(image.digest)}?ns=" + quote(
        image.registry, safe=""
    )
    expected = f"{image.name} with the digest of the bundle"
    return _ask_depot(
        machine,
        wanted,
        path,
        expected=expected,
        advice="Does `isoward serve` serve the depot that was given with --depot?",
    )


def ask_way_out(machine: Machine, _: Wanted) -> Finding:
    """Ask whether the machine knows a way to anywhere else."""
    expected = "no way out of the site's network"
    ways = []
    for address in _OUTSIDE:
        family = "-6" if ":" in address else "-4"
        answer = machine.run("ip", family, "route", "get", address)
        if answer.code == NOT_FOUND:
            return warn(expected, "not known: there is no `ip`", "Install iproute2 on the node.")
        if answer.code == 0 and answer.out.strip():
            ways.append(answer.out.splitlines()[0].strip())
    if not ways:
        return ok(expected, "none")
    # Warned of, not refused: a route may end at a firewall, which no question here can see.
    return warn(expected, "; ".join(ways)[:200], "A node behind the gap needs no default route.")


def _ask_depot(machine: Machine, wanted: Wanted, path: str, expected: str, advice: str) -> Finding:
    answer = machine.run(
        "python3",
        "-c",
        _ASK_DEPOT,
        wanted.depot_address,
        str(wanted.depot_port),
        ACCEPT,
        path,
        stdin=wanted.ca,
    )
    status = answer.out.strip()
    if answer.code == 0 and status == _HTTP_OK:
        return ok(expected, "it answers")
    return fail(expected, f"HTTP status {status}" if status else answer.said, advice)


QUESTIONS: Final = (
    Question("containerd", "Does containerd answer?", ask_containerd),
    Question("depot", "Does the node reach the depot?", ask_depot),
    Question("image", "Has the depot the first image?", ask_image),
    Question("way-out", "Does it reach anything else?", ask_way_out),
)
