"""The files below attestations/: each one that is taken away, added or changed is found."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bundle.base.errors import (
    AttestationError,
    IntegrityError,
    SizeMismatchError,
    ThresholdError,
    UnexpectedFileError,
    UnsafePathError,
)
from bundle.model.attestation import CHANGES, make_statement
from bundle.store.layout import BundleDirectory
from bundle.trust.attestations.checked import (
    CHANGES_NAME,
    PROVENANCE_NAME,
    approval_name,
    key_name,
    signature_name,
)
from bundle.trust.attestations.envelope import sign_statement
from bundle.trust.keys.stored import SigningKey
from bundle.trust.site.state import TrustState
from bundle.trust.verify.verification import verify_accepted, verify_trust
from bundle.trust.verify.verified import VerifiedBundle
from tests.support.trust.release_kit import (
    COMMIT,
    TICKET,
    ReleaseKit,
    approve_by,
    make_bundle,
    release_bundle,
    trusted_bundle,
)


def verified(bundle: Path, state: TrustState) -> VerifiedBundle:
    return verify_trust(BundleDirectory(bundle), state)[0]


def refused(bundle: Path, state: TrustState, name: str, message: str) -> None:
    with pytest.raises(AttestationError, match=message) as error:
        verified(bundle, state)
    assert error.value.message.startswith(f"{name}: ")
    assert error.value.context["file"] == name
    assert error.value.hint


def files_of(bundle: Path) -> list[str]:
    found = (path for path in (bundle / "attestations").rglob("*") if path.is_file())
    return sorted(str(path.relative_to(bundle)) for path in found)


def key_id(key: Any) -> str:
    return str(key.signer.public_key.keyid)


def restate(
    bundle: Path, name: str, signer: SigningKey, change: Callable[[dict[str, Any]], None]
) -> None:
    """Change a statement and sign it, as whoever holds the key could."""
    payload = json.loads(base64.b64decode(json.loads((bundle / name).read_bytes())["payload"]))
    change(payload)
    about = payload["subject"][0]
    made = make_statement(
        about["name"],
        f"sha256:{about['digest']['sha256']}",
        payload["predicateType"],
        payload["predicate"],
    )
    (bundle / name).write_bytes(sign_statement(made, signer))


def test_what_is_attested_is_told(bundle: Path, kit: ReleaseKit, state: TrustState) -> None:
    attested = verified(bundle, state).attestations
    assert [found.name for found in attested.approvals] == ["Ada Example", "Bob Example"]
    assert {found.ticket for found in attested.approvals} == {TICKET}
    assert attested.builder.name == "Build System"
    assert attested.builder.provenance.source.commit == COMMIT
    assert attested.builder.changes.previous is None
    assert list(attested.files) == sorted(attested.files) == files_of(bundle)
    with pytest.raises(AttributeError):
        attested.builder = attested.builder  # type: ignore[misc]


def test_the_files_are_those_of_the_format(bundle: Path, kit: ReleaseKit) -> None:
    ids = [key_id(key) for key in kit.approvers[:2]]
    expected = {PROVENANCE_NAME, CHANGES_NAME, *map(approval_name, ids)}
    for one in (*ids, key_id(kit.builder)):
        expected |= {signature_name(one), key_name(one)}
    assert set(files_of(bundle)) == expected


def test_every_file_that_is_taken_away_is_missed(
    tmp_path: Path, bundle: Path, state: TrustState
) -> None:
    for name in files_of(bundle):
        copy = shutil.copytree(bundle, tmp_path / "copy")
        (copy / name).unlink()
        refused(copy, state, name, "expected this attestation, found none")
        shutil.rmtree(copy)


def test_every_file_that_is_changed_is_named(
    tmp_path: Path, bundle: Path, state: TrustState
) -> None:
    for name in files_of(bundle):
        data = (bundle / name).read_bytes()
        for at in (0, len(data) // 2, len(data) - 1):
            changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            (bundle / name).write_bytes(changed)
            with pytest.raises(AttestationError) as error:
                verified(bundle, state)
            assert error.value.message.startswith("attestations/")
        (bundle / name).write_bytes(data)
    verified(bundle, state)


def test_an_approver_s_files_taken_away_together_are_missed(
    bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    ada = key_id(kit.approvers[0])
    for name in (approval_name(ada), signature_name(ada), key_name(ada)):
        (bundle / name).unlink()
    refused(bundle, state, approval_name(ada), "found none")


def test_the_whole_folder_taken_away_is_missed(bundle: Path, state: TrustState) -> None:
    shutil.rmtree(bundle / "attestations")
    refused(bundle, state, PROVENANCE_NAME, "found none")


def test_an_approval_without_its_signature_is_refused(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    """The other way round: targets.json without Cyd, whose approval is there."""
    before = (bundle / "trust/targets.json").read_bytes()
    approve_by(bundle, kit.approvers[2:])
    assert len(verified(bundle, state).approvers) == 3
    (bundle / "trust/targets.json").write_bytes(before)
    name = approval_name(key_id(kit.approvers[2]))
    refused(bundle, state, name, "did not sign trust/targets.json")


@pytest.mark.parametrize(
    "name",
    [
        "attestations/note.txt",
        "attestations/scan.dsse.json",
        "attestations/approval-0123456789abcdef.dsse.json",
        "attestations/bundle.json.0123456789abcdef.sig",
        "attestations/keys/0123456789abcdef.pem",
        "attestations/.provenance.dsse.json.0123456789ab.tmp",
    ],
)
def test_a_file_too_many_is_refused(bundle: Path, state: TrustState, name: str) -> None:
    shutil.copy(bundle / PROVENANCE_NAME, bundle / name)
    refused(bundle, state, name, "this file does not belong to any")


def test_an_approver_s_key_without_an_approval_is_refused(
    bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    name = key_name(key_id(kit.approvers[2]))
    shutil.copy(bundle / key_name(key_id(kit.approvers[0])), bundle / name)
    refused(bundle, state, name, "this file does not belong to any")


def test_a_folder_too_many_is_refused(bundle: Path, state: TrustState) -> None:
    (bundle / "attestations/more").mkdir()
    with pytest.raises(IntegrityError, match="attestations/more"):
        verified(bundle, state)


def test_too_many_files_are_refused_before_they_are_read(bundle: Path, state: TrustState) -> None:
    for number in range(401):
        (bundle / f"attestations/{number}").touch()
    with pytest.raises(UnexpectedFileError, match="at most 400"):
        verified(bundle, state)


def test_a_file_that_is_too_large_is_refused(
    bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    for name, limit in (
        (PROVENANCE_NAME, 4 << 20),
        (approval_name(key_id(kit.approvers[0])), 1 << 16),
    ):
        before = (bundle / name).read_bytes()
        with (bundle / name).open("ab") as file:
            file.truncate(limit + 1)
        with pytest.raises(SizeMismatchError, match=name):
            verified(bundle, state)
        (bundle / name).write_bytes(before)


def test_links_are_refused(tmp_path: Path, bundle: Path, state: TrustState) -> None:
    outside = shutil.copytree(bundle / "attestations", tmp_path / "outside")
    path = bundle / PROVENANCE_NAME
    path.unlink()
    path.symlink_to(outside / "provenance.dsse.json")
    with pytest.raises(UnsafePathError, match=r"provenance\.dsse\.json"):
        verified(bundle, state)
    shutil.rmtree(bundle / "attestations")
    (bundle / "attestations").symlink_to(outside)
    refused(bundle, state, PROVENANCE_NAME, "found none")


def test_the_approver_s_words_are_theirs_alone(
    bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    """The build system, an approver and a stranger cannot speak for Ada."""
    name = approval_name(key_id(kit.approvers[0]))
    for other in (kit.builder, kit.approvers[1], kit.stranger):
        restate(bundle, name, other.signer, lambda s: s["predicate"].update(ticket="CHG-9"))
        refused(bundle, state, name, "may not sign this")


def test_the_build_system_s_words_are_its_own(
    bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    before = (bundle / PROVENANCE_NAME).read_bytes()
    for name in (PROVENANCE_NAME, CHANGES_NAME):
        for other in (kit.approvers[0], kit.stranger, kit.roots[0]):
            restate(bundle, name, other.signer, lambda s: None)
            refused(bundle, state, name, "may not sign this")
        (bundle / PROVENANCE_NAME).write_bytes(before)


def test_the_build_system_cannot_tell_another_story_afterwards(
    bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    """Approvals name what was approved, so that even its key is of no use later."""

    def other_commit(statement: dict[str, Any]) -> None:
        parameters = statement["predicate"]["buildDefinition"]["internalParameters"]
        parameters["source"]["commit"] = "f" * 40

    restate(bundle, PROVENANCE_NAME, kit.builder.signer, other_commit)
    with pytest.raises(AttestationError, match="the approved provenance and changes are not"):
        verified(bundle, state)


def test_the_changes_cannot_be_told_otherwise_afterwards(
    bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    restate(
        bundle,
        CHANGES_NAME,
        kit.builder.signer,
        lambda s: s["predicate"]["files"].update(added=[]),
    )
    with pytest.raises(AttestationError, match="the approved provenance and changes are not"):
        verified(bundle, state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"approver": "Bob Example"}, "expected the approval of Ada Example, found 'Bob Example'"),
        ({"release": 2}, "expected release 1, found release 2"),
        ({"ticket": " CHG-1"}, "ticket"),
        ({"ticket": "CHG\x1b[2J"}, "ticket"),
        ({"ticket": "   "}, "ticket"),
        ({"more": 1}, "unknown field"),
    ],
    ids=str,
)
def test_what_an_approver_says_must_fit(
    bundle: Path, kit: ReleaseKit, state: TrustState, change: dict[str, Any], message: str
) -> None:
    name = approval_name(key_id(kit.approvers[0]))
    restate(bundle, name, kit.approvers[0].signer, lambda s: s["predicate"].update(change))
    refused(bundle, state, name, message)


def test_the_attestations_of_another_release_are_refused(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    other = trusted_bundle(tmp_path / "other", kit, "2.0.0")
    for name in files_of(bundle):
        before = (bundle / name).read_bytes()
        if (other / name).read_bytes() == before:  # the public keys
            continue
        shutil.copy(other / name, bundle / name)
        with pytest.raises(AttestationError):
            verified(bundle, state)
        (bundle / name).write_bytes(before)
    verified(bundle, state)


def test_the_same_content_as_another_release_needs_its_own_approvals(
    tmp_path: Path, kit: ReleaseKit, state: TrustState
) -> None:
    """bundle.json is the same, the number is not: 1, then something else, then the first again."""
    first = trusted_bundle(tmp_path / "first", kit, "1.0.0")
    trusted_bundle(tmp_path / "second", kit, "2.0.0")
    third = trusted_bundle(tmp_path / "third", kit, "1.0.0")
    assert (first / "bundle.json").read_bytes() == (third / "bundle.json").read_bytes()
    name = approval_name(key_id(kit.approvers[0]))
    shutil.copy(first / name, third / name)
    refused(third, state, name, "expected release 3, found release 1")


def test_a_provenance_of_another_lock_or_bundle_is_refused(
    bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    before = (bundle / PROVENANCE_NAME).read_bytes()
    changes: dict[str, dict[str, Any]] = {
        "a different lock": {"lock": {"digest": {"sha256": "0" * 64}}},
        "another bundle": {"bundle": {"name": "other", "version": "1.0.0"}},
    }
    for message, change in changes.items():
        restate(
            bundle,
            PROVENANCE_NAME,
            kit.builder.signer,
            lambda s, change=change: s["predicate"]["buildDefinition"]["externalParameters"].update(  # type: ignore[misc]
                change
            ),
        )
        refused(bundle, state, PROVENANCE_NAME, message)
        (bundle / PROVENANCE_NAME).write_bytes(before)


def test_one_statement_in_the_place_of_another_is_refused(bundle: Path, state: TrustState) -> None:
    shutil.copy(bundle / PROVENANCE_NAME, bundle / CHANGES_NAME)
    refused(bundle, state, CHANGES_NAME, f"expected a statement {CHANGES}")


def test_a_key_that_is_not_the_root_s_is_refused(
    bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    names = [key_name(key_id(key)) for key in kit.approvers[:2]]
    first, second = ((bundle / name).read_bytes() for name in names)
    (bundle / names[0]).write_bytes(second)
    refused(bundle, state, names[0], "not the key of Ada Example")
    (bundle / names[0]).write_bytes(first + b"\n")
    refused(bundle, state, names[0], "not the key of Ada Example")


def test_what_was_accepted_needs_its_attestations_again(
    bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    directory = BundleDirectory(bundle)
    after = verify_trust(directory, state)[1]
    found = verify_accepted(directory, after)
    assert found.attestations == verified(bundle, state).attestations
    (bundle / approval_name(key_id(kit.approvers[0]))).unlink()
    with pytest.raises(AttestationError, match="found none"):
        verify_accepted(directory, after)


def test_a_bundle_without_approvals_says_that_and_not_what_else_is_missing(
    tmp_path: Path, kit: ReleaseKit, state: TrustState
) -> None:
    bundle = make_bundle(tmp_path / "fresh")
    release_bundle(bundle, kit)
    with pytest.raises(ThresholdError, match="0 of 2 approvals"):
        verified(bundle, state)
