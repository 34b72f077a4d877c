"""The proof that the zones' policies are enforced: pods try to connect to each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bundle.model.finding import Finding, Verdict, failed, not_proven, proven
from installer.base.networks import address_of, network_of
from installer.proofs.evidence import Bench, Proof
from installer.proofs.pods import (
    Pod,
    PodState,
    ProofImage,
    delete_pods,
    image_for,
    pod_log,
    pod_state,
    run_pods,
)
from installer.site.cluster_part import Zone
from installer.site.document import Site

PORT: Final = 8321
_NO_TOOL: Final = 42
_ATTEMPTS: Final = 3
_SETTLE_SECONDS: Final = 15
"""A network plugin may need some seconds until it has the policies of a new pod."""

_OUTSIDE: Final = "no zone"
"""Our own namespace, which no policy closes."""

_DEPOT: Final = "the depot"
_ADVICE: Final = (
    "Does the network plugin run on every node? `kubectl get networkpolicies -A` shows what it "
    "should enforce."
)
_HASTY_ADVICE: Final = (
    "This network plugin sets a pod's policies up after the pod has begun; calico does so before."
)
_FIELDS: Final = 3
_EXPECTED: Final = "connections within each zone, and none between zones, into them or out of them"
# Each of these runs in the image, whatever it has of tools.
LISTEN: Final = f"""
if command -v python3 >/dev/null 2>&1; then
  exec python3 -c '
import socket, sys
s = socket.create_server(("", int(sys.argv[1])), backlog=64)
while True: s.accept()[0].close()' "$1"
fi
command -v nc >/dev/null 2>&1 || exit {_NO_TOOL}
while :; do
  nc -l -p "$1" </dev/null >/dev/null 2>&1 || nc -l "$1" </dev/null >/dev/null 2>&1 || sleep 1
done
"""
CONNECT: Final = f"""
connect() {{
  if command -v python3 >/dev/null 2>&1; then
    python3 -c '
import socket, sys
socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)' "$1" "$2" 2>/dev/null
  elif command -v nc >/dev/null 2>&1; then
    nc -w 3 "$1" "$2" </dev/null >/dev/null 2>&1
  else
    exit {_NO_TOOL}
  fi
}}
ask_all() {{
  when=$1; shift
  while [ $# -ge 3 ]; do
    answer=closed
    connect "$2" "$3" && answer=open
    [ $answer = open ] || {{ sleep 1; connect "$2" "$3" && answer=open; }}
    echo "$when $1 $answer"
    shift 3
  done
}}
pause=$1; shift
ask_all early "$@"
sleep "$pause"
ask_all late "$@"
"""


@dataclass(frozen=True, slots=True)
class Way:
    """From where to where, by the names of zones, or from outside of them, or to the depot."""

    origin: str
    target: str

    def __str__(self) -> str:
        return f"{self.origin} to {self.target}"


@dataclass(frozen=True, slots=True)
class _Party:
    """A zone, or what is outside of them, with its namespace."""

    name: str
    namespace: str


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is tried: who connects to what, and which ways shall be open."""

    image: ProofImage
    parties: Sequence[_Party]
    targets: Mapping[str, tuple[str, int]]
    wanted: Mapping[Way, bool]


def ask_network(bench: Bench) -> Finding:
    """Have pods of every zone, and one of none, connect to each other and to the depot."""
    image = image_for(bench.site, bench.context.bundle.manifest)
    if image is None or not image.command:
        return not_proven(
            _EXPECTED,
            "no such image: the bundle has no firstImage, in which there could be a shell",
            "Name an image of the bundle with a shell and nc or python3 as firstImage.",
        )
    parties = [_Party(_OUTSIDE, bench.namespace)]
    parties += [_Party(zone.name, zone.name) for zone in zones_with_workers(bench.site)]
    servers = {
        party.name: Pod(
            f"isoward-server-{bench.token}",
            party.namespace,
            image.reference,
            ("/bin/sh", "-c", LISTEN, "sh", str(PORT)),
        )
        for party in parties
    }
    try:
        run_pods(bench, list(servers.values()))
        states = _wait(bench, servers, lambda state: state.phase == "Running" and state.address)
        bad = _unusable(states, "Running")
        if bad is not None:
            return bad
        targets = {name: (state.address, PORT) for name, state in states.items()}
        depot = bench.site.depot
        if address_of(depot.address) is not None:
            targets[_DEPOT] = (depot.address, depot.port)
        plan = _Plan(image, parties, targets, expected_ways(bench.site, targets))
        finding = _try(bench, plan, 1)
        for attempt in range(2, _ATTEMPTS + 1):
            if finding.verdict is not Verdict.FAILED:
                break
            finding = _try(bench, plan, attempt)
        return finding
    finally:
        delete_pods(bench, list(servers.values()))


def zones_with_workers(site: Site) -> list[Zone]:
    """Return the zones in which a pod can run."""
    used = {node.zone for node in site.nodes_with("worker")}
    return [zone for zone in site.all_zones if zone.name in used]


def expected_ways(site: Site, targets: Mapping[str, tuple[str, int]]) -> dict[Way, bool]:
    """Return which ways shall be open; those from outside to outside are to show that we can see.

    Args:
        site: With its zones.
        targets: Addresses and ports by name.
    """
    zones = {zone.name: zone for zone in zones_with_workers(site)}
    ways: dict[Way, bool] = {}
    for origin in (_OUTSIDE, *zones):
        for target, (address, port) in targets.items():
            if target == _DEPOT:
                ways[Way(origin, target)] = origin == _OUTSIDE or allows(
                    zones[origin], address, port
                )
            else:
                ways[Way(origin, target)] = origin == target
    return ways


def allows(zone: Zone, address: str, port: int) -> bool:
    """Say whether a zone's allow-list has an address, by TCP."""
    found = address_of(address)
    for egress in zone.egress:
        network = network_of(egress.to)
        if found is None or network is None or egress.protocol != "TCP":
            continue
        if found in network and (not egress.ports or port in egress.ports):
            return True
    return False


def judge(
    wanted: Mapping[Way, bool], found: Mapping[Way, bool], early: Mapping[Way, bool]
) -> Finding:
    """Judge what the pods said.

    Args:
        wanted: Which ways shall be open.
        found: Which were, of pods that had run for a while; one that is missing was not tried.
        early: Which were, in the first moments of these pods.
    """
    missing = [str(way) for way in wanted if way not in found]
    if missing:
        return failed(_EXPECTED, f"no answer: {', '.join(missing)}", _ADVICE)
    if not found[Way(_OUTSIDE, _OUTSIDE)]:
        return not_proven(_EXPECTED, "not even pods without policies reach each other", _ADVICE)
    blind = not found.get(Way(_OUTSIDE, _DEPOT), False)
    looked = [way for way in wanted if not (way.target == _DEPOT and blind)]
    wrong = [
        f"{way}: {'open' if found[way] else 'closed'}"
        for way in looked
        if found[way] != wanted[way]
    ]
    if wrong:
        return failed(_EXPECTED, "; ".join(wrong), _ADVICE)
    text = f"{len(looked)} ways tried, {sum(found[way] for way in looked)} of them open, as wanted"
    if blind:
        text += "; the depot answers no pod at all, so that ways out were not looked at"
    hasty = [str(way) for way in looked if early.get(way) and not wanted[way]]
    if hasty:
        text += f"; but open for a moment when a pod begins: {', '.join(hasty)}"
        return not_proven(_EXPECTED, text, _HASTY_ADVICE)
    return proven(_EXPECTED, text)


def read_answers(origin: str, names: Sequence[str], log: str, when: str) -> dict[Way, bool]:
    """Read what a pod printed: lines such as `late 2 open`, with the number of a target.

    Args:
        origin: Where the pod was.
        names: Of the targets.
        log: Untrusted.
        when: `early`, when the pod had just begun, or `late`.
    """
    ways: dict[Way, bool] = {}
    for line in log.splitlines():
        parts = line.split(" ")
        if len(parts) != _FIELDS or parts[0] != when or parts[2] not in {"open", "closed"}:
            continue
        if parts[1].isdecimal() and int(parts[1]) < len(names):
            ways[Way(origin, names[int(parts[1])])] = parts[2] == "open"
    return ways


def _try(bench: Bench, plan: _Plan, attempt: int) -> Finding:
    arguments = [
        text
        for i, (address, port) in enumerate(plan.targets.values())
        for text in (str(i), address, str(port))
    ]
    clients = {
        party.name: Pod(
            f"isoward-client-{attempt}-{bench.token}",
            party.namespace,
            plan.image.reference,
            ("/bin/sh", "-c", CONNECT, "sh", str(_SETTLE_SECONDS), *arguments),
        )
        for party in plan.parties
    }
    try:
        run_pods(bench, list(clients.values()))
        states = _wait(bench, clients, lambda state: state.ended)
        bad = _unusable(states, "Succeeded")
        if bad is not None:
            return bad
        found: dict[Way, bool] = {}
        early: dict[Way, bool] = {}
        for name, pod in clients.items():
            log = pod_log(bench, pod)
            found |= read_answers(name, list(plan.targets), log, "late")
            early |= read_answers(name, list(plan.targets), log, "early")
    finally:
        delete_pods(bench, list(clients.values()))
    return judge(plan.wanted, found, early)


def _wait(
    bench: Bench, pods: Mapping[str, Pod], done: Callable[[PodState], object]
) -> dict[str, PodState]:
    states: dict[str, PodState] = {}

    def ask() -> bool | None:
        for name, pod in pods.items():
            if name not in states or not (done(states[name]) or states[name].ended):
                states[name] = pod_state(bench, pod)
        return True if all(done(s) or s.ended for s in states.values()) else None

    bench.until(ask)
    return states


def _unusable(states: Mapping[str, PodState], phase: str) -> Finding | None:
    """Judge pods that did not do what they were to do."""
    for name, state in states.items():
        if state.exit_code == _NO_TOOL or state.lacks_program:
            return not_proven(
                _EXPECTED,
                "no such image: firstImage has no shell, or neither nc nor python3",
                "Name an image of the bundle that has them.",
            )
        if state.phase != phase:
            why = f"{state.phase or 'no pod'} {state.reason}".strip()
            return failed(_EXPECTED, f"{name}: the pod did not run: {why}", _ADVICE)
    return None


PROOFS: Final = (
    Proof(
        "network",
        "Nothing leads from zone to zone, nor out of one",
        ("164.312(a)(1)", "164.312(e)(1)"),
        ask_network,
    ),
)
