"""The zones of a cluster, set apart before a real API server as our inventory configures it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bundle.base.errors import StepError
from installer.kube.zone_manifests import NODE_SELECTOR
from installer.site.cluster_part import PINNING_LABEL, ZONE_LABEL
from installer.site.document import Site
from installer.steps.separate_zones import ZonesStep
from tests.support.cluster.server import ClusterServer, cluster_server
from tests.support.programs.go_tools import BUILD_SECONDS
from tests.support.sites.bare_context import bare_context
from tests.support.sites.clusters import cluster_data
from tests.support.sites.plain import site_of

pytestmark = pytest.mark.timeout(BUILD_SECONDS + 300)

NODES = ("node1", "node2", "node3")


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterServer]:
    with cluster_server(tmp_path_factory.mktemp("cluster")) as server:
        yield server


@pytest.fixture
def server(started: ClusterServer) -> Iterator[ClusterServer]:
    """A cluster of three nodes, in which nothing was done yet."""
    started.add_nodes(*NODES)
    yield started
    started.run("delete", "nodes", "--all")
    started.run("delete", "configmaps", "-n", "kube-system", "--all")
    for name in ("administrative", "clinical", "research", "laboratory"):
        started.run("delete", "networkpolicies", "--all", "-n", name)
        started.run("delete", "namespace", name, "--ignore-not-found", "--wait=false")
        _finalize(started, name)


def _finalize(server: ClusterServer, name: str) -> None:
    """Let a namespace go: there is no controller that would."""
    found = server.run("get", "namespace", name, "--ignore-not-found", "-o", "json")
    if found:
        data = json.loads(found)
        data["spec"]["finalizers"] = []
        path = f"/api/v1/namespaces/{name}/finalize"
        server.run("replace", "--raw", path, "-f", "-", document=data)


def site_with(**zones: dict[str, Any]) -> Site:
    """Return a site of three nodes, with changes of its zones by name."""
    data = copy.deepcopy(cluster_data(3, "calico"))
    for zone in data["zones"]:
        zone.update(zones.get(zone["name"], {}))
    return site_of(data)


def set_apart(server: ClusterServer, site: Site, folder: Path) -> Any:
    return ZonesStep(kubectl=server.kubectl).run(bare_context(site, folder))


def taints_of(server: ClusterServer, node: str) -> list[str]:
    """Return a node's taints, without those of Kubernetes itself."""
    return [
        f"{taint['key']}={taint['value']}:{taint['effect']}"
        for taint in server.get("node", node)["spec"]["taints"]
        if "kubernetes.io/" not in taint["key"]
    ]


def pod(name: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "app", "image": "registry.example.org/app/web:2.1"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [container], **spec},
    }


def admitted(server: ClusterServer, namespace: str, document: dict[str, Any]) -> dict[str, Any]:
    arguments = ("create", "-n", namespace, "--dry-run=server", "-o", "json", "-f", "-")
    spec: dict[str, Any] = json.loads(server.run(*arguments, document=document))["spec"]
    return spec


def test_nodes_namespaces_and_policies_are_as_the_site_says(
    server: ClusterServer, tmp_path: Path
) -> None:
    done = set_apart(server, site_with(), tmp_path)
    labels = server.get("node", "node2")["metadata"]["labels"]
    assert (labels[ZONE_LABEL], labels[PINNING_LABEL], labels["ward"]) == (
        "clinical", "clinical", "east",
    )  # fmt: skip
    assert labels["kubernetes.io/hostname"] == "node2"
    assert taints_of(server, "node3") == ["zone=research:NoExecute"]
    assert {
        item["metadata"]["name"] for item in server.get("netpol", "-n", "clinical")["items"]
    } == {"isoward-deny", "isoward-dns", "isoward-egress", "isoward-within"}
    assert done["marked"]["node2"] == [
        "label isoward/zone=clinical",
        f"label {PINNING_LABEL}=clinical",
        "label ward=east",
        "taint zone=clinical:NoSchedule",
    ]
    again = set_apart(server, site_with(), tmp_path)
    assert again["marked"] == {name: [] for name in NODES}
    assert not again["removed"]


def test_a_zones_pods_land_on_its_nodes_and_nowhere_else(
    server: ClusterServer, tmp_path: Path
) -> None:
    set_apart(server, site_with(), tmp_path)
    spec = admitted(server, "clinical", pod("a"))
    assert spec["nodeSelector"] == {PINNING_LABEL: "clinical"}
    assert {"key": "zone", "operator": "Equal", "value": "clinical", "effect": "NoSchedule"} in (
        spec["tolerations"]
    )
    assert spec["containers"][0]["imagePullPolicy"] == "Always"
    own = {"key": "zone", "operator": "Equal", "value": "research", "effect": "NoExecute"}
    for refused, why in (
        (pod("b", nodeSelector={PINNING_LABEL: "research"}), "conflicts with its namespace"),
        (pod("c", tolerations=[own]), "conflict with its namespace whitelist"),
        (pod("d", tolerations=[{"operator": "Exists"}]), "conflict with its namespace whitelist"),
        (pod("e", hostNetwork=True), 'violates PodSecurity "baseline'),
    ):
        said = server.refused(
            "create", "-n", "clinical", "--dry-run=server", "-f", "-", document=refused
        )
        assert why in said, said
    # What Kubernetes gives a pod itself, as of a DaemonSet, stays allowed.
    disk = {"key": "node.kubernetes.io/disk-pressure", "operator": "Exists", "effect": "NoSchedule"}
    assert disk in admitted(server, "clinical", pod("f", tolerations=[disk]))["tolerations"]
    assert PINNING_LABEL not in admitted(server, "default", pod("g")).get("nodeSelector", {})


def test_a_node_cannot_move_itself_to_another_zone(server: ClusterServer, tmp_path: Path) -> None:
    set_apart(server, site_with(), tmp_path)
    taken = ("--as=system:node:node3", "--as-group=system:nodes")
    label = f"{PINNING_LABEL}=clinical"
    said = server.refused("label", "node", "node3", label, "--overwrite", *taken)
    assert "is not allowed to modify labels" in said
    said = server.refused("taint", "node", "node3", "zone-", *taken)
    assert "is not allowed to modify taints" in said
    said = server.refused("get", "configmap", "isoward-marks-node3", "-n", "kube-system", *taken)
    assert "forbidden" in said.lower()


def test_what_the_site_no_longer_says_goes_and_what_others_made_stays(
    server: ClusterServer, tmp_path: Path
) -> None:
    server.run("label", "node", "node2", "rack=7")
    server.run("taint", "node", "node2", "disk=old:PreferNoSchedule")
    set_apart(server, site_with(), tmp_path)
    server.run("create", "-f", "-", document=_foreign_policy())
    server.run("label", "node", "node3", "ward=west")
    changed = site_with(
        clinical={"labels": {"floor": "2"}, "taints": [], "egress": []},
        research={"labels": {"ward": "north"}},
    )
    done = set_apart(server, changed, tmp_path)
    labels = server.get("node", "node2")["metadata"]["labels"]
    assert "ward" not in labels
    assert (labels["floor"], labels["rack"]) == ("2", "7")
    assert taints_of(server, "node2") == ["disk=old:PreferNoSchedule"]
    assert done["removed"] == ["NetworkPolicy clinical/isoward-egress"]
    kept = {item["metadata"]["name"] for item in server.get("netpol", "-n", "clinical")["items"]}
    assert "theirs" in kept
    # Somebody gave the label another value since: it is theirs, until the site names it again.
    server.run("label", "node", "node3", "ward=south", "--overwrite")
    set_apart(server, site_with(), tmp_path)
    assert server.get("node", "node3")["metadata"]["labels"]["ward"] == "south"


def test_a_run_that_was_stopped_between_record_and_nodes_goes_on(
    server: ClusterServer, tmp_path: Path
) -> None:
    set_apart(server, site_with(), tmp_path)
    # The record says more than the nodes have, as after a power cut; then the site changes.
    server.run("label", "node", "node2", "ward-")
    done = set_apart(server, site_with(clinical={"labels": {"floor": "2"}}), tmp_path)
    assert done["marked"]["node2"] == ["label floor=2"]
    labels = server.get("node", "node2")["metadata"]["labels"]
    assert "ward" not in labels


def test_a_former_zone_goes_when_it_is_empty_and_stays_closed_when_not(
    server: ClusterServer, tmp_path: Path
) -> None:
    data = cluster_data(3, "calico")
    extra = {"name": "laboratory", "networks": ["10.20.9.0/24"]}
    more = site_of({**data, "zones": [*data["zones"], extra]})
    set_apart(server, more, tmp_path)
    server.run("create", "-n", "laboratory", "configmap", "results", "--from-literal=a=b")
    done = set_apart(server, site_with(), tmp_path)
    assert done["leftBehind"] == ["laboratory"]
    assert not done["removed"]
    assert server.get("netpol", "-n", "laboratory")["items"]
    server.run("delete", "-n", "laboratory", "configmap", "results")
    done = set_apart(server, site_with(), tmp_path)
    assert done["removed"] == ["Namespace /laboratory"]


def test_a_namespace_of_somebody_else_is_not_taken_over(
    server: ClusterServer, tmp_path: Path
) -> None:
    server.run("create", "namespace", "clinical")
    with pytest.raises(StepError, match="the namespace clinical: expected none, or ours") as raised:
        set_apart(server, site_with(), tmp_path)
    assert "label it so" in raised.value.hint
    assert NODE_SELECTOR not in server.get("namespace", "clinical")["metadata"].get(
        "annotations", {}
    )


def test_a_node_that_never_joined_is_named(server: ClusterServer, tmp_path: Path) -> None:
    server.run("delete", "node", "node2")
    with pytest.raises(StepError, match="node2: expected a node of the cluster, found none"):
        set_apart(server, site_with(), tmp_path)


def _foreign_policy() -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "theirs", "namespace": "clinical"},
        "spec": {"podSelector": {"matchLabels": {"app": "x"}}, "policyTypes": ["Ingress"]},
    }
