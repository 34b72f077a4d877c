"""Kubespray in documents: what is refused before anything is fetched or served."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from bundle.base.digest import digest_of
from bundle.base.errors import DefinitionError, FormatError
from bundle.kinds.files import LockedFile
from bundle.kinds.git import GitSource
from bundle.kinds.kubespray import (
    KubesprayArchive,
    KubesprayFile,
    KubespraySource,
    LeftOut,
    LockedKubespray,
    check_kubespray,
)
from bundle.model.lock import Lock, check_lock
from bundle.model.manifest import check_manifest
from bundle.model.plan import plan_bundle
from bundler.lock.diff import changes
from tests.support.documents.right import lock

GIT = GitSource(repository="https://git.example.org/kubespray", commit="1" * 40)
ARCHIVE = KubesprayArchive(url="https://files.example.org/k.tar.gz", digest=digest_of(b"a"))
SOURCE = KubespraySource(version="v9.1.0", git=GIT, inventory="inventory.yaml")
URL = "https://files.example.org/etcd"
FILE = KubesprayFile(
    name="etcd",
    path="etcd-1.0",
    url=URL,
    digest=digest_of(b"etcd"),
    checksum=digest_of(b"etcd"),
    platforms=("linux/amd64",),
)


def _lock(**fields: Any) -> Lock:
    found = LockedKubespray(
        version="v9.1.0",
        git=GIT,
        tree=digest_of(b"tree"),
        tree_size=4,
        inventory=digest_of(b"inventory"),
        files=(FILE,),
        leave_out=(LeftOut(item="cilium-chart", reason="it lies beside"),),
    )
    file = LockedFile(url=URL, digest=FILE.digest, size=4, wanted_by=("kubespray etcd",))
    return replace(lock(), kubespray=replace(found, **fields), files=(file,))


@pytest.mark.parametrize(
    "fields",
    [
        {"git": None},
        {"archive": ARCHIVE},
        {"path": "kubespray"},
        {"git": None, "path": "../elsewhere"},
        {"git": None, "path": "/srv/kubespray"},
        {"git": None, "archive": replace(ARCHIVE, url="https://u:p@files.example.org/k")},
        {"git": replace(GIT, repository="ext::sh -c id")},
        {"inventory": "../inventory.yaml"},
        {"leave_out": (LeftOut(item="helm", reason="a"), LeftOut(item="helm", reason="b"))},
    ],
)
def test_a_definition_that_says_nothing_or_two_things_is_refused(fields: dict[str, Any]) -> None:
    check_kubespray(SOURCE)
    with pytest.raises(DefinitionError):
        check_kubespray(replace(SOURCE, **fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"files": (replace(FILE, url="https://files.example.org/other"),)},
        {"files": (replace(FILE, digest=digest_of(b"other")),)},
        {"files": (replace(FILE, checksum=digest_of(b"other")),)},
        {"files": (replace(FILE, path="../../etc/passwd"),)},
        {"git": None},
    ],
)
def test_a_lock_and_a_bundle_that_contradict_themselves_are_refused(fields: dict[str, Any]) -> None:
    good = _lock()
    check_lock(good)
    with pytest.raises(FormatError):
        check_lock(_lock(**fields))
    manifest = plan_bundle(good).manifest
    assert manifest.kubespray is not None
    with pytest.raises(FormatError):
        check_manifest(replace(manifest, kubespray=replace(manifest.kubespray, **fields)))


def test_the_bundle_has_the_tree_and_says_who_wants_a_file() -> None:
    manifest = plan_bundle(_lock()).manifest
    assert manifest.kubespray is not None
    assert manifest.kubespray.tree in {blob.digest for blob in manifest.blobs}
    (file,) = manifest.files
    assert file.wanted_by == ("kubespray etcd",)
    assert "git.example.org" in manifest.sources
    lost = tuple(blob for blob in manifest.blobs if blob.digest != manifest.kubespray.tree)
    with pytest.raises(FormatError, match="kubespray names"):
        check_manifest(replace(manifest, blobs=lost))


def test_the_name_of_the_tar_may_mean_nothing_else() -> None:
    good = _lock()
    url = "https://kubespray/v9.1.0.tar"
    other = LockedFile(url=url, digest=digest_of(b"another"), size=7)
    with pytest.raises(FormatError, match=r"kubespray/v9.1.0.tar"):
        plan_bundle(replace(good, files=(*good.files, other)))


def test_a_change_of_the_tree_the_inventory_or_a_reason_is_said() -> None:
    old = _lock()
    new = _lock(
        inventory=digest_of(b"another inventory"),
        tree=digest_of(b"another tree"),
        leave_out=(LeftOut(item="cilium-chart", reason="another reason"),),
    )
    said = {change.thing for change in changes(old, new)}
    assert said == {
        "kubespray v9.1.0",
        "kubespray inventory",
        "kubespray leaves out cilium-chart",
    }
