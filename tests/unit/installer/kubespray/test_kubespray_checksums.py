"""Nodes take the versions and the digests that the bundle was approved with, of the depot that
answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import yaml

from bundle.base.digest import digest_of
from bundle.kinds.kubespray import KubesprayFile, KubesprayImage
from installer.kubespray.checksums import checksum_values
from installer.kubespray.inventory_folder import write_inventory
from installer.kubespray.settings import HOSTS_NAME, KubesprayInput, render_kubespray
from installer.kubespray.versions import version_values
from tests.support.sites.clusters import VERSION, cluster, kubespray_manifest

_KEY = Path("/home/admin/id_ed25519")
_OFFLINE = "group_vars/all/offline.yml"


def _file(name: str, content: bytes, *architectures: str, url: str = "") -> KubesprayFile:
    digest = digest_of(content)
    return KubesprayFile(
        name=name,
        path=name,
        url=url or f"https://dl.k8s.io/{name}",
        digest=digest,
        checksum=digest,
        platforms=tuple(f"linux/{name}" for name in architectures),
    )


def test_the_digests_of_the_bundle_are_set_for_what_an_inventory_can_say() -> None:
    files = [
        _file("kubelet", b"a", "amd64"),
        _file("kubelet", b"b", "arm64"),
        _file("containerd", b"c", "amd64"),
        _file("calico_crds", b"d", "amd64", "arm64"),
        _file("argocd_install", b"e", "amd64", "arm64"),
    ]
    assert checksum_values(files, VERSION) == {
        "argocd_install_checksum": {"amd64": digest_of(b"e"), "arm64": digest_of(b"e")},
        "containerd_checksum": digest_of(b"c"),
        "kubelet_binary_checksum": {"amd64": digest_of(b"a"), "arm64": digest_of(b"b")},
    }


def test_of_two_releases_the_one_of_the_site_is_meant_and_else_none() -> None:
    new, old = (f"https://dl.k8s.io/release/v{v}/kubelet" for v in (VERSION, "1.34.1"))
    files = [_file("kubelet", b"new", "amd64", url=new), _file("kubelet", b"old", "amd64", url=old)]
    assert checksum_values(files, VERSION) == {"kubelet_binary_checksum": digest_of(b"new")}
    assert checksum_values(files, "1.33.0") == {}


def test_ansible_takes_the_digest_of_the_nodes_architecture(tmp_path: Path) -> None:
    manifest = kubespray_manifest("calico")
    assert manifest.kubespray is not None
    files = (_file("kubelet", b"a", "amd64"), _file("kubelet", b"b", "arm64"))
    manifest = msgspec.structs.replace(
        manifest, kubespray=msgspec.structs.replace(manifest.kubespray, files=files)
    )
    rendered = render_kubespray(KubesprayInput(cluster(1, "calico"), manifest, _KEY))
    write_inventory(tmp_path / "made", rendered, {}, {})
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible", "-i", tmp_path / "made" / HOSTS_NAME, "-o",
         "node1", "-m", "debug", "-a", "var=kubelet_binary_checksum", "-e", "image_arch=arm64"],
        capture_output=True, text=True, check=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    said = json.loads(done.stdout.partition("=> ")[2])
    assert said["kubelet_binary_checksum"] == digest_of(b"b")


def test_files_come_from_the_depot_that_answers_and_images_from_both() -> None:
    site = cluster(3, "calico")
    what = KubesprayInput(site, kubespray_manifest("calico"), _KEY)
    other = replace(what, file_depot=site.second_depot)
    first, second = (
        yaml.safe_load(render_kubespray(one)[_OFFLINE].replace("!unsafe ", ""))
        for one in (what, other)
    )
    assert first["github_url"] == "https://10.20.0.5:5443/files/github.com"
    assert second["github_url"] == "https://10.20.0.6:5444/files/github.com"
    for found in (first, second):
        mirror = found["containerd_registries_mirrors"][0]
        assert [host["host"] for host in mirror["mirrors"]] == [
            "https://10.20.0.5:5443",
            "https://10.20.0.6:5444",
        ]


@pytest.mark.parametrize(
    ("name", "path", "variable", "version"),
    [
        ("calicoctl", "calicoctl-3.31.5-amd64", "calico_version", "3.31.5"),
        ("ciliumcli", "cilium-0.19.0-arm64.tar.gz", "cilium_cli_version", "0.19.0"),
        ("cni", "cni-plugins-linux-amd64-1.9.1.tgz", "cni_version", "1.9.1"),
        ("containerd", "containerd-2.2.3-linux-amd64.tar.gz", "containerd_version", "2.2.3"),
        ("containerd", "containerd-static-2.2.3-linux-amd64.tar.gz", "containerd_version", "2.2.3"),
        ("crictl", "crictl-1.35.0-linux-amd64.tar.gz", "crictl_version", "1.35.0"),
        ("etcd", "etcd-3.6.10-linux-amd64.tar.gz", "etcd_version", "3.6.10"),
        ("helm", "helm-3.18.4/helm-3.18.4-linux-amd64.tar.gz", "helm_version", "3.18.4"),
        ("nerdctl", "nerdctl-2.2.2-linux-amd64.tar.gz", "nerdctl_version", "2.2.2"),
        ("runc", "runc-1.4.2.amd64", "runc_version", "1.4.2"),
        ("runc", "elsewhere", "runc_version", None),
    ],
)
def test_the_version_of_a_file_is_that_of_its_name(
    name: str, path: str, variable: str, version: str | None
) -> None:
    entry = kubespray_manifest().kubespray
    assert entry is not None
    file = msgspec.structs.replace(_file(name, b"x", "amd64"), path=path)
    found = version_values(msgspec.structs.replace(entry, files=(file,), images=()))
    assert found == ({} if version is None else {variable: version})


def test_images_have_the_tags_of_the_bundle_and_several_of_one_are_left_to_kubespray() -> None:
    entry = kubespray_manifest("cilium", "calico").kubespray
    assert entry is not None
    assert version_values(entry) == {
        "calico_node_image_tag": "v3.31.5",
        "cilium_version": "1.18.6",
        "coredns_image_tag": "v1.12.4",
        "dnsautoscaler_image_tag": "v1.8.8",
        "nginx_image_tag": "1.28.2-alpine",
        "nodelocaldns_image_tag": "1.25.0",
    }
    second = KubesprayImage(name="coredns", reference="registry.k8s.io/coredns/coredns:v1.12.1")
    both = msgspec.structs.replace(entry, images=(*entry.images, second))
    assert "coredns_image_tag" not in version_values(both)
