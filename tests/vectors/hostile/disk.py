"""Links, devices and the like in place of files, files too many, and names that are none."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from collections.abc import Callable
from pathlib import Path

from tests.vectors.hostile.base import Family, Stage

case = Family("disk")
_PLACES = (
    "bundle.json",
    "SHA256SUMS",
    "index.json",
    "README.txt",
    "trust/1.root.json",
    "trust/targets.json",
    "trust/timestamp.json",
)
_FOLDERS = ("trust", "blobs", "blobs/sha256", "attestations", "attestations/keys")


def _link_out(path: Path, stage: Stage) -> None:
    """Put the thing outside, the same bytes, and a link in its place."""
    outside = stage.folder / "outside"
    shutil.move(path, outside)
    path.symlink_to(outside)


def _link_in(path: Path, stage: Stage) -> None:
    """A link that stays within the bundle."""
    other = next(found for found in sorted(path.parent.iterdir()) if found != path)
    path.unlink()
    path.symlink_to(other.name)


def _link_loop(path: Path, stage: Stage) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _link_nowhere(path: Path, stage: Stage) -> None:
    path.unlink()
    path.symlink_to("/nonexistent/x")


def _link_to_a_secret(path: Path, stage: Stage) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def _pipe(path: Path, stage: Stage) -> None:
    path.unlink()
    os.mkfifo(path)


def _socket(path: Path, stage: Stage) -> None:
    path.unlink()
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket may have 107 characters
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def _device(kind: int, major: int, minor: int) -> Callable[[Path, Stage], None]:
    def make(path: Path, stage: Stage) -> None:
        path.unlink()
        try:
            os.mknod(path, kind | 0o666, os.makedev(major, minor))
        except PermissionError:
            # Only root makes devices; to others a pipe is the nearest thing.
            os.mkfifo(path)

    return make


def _folder(path: Path, stage: Stage) -> None:
    path.unlink()
    path.mkdir()


def _on_blob(make: Callable[[Path, Stage], None]) -> Callable[[Stage], None]:
    return lambda stage: make(stage.first_blob(), stage)


def _on_manifest_blob(make: Callable[[Path, Stage], None]) -> Callable[[Stage], None]:
    return lambda stage: make(stage.oci_manifest(), stage)


_KINDS: dict[str, Callable[[Path, Stage], None]] = {
    "a-link-out": _link_out,
    "a-link-in": _link_in,
    "a-link-to-itself": _link_loop,
    "a-link-to-nothing": _link_nowhere,
    "a-link-to-a-secret": _link_to_a_secret,
    "a-pipe": _pipe,
    "a-socket": _socket,
    "dev-zero": _device(stat.S_IFCHR, 1, 5),
    "dev-random": _device(stat.S_IFCHR, 1, 8),
    "a-block-device": _device(stat.S_IFBLK, 7, 250),
}
for _kind, _make in _KINDS.items():
    case.add(f"a-blob-that-is-{_kind}", _on_blob(_make), "unsafe-path", "blobs/sha256/")
    case.add(
        f"an-oci-manifest-that-is-{_kind}", _on_manifest_blob(_make), "unsafe-path", "blobs/sha256/"
    )
case.add("a-blob-that-is-a-folder", _on_blob(_folder), "unsafe-path", "blobs/sha256/")
for _place in _PLACES:
    for _kind in ("a-link-out", "dev-zero", "a-socket"):
        _short = _place.partition("/")[2] or _place
        _is_bundle = _place == "bundle.json"
        # What has no regular bundle.json does not look like a bundle; a link may lead to one.
        _error = "format" if _is_bundle and _kind != "a-link-out" else "unsafe-path"

        def _spoil(stage: Stage, place: str = _place, kind: str = _kind) -> None:
            _KINDS[kind](stage.bundle / place, stage)

        case.add(f"{_short}-that-is-{_kind}", _spoil, _error, _short)
for _place in _FOLDERS:

    def _link_folder(stage: Stage, place: str = _place) -> None:
        _link_out(stage.bundle / place, stage)

    def _file_for_folder(stage: Stage, place: str = _place) -> None:
        shutil.rmtree(stage.bundle / place)
        (stage.bundle / place).write_bytes(b"")

    _name = _place.replace("/", "-")
    # What is below it is not there, or it is a file that nothing vouches for.
    _kept = _place.startswith("attestations")
    _link_error = "attestation" if _kept else "unsafe-path"
    _file_error = "unexpected-file" if _place.startswith("blobs") else "unsafe-path"
    case.add(f"{_name}-that-is-a-link-to-a-folder", _link_folder, _link_error, _place)
    case.add(
        f"{_name}-that-is-a-file", _file_for_folder, "attestation" if _kept else _file_error, _place
    )


def _added(name: str, make: Callable[[Path], None]) -> Callable[[Stage], None]:
    return lambda stage: make(stage.bundle / name)


for _label, _name in {
    "at-the-top": "extra",
    "hidden": ".extra",
    "like-one-of-a-file-manager": "Thumbs.db.exe",
    "like-bundle-json": "bundle.JSON",
    "like-bundle-json-with-a-space": "bundle.json ",
    "with-a-line-end": "a\nb",
    "with-an-escape": "\x1b[2Jx",
    "decomposed": "cafe\u0301",
    "full-width": "\uff42undle.json",
    "right-to-left": "\u202etxt.exe",
    "among-blobs": "blobs/sha256/" + "0" * 64,
    "among-blobs-in-capitals": "blobs/sha256/" + "A" * 64,
    "next-to-sha256": "blobs/sha512",
    "in-trust": "trust/2.root.jsom",
    "in-a-folder": "trust.d/x",
    "like-a-temporary": ".bundle.json.0123456789ab.tmp",
    "like-an-option": "-rf",
}.items():

    def _touch(path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")

    case.add(f"a-file-too-many-{_label}", _added(_name, _touch), "unexpected-file", "'")


@case("unexpected-file", "'")
def a_file_whose_name_is_no_text(stage: Stage) -> None:
    with open(os.fsencode(stage.bundle) + b"/\xff\xfe", "wb") as file:  # noqa: PTH123 - bytes
        file.write(b"x")


@case("unexpected-file", "'trust/")
def a_file_in_trust_whose_name_is_no_text(stage: Stage) -> None:
    with open(os.fsencode(stage.trust) + b"/\xff\xfe", "wb") as file:  # noqa: PTH123 - bytes
        file.write(b"x")


@case("unsafe-path", "is a link or a special file")
def a_link_too_many(stage: Stage) -> None:
    (stage.bundle / "link").symlink_to("/etc")


@case("unsafe-path", "is a link or a special file")
def a_link_to_the_bundle_itself(stage: Stage) -> None:
    (stage.bundle / "blobs" / "again").symlink_to("..")


@case("unsafe-path", "is a link or a special file")
def a_pipe_too_many(stage: Stage) -> None:
    os.mkfifo(stage.bundle / "pipe")


@case("unsafe-path", "nested too deep")
def folders_without_end(stage: Stage) -> None:
    here = os.open(stage.bundle, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


@case("digest-mismatch", "blobs/sha256/")
def a_hard_link_to_another_file(stage: Stage) -> None:
    path = stage.first_blob()
    outside = stage.folder / "outside"
    outside.write_bytes(bytes(path.stat().st_size))
    path.unlink()
    path.hardlink_to(outside)


@case("digest-mismatch", "blobs/sha256/")
def a_hard_link_to_a_changed_blob_of_the_depot(stage: Stage) -> None:
    stage.seen()
    path = stage.first_blob()
    mine = stage.depot / "blobs/sha256" / path.name
    data = bytes(path.stat().st_size)
    path.unlink()
    path.write_bytes(data)
    mine.unlink()
    mine.hardlink_to(path)
