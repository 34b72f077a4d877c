"""VERIFY.txt and docs/VERIFY.md: every command, typed in the bundle's folder as it is written.

cosign's step is typed by tests/e2e/clients/test_cosign_attestations.py.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bundle.base.digest import digest_of, hex_of
from bundle.trust.metadata.fingerprint import fingerprint_groups
from tests.support.depot.imported import real_images, signed_bundle
from tests.support.documents.verify_text import steps_of_document, steps_of_text, type_steps
from tests.support.programs.needs import requires_tool
from tests.support.sites.leftovers import FILES, litter
from tests.support.trust.release_kit import ReleaseKit, make_release

IMAGES = ("registry.example.org/app/web:2.1", "registry.example.org:5000/app/db:9")
STEPS = steps_of_document()


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> ReleaseKit:
    """A vendor whose approvers and builder have keys of three types."""
    directory = tmp_path_factory.mktemp("vendor")
    return make_release(directory, type_="ecdsa-p256", approver_types=("ed25519", "ecdsa-p384"))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, kit: ReleaseKit) -> Path:
    requires_tool("sha256sum", "openssl", "skopeo", "bash")
    work = tmp_path_factory.mktemp("medium")
    lock, blobs = real_images(work / "trees", *IMAGES)
    return signed_bundle(work / "bundle", kit, lock, blobs)


@pytest.fixture
def bundle(tmp_path: Path, good: Path) -> Path:
    return shutil.copytree(good, tmp_path / "bundle")


def test_the_document_and_the_medium_say_the_same(good: Path) -> None:
    text = (good / "VERIFY.txt").read_text(encoding="ascii")
    assert steps_of_text(text) == STEPS
    assert sorted(STEPS) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert all(STEPS.values())


def test_a_medium_that_was_in_other_machines_verifies_the_same(
    good: Path, bundle: Path, kit: ReleaseKit
) -> None:
    litter(bundle, FILES)
    for name in ("attestations", "attestations/keys", "trust"):
        for left in ("Thumbs.db", "desktop.ini"):
            (bundle / name / left).write_bytes(b"x")
    (bundle / "attestations" / "._approval").write_bytes(b"x")
    told = hex_of(kit.fingerprint)
    for numbers in ((1,), (2, 3), (4,), (5,), (7,), (8,)):
        steps = [STEPS[number] for number in numbers]
        clean, littered = (type_steps(steps, place, told) for place in (good, bundle))
        assert (littered.returncode, littered.stdout) == (clean.returncode, clean.stdout), numbers


def test_sha256sum_finds_every_file_as_it_is_listed(bundle: Path, kit: ReleaseKit) -> None:
    done = type_steps([STEPS[1]], bundle, "")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    victim = bundle / "attestations/provenance.dsse.json"
    victim.write_bytes(victim.read_bytes().replace(b"sig", b"sih"))
    done = type_steps([STEPS[1]], bundle, "")
    assert done.returncode == 1
    assert "attestations/provenance.dsse.json" in done.stdout


def test_the_root_is_found_by_the_fingerprint(bundle: Path, kit: ReleaseKit) -> None:
    done = type_steps([STEPS[2]], bundle, hex_of(kit.fingerprint))
    assert (done.returncode, done.stdout) == (0, "trust/1.root.json\n")
    assert type_steps([STEPS[2]], bundle, "0" * 64).returncode == 1


@pytest.mark.parametrize("form", ["groups", "lines", "upper", "prefix", "colons", "dots"])
def test_the_fingerprint_may_be_typed_as_one_has_it(good: Path, kit: ReleaseKit, form: str) -> None:
    told = hex_of(kit.fingerprint)
    forms = {
        "groups": " ".join(told[i : i + 4] for i in range(0, 64, 4)),
        "lines": "\n".join(fingerprint_groups(kit.fingerprint)),
        "upper": told.upper(),
        "prefix": f"sha256:{told}",
        "dots": ".\u00a0".join(told[i : i + 4] for i in range(0, 64, 4)),
        "colons": ":".join(told[i : i + 2] for i in range(0, 64, 2)).upper(),
    }
    done = type_steps([STEPS[2]], good, forms[form])
    assert (done.returncode, done.stdout) == (0, "trust/1.root.json\n")


def test_python_tuf_s_own_client_accepts_the_medium(bundle: Path, kit: ReleaseKit) -> None:
    steps = [STEPS[2], STEPS[3]]
    done = type_steps(steps, bundle, hex_of(kit.fingerprint))
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["trust/1.root.json", "bundle.json"]


def test_python_tuf_s_own_client_refuses_another_bundle_json(bundle: Path, kit: ReleaseKit) -> None:
    path = bundle / "bundle.json"
    path.write_bytes(path.read_bytes().replace(b"web:2.1", b"web:2.2"))
    done = type_steps([STEPS[2], STEPS[3]], bundle, hex_of(kit.fingerprint))
    assert done.stdout.splitlines() == ["trust/1.root.json", "None"]


def test_python_tuf_s_own_client_misses_an_approval(bundle: Path, kit: ReleaseKit) -> None:
    path = bundle / "trust/targets.json"
    key_id = kit.approvers[0].signer.public_key.keyid.encode()
    path.write_bytes(path.read_bytes().replace(key_id, b"0" * 64))
    done = type_steps([STEPS[2], STEPS[3]], bundle, hex_of(kit.fingerprint))
    assert done.returncode != 0
    assert "UnsignedMetadataError" in done.stderr


def test_openssl_verifies_each_detached_signature(bundle: Path, kit: ReleaseKit) -> None:
    done = type_steps([STEPS[5]], bundle, "")
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["Signature Verified Successfully"] * 3


def test_openssl_finds_another_bundle_json(bundle: Path, kit: ReleaseKit) -> None:
    path = bundle / "bundle.json"
    path.write_bytes(path.read_bytes().replace(b"web:2.1", b"web:2.2"))
    done = type_steps([STEPS[5]], bundle, "")
    assert done.stdout.count("NOT a good signature") == 3
    assert "Successfully" not in done.stdout


def test_openssl_finds_a_key_that_is_not_the_root_s(bundle: Path, kit: ReleaseKit) -> None:
    keys = sorted((bundle / "attestations/keys").iterdir())
    keys[0].write_bytes(keys[1].read_bytes())
    shutil.copy(
        bundle / f"attestations/bundle.json.{keys[1].stem}.sig",
        bundle / f"attestations/bundle.json.{keys[0].stem}.sig",
    )
    assert "NOT" not in type_steps([STEPS[5]], bundle, "").stdout
    requires_tool("openssl")
    type_steps(
        ["openssl genpkey -algorithm ed25519 | openssl pkey -pubout >stranger.pem\n"], bundle, ""
    )
    (bundle / "stranger.pem").replace(keys[0])
    said = type_steps([STEPS[5]], bundle, "").stdout
    assert f"NOT a good signature: {keys[0].stem}" in said
    assert f"NOT a key of the root: {keys[0].stem}" in said


def test_skopeo_reads_every_image(bundle: Path) -> None:
    done = type_steps([STEPS[7]], bundle, "")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert sorted(line.split()[1] for line in lines) == sorted(IMAGES)
    assert "NOT" not in done.stdout


def test_skopeo_finds_an_image_that_bundle_json_does_not_name(bundle: Path) -> None:
    """Another manifest, with its blob, and with the lists that do not count brought up to date."""
    index = json.loads((bundle / "index.json").read_bytes())
    entry = next(
        entry
        for entry in index["manifests"]
        if entry["annotations"]["org.opencontainers.image.ref.name"] == IMAGES[0]
    )
    other = b'{"schemaVersion":2,"manifests":[]}'
    entry["digest"], entry["size"] = digest_of(other), len(other)
    (bundle / "blobs/sha256" / hex_of(entry["digest"])).write_bytes(other)
    (bundle / "index.json").write_text(json.dumps(index, separators=(",", ":")))
    done = type_steps([STEPS[7]], bundle, "")
    assert f"NOT in bundle.json: {IMAGES[0]}" in done.stdout
    assert "index.json: FAILED" in type_steps([STEPS[4]], bundle, "").stdout


def test_a_blob_is_found_although_the_list_was_changed_with_it(bundle: Path) -> None:
    blob = min((bundle / "blobs/sha256").iterdir())
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes() + b" ")
    sums = bundle / "SHA256SUMS"
    line = f"{blob.name}  blobs/sha256/{blob.name}"
    changed = f"{hex_of(digest_of(blob.read_bytes()))}  blobs/sha256/{blob.name}"
    sums.write_text(sums.read_text().replace(line, changed))
    assert type_steps([STEPS[1]], bundle, "").returncode == 0
    done = type_steps([STEPS[4]], bundle, "")
    assert f"blobs/sha256/{blob.name}: FAILED" in done.stdout
    assert done.returncode == 1


def test_no_step_writes_to_the_medium(bundle: Path, kit: ReleaseKit) -> None:
    before = {path: path.stat().st_mtime_ns for path in sorted(bundle.rglob("*"))}
    type_steps([STEPS[n] for n in (1, 2, 3, 4, 5, 7)], bundle, hex_of(kit.fingerprint))
    assert {path: path.stat().st_mtime_ns for path in sorted(bundle.rglob("*"))} == before
