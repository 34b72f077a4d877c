"""A tar stays in its folder, whichever Python unpacks it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle.store.unpack import unpack_tar


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.uid, info.uname = kind, link, mode, 4711, "nobody"
    info.size = 2 if kind == tarfile.REGTYPE else 0
    return info.tobuf() + (b"x\n" + b"\0" * 510 if info.size else b"")


def _tar(*members: bytes) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(b"".join(members) + b"\0" * 1024))


@pytest.fixture(params=["its own filter too", "as Debian 12's Python"])
def any_python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param.startswith("as ") and hasattr(tarfile, "data_filter"):
        original = tarfile.TarFile.extractall

        def extractall(self: tarfile.TarFile, path: Path, members: object = None) -> None:
            # The signature of 3.11.2, which knows no filter.
            original(self, path, members)  # type: ignore[arg-type]

        monkeypatch.delattr(tarfile, "data_filter")
        monkeypatch.setattr(tarfile.TarFile, "extractall", extractall)


@pytest.mark.usefixtures("any_python")
def test_files_folders_and_links_are_unpacked_as_ours(tmp_path: Path) -> None:
    with _tar(
        _member("top", tarfile.DIRTYPE, mode=0o777), _member("top/run", mode=0o6777),
        _member("top/plain", mode=0o066), _member("top/link", tarfile.SYMTYPE, "../top/run"),
    ) as tar:  # fmt: skip
        unpack_tar(tar, tmp_path / "out")
    out = tmp_path / "out" / "top"
    modes = {path.name: oct(path.lstat().st_mode & 0o7777) for path in (out, *out.iterdir())}
    assert (modes["top"], modes["run"], modes["plain"]) == ("0o755", "0o755", "0o644")
    assert (out / "link").readlink() == Path("../top/run")
    assert {path.lstat().st_uid for path in out.iterdir()} == {tmp_path.stat().st_uid}


@pytest.mark.usefixtures("any_python")
@pytest.mark.parametrize(
    "members",
    [
        lambda _: [_member("../outside")],
        lambda _: [_member("a/../../outside")],
        lambda path: [_member(f"{path}/outside")],
        lambda _: [_member("link", tarfile.SYMTYPE, "../outside")],
        lambda path: [_member("link", tarfile.SYMTYPE, f"{path}/outside")],
        lambda _: [_member("link", tarfile.SYMTYPE, "."), _member("link/../../outside")],
        lambda path: [_member("link", tarfile.SYMTYPE, "a"), _member("link/outside")],
        lambda _: [_member("hard", tarfile.LNKTYPE, "/etc/passwd")],
        lambda _: [_member("device", tarfile.CHRTYPE)],
        lambda _: [_member("pipe", tarfile.FIFOTYPE)],
    ],
)
def test_what_leads_out_or_is_no_file_is_refused_before_anything_is_written(
    tmp_path: Path, members: Callable[[Path], list[bytes]]
) -> None:
    with (
        _tar(_member("first"), *members(tmp_path)) as tar,
        pytest.raises(tarfile.TarError, match=r"leads out|is below|is not a file"),
    ):
        unpack_tar(tar, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
