"""Proofs before a real API server as our inventory configures it, and before ones that lack
something: each proof finds what it is for. Those that need running pods are shown by the lab."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bundle.base.errors import StepError
from installer.core.step import Context
from installer.kube.api_client import Place
from installer.kube.kubectl import Kubectl
from installer.proofs import api as proofs_api
from installer.proofs import parts as proofs_cluster
from installer.proofs import runs as proofs_pods
from installer.proofs import ways as proofs_network
from installer.proofs.evidence import PROOF_LABEL, Proof
from installer.proofs.prove import PROOFS_NAME, ProofsStep, Reach
from installer.site.cluster_part import PINNING_LABEL
from installer.steps.fetch_kubeconfig import KUBECONFIG_NAME
from installer.steps.separate_zones import ZonesStep
from tests.support.cluster.server import ClusterServer, Protections, cluster_server, weakened
from tests.support.programs.go_tools import BUILD_SECONDS
from tests.support.sites.bare_context import bare_context
from tests.support.sites.clusters import cluster

pytestmark = pytest.mark.timeout(BUILD_SECONDS + 300)

NODES = ("node1", "node2", "node3")
IMAGE = "registry.example.org/app/web:2.1"
OF_THE_API = (*proofs_cluster.PROOFS, *proofs_api.PROOFS)


def proofs_named(*ids: str) -> tuple[Proof, ...]:
    everything = (*OF_THE_API, *proofs_pods.PROOFS, *proofs_network.PROOFS)
    return tuple(proof for proof in everything if proof.id in ids)


def start(server: ClusterServer, folder: Path) -> Context:
    """Make three nodes, set their zones apart, and give the step its credentials."""
    server.add_nodes(*NODES)
    context = bare_context(cluster(3, "calico"), folder, images=[IMAGE])
    ZonesStep(kubectl=server.kubectl).run(context)
    (context.state / KUBECONFIG_NAME).write_bytes(server.kubeconfig.read_bytes())
    return context


def prove(server: ClusterServer, context: Context, proofs: Sequence[Proof]) -> Any:
    """Run proofs, in a run of its own: no controller here lets a namespace go."""
    run = context.run.with_name(f"run-{secrets.token_hex(4)}")
    run.mkdir()
    step = ProofsStep(
        reach=Reach(
            kubectl=server.kubectl,
            etcdctl=(*server.etcdctl, "--command-timeout=5s"),
            audit_log=str(server.audit),
            places=lambda _: [Place("127.0.0.1", server.port)],
        ),
        proofs=proofs,
        tries=2,
        sleep=lambda _: None,
    )
    try:
        return step.run(replace(context, run=run))
    finally:
        run.rename(context.run / run.name)


def found_by(server: ClusterServer, context: Context, *ids: str) -> str:
    """Run proofs that must fail, and return what the step says."""
    with pytest.raises(StepError) as raised:
        prove(server, context, proofs_named(*ids))
    newest = max(context.run.glob(f"*/{PROOFS_NAME}"), key=lambda path: path.stat().st_mtime_ns)
    said = json.loads(newest.read_bytes())["proofs"]
    assert [proof["verdict"] for proof in said] == ["failed"] * len(ids)
    return raised.value.message


def left(server: ClusterServer) -> list[str]:
    """Return what proofs left behind; a namespace that is on its way out is not counted."""
    items = server.get("pods,namespaces", "-A", "-l", f"{PROOF_LABEL}=true")["items"]
    return [i["metadata"]["name"] for i in items if "deletionTimestamp" not in i["metadata"]]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ClusterServer, Context]]:
    with cluster_server(tmp_path_factory.mktemp("cluster")) as server:
        yield server, start(server, tmp_path_factory.mktemp("site"))


@pytest.fixture
def server(started: tuple[ClusterServer, Context]) -> ClusterServer:
    return started[0]


@pytest.fixture
def context(started: tuple[ClusterServer, Context]) -> Context:
    return started[1]


@pytest.fixture(scope="module")
def weak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ClusterServer, Context]]:
    """An API server as kubeadm alone would leave it."""
    plugins = ("PodSecurity", "AlwaysPullImages", "PodNodeSelector", "PodTolerationRestriction")
    without = weakened(encryption=False, audit=False, without_plugins=(*plugins, "NodeRestriction"))
    with cluster_server(tmp_path_factory.mktemp("weak"), without) as server:
        yield server, start(server, tmp_path_factory.mktemp("weak-site"))


def test_a_cluster_as_the_inventory_has_it_proves_what_needs_no_pod(
    server: ClusterServer, context: Context
) -> None:
    # One member of etcd here, and the site has three: that one proof is shown apart.
    proofs = [proof for proof in OF_THE_API if proof.id != "etcd"]
    done = prove(server, context, proofs)
    assert done["counts"] == {"proven": len(proofs), "failed": 0, "not proven": 0}
    found = {proof["id"]: proof["found"] for proof in done["proofs"]}
    assert found["encryption-at-rest"] == "k8s:enc:secretbox:v1:key"
    assert "kubernetes-admin" in found["audit"]
    assert not left(server)
    assert all(proof["proves"] for proof in done["proofs"])


@pytest.mark.parametrize(
    ("proof", "says"),
    [
        ("encryption-at-rest", ["the Secret as it is"]),
        ("audit", ["none on node1"]),
        ("pod-security", ["clinical: allowed"]),
        (
            "admission",
            [
                "clinical: imagePullPolicy is not Always",
                "clinical: not bound to its nodes",
                "clinical: lacks the toleration of zone",
                "clinical: a pod may tolerate every taint",
            ],
        ),
        ("node-restriction", [f"node1 may change its own {PINNING_LABEL}"]),
    ],
)
def test_a_protection_that_is_missing_is_found(
    weak: tuple[ClusterServer, Context], proof: str, says: list[str]
) -> None:
    found = found_by(*weak, proof)
    assert not [text for text in says if text not in found]


def test_a_door_that_is_open_to_anybody_is_found(server: ClusterServer, context: Context) -> None:
    arguments = ("clusterrolebinding", "open", "--clusterrole=cluster-admin")
    server.run("create", *arguments, "--group=system:unauthenticated")
    try:
        assert "/api/v1/namespaces: 200" in found_by(server, context, "anonymous")
    finally:
        server.run("delete", "clusterrolebinding", "open")


def test_an_audit_log_with_content_is_found(tmp_path: Path) -> None:
    policy = [{"level": "Request"}]
    with cluster_server(tmp_path / "cluster", weakened(audit_rules=policy)) as server:
        context = start(server, tmp_path)
        assert "the Secret's content in the log" in found_by(server, context, "audit")


def test_a_node_that_is_not_ready_old_full_or_unknown_is_found(
    server: ClusterServer, context: Context
) -> None:
    server.set_node("node1", ready=False)
    server.set_node("node2", version="v1.34.0")
    server.set_node("node3", full=True)
    server.add_nodes("stranger")
    try:
        said = found_by(server, context, "nodes")
    finally:
        server.run("delete", "node", "stranger")
        server.set_node("node1")
        server.set_node("node2")
        server.set_node("node3")
    assert "node1: not Ready" in said
    assert "node2: has v1.34.0" in said
    assert "node3: DiskPressure" in said
    assert "stranger: not in the site file" in said


def test_a_mark_that_is_gone_is_found(server: ClusterServer, context: Context) -> None:
    server.run("label", "node", "node2", "ward-")
    server.run("taint", "node", "node3", "zone-")
    said = found_by(server, context, "marks")
    ZonesStep(kubectl=server.kubectl).run(context)
    assert "node2 lacks: label ward=east" in said
    assert "node3 lacks: taint zone=research:NoExecute" in said


def test_a_policy_that_was_widened_or_removed_is_found(
    server: ClusterServer, context: Context
) -> None:
    server.run("delete", "networkpolicy", "isoward-deny", "-n", "research")
    said = found_by(server, context, "zones")
    assert "not there: NetworkPolicy research/isoward-deny" in said
    ZonesStep(kubectl=server.kubectl).run(context)
    wider = json.dumps({"spec": {"egress": [{}]}})
    server.run("patch", "netpol", "isoward-dns", "-n", "clinical", "--type=merge", "-p", wider)
    said = found_by(server, context, "zones")
    ZonesStep(kubectl=server.kubectl).run(context)
    assert "they differ" in said
    assert done_again(server, context, "zones") == "proven"


def test_a_policy_of_somebody_else_is_not_passed_over(
    server: ClusterServer, context: Context
) -> None:
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "theirs", "namespace": "clinical"},
        "spec": {"podSelector": {}, "ingress": [{}]},
    }
    server.run("create", "-f", "-", document=policy)
    try:
        assert done_again(server, context, "zones") == "not proven"
    finally:
        server.run("delete", "networkpolicy", "theirs", "-n", "clinical")


def test_members_of_etcd_that_are_missing_are_found(
    server: ClusterServer, context: Context
) -> None:
    assert "1 member(s)" in found_by(server, context, "etcd")
    alone = replace(context, site=cluster(1, "calico"))
    assert done_again(server, alone, "etcd") == "proven"


def test_pods_that_nobody_runs_are_found_and_taken_away(
    server: ClusterServer, context: Context
) -> None:
    said = found_by(server, context, "image", "network")
    assert "node1: Pending" in said
    assert "the pod did not run: Pending" in said
    assert not left(server)


def test_what_a_run_that_was_killed_left_is_taken_away(
    server: ClusterServer, context: Context
) -> None:
    labels = {"app.kubernetes.io/managed-by": "isoward", PROOF_LABEL: "true"}
    pod = {"containers": [{"name": "a", "image": IMAGE}]}
    for kind, metadata, more in (
        ("Namespace", {"name": "isoward-proofs-before", "labels": labels}, {}),
        ("Pod", {"name": "old", "namespace": "clinical", "labels": labels}, {"spec": pod}),
    ):
        document: dict[str, Any] = {"apiVersion": "v1", "kind": kind, "metadata": metadata}
        server.run("create", "-f", "-", document=document | more)
    assert sorted(left(server)) == ["isoward-proofs-before", "old"]
    assert done_again(server, context, "marks") == "proven"
    assert not left(server)


def test_an_interruption_leaves_nothing(server: ClusterServer, context: Context) -> None:
    def interrupt(bench: Any) -> Any:
        assert isinstance(bench.kubectl, Kubectl)
        assert left(server) == [bench.namespace]
        raise KeyboardInterrupt

    proof = Proof("interrupted", "nothing", (), interrupt)
    with pytest.raises(KeyboardInterrupt):
        prove(server, context, [proof])
    assert not left(server)


def done_again(server: ClusterServer, context: Context, name: str) -> str:
    (found,) = prove(server, context, proofs_named(name))["proofs"]
    verdict: str = found["verdict"]
    return verdict


def test_all_protections_are_on_unless_a_test_says_otherwise() -> None:
    assert Protections() == Protections(encryption=True, audit=True, without_plugins=())
