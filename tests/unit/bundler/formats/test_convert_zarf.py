"""Zarf packages are unpacked and believed only as far as their own checksums go.

The package was made and signed by real Zarf; `tests/vectors/peers/README.md` says how.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from bundle.base.errors import (
    DefinitionError,
    DigestMismatchError,
    FormatError,
    IsowardError,
    MissingBlobError,
    SignatureError,
    SizeMismatchError,
    UnexpectedFileError,
    UsageError,
)
from bundler.formats import zarf_archive
from bundler.formats.zarf import ZarfPackage, read_package
from bundler.formats.zarf_archive import unpack_package

PEERS = Path(__file__).resolve().parents[3] / "vectors" / "peers"
PACKAGE = PEERS / "zarf-package-tiny-amd64-1.2.3.tar.zst"
KEY = (PEERS / "zarf.pub").read_text()
Members = dict[str, bytes]


def members() -> Members:
    data = zstandard.ZstdDecompressor().stream_reader(PACKAGE.read_bytes()).read()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        files = {m.name: archive.extractfile(m) for m in archive if m.isfile()}
    return {name: file.read() for name, file in files.items() if file is not None}


def packed(files: Members, path: Path) -> Path:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def resummed(files: Members) -> Members:
    """Make checksums.txt and zarf.yaml say what the files are."""
    old = hashlib.sha256(files["checksums.txt"]).hexdigest()
    own = ("zarf.yaml", "checksums.txt", "zarf.bundle.sig")
    lines = (f"{hashlib.sha256(d).hexdigest()} {n}" for n, d in files.items() if n not in own)
    sums = "".join(f"{line}\n" for line in sorted(lines)).encode()
    package = files["zarf.yaml"].replace(old.encode(), hashlib.sha256(sums).hexdigest().encode())
    return files | {"checksums.txt": sums, "zarf.yaml": package}


def _claiming(size: int) -> bytes:
    member = tarfile.TarInfo("images/blobs/sha256/" + "0" * 64)
    member.size = size
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("suffix", [".tar", ".tar.zst", ".tar.part000"])
@pytest.mark.parametrize("size", [100 << 40, 2 << 40])
def test_a_package_that_says_it_has_100_tib_is_refused_before_it_is_written(
    tmp_path: Path, suffix: str, size: int
) -> None:
    tar = _claiming(size) + bytes(4096)
    package = tmp_path / f"package{suffix}"
    package.write_bytes(zstandard.compress(tar) if suffix.endswith("zst") else tar)
    if suffix.endswith(".part000"):
        (tmp_path / "package.tar.part001").write_bytes(tar)
        said = {"Sha256Sum": hashlib.sha256(tar).hexdigest(), "Bytes": size, "Count": 1}
        package.write_text(json.dumps(said))
    with pytest.raises(
        FormatError,
        match=f"its stated size is {size} bytes, which is more than the package can hold",
    ):
        unpack_package(package, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == []


def test_a_package_of_zeros_ends_at_what_its_size_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zarf_archive, "_FREE_BYTES", 100_000)
    tar = _claiming(10_000_000) + bytes(10_000_000)
    package = tmp_path / "package.tar.zst"
    package.write_bytes(zstandard.compress(tar))
    with pytest.raises(FormatError, match="more than the package can hold"):
        unpack_package(package, tmp_path / "out")


def read(package: Path, folder: Path, key: str | None = None) -> ZarfPackage:
    return read_package(unpack_package(package, folder), folder, key)


def test_a_package_of_real_zarf(tmp_path: Path) -> None:
    folder = tmp_path / "tiny.content"
    found = read(PACKAGE, folder, KEY)
    assert (found.name, found.version) == ("tiny", "1.2.3")
    (image,), (chart,) = found.content.images, found.content.charts
    assert image.reference == "registry.example.org/app/tiny:1.0"
    assert image.archive == "tiny.content/images"
    assert (chart.name, chart.version) == ("tiny", "0.1.0")
    assert chart.release is not None
    assert (chart.release.name, chart.release.namespace) == ("tiny", "tiny")
    assert [(tmp_path / path).is_file() for path in chart.values] == [True]
    assert (tmp_path / (chart.path or "") / "Chart.yaml").is_file()
    assert [file.name for file in found.content.files] == [
        "app-files-0-hello.txt",
        "app-manifests-space-0.yaml",
    ]
    assert found.content.platforms == ("linux/amd64",)
    assert "actions are left out" in found.content.notes[1]


def test_plain_and_split_packages_are_the_same(tmp_path: Path) -> None:
    whole = PACKAGE.read_bytes()
    said = {
        "Sha256Sum": hashlib.sha256(whole).hexdigest(),
        "Bytes": len(whole),
        "Count": 3,
    }
    first = tmp_path / "p.tar.zst.part000"
    first.write_text(json.dumps(said))
    for number in range(3):
        part = whole[number * 1000 : (number + 1) * 1000 if number < 2 else None]
        (tmp_path / f"p.tar.zst.part{number + 1:03d}").write_bytes(part)
    digests = unpack_package(first, tmp_path / "split").digests
    assert digests == unpack_package(PACKAGE, tmp_path / "whole").digests
    assert digests == unpack_package(packed(members(), tmp_path / "p.tar"), tmp_path / "x").digests
    (tmp_path / "p.tar.zst.part002").write_bytes(whole[1000:1999] + b"?")
    with pytest.raises(IsowardError):
        unpack_package(first, tmp_path / "spoiled")
    (tmp_path / "p.tar.zst.part003").unlink()
    with pytest.raises((MissingBlobError, FormatError)):
        unpack_package(first, tmp_path / "spoiled")
    assert not list(tmp_path.glob("*spoiled*"))


def test_a_split_package_is_checked_to_its_end(tmp_path: Path) -> None:
    first = tmp_path / "p.tar.part000"
    whole = packed(members(), tmp_path / "p.tar").read_bytes()
    (tmp_path / "p.tar.part001").write_bytes(whole)
    digest = hashlib.sha256(whole).hexdigest()
    for said, error in (
        ({"Sha256Sum": digest, "Bytes": len(whole) + 1, "Count": 1}, SizeMismatchError),
        ({"Sha256Sum": "0" * 64, "Bytes": len(whole), "Count": 1}, DigestMismatchError),
        ({"Sha256Sum": digest, "Bytes": len(whole), "Count": 0}, FormatError),
        ({"Bytes": 1}, FormatError),
    ):
        first.write_text(json.dumps(said))
        with pytest.raises(error):
            unpack_package(first, tmp_path / "spoiled")


def spoil(files: Members, name: str, data: bytes) -> Members:
    return files | {name: data}


SPOILED: dict[str, tuple[Callable[[Members], Members], type[IsowardError]]] = {
    "a changed component": (lambda f: spoil(f, "components/app.tar", b"x"), DigestMismatchError),
    "a missing component": (
        lambda f: {n: d for n, d in f.items() if n != "components/app.tar"},
        MissingBlobError,
    ),
    "a file that nothing names": (lambda f: spoil(f, "extra", b"x"), UnexpectedFileError),
    "checksums that zarf.yaml does not name": (
        lambda f: spoil(
            resummed(spoil(f, "images/oci-layout", b"{}")), "zarf.yaml", f["zarf.yaml"]
        ),
        DigestMismatchError,
    ),
    "a changed zarf.yaml": (
        lambda f: spoil(f, "zarf.yaml", f["zarf.yaml"].replace(b"1.2.3", b"1.2.4")),
        SignatureError,
    ),
    "no signature": (
        lambda f: {n: d for n, d in f.items() if n != "zarf.bundle.sig"},
        SignatureError,
    ),
    "another signature": (lambda f: spoil(f, "zarf.bundle.sig", b"{}"), SignatureError),
    "no zarf.yaml": (lambda f: {n: d for n, d in f.items() if n != "zarf.yaml"}, FormatError),
    "a path that leaves": (lambda f: spoil(f, "../../x", b"x"), FormatError),
    "an absolute path": (lambda f: spoil(f, "/tmp/x", b"x"), FormatError),
}


@pytest.mark.parametrize("case", sorted(SPOILED))
def test_a_spoiled_package_is_refused(tmp_path: Path, case: str) -> None:
    change, error = SPOILED[case]
    package = packed(change(members()), tmp_path / "p.tar")
    with pytest.raises(error):
        read(package, tmp_path / "content", KEY)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"kind: ZarfPackageConfig", b"kind: ZarfInitConfig", "expected ZarfPackageConfig"),
        (
            b"  architecture: amd64\n  timestamp",
            b"  differential: true\n  timestamp",
            "differential",
        ),
        (b"- name: app", b"- name: app\n  helpers: []", "line [0-9]+: .*unknown field 'helpers'"),
        (b"- name: app", b"- name: '###ZARF_PKG_TMPL_X###'", "unfilled template"),
    ],
)
def test_what_a_package_says_is_looked_at(tmp_path: Path, old: bytes, new: bytes, why: str) -> None:
    files = members()
    assert old in files["zarf.yaml"]
    changed = spoil(files, "zarf.yaml", files["zarf.yaml"].replace(old, new))
    with pytest.raises((DefinitionError, FormatError), match=why):
        read(packed(changed, tmp_path / "p.tar"), tmp_path / "content")


def test_damaged_compression_and_an_existing_folder(tmp_path: Path) -> None:
    cut = tmp_path / "p.tar.zst"
    cut.write_bytes(PACKAGE.read_bytes()[:1500])
    with pytest.raises(FormatError, match=r"p\.tar\.zst"):
        unpack_package(cut, tmp_path / "content")
    assert sorted(tmp_path.iterdir()) == [cut]
    with pytest.raises(UsageError, match="exists"):
        unpack_package(PACKAGE, tmp_path)
