"""Kubespray's tree: one tar wherever it comes from, and what is refused."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from bundle.base.digest import digest_of
from bundle.base.errors import DefinitionError, DigestMismatchError, FormatError
from bundle.kinds.git import GitSource
from bundle.kinds.kubespray import KubesprayArchive, KubespraySource
from bundle.store.unpack import unpack_tar
from bundler.build.cache import BlobCache
from bundler.sources.common.context import SourceContext
from bundler.sources.kubespray import checkout as kubespray_tree
from bundler.sources.kubespray.checkout import Member, Tree, open_tree
from tests.support.charts.git_repositories import commit_files, new_repository
from tests.support.cluster.kubespray import VERSION, StandIn, stand_in
from tests.support.documents.sources import context
from tests.support.registries.connecting import client
from tests.support.registries.static_site import StaticSite, static_site


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "definition").mkdir()
    return tmp_path / "definition"


def _context(folder: Path, *hosts: str) -> SourceContext:
    return context(client(*hosts), BlobCache(folder.parent / "cache"), folder)


def _from_folder(folder: Path, made: StandIn, name: str = "kubespray") -> Tree:
    made.write(folder / name)
    source = KubespraySource(version=VERSION, path=name, inventory="inventory.yaml")
    return open_tree(source, _context(folder))


def _from_archive(site: StaticSite, folder: Path, data: bytes) -> Tree:
    url = site.put("kubespray.tar", data)
    archive = KubesprayArchive(url=url, digest=digest_of(data))
    source = KubespraySource(version=VERSION, archive=archive, inventory="inventory.yaml")
    return open_tree(source, _context(folder, site.url.removeprefix("http://")))


def _from_git(folder: Path, made: StandIn) -> Tree:
    repository = new_repository(folder / "repository")
    made.write(repository)
    git = GitSource(repository="repository", commit=commit_files(repository, {}))
    return open_tree(
        KubespraySource(version=VERSION, git=git, inventory="inventory.yaml"), _context(folder)
    )


def test_the_tar_is_the_same_from_git_an_archive_and_a_folder(folder: Path) -> None:
    made = stand_in()
    by_folder, by_git = _from_folder(folder, made), _from_git(folder, made)
    with static_site(folder.parent / "site") as site:
        by_archive = [
            _from_archive(site, folder, made.archive(mode=mode)) for mode in ("w", "w:gz", "w:xz")
        ]
    assert {tree.tar for tree in (by_folder, by_git, *by_archive)} == {by_folder.tar}
    assert by_folder.digest == digest_of(by_folder.tar)


def test_the_tar_says_nothing_of_this_machine(folder: Path) -> None:
    made = stand_in()
    (folder / "kubespray" / ".git").mkdir(parents=True)
    (folder / "kubespray" / ".git" / "config").write_text("of the work tree")
    made.put("library/run.py", "#!/usr/bin/python3\n")
    made.write(folder / "kubespray")
    (folder / "kubespray/library/run.py").chmod(0o700)
    source = KubespraySource(version=VERSION, path="kubespray", inventory="i.yaml")
    tree = open_tree(source, _context(folder))
    with tarfile.open(fileobj=io.BytesIO(tree.tar)) as tar:
        members = {member.name: member for member in tar.getmembers()}
        unpack_tar(tar, folder.parent / "unpacked")
    assert set(members) == {*made.files, *made.links}
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members.values()} == {
        (0, 0, 0, "", "")
    }
    assert members["library/run.py"].mode == 0o755
    assert members["galaxy.yml"].mode == 0o644
    link = folder.parent / "unpacked" / "inventory/local/group_vars"
    assert (link / "all.yml").read_bytes() == made.files["inventory/sample/group_vars/all.yml"]


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../outside", "../../.."])
def test_a_link_that_leads_out_is_refused(folder: Path, target: str) -> None:
    made = stand_in()
    made.links["inventory/local/out"] = target
    with pytest.raises(FormatError, match="leads out of the tree"):
        _from_folder(folder, made)
    with static_site(folder.parent / "site") as site, pytest.raises(FormatError, match="leads out"):
        _from_archive(site, folder, made.archive())


def test_a_name_that_leads_out_is_refused(folder: Path) -> None:
    for name in ("../outside", "/absolute", "a/./b", "line\nbreak"):
        with pytest.raises(FormatError, match="leads out of the tree"):
            Tree({name: Member(b"")}, "it")


def _special(kind: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        info = tarfile.TarInfo("kubespray/device")
        info.type, info.linkname = kind, "kubespray/other"
        tar.addfile(info)
    return packed.getvalue()


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_other_kinds_of_files_are_refused(folder: Path, kind: bytes) -> None:
    with (
        static_site(folder.parent / "site") as site,
        pytest.raises(FormatError, match="neither a file nor a symbolic link"),
    ):
        _from_archive(site, folder, _special(kind))


@pytest.mark.parametrize(
    "data", [b"no tar at all" * 100, b"\x1f\x8bbroken", b"\xfd7zXZ\x00broken", b"\x1f\x8b"]
)
def test_what_is_no_archive_is_refused(folder: Path, data: bytes) -> None:
    with static_site(folder.parent / "site") as site, pytest.raises(FormatError, match="tar"):
        _from_archive(site, folder, data)


def test_an_archive_of_another_digest_is_refused(folder: Path) -> None:
    with static_site(folder.parent / "site") as site:
        url = site.put("kubespray.tar.gz", stand_in().archive())
        archive = KubesprayArchive(url=url, digest=digest_of(b"another"))
        source = KubespraySource(version=VERSION, archive=archive, inventory="i.yaml")
        with pytest.raises(DigestMismatchError):
            open_tree(source, _context(folder, site.url.removeprefix("http://")))


def test_more_than_a_release_can_have_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = stand_in()
    monkeypatch.setattr(kubespray_tree, "MAX_KUBESPRAY_FILES", 5)
    with pytest.raises(FormatError, match="5 files"):
        _from_folder(folder, made)
    with static_site(folder.parent / "site") as site, pytest.raises(FormatError, match="5 files"):
        _from_archive(site, folder, made.archive())
    monkeypatch.setattr(kubespray_tree, "MAX_KUBESPRAY_FILES", 500)
    monkeypatch.setattr(kubespray_tree, "MAX_KUBESPRAY_BYTES", 2000)
    with pytest.raises(FormatError, match="2000 bytes"):
        _from_folder(folder, made, "again")
    with pytest.raises(FormatError, match="2000 bytes"):
        _from_git(folder, made)
    with static_site(folder.parent / "more") as site, pytest.raises(FormatError, match="2000"):
        _from_archive(site, folder, made.archive())


def test_a_folder_that_is_not_there_or_elsewhere_is_named(folder: Path) -> None:
    stand_in().write(folder.parent / "outside")
    (folder / "elsewhere").symlink_to(folder.parent / "outside")
    source = KubespraySource(version=VERSION, path="elsewhere", inventory="i.yaml")
    with pytest.raises(DefinitionError, match="elsewhere"):
        open_tree(source, _context(folder))
    (folder / "elsewhere").unlink()
    source = KubespraySource(version=VERSION, path="elsewhere", inventory="i.yaml")
    with pytest.raises(DefinitionError, match="elsewhere"):
        open_tree(source, _context(folder))
