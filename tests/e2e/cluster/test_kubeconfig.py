"""The administrator's credentials, tried at a real API server."""

from __future__ import annotations

import copy
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from bundle.base.errors import StepError, UnreachableError
from installer.core.step import Context
from installer.site.cluster_part import ControlPlaneAddress
from installer.site.document import Site
from installer.steps.fetch_kubeconfig import ARTIFACT, KubeconfigStep
from tests.support.cluster.kubeconfigs import write_pki
from tests.support.cluster.server import ClusterServer, cluster_server
from tests.support.programs.go_tools import BUILD_SECONDS
from tests.support.programs.processes import free_port
from tests.support.sites.bare_context import bare_context
from tests.support.sites.clusters import cluster_data
from tests.support.sites.plain import site_of

pytestmark = pytest.mark.timeout(BUILD_SECONDS + 300)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterServer]:
    with cluster_server(tmp_path_factory.mktemp("cluster")) as server:
        yield server


def site_at(port: int, **kubernetes: Any) -> Site:
    data = copy.deepcopy(cluster_data(1, "calico"))
    data["kubernetes"] |= kubernetes
    site = site_of(data)
    # No site file may say so, since every node would ask itself.
    address = ControlPlaneAddress(address="127.0.0.1", port=port)
    assert site.kubernetes is not None
    return replace(site, kubernetes=replace(site.kubernetes, control_plane=address))


def context_with(site: Site, folder: Path, artifact: bytes) -> Context:
    context = bare_context(site, folder)
    path = context.state / ARTIFACT
    path.parent.mkdir(parents=True)
    path.write_bytes(artifact)
    return context


def test_the_credentials_are_tried_and_written_for_the_operator(
    server: ClusterServer, tmp_path: Path
) -> None:
    data = yaml.safe_load(server.kubeconfig.read_text())
    # As Kubespray writes it: with the address that the nodes use among themselves.
    data["clusters"][0]["cluster"]["server"] = "https://lb-apiserver.kubernetes.local:6443"
    context = context_with(site_at(server.port), tmp_path, yaml.safe_dump(data).encode())
    done = KubeconfigStep().run(context)
    assert (done["server"], done["version"]) == (f"https://127.0.0.1:{server.port}", "1.35.4")
    path = context.state / "kubeconfig"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    argv = [server.kubectl[0], "--kubeconfig", str(path), "auth", "can-i", "*", "*"]
    said = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert said.stdout.strip() == "yes", said.stderr
    again = KubeconfigStep().run(context)
    assert again == done


def test_without_an_artifact_the_node_is_asked(server: ClusterServer, tmp_path: Path) -> None:
    context = bare_context(site_at(server.port), tmp_path)
    missing = str(tmp_path / "no-such-file")
    with pytest.raises(StepError, match=f"node1: {missing}: expected the administrator's"):
        KubeconfigStep(on_node=missing).run(context)
    KubeconfigStep(on_node=str(server.kubeconfig)).run(context)
    assert (context.state / "kubeconfig").is_file()


def refused(context: Context) -> StepError:
    with pytest.raises(StepError) as raised:
        KubeconfigStep(sleep=lambda _: None).run(context)
    assert not (context.state / "kubeconfig").exists()
    return raised.value


def test_credentials_of_another_cluster_are_refused(server: ClusterServer, tmp_path: Path) -> None:
    write_pki(tmp_path, server.port)
    context = context_with(site_at(server.port), tmp_path, (tmp_path / "admin.conf").read_bytes())
    assert "certificate of the cluster's CA" in refused(context).message


def test_credentials_of_somebody_else_are_refused(server: ClusterServer, tmp_path: Path) -> None:
    data = yaml.safe_load(server.kubeconfig.read_text())
    write_pki(tmp_path, server.port)
    other = yaml.safe_load((tmp_path / "admin.conf").read_text())
    data["users"] = other["users"]
    context = context_with(site_at(server.port), tmp_path, yaml.safe_dump(data).encode())
    assert "found status 401" in refused(context).message


def test_another_version_is_refused(server: ClusterServer, tmp_path: Path) -> None:
    site = site_at(server.port, version="1.34.0")
    context = context_with(site, tmp_path, server.kubeconfig.read_bytes())
    assert "expected Kubernetes 1.34.0, found 1.35.4" in refused(context).message


def test_a_server_that_never_comes_is_waited_for_and_named(
    server: ClusterServer, tmp_path: Path
) -> None:
    port, waits = free_port(), list[float]()
    context = context_with(site_at(port), tmp_path, server.kubeconfig.read_bytes())
    with pytest.raises(UnreachableError, match=f"127.0.0.1:{port}"):
        KubeconfigStep(sleep=waits.append).run(context)
    assert len(waits) > 10
    assert not (context.state / "kubeconfig").exists()
