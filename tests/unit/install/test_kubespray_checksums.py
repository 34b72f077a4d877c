"""What nodes check files against is what the bundle was approved with, and the depot that answers
is the one they ask."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import yaml

from bundle.model.digest import digest_of
from bundle.model.kubespray import KubesprayFile
from installer.steps.inventory_folder import write_inventory
from installer.steps.kubespray_checksums import checksum_values
from installer.steps.kubespray_inventory import HOSTS_NAME, KubesprayInput, render_kubespray
from tests.support.clusters import VERSION, cluster, kubespray_manifest

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
    first = yaml.safe_load(render_kubespray(what)[_OFFLINE])
    second = yaml.safe_load(render_kubespray(replace(what, file_depot=site.second_depot))[_OFFLINE])
    assert first["github_url"] == "https://10.20.0.5:5443/files/github.com"
    assert second["github_url"] == "https://10.20.0.6:5444/files/github.com"
    for found in (first, second):
        mirror = found["containerd_registries_mirrors"][0]
        assert [host["host"] for host in mirror["mirrors"]] == [
            "https://10.20.0.5:5443",
            "https://10.20.0.6:5444",
        ]
