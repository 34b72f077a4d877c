"""Real Kubespray, of a Git repository that ISOWARD_KUBESPRAY names (bare or not); else skipped.

ISOWARD_KUBESPRAY_TAG is the release, v2.31.0 when left out. Its hosts are not asked: the
inventories name loopback servers instead, which have a size for each file and an image for each
name, so that what is shown of bytes is their checksums in Kubespray's own tables.
"""

from __future__ import annotations

import io
import os
import platform
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundle.base.documents import Metadata
from bundle.kinds.git import GitSource
from bundle.kinds.kubespray import KubespraySource, LeftOut, LockedKubespray
from bundle.model.lock import Lock
from bundle.model.plan import plan_bundle
from bundle.store.unpack import unpack_tar
from bundler.build.cache import BlobCache
from bundler.lock.resolve import resolve
from bundler.model.definition import Definition
from bundler.sources.common.context import SourceContext
from bundler.sources.kubespray.gaps import GAPS
from bundler.sources.kubespray.gather import resolve_kubespray
from tests.support.charts.git_repositories import git
from tests.support.cluster.kubespray import PLATFORMS, Remembering, inventory, put_images
from tests.support.documents.sources import context
from tests.support.registries.connecting import client
from tests.support.registries.content import RegistryContent
from tests.support.registries.faulty_registry import FaultyRegistry, faulty_registry
from tests.support.registries.scripted import Asked, Reply, Scripted, scripted
from tests.support.trust.signature_rules import WAIVE_ALL

_REPOSITORY = os.environ.get("ISOWARD_KUBESPRAY", "")
_TAG = os.environ.get("ISOWARD_KUBESPRAY_TAG", "v2.31.0")
_CHECKSUMS = "roles/kubespray_defaults/vars/main/checksums.yml"
_BASES = ("github_url", "dl_k8s_io_url", "storage_googleapis_url", "get_helm_url")
_REGISTRIES = ("gcr", "kube", "docker", "quay", "github")
_CHART = "cilium-chart"

pytestmark = pytest.mark.skipif(not _REPOSITORY, reason="ISOWARD_KUBESPRAY names no repository")

PLUGINS = {"calico": (11, 12), "cilium": (10, 13), "kube-router": (9, 10)}
"""How many files of a platform and how many images v2.31.0 wants with its defaults."""


@dataclass
class World:
    """Loopback servers for everything, and a folder for definitions."""

    folder: Path
    registry: FaultyRegistry
    site: Scripted
    context: SourceContext
    commit: str

    def source(self, plugin: str, **variables: Any) -> KubespraySource:
        """Return Kubespray for an inventory whose hosts are all on loopback."""
        hosts = {name: f"{self.site.url}/{name}" for name in _BASES}
        hosts |= {f"{name}_image_repo": f"{self.registry.host}/{name}" for name in _REGISTRIES}
        text = inventory(kube_network_plugin=plugin, **hosts, **variables)
        (self.folder / f"{plugin}.yaml").write_text(text)
        left = (LeftOut(item=_CHART, reason="its chart is not at hand here"),)
        return KubespraySource(
            version=_TAG,
            git=GitSource(repository="repository", commit=self.commit),
            inventory=f"{plugin}.yaml",
            leave_out=left if plugin == "cilium" else (),
        )

    def lock(self, plugin: str) -> Lock:
        """Lock a definition that has Kubespray and nothing else."""
        source = self.source(plugin)
        wants = resolve_kubespray(source, PLATFORMS, (), self.context).wants
        references = {want.reference for want in wants}
        put_images(self.registry.content, references, self.folder / f"{plugin}-images")
        definition = Definition(
            api_version="isoward/v1",
            kind="BundleDefinition",
            metadata=Metadata(name="platform", version="1.0.0"),
            platforms=PLATFORMS,
            kubespray=source,
            signatures=(WAIVE_ALL,),
        )
        return resolve(definition, self.context)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("real")
    (folder / "repository").symlink_to(Path(_REPOSITORY).resolve())
    commit = git(folder / "repository", "rev-parse", f"{_TAG}^{{commit}}")

    def reply(asked: Asked) -> Reply:
        return Reply(length=1000 + len(asked.path))

    with faulty_registry(RegistryContent()) as registry, scripted(reply) as site:
        reach = client(registry.host, site.host)
        made = context(reach, BlobCache(folder / "cache"), folder, run=Remembering())
        yield World(folder, registry, site, made, commit)


@pytest.fixture(scope="module")
def tree(world: World) -> Path:
    """The tree itself, by git's own word, where its scripts can write."""
    packed = subprocess.run(
        ["git", "archive", world.commit],
        cwd=world.folder / "repository",
        capture_output=True,
        check=True,
    )
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as tar:
        unpack_tar(tar, world.folder / "tree")
    return world.folder / "tree"


@pytest.mark.parametrize("plugin", PLUGINS)
def test_the_lock_is_complete_and_every_file_has_kubesprays_checksum(
    world: World, tree: Path, plugin: str
) -> None:
    lock = world.lock(plugin)
    found = lock.kubespray
    assert found is not None
    known = yaml.safe_load((tree / _CHECKSUMS).read_bytes())
    locked = {file.url: file for file in lock.files}
    for file in found.files:
        assert locked[file.url].digest == file.digest == file.checksum
        for name in file.platforms:
            assert file.checksum in _checksums_of(known, name.removeprefix("linux/")), file.url
    assert len(lock.files) == len({file.url for file in found.files})
    assert {image.reference for image in lock.images} == {i.reference for i in found.images}
    assert all(image.wanted_by for image in lock.images)
    assert all({m.platform for m in image.manifests} == set(PLATFORMS) for image in lock.images)
    assert plan_bundle(lock).manifest.kubespray is not None
    if _TAG == "v2.31.0":
        counts = {sum(name in file.platforms for file in found.files) for name in PLATFORMS}
        assert (counts, len(lock.images)) == ({PLUGINS[plugin][0]}, PLUGINS[plugin][1])


def _checksums_of(known: dict[str, Any], architecture: str) -> set[str]:
    tables = [table.get(arch, {}) for table in known.values() for arch in (architecture, "no_arch")]
    return {checksum for table in tables for checksum in table.values()}


@pytest.mark.parametrize("plugin", PLUGINS)
def test_kubesprays_own_list_has_nothing_less_than_we_know_of(
    world: World, tree: Path, plugin: str
) -> None:
    """Its list is of everything on this machine; ours of what is enabled, and of the gaps."""
    ours = resolve_kubespray(world.source(plugin), PLATFORMS, (), world.context).locked
    files, images = _own_list(tree, world.folder / f"{plugin}.yaml")
    here = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}[platform.machine()]
    mine = {file.url for file in ours.files if here in file.platforms}
    assert mine <= files
    gaps = {gap.item for gap in GAPS}
    missed = {i.reference for i in ours.images if i.name in gaps} - images
    assert {image.reference for image in ours.images} - missed <= images
    assert len(missed) == (1 if plugin == "cilium" else 0)
    if _TAG == "v2.31.0":
        assert (len(files), len(images)) == (24, 48)


def _own_list(tree: Path, hosts: Path) -> tuple[set[str], set[str]]:
    """Run contrib/offline/generate_list.sh with the Ansible of this environment."""
    home = hosts.parent / "home"
    home.mkdir(exist_ok=True)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "contrib/offline/generate_list.sh", "-i", str(hosts)],
        cwd=tree,
        env={"PATH": path, "HOME": str(home), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    made = tree / "contrib" / "offline" / "temp"
    return tuple(  # type: ignore[return-value]
        {line.strip() for line in (made / f"{kind}.list").read_text().splitlines() if line.strip()}
        for kind in ("files", "images")
    )


def test_an_image_that_a_role_starts_is_downloaded_or_a_known_gap(tree: Path) -> None:
    """A role whose templates name an image by a variable of its own is one that the table knows."""
    downloads = (tree / "roles/kubespray_defaults/defaults/main/download.yml").read_text()
    listed = set(re.findall(r"\b\w+\b", downloads.partition("\ndownloads:")[2]))
    known = {gap.role for gap in GAPS if gap.role} | _ADVISED
    unknown = []
    for template in sorted((tree / "roles").rglob("templates/**/*.j2")):
        role = template.relative_to(tree / "roles").as_posix().partition("/templates/")[0]
        for image in re.findall(r"^\s*(?:- )?image: *(\S.*)$", template.read_text(), re.MULTILINE):
            names = re.findall(r"\{\{ *(\w+)", image)
            if not set(names) <= listed and role not in known:
                unknown.append((role, image))
    assert not unknown


_ADVISED = {"kubernetes-apps/container_engine_accelerator/nvidia_gpu"}
"""Whose images must be declared: GAPS says so."""


def test_what_is_enabled_beside_the_defaults_is_found_as_well(world: World) -> None:
    variables = {
        "local_path_provisioner_enabled": True,
        "node_feature_discovery_enabled": True,
        "vsphere_csi_enabled": True,
        "cloud_provider": "external",
        "external_cloud_provider": "vsphere",
        "cert_manager_enabled": True,
    }
    source = world.source("calico", **variables)
    found: LockedKubespray = resolve_kubespray(source, PLATFORMS, (), world.context).locked
    names = {image.name for image in found.images}
    assert {
        "local-path-provisioner-helper",
        "node-feature-discovery",
        "csi-vsphere",
        "cloud-vsphere",
        "cert-manager-acmesolver",
    } <= names
