"""An inventory has the parts of Kubespray that the bundle carries, and what nodes know of names and
of the time is the site's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from bundle.base.digest import digest_of
from bundle.base.errors import DefinitionError
from bundle.base.oci import OCI_MANIFEST
from bundle.kinds.artifacts import Artifact, ManifestEntry
from bundle.kinds.charts import ChartEntry
from bundle.kinds.os_packages import OsEntry, OsFile
from bundle.model.manifest import Manifest
from installer.kubespray.settings import KubesprayInput, render_kubespray
from tests.support.sites.clusters import PARTS, cluster_data, kubespray_manifest
from tests.support.sites.plain import site_of
from tests.support.trust.signature_rules import WAIVED

_KEY = Path("/home/admin/id_ed25519")
_ALL = ("cluster", "nodes", "offline", "security")


def made(data: dict[str, Any], manifest: Manifest) -> dict[str, Any]:
    """Render an inventory and return its variables for all."""
    files = render_kubespray(KubesprayInput(site_of(data), manifest, _KEY))
    values: dict[str, Any] = {}
    for name in _ALL:
        text = files[f"group_vars/all/{name}.yml"].replace("!unsafe ", "")
        values |= yaml.safe_load(text) or {}
    return values


def _with_chart(manifest: Manifest) -> Manifest:
    some = digest_of(b"chart")
    entry = ManifestEntry(digest=some, media_type=OCI_MANIFEST)
    artifact = Artifact(
        reference="charts.example/cilium:1.19.3", digest=some, manifests=(entry,),
        verified=(WAIVED,), wanted_by=("kubespray",),
    )  # fmt: skip
    chart = ChartEntry(
        name="cilium", version="1.19.3", repository="https://helm.cilium.io", archive=some,
        artifact=artifact,
    )  # fmt: skip
    return msgspec.structs.replace(manifest, charts=(chart,))


def test_parts_that_the_bundle_has_not_are_switched_off() -> None:
    data = cluster_data(1, "calico")
    with_all = made(data, kubespray_manifest("calico"))
    assert (with_all["dns_mode"], with_all["enable_nodelocaldns"]) == ("coredns", True)
    assert (with_all["enable_dns_autoscaler"], "kube_proxy_mode" in with_all) == (True, False)
    bare = made(data, kubespray_manifest("calico", parts={}))
    assert (bare["dns_mode"], bare["enable_nodelocaldns"]) == ("none", False)
    assert (bare["enable_dns_autoscaler"], bare["loadbalancer_apiserver_localhost"]) == (
        False,
        False,
    )
    one = made(data, kubespray_manifest("calico", parts={"coredns": PARTS["coredns"]}))
    assert (one["dns_mode"], one["enable_nodelocaldns"]) == ("coredns", False)


def test_workers_reach_several_api_servers_by_a_balancer_or_the_site_is_refused() -> None:
    data = cluster_data(10, "calico")
    del data["kubernetes"]["controlPlane"]
    haproxy = {"haproxy": "docker.io/library/haproxy:3.2.13-alpine"}
    found = made(data, kubespray_manifest("calico", parts=haproxy))
    assert found["loadbalancer_apiserver_type"] == "haproxy"
    with pytest.raises(DefinitionError, match=r"kubernetes\.controlPlane: expected a load bal"):
        made(data, kubespray_manifest("calico", parts={}))
    # Where every worker is an API server too, each asks its own.
    data = cluster_data(3, "calico")
    del data["kubernetes"]["controlPlane"]
    assert not made(data, kubespray_manifest("calico", parts={}))[
        "loadbalancer_apiserver_localhost"
    ]


@pytest.mark.parametrize(
    ("packages", "mode"),
    [
        ({"debian-12": ["ipvsadm"], "rocky-9": ["curl", "ipvsadm"]}, "ipvs"),
        ({"debian-12": ["ipset", "nftables"]}, "nftables"),
        ({"debian-12": ["ipset"]}, "iptables"),
        ({"debian-12": ["ipset"], "rocky-9": ["ipvsadm"]}, None),
        ({}, None),
    ],
)
def test_kube_proxy_works_by_what_the_packages_were_chosen_for(
    packages: dict[str, list[str]], mode: str | None
) -> None:
    found = made(cluster_data(1, "calico"), kubespray_manifest("calico", packages=packages))
    assert found.get("kube_proxy_mode") == mode


def test_cilium_installs_itself_from_the_depots_charts() -> None:
    data = cluster_data(1, "cilium")
    manifest = kubespray_manifest("cilium")
    assert "cilium_install_extra_flags" not in made(data, manifest)
    assert made(data, _with_chart(manifest))["cilium_install_extra_flags"] == (
        "--repository https://10.20.0.5:5443/charts/helm.cilium.io"
    )
    other = _with_chart(kubespray_manifest("calico"))
    assert "cilium_install_extra_flags" not in made(cluster_data(1, "calico"), other)


def test_the_time_comes_from_the_sites_servers_if_the_bundle_has_chrony() -> None:
    data = cluster_data(1, "calico") | {"timeServers": ["10.20.0.7", "ntp.hospital.example"]}
    found = made(data, kubespray_manifest("calico", packages={"debian-12": ["chrony", "curl"]}))
    assert (found["ntp_enabled"], found["ntp_manage_config"]) == (True, True)
    assert found["ntp_package"] == "chrony"
    assert found["ntp_servers"] == ["10.20.0.7 iburst", "ntp.hospital.example iburst"]
    packages = {"debian-12": ["chrony"], "rocky-9": ["curl"]}
    with pytest.raises(DefinitionError, match=r"chrony among .* for rocky-9") as caught:
        made(data, kubespray_manifest("calico", packages=packages))
    assert "ntp_enabled" in caught.value.hint
    keyring = OsFile(path="keyring.asc", digest=digest_of(b"keys"))
    system = OsEntry(name="debian", release="debian-12", repositories=(), keyring=keyring,
                     files=(), packages=())  # fmt: skip
    manifest = msgspec.structs.replace(kubespray_manifest("calico"), os_packages=(system,))
    with pytest.raises(DefinitionError, match=r"chrony among .* for debian"):
        made(data, manifest)
    # Without any packages in the bundle, the site's machines have their own.
    assert made(data, kubespray_manifest("calico"))["ntp_enabled"]
    assert "ntp_enabled" not in made(cluster_data(1, "calico"), kubespray_manifest("calico"))


def test_names_are_found_without_a_dns_server() -> None:
    data = cluster_data(3, "calico")
    manifest = kubespray_manifest("calico")
    unknown = made(data, manifest)
    assert unknown["resolvconf_mode"] == "none"
    assert unknown["loadbalancer_apiserver"]["address"] == "api.hospital.example"
    assert "dns_etchosts" not in unknown
    assert unknown["upstream_dns_servers"] == ["10.20.0.2", "10.20.0.3"]
    names = {"login.hospital.example": "10.31.0.10", "api.hospital.example": "10.20.0.9"}
    known = made(data | {"names": names}, manifest)
    assert known["dns_etchosts"].splitlines() == [
        "10.20.0.9 api.hospital.example",
        "10.31.0.10 login.hospital.example",
    ]
    assert known["loadbalancer_apiserver"]["address"] == "10.20.0.9"
    assert known["apiserver_loadbalancer_domain_name"] == "api.hospital.example"


def test_a_kubelet_talks_to_the_machines_of_the_cluster_where_all_are_known() -> None:
    data = cluster_data(3, "calico")
    manifest = kubespray_manifest("calico")
    assert made(data, manifest)["kubelet_systemd_hardening"] is False
    found = made(data | {"names": {"api.hospital.example": "10.20.0.9"}}, manifest)
    assert found["kubelet_systemd_hardening"] is True
    assert found["kubelet_secure_addresses"].split() == [
        "localhost", "link-local", "10.233.64.0/18", "10.20.1.11", "10.20.2.12", "10.20.3.13",
        "10.20.0.9",
    ]  # fmt: skip
