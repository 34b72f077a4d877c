"""Real Kubespray in the lab: a machine without a way out becomes a cluster, all of it of the depot.

Skipped without Git repositories of Kubespray, cri-tools, nerdctl and kube-router (bare or not),
which ISOWARD_KUBESPRAY, ISOWARD_CRI_TOOLS, ISOWARD_NERDCTL and ISOWARD_KUBE_ROUTER name. What they
do not give is built of Go modules and of Debian's packages; built once, in some ten minutes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.cluster_files import cluster_files
from tests.lab.cluster_images import cluster_images
from tests.lab.cluster_vendor import cluster_vendor
from tests.lab.kubespray_site import ClusterSite, cluster_site
from tests.lab.node import prove_no_way_out
from tests.lab.rootfs import debian_codename
from tests.support.go_tools import BUILD_SECONDS
from tests.support.kubernetes_build import VERSION
from tests.support.needs import requires_repository, requires_root, requires_tool
from tests.support.upstream_journey import Journey, carry

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.lab,
    pytest.mark.timeout(2 * BUILD_SECONDS),
]

_STARTS = 180
"""Seconds that a pod gets on a machine that does much else."""


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """Take what a cluster needs from its vendors, who are gone before the site's nodes start."""
    repository = requires_repository("ISOWARD_KUBESPRAY")
    requires_root()
    requires_tool("apt-get", "mmdebstrap", "systemd-nspawn", "unshare", "git")
    if debian_codename() != "bookworm":
        pytest.skip("the lab's nodes are of this machine's release, and this is not Debian 12")
    home = tmp_path_factory.mktemp("vendor")
    with cluster_vendor(home, repository, cluster_files(), cluster_images()) as vendor:
        return carry(home, vendor.definition, machine=vendor.machine)


@pytest.fixture(scope="module")
def site(journey: Journey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterSite]:
    with cluster_site(tmp_path_factory.mktemp("site") / "lab", journey) as made:
        yield made


@pytest.fixture(scope="module")
def installed(site: ClusterSite) -> dict[str, Any]:
    return site.result("install")


def test_1_a_machine_becomes_a_cluster(site: ClusterSite, installed: dict[str, Any]) -> None:
    assert installed["complete"]
    (node,) = json.loads(site.kubectl("get", "nodes", "-o", "json"))["items"]
    states = {state["type"]: state["status"] for state in node["status"]["conditions"]}
    assert states["Ready"] == "True"
    assert node["status"]["nodeInfo"]["kubeletVersion"] == VERSION
    assert node["metadata"]["labels"]["isoward/zone"] == "administrative"


def test_2_all_of_it_came_from_the_depot(
    site: ClusterSite, journey: Journey, installed: dict[str, Any]
) -> None:
    assert installed
    assert "Network is unreachable" in prove_no_way_out(site.control)
    asked = [r for r in site.requests() if r.who.startswith(site.control.address)]
    paths = {request.path.partition("?")[0] for request in asked if request.method == "GET"}
    manifest = journey.manifest()
    for file in manifest["kubespray"]["files"]:
        assert f"/files/{file['url'].removeprefix('https://')}" in paths
    blobs = {path.rpartition("/")[2] for path in paths if "/blobs/" in path}
    for image in manifest["images"]:
        assert image["digest"] in {path.rpartition("/")[2] for path in paths} | blobs
    here = site.control.run("ctr", "--namespace", "k8s.io", "images", "list").stdout.decode()
    digests = {image["digest"] for image in manifest["images"]}
    listed = [line.split() for line in here.splitlines()[1:]]
    assert listed
    assert {fields[2] for fields in listed} <= digests
    packages = {path for path in paths if path.endswith(".deb")}
    assert len(packages) > 50
