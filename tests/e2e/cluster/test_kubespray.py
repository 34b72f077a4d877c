"""Real Kubespray in the lab: a machine without a way out becomes a cluster, all of it of the depot.

The installer is killed once on the way, and goes on.

Skipped without Git repositories of Kubespray, cri-tools, nerdctl and kube-router (bare or not),
which ISOWARD_KUBESPRAY, ISOWARD_CRI_TOOLS, ISOWARD_NERDCTL and ISOWARD_KUBE_ROUTER name. What they
do not give is built of Go modules and of Debian's packages; built once, in some ten minutes.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from installer.site.cluster_part import ZONE_LABEL
from tests.lab.cluster_files import cluster_files
from tests.lab.cluster_images import cluster_images
from tests.lab.cluster_vendor import cluster_vendor
from tests.lab.kubespray_site import ClusterSite, cluster_site
from tests.lab.node import prove_no_way_out
from tests.lab.rootfs import debian_codename
from tests.support.cluster.kubernetes_build import VERSION
from tests.support.programs.go_tools import BUILD_SECONDS
from tests.support.programs.needs import requires_repository, requires_root, requires_tool
from tests.support.registries.journey import Journey, carry

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.lab,
    pytest.mark.timeout(2 * BUILD_SECONDS),
]

_KILLED_AT = 60
"""Tasks that have been begun when the installer is killed: Kubespray prepares the machine."""


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """Take what a cluster needs from its vendors, who are gone before the site's nodes start."""
    repository = requires_repository("ISOWARD_KUBESPRAY")
    requires_root()
    requires_tool("busybox", "apt-get", "mmdebstrap", "systemd-nspawn", "unshare", "git")
    if debian_codename() != "bookworm":
        pytest.skip("the lab's nodes are of this machine's release, and this is not Debian 12")
    home = tmp_path_factory.mktemp("vendor")
    with cluster_vendor(home, repository, cluster_files(), cluster_images()) as vendor:
        return carry(home, vendor.definition, machine=vendor.machine)


@pytest.fixture(scope="module")
def site(journey: Journey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterSite]:
    folder = tmp_path_factory.mktemp("site") / "lab"
    with cluster_site(folder, journey.machine.home, journey.depot) as made:
        yield made


@pytest.fixture(scope="module")
def installed(site: ClusterSite) -> dict[str, Any]:
    """Install, with an installer that is killed in the middle of Kubespray's work."""
    output = site.site.with_name("killed.log")
    with output.open("wb") as log:
        killed = subprocess.Popen(
            site.argv("install"), cwd=site.machine.home, env=site.machine.environment,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        while site.tasks() < _KILLED_AT:
            assert killed.poll() is None, output.read_text()[-3000:]
            time.sleep(0.2)
    finally:
        killed.kill()
        killed.wait()
    assert site.steps()[-1] == ("began", "cluster")
    return site.result("install")


def test_1_a_machine_becomes_a_cluster(site: ClusterSite, installed: dict[str, Any]) -> None:
    assert installed["complete"]
    done_before = {step["step"] for step in installed["steps"] if step["doneBefore"]}
    assert {"verify", "hosts"} <= done_before
    (node,) = json.loads(site.kubectl("get", "nodes", "-o", "json"))["items"]
    states = {state["type"]: state["status"] for state in node["status"]["conditions"]}
    assert states["Ready"] == "True"
    assert node["status"]["nodeInfo"]["kubeletVersion"] == VERSION
    assert node["metadata"]["labels"][ZONE_LABEL] == "administrative"


def test_1_what_is_promised_of_it_was_proven(installed: dict[str, Any]) -> None:
    (proofs,) = (step["result"] for step in installed["steps"] if step["step"] == "proofs")
    found = {proof["id"]: proof["verdict"] for proof in proofs["proofs"]}
    assert len(found) > 10
    # Of kube-router it may be said that a pod's policies come a moment after the pod.
    assert found.pop("network") in {"proven", "not proven"}
    assert set(found.values()) == {"proven"}
    (network,) = (proof for proof in proofs["proofs"] if proof["id"] == "network")
    assert "as wanted" in network["found"]


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
