"""Image archives that a stranger made to do harm: each is refused, and little is read of it."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bundle.base.digest import digest_of
from bundle.base.errors import DigestMismatchError, FormatError, IntegrityError, IsowardError
from bundle.kinds.images import ImageSource
from bundler.build.cache import BlobCache
from bundler.sources.common import tar_members
from bundler.sources.common.context import SourceContext
from bundler.sources.images import archive as archive_module
from bundler.sources.images import docker_archive as docker_module
from bundler.sources.images.on_disk import resolve_local_image
from tests.support.documents.sources import context
from tests.support.registries.connecting import client
from tests.support.registries.oci import to_json

REFERENCE = "registry.example.org/app/own:1.0"


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


LAYER = _tar({"file": b"content" * 100})


def image_files(**change: Any) -> dict[str, bytes]:
    """Return the files of a docker-archive with one layer."""
    config = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [digest_of(LAYER)]},
    }
    listing = [{"Config": "config.json", "RepoTags": ["own:1.0"], "Layers": ["1/layer.tar"]}]
    files = {
        "1/layer.tar": LAYER,
        "config.json": to_json(config),
        "manifest.json": to_json(listing),
    }
    return files | change


@pytest.fixture
def at(tmp_path: Path) -> SourceContext:
    folder = tmp_path / "definitions"
    folder.mkdir()
    return context(client(), BlobCache(tmp_path / "cache"), folder)


def take(at: SourceContext, data: bytes) -> str:
    """Resolve the image of an archive."""
    (at.folder / "own.tar").write_bytes(data)
    source = ImageSource(reference=REFERENCE, archive="own.tar")
    return resolve_local_image(source, ("linux/amd64",), at).digest


def refused(at: SourceContext, data: bytes, said: str, error: type[IsowardError]) -> None:
    """Check that an archive is refused, plain and compressed, and nothing stays behind."""
    for form in (data, gzip.compress(data, 1)):
        with pytest.raises(error, match=said):
            take(at, form)
        assert not list(at.store.workspace("incoming").iterdir())


def test_the_archive_that_the_others_are_made_of_is_good(at: SourceContext) -> None:
    assert take(at, _tar(image_files())) == take(at, gzip.compress(_tar(image_files())))


def test_names_of_any_length_are_read(at: SourceContext) -> None:
    """Of a long name a tar's header has the beginning only, which may look like a folder's."""
    digests = set()
    for length in (90, 98, 99, 100, 101, 255, 300):
        name = ("long/" * 60)[: length - 1].rstrip("/") + "x" * 5
        files = image_files(**{name: LAYER, "manifest.json": _listing(Layers=[name])})
        del files["1/layer.tar"]
        digests.add(take(at, _tar(files)))
    assert len(digests) == 1


def _listing(**change: Any) -> bytes:
    one = {"Config": "config.json", "RepoTags": ["own:1.0"], "Layers": ["1/layer.tar"]}
    return to_json([one | change])


def _config(*diff_ids: Any) -> bytes:
    return to_json({"architecture": "amd64", "os": "linux", "rootfs": {"diff_ids": diff_ids}})


@pytest.mark.parametrize(
    ("change", "said", "error"),
    [
        ({"manifest.json": b"["}, "malformed", FormatError),
        ({"manifest.json": b"[]"}, "found 0", IsowardError),
        ({"manifest.json": b"[" * 100_000}, "malformed", FormatError),
        ({"manifest.json": _listing(Layers=[])}, "malformed", FormatError),
        ({"manifest.json": _listing(Layers=["x"] * 513)}, "malformed", FormatError),
        ({"manifest.json": _listing(Layers=["2/layer.tar"])}, "is not in it", FormatError),
        ({"manifest.json": _listing(Layers=["../layer.tar"])}, "is not in it", FormatError),
        ({"manifest.json": _listing(Config="/etc/passwd")}, "is not in it", FormatError),
        ({"manifest.json": b" " * 5_000_000}, "expected at most", FormatError),
        ({"config.json": b"{}"}, "malformed", FormatError),
        ({"config.json": _config()}, "has 0 diffIDs, expected 1", FormatError),
        ({"config.json": _config("sha256:../../x")}, "malformed", FormatError),
        ({"config.json": _config(digest_of(b"x"))}, "expected sha256", DigestMismatchError),
        ({"1/layer.tar": b"no tar" * 100}, "neither a tar nor a gzip", FormatError),
        ({"1/layer.tar": b""}, "neither a tar nor a gzip", FormatError),
        ({"1/layer.tar": b"\x28\xb5\x2f\xfd" + LAYER}, "neither a tar nor a gzip", FormatError),
        ({"1/layer.tar": gzip.compress(LAYER)[:-20]}, "is truncated", FormatError),
        ({"1/layer.tar": gzip.compress(LAYER) + b"rest"}, "1/layer.tar", FormatError),
        ({"1/layer.tar": gzip.compress(LAYER + b"x")}, "diffID", DigestMismatchError),
        ({"../escape": b"x"}, "leads out", FormatError),
        ({"/absolute": b"x"}, "leads out", FormatError),
        ({"a/../../b": b"x"}, "leads out", FormatError),
        ({"a\x1b[2Jb": b"x"}, "leads out", FormatError),
    ],
)
def test_a_docker_archive_that_lies_is_refused(
    at: SourceContext, change: dict[str, bytes], said: str, error: type[IsowardError]
) -> None:
    refused(at, _tar(image_files(**change)), said, error)


def _layout(**change: bytes) -> bytes:
    config = _config(digest_of(LAYER))
    manifest = to_json(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _piece("application/vnd.oci.image.config.v1+json", config),
            "layers": [_piece("application/vnd.oci.image.layer.v1.tar", LAYER)],
        }
    )
    entry = _piece("application/vnd.oci.image.manifest.v1+json", manifest)
    files = {
        "oci-layout": to_json({"imageLayoutVersion": "1.0.0"}),
        "index.json": to_json({"schemaVersion": 2, "manifests": [entry]}),
        **{f"blobs/sha256/{digest_of(d)[7:]}": d for d in (config, manifest, LAYER)},
    }
    for name, data in change.items():
        found = next(known for known in files if known.startswith(name))
        files[found] = data
    return _tar(files)


def _piece(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def test_a_layout_is_good(at: SourceContext) -> None:
    assert take(at, _layout())


@pytest.mark.parametrize(
    ("name", "data", "said", "error"),
    [
        ("oci-layout", b"{}", "oci-layout is malformed", FormatError),
        ("oci-layout", to_json({"imageLayoutVersion": "2.0.0"}), "version 1", FormatError),
        ("index.json", b"{}", "schemaVersion", FormatError),
        ("index.json", b'{"schemaVersion":2,"schemaVersion":1}', "duplicate", FormatError),
        (
            "index.json",
            b'{"schemaVersion":2,"manifests":[{"digest":"sha256:x"}]}',
            "manifests",
            FormatError,
        ),
        (f"blobs/sha256/{digest_of(LAYER)[7:]}", LAYER[:-512], "expected sha256", IntegrityError),
        (
            f"blobs/sha256/{digest_of(LAYER)[7:]}",
            LAYER[:-1] + b"x",
            "expected sha256",
            IntegrityError,
        ),
        (
            f"blobs/sha256/{digest_of(_config(digest_of(LAYER)))[7:]}",
            b"{}",
            "bytes, found 2",
            IntegrityError,
        ),
    ],
)
def test_a_layout_that_lies_is_refused(
    at: SourceContext, name: str, data: bytes, said: str, error: type[IsowardError]
) -> None:
    refused(at, _layout(**{name: data}), said, error)


def _header(name: str = "x", kind: bytes = b"0", size: int = 0, link: str = "") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info.tobuf(tarfile.GNU_FORMAT)


def _extended(record: bytes, kind: bytes = b"x") -> bytes:
    return _header("pax", kind, len(record)) + record.ljust(512, b"\0")


def _base256(size: int) -> bytes:
    block = bytearray(_header())
    block[124:136] = b"\xff" + struct.pack(">q", size).rjust(11, b"\xff")
    block[148:156] = b"%06o\0 " % (256 + sum(block[:148]) + sum(block[156:]))
    return bytes(block)


_END = bytes(1024)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "truncated"),
        (b"x" * 512, "not a readable tar"),
        (b"x" * 100, "truncated"),
        (_header(), "truncated"),
        (_header(size=10_000) + b"x" * 512, "truncated"),
        (_header() + b"garbage" * 100, "not a readable tar"),
        (_header("x", b"S") + _END, "sparse"),
        (_extended(b"22 GNU.sparse.major=1\n") + _header() + _END, "sparse"),
        (_extended(b"30 GNU.sparse.name=0123456789\n") + _header() + _END, "sparse"),
        (_header("x", b"3") + _END, "device"),
        (_header("x", b"6") + _END, "device"),
        (_header("x", b"Z") + _END, "unknown"),
        (_header("x", b"L", size=2**30) + _END, "a header of"),
        (_header("x", b"x", size=2**40) + _END, "a header of"),
        (_header("x", b"L", size=600) + b"y" * 600, "truncated"),
        (_extended(b"999999999 path=x\n") + _header() + _END, "malformed"),
        (_extended(b"0 path=x\n") + _header() + _END, "malformed"),
        (_extended(b"-5 path=x\n") + _header() + _END, "malformed"),
        (_extended(b"8 path=\xff\n"[:8]) + _header() + _END, "malformed"),
        (_extended(b"9 path=\xff\n") + _header() + _END, "not UTF-8"),
        (_extended(b"12 size=99a\n") + _header() + _END, "has the size"),
        (_extended(b"29 size=99999999999999999999\n") + _header() + _END, "has the size"),
        (_extended(b"14 path=../x1\n") + _header() + _END, "leads out"),
        (_extended(b"10 path=x\n", b"g") + _header() + _END, "global header"),
        (_extended(b"10 path=x\n") + _END, "ends after an extended header"),
        (_base256(-512) + _END, "has the size"),
        (_header() + _header() + _END, "duplicate entry"),
        (_header("./x") + _header("x") + _END, "duplicate entry"),
        (_header() + _END, "expected oci-layout or manifest.json"),
    ],
)
def test_a_tar_that_is_none_is_refused(at: SourceContext, data: bytes, said: str) -> None:
    refused(at, data, said, FormatError)


@pytest.mark.parametrize("target", ["../../etc/passwd", "/etc/passwd", "1/layer.tar", "nowhere"])
def test_links_lead_only_to_files_of_the_archive(at: SourceContext, target: str) -> None:
    files = image_files()
    del files["1/layer.tar"]
    data = _header("1/layer.tar", b"2", link=target) + _tar(files)
    refused(at, data, "is not in it", FormatError)


def test_a_circle_of_links_ends(at: SourceContext) -> None:
    files = image_files()
    del files["1/layer.tar"]
    circle = _header("1/layer.tar", b"2", link="x") + _header("1/x", b"1", link="1/layer.tar")
    refused(at, circle + _tar(files), "is not in it", FormatError)


def test_more_files_than_any_image_has_are_refused(
    at: SourceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar_members, "MAX_ARCHIVE_MEMBERS", 10)
    many = b"".join(_header(f"f{number}") for number in range(11))
    refused(at, many + _END, "more than 10 files", FormatError)
    folders = b"".join(_header(f"f{number}/", b"5") for number in range(50))
    refused(at, folders + _END, "too many headers", FormatError)


def test_bombs_are_refused(at: SourceContext, monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = gzip.compress(bytes(8_000_000), 9)
    monkeypatch.setattr(docker_module, "MAX_UNPACKED_BYTES", 4_000_000)
    bomb = {"1/layer.tar": zeros, "config.json": _config(digest_of(bytes(8_000_000)))}
    refused(at, _tar(image_files(**bomb)), "unpacks to more than", FormatError)
    monkeypatch.setattr(archive_module, "MAX_UNPACKED_BYTES", 4_000_000)
    with pytest.raises(FormatError, match="unpacks to more than 4000000"):
        take(at, gzip.compress(_tar(image_files(big=bytes(8_000_000)))))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-30],
        lambda data: data[:200],
        lambda data: data[:500] + bytes(10) + data[510:],
        lambda data: b"\x1f\x8b" + b"no gzip" * 100,
        zlib.compress,
    ],
)
def test_a_compressed_archive_that_is_damaged_is_refused(
    at: SourceContext, damage: Callable[[bytes], bytes]
) -> None:
    data = gzip.compress(_tar(image_files(noise=json.dumps(list(range(3000))).encode())))
    with pytest.raises(FormatError):
        take(at, damage(data))
    assert not list(at.store.workspace("incoming").iterdir())


def test_a_layout_folder_with_a_link_out_of_it_is_refused(at: SourceContext) -> None:
    folder = at.folder / "own.tar"
    folder.mkdir()
    (at.folder.parent / "secret").write_bytes(b"secret")
    for name in ("oci-layout", "index.json"):
        (folder / name).symlink_to(at.folder.parent / "secret")
    source = ImageSource(reference=REFERENCE, archive="own.tar")
    with pytest.raises(IsowardError, match="leads out"):
        resolve_local_image(source, ("linux/amd64",), at)
