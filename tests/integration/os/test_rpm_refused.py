"""What a hostile or broken rpm repository holds, each refused by what must notice it."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import pytest

from bundle.base.errors import (
    DefinitionError,
    DigestMismatchError,
    FormatError,
    IntegrityError,
    IsowardError,
    NotFoundError,
    ProgramError,
    SignatureError,
    SizeMismatchError,
)
from bundle.base.limits import MIB
from bundler.sources.os.rpm import solve as rpm_closure
from tests.support.packages.rpm_vendor import CLOSURE, Vendor, names
from tests.support.packages.rpm_world import BASEOS, RpmWorld, build_rpms, change, run
from tests.support.registries.static_site import StaticSite, static_site

BASH = BASEOS[0]
Spoil = Callable[[Path, RpmWorld], None]


# What must be refused. Each case spoils a good repository of bash, and says how it was found out.


def _unsigned(repo: Path, world: RpmWorld) -> None:
    (repo / "Packages" / BASH.file_name).unlink()
    build_rpms(repo.parent / "build", [BASH], repo / "Packages")
    world.index(repo)


def _stranger(repo: Path, world: RpmWorld) -> None:
    world.stranger.sign_packages(repo.glob("Packages/*.rpm"))
    world.index(repo)


def _weak_package(repo: Path, world: RpmWorld) -> None:
    world.key.sign_packages(repo.glob("Packages/*.rpm"), "--define", "_gpg_digest_algo sha1")
    world.index(repo)


def _payload(repo: Path, world: RpmWorld) -> None:
    """Metadata of a package whose content was changed: only its own signature tells."""
    path = repo / "Packages" / BASH.file_name
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    world.index(repo)


def _tampered_package(repo: Path, world: RpmWorld) -> None:
    path = repo / "Packages" / BASH.file_name
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


def _longer_package(repo: Path, world: RpmWorld) -> None:
    with (repo / "Packages" / BASH.file_name).open("ab") as file:
        file.write(b"x")


def _missing_package(repo: Path, world: RpmWorld) -> None:
    (repo / "Packages" / BASH.file_name).unlink()


def _tampered_primary(repo: Path, world: RpmWorld) -> None:
    path = next(repo.glob("repodata/*primary.xml.gz"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _tampered_index(repo: Path, world: RpmWorld) -> None:
    change(repo / "repodata" / "repomd.xml", b"<revision>", b"<revision>9")


def _index_of_a_stranger(repo: Path, world: RpmWorld) -> None:
    world.stranger.sign_index(repo)


def _weak_index(repo: Path, world: RpmWorld) -> None:
    world.key.sign_index(repo, "--digest-algo", "SHA1")


def _no_signature(repo: Path, world: RpmWorld) -> None:
    (repo / "repodata" / "repomd.xml.asc").unlink()


def _empty_signature(repo: Path, world: RpmWorld) -> None:
    (repo / "repodata" / "repomd.xml.asc").write_bytes(b"")


def _primary(repo: Path, world: RpmWorld, edit: Callable[[str], str]) -> None:
    """Change the primary metadata, and sign that: what a distribution itself might publish."""
    path = next(repo.glob("repodata/*primary.xml.gz"))
    text = gzip.decompress(path.read_bytes()).decode()
    changed = edit(text)
    assert changed != text
    made = path.with_name("primary.xml")
    made.write_text(changed)
    path.unlink()
    run(["modifyrepo_c", "--remove", "primary", str(repo / "repodata")])
    run(["modifyrepo_c", "--mdtype=primary", str(made), str(repo / "repodata")])
    world.key.sign_index(repo)


def _edit(old: str, new: str) -> Spoil:
    def spoil(repo: Path, world: RpmWorld) -> None:
        _primary(repo, world, lambda text: text.replace(old, new))

    return spoil


_LAUGHS = (
    '<!DOCTYPE metadata [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(12))
    + "]>\n<metadata"
)


def _laughs(repo: Path, world: RpmWorld) -> None:
    _primary(
        repo,
        world,
        lambda text: text.replace("<metadata", _LAUGHS, 1).replace("<summary>", "<summary>&l;"),
    )


def _deep(repo: Path, world: RpmWorld) -> None:
    _primary(repo, world, lambda text: text.replace("<summary>", "<a>" * 1_000_000, 1))


def _cut(repo: Path, world: RpmWorld) -> None:
    _primary(repo, world, lambda text: text[: len(text) // 2])


def _sha1(repo: Path, world: RpmWorld) -> None:
    world.weaken(repo, "sha")


def _sha1_of_packages(repo: Path, world: RpmWorld) -> None:
    _primary(
        repo,
        world,
        lambda text: re.sub(
            r'<checksum type="sha256" pkgid="YES">.{64}<',
            f'<checksum type="sha" pkgid="YES">{"0" * 40}<',
            text,
        ),
    )


def _other_name(repo: Path, world: RpmWorld) -> None:
    """A genuine package under the name of another: an old one as a new one, for example."""
    _primary(repo, world, lambda text: text.replace('ver="5.1.8"', 'ver="5.2.0"', 1))


_LOCATION = f"Packages/{BASH.file_name}"
SPOILED: dict[str, tuple[Spoil, type[IsowardError], str]] = {
    "package-unsigned": (_unsigned, SignatureError, "bash.*expected a package signed"),
    "package-of-a-stranger": (_stranger, SignatureError, "NOKEY"),
    "package-over-sha1": (_weak_package, SignatureError, "RSA/SHA1"),
    "package-changed-and-indexed": (_payload, SignatureError, "Payload SHA256 digest: BAD"),
    "package-changed": (_tampered_package, DigestMismatchError, _LOCATION),
    "package-longer": (_longer_package, SizeMismatchError, _LOCATION),
    "package-gone": (_missing_package, NotFoundError, _LOCATION),
    "package-of-another-name": (_other_name, FormatError, "expected bash-0:5.2.0-9.el9.x86_64"),
    "primary-changed": (_tampered_primary, IntegrityError, "primary.xml.gz"),
    "primary-cut": (_cut, FormatError, "dnf cannot read"),
    "primary-laughs": (_laughs, FormatError, "dnf cannot read"),
    "primary-deep": (_deep, FormatError, "dnf cannot read"),
    "index-changed": (_tampered_index, SignatureError, "does not match these bytes"),
    "index-of-a-stranger": (_index_of_a_stranger, SignatureError, "not in the keyring"),
    "index-over-sha1": (_weak_index, SignatureError, "over SHA-2"),
    "index-unsigned": (_no_signature, SignatureError, "found none"),
    "index-signature-empty": (_empty_signature, SignatureError, "no signature"),
    "path-above": (_edit(_LOCATION, "../../etc/passwd"), FormatError, "unsupported package"),
    "path-absolute": (_edit(_LOCATION, "/etc/passwd"), FormatError, "unsupported package"),
    "path-of-the-index": (_edit(_LOCATION, "repodata/repomd.xml"), IsowardError, "repomd.xml"),
    "path-with-a-query": (_edit(_LOCATION, "a?b"), FormatError, "unsupported package"),
    "path-elsewhere": (
        _edit("<location href", '<location xml:base="https://evil.example.org/" href'),
        FormatError,
        "base",
    ),
    "sha1-of-metadata": (_sha1, FormatError, "SHA-256"),
    "sha1-of-packages": (_sha1_of_packages, FormatError, "SHA-256"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_what_is_spoiled_is_refused(tmp_path: Path, rpm_world: RpmWorld, case: str) -> None:
    spoil, error, why = SPOILED[case]
    with static_site(tmp_path / "site") as site:
        repo = rpm_world.repository(site.root / "baseos", [BASH])
        vendor = Vendor(tmp_path, rpm_world, site)
        spoil(repo, rpm_world)
        with pytest.raises(error, match=why) as caught:
            vendor.lock("bash", repositories=("baseos",))
    assert len(caught.value.message) < 1500
    assert not list((vendor.cache.path / "incoming").glob("*"))


def test_a_distribution_that_does_not_sign_its_index(tmp_path: Path, rpm_world: RpmWorld) -> None:
    with static_site(tmp_path / "site") as site:
        repo = rpm_world.repository(site.root / "baseos", [BASH], sign=False)
        vendor = Vendor(tmp_path, rpm_world, site)
        found = vendor.lock("bash", repositories=("baseos",), metadata_signed=False)
        assert names(found) == CLOSURE[:1]
        assert not [file for file in found.files if file.path.endswith(".asc")]
        _index_of_a_stranger(repo, rpm_world)
        with pytest.raises(SignatureError, match="not in the keyring"):
            vendor.lock("bash", repositories=("baseos",), metadata_signed=False)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((HTTPStatus.FORBIDDEN, b"<Error>AccessDenied</Error>"), "found none"),
        ((HTTPStatus.BAD_REQUEST, b""), "found none"),
        ((HTTPStatus.OK, b"\n<!doctype html><p>Home</p>"), "found a web page"),
    ],
)
def test_a_server_that_says_otherwise_that_there_is_no_signature(
    tmp_path: Path, rpm_world: RpmWorld, answer: tuple[HTTPStatus, bytes], why: str
) -> None:
    with static_site(tmp_path / "site", absent=answer) as site:
        rpm_world.repository(site.root / "baseos", [BASH], sign=False)
        vendor = Vendor(tmp_path, rpm_world, site)
        found = vendor.lock("bash", repositories=("baseos",), metadata_signed=False)
        assert names(found) == CLOSURE[:1]
        assert not [file for file in found.files if file.path.endswith(".asc")]
        with pytest.raises(SignatureError, match=f"expected the index's signature, {why}"):
            vendor.lock("bash", repositories=("baseos",))


def test_a_keyring_of_two_keys_in_one_file(tmp_path: Path, rpm_world: RpmWorld) -> None:
    with static_site(tmp_path / "site") as site:
        repo = rpm_world.repository(site.root / "baseos", [BASH])
        vendor = Vendor(tmp_path, rpm_world, site)
        ring = tmp_path / "rocky.asc"
        ring.write_bytes(rpm_world.stranger.keyring.read_bytes() + ring.read_bytes())
        assert names(vendor.lock("bash", repositories=("baseos",))) == CLOSURE[:1]
        _stranger(repo, rpm_world)
        assert names(vendor.lock("bash", repositories=("baseos",))) == CLOSURE[:1]


def test_a_keyring_that_is_not_armoured(tmp_path: Path, rpm_world: RpmWorld) -> None:
    with static_site(tmp_path / "site") as site:
        rpm_world.repository(site.root / "baseos", [BASH])
        vendor = Vendor(tmp_path, rpm_world, site)
        ring = tmp_path / "rocky.asc"
        ring.unlink()
        run(["gpg", "--output", str(ring), "--dearmor", str(rpm_world.key.keyring)], rpm_world.key)
        found = vendor.lock("bash", repositories=("baseos",))
    assert names(found) == CLOSURE[:1]
    assert found.keyring.path == "keyring.gpg"


def test_a_keyring_without_keys(tmp_path: Path, rpm_world: RpmWorld, rpm_site: StaticSite) -> None:
    vendor = Vendor(tmp_path, rpm_world, rpm_site)
    text = (vendor.folder / "rocky.asc").read_text()
    (vendor.folder / "rocky.asc").write_text(text[:200] + text[-100:])
    with pytest.raises(DefinitionError, match="public keys"):
        vendor.lock("bash")


def test_metadata_that_unpacks_without_end_is_stopped(
    tmp_path: Path, rpm_world: RpmWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpm_closure, "RPM_SOLVER_MEMORY", 192 * MIB)
    with static_site(tmp_path / "site") as site:
        repo = rpm_world.repository(site.root / "baseos", [BASH])
        assert names(Vendor(tmp_path, rpm_world, site).lock("bash", repositories=("baseos",)))
        _primary(
            repo,
            rpm_world,
            lambda text: text.replace("<summary>", "<summary>" + " x" * (20 * MIB), 1),
        )
        with pytest.raises((FormatError, ProgramError), match=r"Out of memory|dnf cannot read"):
            Vendor(tmp_path, rpm_world, site).lock("bash", repositories=("baseos",))
