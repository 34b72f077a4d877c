"""rpm repositories as publishers have them: solved by real dnf, verified by real gpgv and rpm."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from bundle.base.digest import digest_of, hex_of
from bundle.base.errors import FormatError, SignatureError
from tests.support.packages.rpm_vendor import CLOSURE, Vendor, names
from tests.support.packages.rpm_world import BASEOS, RpmWorld, run
from tests.support.registries.static_site import static_site

BASH = BASEOS[0]


def _indexed(*options: str) -> Callable[[Path, RpmWorld], None]:
    return lambda repo, world: _index_again(repo, world, *options)


def _index_again(repo: Path, world: RpmWorld, *options: str) -> None:
    for old in (repo / "repodata").iterdir():
        old.unlink()
    world.index(repo, *options)


def _edited(pattern: str, to: str = "") -> Callable[[Path, RpmWorld], None]:
    def edit(repo: Path, world: RpmWorld) -> None:
        index = repo / "repodata" / "repomd.xml"
        text = index.read_text()
        changed = re.sub(pattern, to, text, flags=re.DOTALL)
        assert changed != text
        index.write_text(changed)
        world.key.sign_index(repo)

    return edit


def _zstd(repo: Path, world: RpmWorld) -> None:
    """Compress as current releases of createrepo_c do, where this machine's cannot."""
    index = repo / "repodata" / "repomd.xml"
    text = index.read_text()
    for old in (repo / "repodata").glob("*.xml.gz"):
        packed = zstandard.compress(gzip.decompress(old.read_bytes()))
        new = old.with_name(old.name.replace(".gz", ".zst"))
        new.write_bytes(packed)
        was, size = hex_of(digest_of(old.read_bytes())), old.stat().st_size
        text = text.replace(old.name, new.name)
        text = text.replace(f">{was}<", f">{hex_of(digest_of(packed))}<")
        text = text.replace(f"<size>{size}</size>", f"<size>{len(packed)}</size>")
        old.unlink()
    index.write_text(text)
    world.key.sign_index(repo)


def _with_stranger(repo: Path, world: RpmWorld) -> None:
    """Sign with a key that nobody has as well, as a publisher who changes keys does."""
    index = repo / "repodata" / "repomd.xml"
    signatures = b""
    for signer in (world.stranger, world.key):
        signer.sign_index(repo)
        plain = index.with_name("plain")
        plain.unlink(missing_ok=True)
        run(["gpg", "--output", str(plain), "--dearmor", str(index) + ".asc"], signer)
        signatures += plain.read_bytes()
        plain.unlink()
    index.with_name("repomd.xml.asc").write_bytes(signatures)


def _only_a_stranger(repo: Path, world: RpmWorld) -> None:
    world.stranger.sign_index(repo)


SHAPES: dict[str, Callable[[Path, RpmWorld], None]] = {
    "sha512": _indexed("--checksum", "sha512"),
    "sha384": _indexed("--checksum", "sha384"),
    "sha512-of-metadata": _indexed("--repomd-checksum", "sha512"),
    "zstd": _zstd,
    "xz": _indexed("--general-compress-type", "xz"),
    "simple-names": _indexed("--simple-md-filenames"),
    "no-filelists": _edited(r'<data type="filelists">.*?</data>'),
    "no-other": _edited(r'<data type="other">.*?</data>'),
    "no-sizes": _edited(r"<size>\d+</size>"),
    "two-signatures": _with_stranger,
}


@pytest.mark.parametrize("name", SHAPES)
def test_it_is_locked(tmp_path: Path, rpm_world: RpmWorld, name: str) -> None:
    with static_site(tmp_path / "site") as site:
        repo = rpm_world.repository(site.root / "baseos", [BASH])
        SHAPES[name](repo, rpm_world)
        found = Vendor(tmp_path, rpm_world, site).lock("bash", repositories=("baseos",))
    assert names(found) == CLOSURE[:1]
    package = (repo / "Packages" / BASH.file_name).read_bytes()
    assert found.packages[0].digest == digest_of(package)
    for file in found.files:
        data = (repo / file.path.removeprefix("baseos/x86_64/")).read_bytes()
        assert (file.digest, file.size) == (digest_of(data), len(data))


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda repo, world: world.weaken(repo, "sha"), "SHA-256 or SHA-512, found sha"),
        (lambda repo, world: world.weaken(repo, "md5"), "SHA-256 or SHA-512, found md5"),
        (_indexed("--baseurl", "https://cdn.example.org/x/"), "bash is at another address"),
        (_indexed("--location-prefix", "../"), "not a path in it|leaves|unsupported package"),
        (
            _edited(
                r'<location href="(repodata/[^"]*primary)',
                r'<location xml:base="https://x/" href="\1',
            ),
            "primary is at another address",
        ),
    ],
)
def test_what_cannot_be_served_is_said(
    tmp_path: Path, rpm_world: RpmWorld, spoil: Callable[[Path, RpmWorld], None], why: str
) -> None:
    with static_site(tmp_path / "site") as site:
        repo = rpm_world.repository(site.root / "baseos", [BASH])
        spoil(repo, rpm_world)
        with pytest.raises(FormatError, match=why) as caught:
            Vendor(tmp_path, rpm_world, site).lock("bash", repositories=("baseos",))
    assert "Expected `" not in caught.value.message
    assert caught.value.hint


def test_one_good_signature_does_not_make_up_for_a_bad_one(
    tmp_path: Path, rpm_world: RpmWorld
) -> None:
    with static_site(tmp_path / "site") as site:
        repo = rpm_world.repository(site.root / "baseos", [BASH])
        vendor = Vendor(tmp_path, rpm_world, site)
        _only_a_stranger(repo, rpm_world)
        with pytest.raises(SignatureError, match="not in the keyring"):
            vendor.lock("bash", repositories=("baseos",))
        _with_stranger(repo, rpm_world)
        index = repo / "repodata" / "repomd.xml"
        index.write_bytes(index.read_bytes() + b"<!-- -->")
        with pytest.raises(SignatureError, match="does not match these bytes"):
            vendor.lock("bash", repositories=("baseos",))
