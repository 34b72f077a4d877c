"""Proofs about the API server: whom it serves, what it refuses, writes down and encrypts."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

from bundle.base.errors import UnreachableError
from bundle.model.finding import Finding, failed, not_proven, proven
from installer.kube.api_client import ApiClient, Place
from installer.kube.kubectl import MANAGED_BY, complaint
from installer.kube.zone_manifests import zone_tolerations
from installer.kubespray.settings import cluster_options
from installer.proofs.evidence import Bench, Proof, judged
from installer.proofs.parts import etcdctl, read_json
from installer.site.cluster_part import PINNING_LABEL, Zone
from installer.site.document import Node
from installer.steps.fetch_kubeconfig import load_credentials

_CLOSED: Final = (
    "/api/v1/namespaces",
    "/api/v1/secrets?limit=1",
    "/apis",
    "/openapi/v2",
    "/metrics",
)
_REFUSED: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_AUDIT_TRIES: Final = 15
_IMAGE: Final = "isoward.invalid/none:none"
"""Never pulled: these pods are only ever tried on the API server."""

_GUARDED: Final = "is not allowed to modify labels"
_ADVICE: Final = "Does the API server have the options of the inventory? See its static pod."


def ask_encryption(bench: Bench) -> Finding:
    """Write a Secret, and read from etcd what became of it."""
    expected_prefix = f"k8s:enc:{cluster_options(bench.site).encryption_at_rest}:"
    expected = f"a value in etcd that begins with {expected_prefix}"
    name, canary = f"isoward-canary-{bench.token}", f"canary-{bench.token}"
    node = bench.site.nodes_with("etcd")[0]
    bench.kubectl.apply([_secret(bench, name, canary)])
    try:
        kept = bench.kubectl.values("secret", name, "-n", bench.namespace, ".kind", ".data.canary")
        key = f"/registry/secrets/{bench.namespace}/{name}"
        answer = read_json(etcdctl(bench, node, "get", key, "-w", "json"), node)
    finally:
        _delete(bench, "secret", name)
    values = [base64.b64decode(item["value"]) for item in answer.get("kvs") or ()]
    if not values:
        return failed(expected, f"{node.name}: no such key: {key}", _ADVICE)
    if kept[1:] != (base64.b64encode(canary.encode()).decode(),):
        return failed(expected, "the API server gives another value back", _ADVICE)
    if not values[0].startswith(expected_prefix.encode()) or canary.encode() in values[0]:
        return failed(expected, "the Secret as it is", _ADVICE)
    provider = values[0].split(b":")[2:5]
    return proven(expected, b":".join((b"k8s", b"enc", *provider)).decode(errors="replace"))


def ask_anonymous(bench: Bench) -> Finding:
    """Ask API servers from this machine without saying who we are."""
    expected = f"status 401 or 403 for {', '.join(_CLOSED)}"
    ca = load_credentials(bench.context).ca
    open_, asked = [], []
    for i, place in enumerate(bench.places):
        try:
            open_ += _answered(ApiClient(place, ca), place)
        except UnreachableError:
            # A site may let the installer reach the load balancer alone.
            if i == 0:
                raise
            continue
        asked.append(place.url)
    return judged(expected, open_, f"refused by {', '.join(asked)}", _ADVICE)


def ask_audit(bench: Bench) -> Finding:
    """Make a request that nobody else makes, and find it in the audit log of an API server."""
    expected = f"a record in {bench.audit_log}: who, what, when, without the content"
    name = f"isoward-marked-{bench.token}"
    bench.kubectl.apply([_secret(bench, name, "marked")])
    _delete(bench, "secret", name)
    nodes = bench.site.nodes_with("control-plane")

    def look() -> tuple[Node, list[Mapping[str, Any]]] | None:
        for node in nodes:
            if events := _find_events(bench, node, name):
                return node, events
        return None

    found = bench.until(look, _AUDIT_TRIES)
    if found is None:
        where = ", ".join(node.name for node in nodes)
        return failed(expected, f"none on {where}", _ADVICE)
    node, events = found
    if any("requestObject" in event or "responseObject" in event for event in events):
        return failed(expected, "the Secret's content in the log", _ADVICE)
    event = events[0]
    user = str(event.get("user", {}).get("username", ""))[:80]
    if not user:
        return failed(expected, "a record without a user", _ADVICE)
    return proven(
        expected, f"{node.name}: {user} {event.get('verb')} at {event.get('stageTimestamp')}"
    )


def ask_pod_security(bench: Bench) -> Finding:
    """Try a privileged pod in every zone; the API server keeps nothing of it."""
    expected = "refused by Pod Security in every zone, and at large"
    allowed = []
    for namespace in (*(zone.name for zone in bench.site.all_zones), bench.namespace):
        pod = _pod(bench, {"securityContext": {"privileged": True}})
        result = bench.kubectl.ask(*_try_in(namespace), stdin=json.dumps(pod).encode())
        if result.code == 0:
            allowed.append(f"{namespace}: allowed")
        elif "violates PodSecurity" not in result.err:
            allowed.append(f"{namespace}: {complaint(result)}")
    return judged(expected, allowed, "refused", _ADVICE)


def ask_admission(bench: Bench) -> Finding:
    """Try a pod that asks for nothing, and look at what the API server makes of it."""
    expected = "a pod of a zone on the zone's nodes alone, whose image is asked for at each start"
    troubles = [
        f"{zone.name}: {trouble}"
        for zone in bench.site.all_zones
        for trouble in _admission_troubles(bench, zone)
    ]
    return judged(expected, troubles, "so in every zone", _ADVICE)


def _admission_troubles(bench: Bench, zone: Zone) -> Iterator[str]:
    pod = _pod(bench, {})
    out = bench.kubectl.run(*_try_in(zone.name), "-o", "json", stdin=json.dumps(pod).encode())
    spec = json.loads(out)["spec"]
    if spec["containers"][0].get("imagePullPolicy") != "Always":
        yield "imagePullPolicy is not Always"
    if (spec.get("nodeSelector") or {}).get(PINNING_LABEL) != zone.name:
        yield "not bound to its nodes"
    given = [_filled(toleration) for toleration in spec.get("tolerations") or ()]
    for toleration in zone_tolerations(zone):
        if _filled(toleration) not in given:
            yield f"lacks the toleration of {toleration['key']}"
    pod["spec"]["tolerations"] = [{"operator": "Exists"}]
    if bench.kubectl.ask(*_try_in(zone.name), stdin=json.dumps(pod).encode()).code == 0:
        yield "a pod may tolerate every taint"


def _filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value}


def ask_node_restriction(bench: Bench) -> Finding:
    """Try, as a node, to give that node the label of a zone; the API server keeps nothing of it."""
    expected = "refused: a node cannot say of itself which zone it is in"
    node = bench.site.nodes[0].name
    result = bench.kubectl.ask(
        "label", "node", node, f"{PINNING_LABEL}=isoward-other", "--overwrite",
        "--dry-run=server", f"--as=system:node:{node}", "--as-group=system:nodes",
    )  # fmt: skip
    if result.code == 0:
        return failed(expected, f"{node} may change its own {PINNING_LABEL}", _ADVICE)
    if _GUARDED not in result.err:
        return not_proven(expected, complaint(result), _ADVICE)
    return proven(expected, f"{node} {_GUARDED}: {PINNING_LABEL}")


def _answered(client: ApiClient, place: Place) -> list[str]:
    answers = [(path, client.get(path).status) for path in _CLOSED]
    return [f"{place.url}{path}: {status}" for path, status in answers if status not in _REFUSED]


def _find_events(bench: Bench, node: Node, name: str) -> list[Mapping[str, Any]]:
    machine = bench.machine(node)
    result = machine.shell.run(
        *machine.privileged, "grep", "-F", "-m", "20", "-e", name, "--", bench.audit_log
    )
    events: list[Mapping[str, Any]] = []
    for line in result.out.splitlines():
        with suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict) and event.get("objectRef", {}).get("name") == name:
                events.append(event)
    return events


def _secret(bench: Bench, name: str, canary: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": bench.namespace, "labels": dict(MANAGED_BY)},
        "stringData": {"canary": canary},
    }


def _delete(bench: Bench, kind: str, name: str) -> None:
    bench.kubectl.run("delete", kind, name, "-n", bench.namespace, "--ignore-not-found")


def _pod(bench: Bench, container: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"isoward-tried-{bench.token}", "labels": dict(MANAGED_BY)},
        "spec": {"containers": [{"name": "tried", "image": _IMAGE, **container}]},
    }


def _try_in(namespace: str) -> tuple[str, ...]:
    return ("create", "-n", namespace, "--dry-run=server", "-f", "-")


PROOFS: Final = (
    Proof(
        "encryption-at-rest",
        "Secrets are encrypted in the cluster's memory",
        ("164.312(a)(2)(iv)",),
        ask_encryption,
    ),
    Proof("anonymous", "Nobody is served without saying who it is", ("164.312(d)",), ask_anonymous),
    Proof("audit", "Requests are written down", ("164.312(b)",), ask_audit),
    Proof(
        "pod-security",
        "A pod with power over its node is refused",
        ("164.312(a)(1)",),
        ask_pod_security,
    ),
    Proof(
        "admission",
        "A zone's pods stay on its nodes, and images come from the depot at each start",
        ("164.312(a)(1)", "164.312(c)(1)"),
        ask_admission,
    ),
    Proof(
        "node-restriction",
        "A node cannot move itself to another zone",
        ("164.312(a)(1)",),
        ask_node_restriction,
    ),
)
