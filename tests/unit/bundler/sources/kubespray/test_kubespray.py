"""Kubespray: what an inventory wants, by the word of a stand-in's variables and a real Ansible."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from bundle.base.digest import digest_of
from bundle.base.errors import (
    DefinitionError,
    DigestMismatchError,
    FormatError,
    MissingProgramError,
    ProgramError,
)
from bundle.kinds.chart_source import ChartSource
from bundle.kinds.kubespray import KubespraySource, LeftOut
from bundle.store.programs import run_program
from bundler.build.cache import BlobCache
from bundler.sources.common.context import SourceContext
from bundler.sources.kubespray import ansible as kubespray_ansible
from bundler.sources.kubespray.gather import ResolvedKubespray, resolve_kubespray
from tests.support.cluster import kubespray as standin
from tests.support.cluster.kubespray import (
    PLATFORMS,
    Remembering,
    StandIn,
    content,
    inventory,
    stand_in,
)
from tests.support.documents.sources import context
from tests.support.registries.connecting import client
from tests.support.registries.static_site import static_site


@dataclass
class Bench:
    """A definition's folder with a stand-in, and what sources work with."""

    folder: Path
    context: SourceContext
    run: Remembering
    tree: StandIn = field(default_factory=stand_in)

    def resolve(
        self,
        variables: dict[str, Any] | None = None,
        *,
        text: str | None = None,
        leave_out: tuple[str, ...] = (),
        charts: tuple[ChartSource, ...] = (),
        platforms: tuple[str, ...] = PLATFORMS,
        version: str = standin.VERSION,
    ) -> ResolvedKubespray:
        """Resolve the stand-in for an inventory."""
        shutil.rmtree(self.folder / "kubespray", ignore_errors=True)
        self.tree.write(self.folder / "kubespray")
        (self.folder / "inventory.yaml").write_text(text or inventory(**(variables or {})))
        source = KubespraySource(
            version=version,
            path="kubespray",
            inventory="inventory.yaml",
            leave_out=tuple(LeftOut(item=item, reason="for a test") for item in leave_out),
        )
        return resolve_kubespray(source, platforms, charts, self.context)


@pytest.fixture(scope="module")
def run() -> Remembering:
    return Remembering()


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def bench(tmp_path: Path, run: Remembering, notes: list[str]) -> Bench:
    folder = tmp_path / "definition"
    folder.mkdir()
    run.without = ()
    progress = Notes(notes)
    return Bench(
        folder,
        context(client(), BlobCache(tmp_path / "cache"), folder, run=run, progress=progress),
        run,
    )


class Notes:
    """Keeps what a person is told."""

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes

    def start(self, *_: Any) -> None: ...
    def advance(self, *_: Any) -> None: ...
    def finish(self) -> None: ...
    def note(self, text: str) -> None:
        self._notes.append(text)


def _names(found: ResolvedKubespray, platform: str) -> list[str]:
    return [file.name for file in found.locked.files if platform in file.platforms]


def test_files_have_the_checksums_of_the_tree_and_images_their_names(bench: Bench) -> None:
    found = bench.resolve({"kube_network_plugin": "rich"})
    expected = ["etcd", "kubectl", "kubelet", "netctl"]
    assert _names(found, "linux/amd64") == _names(found, "linux/arm64") == expected
    for file in found.locked.files:
        (platform,) = file.platforms
        arch = platform.removeprefix("linux/")
        assert file.url == f"{standin.SITE}/{file.name}/{arch}/{file.name}"
        assert file.path == f"{file.name}-{arch}"
        assert file.digest == file.checksum == digest_of(content(file.name, arch))
    references = {image.reference for image in found.locked.images}
    wanted = {f"{standin.REGISTRY}/{name}" for name in (*standin.IMAGES, "net/node:v1")}
    assert references == wanted == {want.reference for want in found.wants}
    assert {want.by for want in found.wants} >= {"kubespray pause", "kubespray kube-proxy"}
    assert {want.url: want.digest for want in found.files} == {
        file.url: file.digest for file in found.locked.files
    }
    assert found.locked.requirements == ("ansible==11.13.0", "netaddr==1.3.0")
    kept = bench.context.store.read_bytes(found.locked.tree, found.locked.tree_size)
    assert kept is not None


def test_packages_follow_from_the_release_and_not_from_this_machine(bench: Bench) -> None:
    found = bench.resolve({"kube_network_plugin": "rich"})
    packages = {entry.release: entry.packages for entry in found.locked.packages}
    assert {want.release: want.packages for want in found.systems} == packages
    assert {want.by for want in found.systems} == {f"kubespray {found.locked.version}"}
    debian = ("conntrack", "curl", "gnupg", "iproute2", "iputils-ping")
    assert packages == {
        "debian-12": debian,
        "debian-13": tuple(name for name in debian if name != "gnupg"),
        "ubuntu-22.04": tuple(name for name in debian if name != "gnupg"),
        "ubuntu-24.04": tuple(name for name in debian if name != "gnupg"),
        "rocky-9": ("conntrack", "curl", "iproute"),
        "rocky-10": ("conntrack", "curl", "iproute"),
    }


def test_variables_beside_the_inventory_count_and_change_its_digest(bench: Bench) -> None:
    before = bench.resolve()
    (bench.folder / "host_vars").mkdir()
    (bench.folder / "host_vars" / "one.yml").write_text("etcd_deployment_type: kubeadm\n")
    after = bench.resolve()
    assert _names(before, "linux/amd64") == ["etcd", "kubectl", "kubelet"]
    assert _names(after, "linux/amd64") == ["kubectl", "kubelet"]
    assert f"{standin.REGISTRY}/etcd:v1.0.0" in {want.reference for want in after.wants}
    assert before.locked.inventory != after.locked.inventory
    assert before.locked.tree == after.locked.tree
    (bench.folder / "group_vars").symlink_to("host_vars")
    with pytest.raises(DefinitionError, match="group_vars is not a plain file"):
        bench.resolve()


def test_an_inventory_that_is_not_there_is_named(bench: Bench) -> None:
    bench.tree.write(bench.folder / "kubespray")
    source = KubespraySource(version=standin.VERSION, path="kubespray", inventory="other.yaml")
    with pytest.raises(DefinitionError, match=r"'other.yaml'"):
        resolve_kubespray(source, PLATFORMS, (), bench.context)
    # One that lies elsewhere is not there either.
    (bench.folder.parent / "outside.yaml").write_text(inventory())
    (bench.folder / "other.yaml").symlink_to("../outside.yaml")
    with pytest.raises(DefinitionError, match=r"'other.yaml'"):
        resolve_kubespray(source, PLATFORMS, (), bench.context)


GAPS = {
    "argocd_enabled": True,
    "vsphere_csi_enabled": True,
    "kubelet_rotate_server_certificates": True,
    "node_feature_discovery_enabled": True,
    "shim_enabled": True,
}
LEFT = ("argocd-images", "csi-vsphere", "kubelet-csr-approver-chart", "shim")


def test_what_downloads_lacks_is_found_in_the_templates_of_its_role(bench: Bench) -> None:
    found = bench.resolve(GAPS, leave_out=LEFT)
    by_gap = {w.reference for w in found.wants if w.by == "kubespray node-feature-discovery"}
    assert by_gap == {f"{standin.REGISTRY}/nfd:v0.1", f"{standin.REGISTRY}/nfd-init:v0.1"}


def test_what_nothing_names_must_be_carried_otherwise_and_declared(bench: Bench) -> None:
    with pytest.raises(DefinitionError) as refused:
        bench.resolve(GAPS, leave_out=("shim",))
    for item in ("argocd-images", "csi-vsphere", "kubelet-csr-approver-chart", "1.2.3"):
        assert item in refused.value.message
    chart = ChartSource(name="csr-approver", version="1.2.3", repository="https://charts.example")
    left = ("argocd-images", "csi-vsphere", "shim")
    found = bench.resolve(GAPS, leave_out=left, charts=(chart,))
    assert [entry.item for entry in found.locked.leave_out] == list(left)
    assert [(entry.name, entry.version) for entry in found.locked.charts] == [
        ("csr-approver", "1.2.3")
    ]


def test_what_is_left_out_is_not_wanted_and_must_be_wanted_at_all(bench: Bench) -> None:
    found = bench.resolve(leave_out=("kubectl", "kube-proxy", "pause"))
    assert _names(found, "linux/amd64") == ["etcd", "kubelet"]
    assert not {"kube-proxy", "pause"} & {image.name for image in found.locked.images}
    with pytest.raises(DefinitionError, match="'netctl' is not needed by this inventory"):
        bench.resolve(leave_out=("netctl",))


def test_a_file_without_a_checksum_is_an_error_until_it_is_left_out(bench: Bench) -> None:
    bare = {**standin.DOWNLOADS["kubelet"], "checksum": "{{ kubelet_checksum | default('') }}"}
    bench.tree.put(
        "roles/kubespray_defaults/defaults/main/download.yml",
        {"downloads": {**standin.DOWNLOADS, "kubelet": bare}},
    )
    with pytest.raises(FormatError, match="kubespray kubelet"):
        bench.resolve()
    assert "kubelet" not in _names(bench.resolve(leave_out=("kubelet",)), "linux/amd64")


def test_a_sha512_is_checked_over_the_bytes(bench: Bench, tmp_path: Path) -> None:
    with static_site(tmp_path / "site") as site:
        reach = client(site.url.removeprefix("http://"))
        bench.context = context(reach, BlobCache(tmp_path / "cache"), bench.folder, run=bench.run)
        for arch in standin.ARCHITECTURES:
            site.put(f"shim/{arch}/shim", content("shim", arch))
        variables = {"shim_enabled": True, "site_url": site.url}
        found = bench.resolve(variables)
        shims = [file for file in found.locked.files if file.name == "shim"]
        assert [file.digest for file in shims] == [
            digest_of(content("shim", arch)) for arch in standin.ARCHITECTURES
        ]
        assert all(file.checksum.startswith("sha512:") for file in shims)
        assert bench.context.store.has(shims[0].digest, len(content("shim", "amd64")))
        site.put("shim/arm64/shim", b"other bytes")
        with pytest.raises(DigestMismatchError, match="sha512"):
            bench.resolve(variables)


def test_nothing_of_this_machine_is_seen_and_there_is_no_way_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ISOWARD_TEST_SECRET", "of-this-machine")
    monkeypatch.setenv("ANSIBLE_STDOUT_CALLBACK", "no_such_callback")
    # The name of this machine is not known, nor is its environment, and no route leads anywhere.
    routes = "{{ lookup('pipe', 'wc -l < /proc/net/route') }}"
    seen = "1{{ secret_of_the_environment }}.{{ ansible_hostname | d('x') }}"
    text = inventory(kube_version=f"{seen}.{routes}")
    found = bench.resolve(text=text)
    (server,) = [want.reference for want in found.wants if want.by == "kubespray kube-apiserver"]
    if run_program([*kubespray_ansible.APART, "true"]).code == 0:
        assert server == f"{standin.REGISTRY}/kube-apiserver:v1.x.0"
    else:
        assert server.startswith(f"{standin.REGISTRY}/kube-apiserver:v1.x.")
    command, environment = bench.run.runs[-1]
    assert environment["ISOWARD_TEST_SECRET"] == ""
    assert not Path(environment["HOME"]).exists()
    assert not any("of-this-machine" in part for part in command)


def test_a_machine_without_namespaces_is_said(bench: Bench, notes: list[str]) -> None:
    bench.run.without = ("unshare",)
    assert bench.resolve().wants
    assert bench.run.runs[-1][0][0] != "unshare"
    assert any("network access" in note for note in notes)


@pytest.mark.parametrize(("least", "below"), [("2.10.0", "2.11.0"), ("99.1.0", "99.2.0")])
def test_an_ansible_of_another_version_is_refused(bench: Bench, least: str, below: str) -> None:
    bench.tree = stand_in(least, below)
    with pytest.raises(
        ProgramError, match=rf"from {least} up to, but not including, {below}, found \d"
    ):
        bench.resolve()


def test_the_machines_own_ansible_is_taken_where_it_fits(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "ansible-playbook"
    program.parent.mkdir()
    own = f"exec {sys.executable} -m ansible playbook"
    program.write_text(
        "#!/bin/sh\n"
        '[ "$1" = --version ] && { echo "ansible-playbook [core 99.1.7]"; exit; }\n'
        f'{own} "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    bench.tree = stand_in("99.1.0", "99.2.0")
    assert bench.resolve().wants
    assert "ansible-playbook" in bench.run.runs[-1][0]


def test_a_machine_without_ansible_is_told_what_to_install(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    bench.run.without = ("ansible-playbook",)
    with pytest.raises(MissingProgramError, match="found none") as refused:
        bench.resolve()
    assert "[vendor]" in refused.value.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("all: [not, a, mapping", "could not evaluate"),
        ("#!/bin/sh\necho '{}'\n", "could not evaluate"),
        (inventory(kube_version="{{ no_such_variable }}"), "no_such_variable"),
        (inventory(site_url="ftp://files.example.org"), "kubespray (etcd|kubelet)"),
        (json.dumps({"all": {"hosts": {"one": None}}}), "no host in the group kube_control_plane"),
    ],
)
def test_a_wrong_inventory_is_refused(bench: Bench, text: str, said: str) -> None:
    with pytest.raises((ProgramError, DefinitionError, FormatError), match=said):
        bench.resolve(text=text)


def test_versions_and_platforms_are_checked(bench: Bench) -> None:
    with pytest.raises(DefinitionError, match=r"expected v9.2.0, found 9.1.0"):
        bench.resolve(version="v9.2.0")
    with pytest.raises(DefinitionError, match="linux/s390x"):
        bench.resolve(platforms=("linux/amd64", "linux/s390x"))


@pytest.mark.parametrize("path", ["galaxy.yml", "playbooks/ansible_version.yml"])
def test_a_tree_that_is_no_kubespray_is_refused(bench: Bench, path: str) -> None:
    for change in ({path: b"- neither\n"}, None):
        bench.tree = stand_in()
        if change is None:
            del bench.tree.files[path]
        else:
            bench.tree.files.update(change)
        with pytest.raises(FormatError, match=path):
            bench.resolve()
