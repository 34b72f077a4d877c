"""What a build attests, and the releases that a release folder keeps to compare with."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Root, Snapshot, Timestamp

from bundle.base.errors import AttestationError, FormatError
from bundle.model.changes import MAX_CHANGES, Changes
from bundle.store.layout import BundleDirectory
from bundle.store.sums import write_sums
from bundle.trust.attestations.checked import (
    CHANGES_NAME,
    PROVENANCE_NAME,
    key_name,
    signature_name,
)
from bundle.trust.keys.stored import generate_key
from bundle.trust.site.state import TrustState
from bundle.trust.verify.verification import verify_trust
from bundler.release.build_record import renew_build_record, write_build_record
from bundler.release.history import record_release, release_before
from bundler.release.publish import Unreleased, write_trust
from bundler.release.review import review
from tests.support.trust.release_kit import (
    KeyFile,
    ReleaseKit,
    approve_all,
    build_run,
    make_bundle,
    now,
    release_bundle,
    trusted_bundle,
)


def changes_of(bundle: Path) -> Changes:
    return review(BundleDirectory(bundle), now()).builder.changes


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_first_release_has_none_before_it(tmp_path: Path, kit: ReleaseKit) -> None:
    bundle = make_bundle(tmp_path / "one")
    release_bundle(bundle, kit)
    changes = changes_of(bundle)
    assert (changes.release, changes.previous) == (1, None)
    assert [item.name for item in changes.files.added] == ["https://files.example.org/file"]


def test_a_release_is_compared_with_the_one_before(tmp_path: Path, kit: ReleaseKit) -> None:
    for number in (1, 2, 3):
        bundle = make_bundle(tmp_path / str(number), str(number).encode(), f"{number}.0.0")
        release_bundle(bundle, kit)
    changes = changes_of(tmp_path / "3")
    assert changes.release == 3
    assert changes.previous is not None
    assert (changes.previous.release, changes.previous.version) == (2, "2.0.0")
    (moved,) = changes.files.moved
    assert moved.name == "https://files.example.org/file"
    assert not changes.files.added + changes.files.removed
    assert not changes.vulnerabilities.scanned


def test_building_again_compares_with_the_same_release(tmp_path: Path, kit: ReleaseKit) -> None:
    release_bundle(make_bundle(tmp_path / "1", b"1", "1.0.0"), kit)
    bundle = make_bundle(tmp_path / "2", b"2", "2.0.0")
    assert release_bundle(bundle, kit) == 2
    before = (bundle / CHANGES_NAME).read_bytes()
    assert release_bundle(bundle, kit, now() + timedelta(minutes=1)) == 2
    assert (bundle / CHANGES_NAME).read_bytes() == before
    assert sorted(path.name for path in (kit.release / "releases").iterdir()) == ["1", "2"]


def test_a_number_that_a_killed_build_left_is_given_to_the_next(tmp_path: Path) -> None:
    """releases/2 was written, and the power failed before targets.json named 2."""
    release = tmp_path / "release"
    release.mkdir()
    manifests = [
        (make_bundle(tmp_path / n, n.encode(), n) / "bundle.json").read_bytes() for n in "123"
    ]
    record_release(release, 1, manifests[0])
    record_release(release, 2, manifests[1])
    (release / "releases/2/.bundle.json.0123456789ab.tmp").write_bytes(b"{")
    record_release(release, 2, manifests[2])
    assert tree(release) == {
        "releases/1/bundle.json": manifests[0],
        "releases/2/bundle.json": manifests[2],
    }
    found = release_before(release, 2)
    assert found is not None
    assert (found.release, found.data) == (1, manifests[0])
    assert release_before(release, 1) is None


def test_a_damaged_earlier_release_is_an_error(tmp_path: Path, kit: ReleaseKit) -> None:
    release_bundle(make_bundle(tmp_path / "1", b"1", "1.0.0"), kit)
    (kit.release / "releases/1/bundle.json").write_bytes(b"{}")
    with pytest.raises(FormatError, match=r"releases/1/bundle\.json"):
        release_bundle(make_bundle(tmp_path / "2", b"2", "2.0.0"), kit)


def test_what_lies_in_releases_and_is_none_is_passed_over(tmp_path: Path) -> None:
    for name in ("0", "01", "x", "-1", "3"):
        (tmp_path / "releases" / name).mkdir(parents=True)
    data = (make_bundle(tmp_path / "b") / "bundle.json").read_bytes()
    (tmp_path / "releases/3/bundle.json").write_bytes(data)
    found = release_before(tmp_path, 9)
    assert found is not None
    assert found.release == 3


def test_a_build_leaves_nothing_of_another_one(tmp_path: Path, kit: ReleaseKit) -> None:
    bundle = make_bundle(tmp_path / "b")
    (bundle / "attestations/keys").mkdir(parents=True)
    (bundle / "attestations/keys/0123456789abcdef.pem").write_bytes(b"x")
    (bundle / "attestations/old.dsse.json").write_bytes(b"x")
    (bundle / "attestations/.x.0123456789ab.tmp").write_bytes(b"x")
    release_bundle(bundle, kit)
    builder = kit.builder.signer.public_key.keyid
    assert set(tree(bundle / "attestations")) == {
        name.removeprefix("attestations/")
        for name in (PROVENANCE_NAME, CHANGES_NAME, key_name(builder), signature_name(builder))
    }


def test_a_build_that_was_approved_keeps_what_was_approved(
    bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    before = tree(bundle)
    run = build_run(kit, now() + timedelta(hours=1))
    write_build_record(bundle, kit.release, 1, run, kit.builder.signer)
    assert tree(bundle) == before
    verify_trust(BundleDirectory(bundle), state)


def _new_builder(kit: ReleaseKit, folder: Path) -> KeyFile:
    """Give the build system another key, by the root's chain."""
    new = KeyFile("New Build System", folder, generate_key("New Build System"))
    metadata: Metadata[Root] = Metadata.from_bytes((kit.release / "1.root.json").read_bytes())
    metadata.signed.version = 2
    for role in (Snapshot.type, Timestamp.type):
        metadata.signed.revoke_key(kit.builder.signer.public_key.keyid, role)
        metadata.signed.add_key(new.signer.public_key, role)
    metadata.signatures.clear()
    for key in kit.roots:
        metadata.sign(key.signer, append=True)
    (kit.release / "2.root.json").write_bytes(metadata.to_bytes())
    return new


def test_a_new_builder_s_key_signs_anew_what_the_old_one_said(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    before = review(BundleDirectory(bundle), now()).builder
    new = _new_builder(kit, tmp_path)
    data = (bundle / "bundle.json").read_bytes()
    assert write_trust(Unreleased(bundle, data), kit.release, new.signer, now()) == 1
    write_sums(bundle, review(BundleDirectory(bundle), now()).manifest)
    verified, _ = verify_trust(BundleDirectory(bundle), state)
    assert len(verified.approvers) == 2
    after = verified.attestations.builder
    assert (after.provenance, after.statements) == (before.provenance, before.statements)
    assert after.name == "New Build System"
    assert not (bundle / key_name(kit.builder.signer.public_key.keyid)).exists()


def test_a_renewal_that_was_cut_short_is_completed(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    """Of the four files of the new key, only some are there yet."""
    new = _new_builder(kit, tmp_path)
    data = (bundle / "bundle.json").read_bytes()
    done = shutil.copytree(bundle, tmp_path / "done")
    write_trust(Unreleased(done, data), kit.release, new.signer, now())
    for name in (PROVENANCE_NAME, CHANGES_NAME, key_name(new.signer.public_key.keyid)):
        half = shutil.copytree(bundle, tmp_path / "half")
        shutil.copytree(done / "trust", half / "trust", dirs_exist_ok=True)
        shutil.copy(done / name, half / name)
        with pytest.raises(AttestationError):
            verify_trust(BundleDirectory(half), state)
        write_trust(Unreleased(half, data), kit.release, new.signer, now())
        assert len(verify_trust(BundleDirectory(half), state)[0].approvers) == 2
        shutil.rmtree(half)


def test_a_bundle_that_gets_another_number_is_compared_anew_and_approved_anew(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    trusted_bundle(tmp_path / "two", kit, "2.0.0")
    data = (bundle / "bundle.json").read_bytes()
    assert write_trust(Unreleased(bundle, data), kit.release, kit.builder.signer, now()) == 3
    seen = review(BundleDirectory(bundle), now())
    assert (seen.release, seen.approved) == (3, ())
    previous = seen.builder.changes.previous
    assert previous is not None
    assert previous.release == 2
    approve_all(bundle, kit)
    assert verify_trust(BundleDirectory(bundle), state)[0].release == 3


def test_what_no_build_system_signed_is_not_signed_anew(
    tmp_path: Path, bundle: Path, kit: ReleaseKit
) -> None:
    path = bundle / PROVENANCE_NAME
    path.write_bytes(path.read_bytes().replace(b'"sig":"', b'"sig":"AAAA'))
    before = tree(bundle / "attestations")
    renew_build_record(bundle, kit.release, 1, _new_builder(kit, tmp_path).signer)
    assert tree(bundle / "attestations") == before


def test_the_lists_are_bounded_and_say_so(tmp_path: Path, kit: ReleaseKit) -> None:
    bundle = make_bundle(tmp_path / "b")
    path = bundle / "bundle.json"
    manifest = json.loads(path.read_bytes())
    digest = manifest["blobs"][0]["digest"]
    count = MAX_CHANGES + 5
    manifest["files"] = [
        {"digest": digest, "url": f"https://files.example.org/{n:06}"} for n in range(count)
    ]
    path.write_text(json.dumps(manifest, sort_keys=True, separators=(",", ":")))
    release_bundle(bundle, kit)
    changes = changes_of(bundle)
    assert (len(changes.files.added), changes.files.left_out) == (MAX_CHANGES, 5)
    assert changes.files.count == count
