"""The step `proofs`: the platform is asked to show what it promises."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from bundle.base.canonical import canonical_json
from bundle.base.documents import API_VERSION
from bundle.base.errors import IsowardError, StepError
from bundle.model.finding import PROOF, Finding, advice_of, failed, lines_of
from bundle.store.atomic import write_atomic
from installer.core.step import Change, Context
from installer.kube.api_client import API_PORT, Place, api_place
from installer.kube.kubectl import (
    KUBECTL,
    MANAGED_BY,
    OURS,
    Kubectl,
    first_control_plane,
    machine_of,
)
from installer.preflight.question import Machine
from installer.proofs import api as proofs_api
from installer.proofs import parts as proofs_cluster
from installer.proofs import runs as proofs_pods
from installer.proofs import ways as proofs_network
from installer.proofs.evidence import PROOF_LABEL, Bench, Proof
from installer.site.document import Node, Site

PROOFS_NAME: Final = "proofs.json"
PROOFS: Final = (
    *proofs_cluster.PROOFS,
    *proofs_api.PROOFS,
    *proofs_pods.PROOFS,
    *proofs_network.PROOFS,
)
ETCDCTL: Final = (
    "/usr/local/bin/etcdctl",
    "--endpoints=https://127.0.0.1:2379",
    "--cacert=/etc/ssl/etcd/ssl/ca.pem",
    "--cert=/etc/ssl/etcd/ssl/admin-{node}.pem",
    "--key=/etc/ssl/etcd/ssl/admin-{node}-key.pem",
)
"""As Kubespray's /etc/etcd.env has it; `{node}` is the node's name."""

AUDIT_LOG: Final = "/var/log/kubernetes/audit/kube-apiserver-audit.log"
"""Where the inventory has the API server write it, as the node sees it."""

_PREFIX: Final = "isoward-proofs-"
_MAX_NAME: Final = 63
_TOKEN_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Reach:
    """Where things are: where Kubespray puts them, unless a test has them elsewhere.

    Attributes:
        kubectl: The program with its credentials, on the first control-plane node.
        etcdctl: The same for etcd, on its nodes.
        audit_log: Path on the control-plane nodes.
        places: Where API servers are asked from this machine, as `api_places` when left out; the
            first one must answer.
    """

    kubectl: Sequence[str] = KUBECTL
    etcdctl: Sequence[str] = ETCDCTL
    audit_log: str = AUDIT_LOG
    places: Callable[[Site], Sequence[Place]] | None = None


class ProofsStep:
    """Tries every proof, takes away all that was made for it, and fails if any proof did."""

    name = "proofs"
    title = "Prove what is promised"

    def __init__(
        self,
        *,
        reach: Reach | None = None,
        proofs: Sequence[Proof] = PROOFS,
        tries: int = 90,
        sleep: Callable[[float], None] = time.sleep,
        token: Callable[[], str] = lambda: secrets.token_hex(_TOKEN_BYTES),
    ) -> None:
        """Note what to try.

        Args:
            reach: Where things are.
            proofs: In the order of the report.
            tries: How often is asked for what takes a while.
            sleep: Waits, in seconds.
            token: Makes what no other run has, of letters and digits.
        """
        self._reach = reach or Reach()
        self._proofs = proofs
        self._tries = tries
        self._sleep = sleep
        self._token = token

    def changes(self, context: Context) -> Sequence[Change]:
        """Say what is made and taken away again."""
        node = first_control_plane(context.site)
        return [
            Change(
                node.name, f"{len(self._proofs)} proofs, by pods and a Secret that go afterwards"
            )
        ]

    def inputs(self, context: Context) -> Mapping[str, Any]:
        """Return which proofs there are; the steps before say what they are about."""
        del context
        return {"proofs": [proof.id for proof in self._proofs]}

    def run(self, context: Context) -> Mapping[str, Any]:
        """Try all; the findings are in the run's folder, also when the step fails.

        Raises:
            UnreachableError: The first control-plane node does not answer.
            StepError: Proofs failed; the message names all of them.
        """
        with self._bench(context) as bench:
            results = []
            for proof in self._proofs:
                finding = _try(proof, bench)
                results.append(finding)
                said = finding.verdict.upper() if finding.verdict.blocks else finding.verdict
                context.progress.note(f"{proof.id}: {said}: {finding.found}")
        data = [proof.data(r) for proof, r in zip(self._proofs, results, strict=True)]
        document = {"apiVersion": API_VERSION, "kind": "Proofs", "proofs": data}
        write_atomic(context.run / PROOFS_NAME, canonical_json(document))
        wrong = [result for result in results if result.verdict.blocks]
        if wrong:
            raise StepError(
                f"{len(wrong)} of {len(results)} proofs failed: {lines_of(wrong)}",
                advice_of(wrong, f"See {context.run / PROOFS_NAME}."),
                {"failed": len(wrong)},
            )
        counts = {v.value: sum(r.verdict is v for r in results) for v in PROOF}
        return {"proofs": data, "counts": counts}

    @contextmanager
    def _bench(self, context: Context) -> Iterator[Bench]:
        node = first_control_plane(context.site)
        with ExitStack() as stack:
            machines: dict[str, Machine] = {}

            def machine(node: Node) -> Machine:
                if node.name not in machines:
                    machines[node.name] = machine_of(stack.enter_context(context.connect(node)))
                return machines[node.name]

            bench = Bench(
                context=context,
                kubectl=Kubectl(node.name, machine(node), self._reach.kubectl),
                machine=machine,
                namespace=namespace_of(context.run.name),
                token=self._token(),
                etcdctl=self._reach.etcdctl,
                audit_log=self._reach.audit_log,
                places=(self._reach.places or api_places)(context.site),
                sleep=self._sleep,
                tries=self._tries,
            )
            # What a run that was killed could not take away.
            _clean(bench)
            _make_namespace(bench)
            try:
                yield bench
            finally:
                _clean(bench)


def api_places(site: Site) -> tuple[Place, ...]:
    """Return where API servers are: as a client reaches them, and each on its own node."""
    nodes = (Place(node.address, API_PORT) for node in site.nodes_with("control-plane"))
    return tuple(dict.fromkeys((api_place(site), *nodes)))


def namespace_of(run: str) -> str:
    """Return the name of a run's own namespace."""
    text = re.sub(r"[^a-z0-9]+", "-", run.lower())
    return f"{_PREFIX}{text}"[:_MAX_NAME].strip("-")


def _try(proof: Proof, bench: Bench) -> Finding:
    try:
        finding = proof.ask(bench)
    except IsowardError as error:
        finding = failed(proof.proves, error.message, error.hint)
    return finding.under(proof.id, proof.proves)


def _make_namespace(bench: Bench) -> None:
    labels = {**MANAGED_BY, PROOF_LABEL: "true"}
    metadata = {"name": bench.namespace, "labels": labels}
    bench.kubectl.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}])


def _clean(bench: Bench) -> None:
    """Take away what proofs made, of this run and of any before it; deleting twice is no error."""
    selector = ("-l", f"{OURS},{PROOF_LABEL}=true", "--ignore-not-found", "--wait=false")
    bench.kubectl.run("delete", "pods", "--all-namespaces", "--grace-period=1", *selector)
    bench.kubectl.run("delete", "namespaces", *selector)
