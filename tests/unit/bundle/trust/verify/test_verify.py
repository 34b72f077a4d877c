"""Verifying: the good way, rotation of keys, and what only bundle.trust can make."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.ngclient import Updater, UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface

from bundle.base.errors import CouldNotVerifyError, RollbackError, SignatureError, UnknownKeyError
from bundle.store.layout import BundleDirectory
from bundle.trust.keys.stored import generate_key
from bundle.trust.site.state import TrustState, find_state
from bundle.trust.verify.verification import verify_accepted, verify_trust
from bundle.trust.verify.verified import VerifiedBundle
from bundler.release.publish import Unreleased, write_trust
from tests.support.trust.release_kit import (
    KeyFile,
    ReleaseKit,
    approve_all,
    approve_by,
    enrolled,
    make_bundle,
    make_key,
    make_release,
    now,
    release_bundle,
    trusted_bundle,
)


def verify(path: Path, state: TrustState) -> TrustState:
    return verify_trust(BundleDirectory(path), state)[1]


def rotate(kit: ReleaseKit, change: Callable[[Root], None], *signers: KeyFile) -> Path:
    """Write the next root version, signed by `signers` (the root keys if none are given)."""
    version = 1
    while (kit.release / f"{version + 1}.root.json").exists():
        version += 1
    metadata: Metadata[Root] = Metadata.from_bytes(
        (kit.release / f"{version}.root.json").read_bytes()
    )
    metadata.signed.version += 1
    change(metadata.signed)
    metadata.signatures.clear()
    for key in signers or kit.roots:
        metadata.sign(key.signer, append=True)
    path = kit.release / f"{version + 1}.root.json"
    path.write_bytes(metadata.to_bytes())
    return path


def replace_approver(kit: ReleaseKit, new: KeyFile) -> Callable[[Root], None]:
    def change(root: Root) -> None:
        root.revoke_key(kit.approvers[0].signer.public_key.keyid, Targets.type)
        root.add_key(new.signer.public_key, Targets.type)

    return change


def test_a_verified_bundle_says_who_vouches_for_it(
    bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    verified, _ = verify_trust(BundleDirectory(bundle), state)
    by_role: dict[str, set[str]] = {}
    for signer in verified.signers:
        by_role.setdefault(signer.role, set()).add(signer.name)
    assert by_role == {
        "root": {"Rhea Root", "Rolf Root"},
        "targets": {"Ada Example", "Bob Example"},
        "snapshot": {"Build System"},
        "timestamp": {"Build System"},
    }
    assert verified.manifest_bytes == (bundle / "bundle.json").read_bytes()
    assert verified.manifest.metadata.name == "tiny"
    assert (verified.release, verified.root_version) == (1, 1)
    assert verified.root_fingerprint == kit.fingerprint
    assert now() + timedelta(days=89) < verified.expires <= now() + timedelta(days=90)
    assert dict(verified.trust_files) == {
        f"trust/{path.name}": path.read_bytes() for path in (bundle / "trust").iterdir()
    }


def test_a_site_moves_from_release_to_release(
    tmp_path: Path, kit: ReleaseKit, state: TrustState
) -> None:
    for number in (1, 2, 5):
        path = trusted_bundle(tmp_path / str(number), kit, f"{number}.0.0")
        state = verify(path, state)
        state = verify(path, state)
    assert [entry.release for entry in state.accepted] == [1, 2, 3]


def test_a_third_approval_of_the_same_release_is_fine(
    bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    state = verify(bundle, state)
    approve_by(bundle, kit.approvers[2:])
    verified, after = verify_trust(BundleDirectory(bundle), state)
    assert len(verified.approvers) == 3
    assert len(after.accepted) == 1


@pytest.mark.parametrize("make", [copy.copy, pickle.dumps, dataclasses.replace])
def test_a_verified_bundle_is_not_copied(
    bundle: Path, state: TrustState, make: Callable[[Any], Any]
) -> None:
    verified, _ = verify_trust(BundleDirectory(bundle), state)
    with pytest.raises((TypeError, ValueError)):
        make(verified)


def test_nobody_else_makes_a_verified_bundle(bundle: Path, state: TrustState) -> None:
    verified, _ = verify_trust(BundleDirectory(bundle), state)
    fields = {f.name: getattr(verified, f.name) for f in dataclasses.fields(verified)}
    for maker in (None, object(), True):
        with pytest.raises(TypeError, match=r"bundle\.trust"):
            VerifiedBundle(**fields, maker=maker)
    with pytest.raises(TypeError):
        VerifiedBundle(**fields)
    with pytest.raises(dataclasses.FrozenInstanceError):
        verified.release = 2  # type: ignore[misc]
    with pytest.raises(TypeError, match="extended"):
        type("Sub", (VerifiedBundle,), {})


def test_root_keys_rotate_by_their_chain(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    state = verify(bundle, state)
    new = make_key(tmp_path / "more keys", "Dan Example")
    rotate(kit, replace_approver(kit, new))
    rotate(kit, lambda root: None)
    second = make_bundle(tmp_path / "second", b"second")
    release_bundle(second, kit)
    with pytest.raises(UnknownKeyError):
        approve_by(second, kit.approvers[:1])
    approve_by(second, [new, kit.approvers[1]])
    verified, after = verify_trust(BundleDirectory(second), state)
    assert set(verified.approvers) == {"Dan Example", "Bob Example"}
    assert verified.root_version == 3
    assert verified.root_fingerprint == kit.fingerprint
    assert len(after.roots) == 3
    assert find_state(BundleDirectory(second), [after]) == after
    # What was accepted under the first root stays good under the root of that day.
    assert verify_accepted(BundleDirectory(bundle), after).root_version == 1
    with pytest.raises((RollbackError, UnknownKeyError)):
        verify(bundle, after)


def test_a_root_that_the_one_before_did_not_sign_is_refused(
    tmp_path: Path, kit: ReleaseKit, state: TrustState
) -> None:
    thief = make_key(tmp_path / "thief", "Thea Thief")
    good = trusted_bundle(tmp_path / "bundle", kit)

    def take_over(root: Root) -> None:
        for key_id in list(root.roles[Root.type].keyids):
            root.revoke_key(key_id, Root.type)
        root.add_key(thief.signer.public_key, Root.type)
        root.roles[Root.type].threshold = 1

    stolen = rotate(kit, take_over, thief)
    (good / "trust" / stolen.name).write_bytes(stolen.read_bytes())
    with pytest.raises(SignatureError, match=r"trust/2\.root\.json"):
        verify(good, state)


def test_a_site_that_enrolled_a_later_root_accepts_its_bundles(
    tmp_path: Path, kit: ReleaseKit
) -> None:
    second = rotate(kit, lambda root: None)
    later = dataclasses.replace(kit, fingerprint="sha256:" + _sha256(second.read_bytes()))
    state = enrolled(tmp_path / "late depot", later)
    bundle = trusted_bundle(tmp_path / "bundle", kit)
    verified, after = verify_trust(BundleDirectory(bundle), state)
    assert verified.root_version == 2
    assert len(after.roots) == 1


def test_a_root_that_the_site_knows_need_not_be_on_the_medium(tmp_path: Path) -> None:
    """The first root is expired; the site knows the second one, which the medium leaves out."""
    kit = make_release(tmp_path / "vendor", now() - timedelta(days=800))

    def renew(root: Root) -> None:
        root.expires = now() + timedelta(days=700)

    rotate(kit, renew)
    state = enrolled(tmp_path / "depot", kit)
    state = verify(trusted_bundle(tmp_path / "first", kit), state)
    second = trusted_bundle(tmp_path / "second", kit, "2.0.0")
    (second / "trust/2.root.json").unlink()
    assert verify_trust(BundleDirectory(second), state)[0].root_version == 2


def test_a_new_builder_s_key_is_taken_over(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    state = verify(bundle, state)
    builder = KeyFile("New Build System", tmp_path, generate_key("New Build System"))
    old = kit.builder.signer.public_key.keyid

    def change(root: Root) -> None:
        for role in (Snapshot.type, Timestamp.type):
            root.revoke_key(old, role)
            root.add_key(builder.signer.public_key, role)

    rotate(kit, change)
    data = (bundle / "bundle.json").read_bytes()
    assert write_trust(Unreleased(bundle, data), kit.release, builder.signer, now()) == 1
    verified, _ = verify_trust(BundleDirectory(bundle), state)
    assert {s.name for s in verified.signers if s.role == "timestamp"} == {"New Build System"}


def test_what_was_accepted_stays_good_and_nothing_else(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    after = verify(bundle, state)
    directory = BundleDirectory(bundle)
    assert verify_accepted(directory, after).release == 1
    with pytest.raises(CouldNotVerifyError, match="no record"):
        verify_accepted(directory, state)
    other = trusted_bundle(tmp_path / "other", kit, "2.0.0")
    with pytest.raises(CouldNotVerifyError, match="no record"):
        verify_accepted(BundleDirectory(other), after)


def test_what_was_accepted_is_checked_again(bundle: Path, state: TrustState) -> None:
    after = verify(bundle, state)
    path = bundle / "trust/targets.json"
    data = path.read_bytes()
    at = data.index(b'"sig":"') + 7
    path.write_bytes(data[:at] + (b"1" if data[at : at + 1] == b"0" else b"0") + data[at + 1 :])
    with pytest.raises(SignatureError, match=r"trust/targets\.json"):
        verify_accepted(BundleDirectory(bundle), after)


def test_a_stock_tuf_client_accepts_the_bundle(tmp_path: Path, kit: ReleaseKit) -> None:
    """An auditor needs no code of ours: python-tuf alone, with trust/ as its repository."""
    path = make_bundle(tmp_path / "bundle")
    release_bundle(path, kit)
    approve_all(path, kit)

    class Files(FetcherInterface):
        def _fetch(self, url: str) -> Any:
            from tuf.api.exceptions import DownloadHTTPError

            file = path / url.removeprefix("file:").lstrip("/")
            if not file.is_file():
                raise DownloadHTTPError("not found", 404)
            return iter([file.read_bytes()])

    client = tmp_path / "client"
    client.mkdir()
    updater = Updater(
        str(client),
        "file:trust/",
        str(client),
        "file:",
        Files(),
        UpdaterConfig(),
        bootstrap=(path / "trust/1.root.json").read_bytes(),
    )
    target = updater.get_targetinfo("bundle.json")
    assert target is not None
    assert Path(updater.download_target(target)).read_bytes() == (path / "bundle.json").read_bytes()


def _sha256(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()
