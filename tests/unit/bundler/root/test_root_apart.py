"""Ceremonies apart: requests, responses, and everything that can be wrong with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, Root

from bundle.base.canonical import canonical_json
from bundle.base.errors import (
    ExpiredError,
    FormatError,
    IsowardError,
    MixedMetadataError,
    SignatureError,
    SizeMismatchError,
    TrustError,
    UnknownKeyError,
    UsageError,
)
from bundler.root.ceremony import RootPlan, create_root
from bundler.root.changes import add, rotate, set_thresholds
from bundler.root.draft import amend, read_pending, sign_pending, with_signature
from bundler.root.explain import counts_for, explain, page
from bundler.root.request import check_unexpired_draft, collect, read_request
from tests.support.trust.release_kit import KeyFile, ReleaseKit, make_key, make_release, now
from tests.support.trust.root_life import advance, draft, export, later, roots_of, signed_request


@pytest.fixture
def dora(tmp_path: Path) -> KeyFile:
    return make_key(tmp_path / "more", "Dora Example")


@pytest.fixture
def request_file(tmp_path: Path, kit: ReleaseKit, dora: KeyFile) -> Path:
    """A request that makes Dora an approver."""
    draft(kit.release, add([], [dora.signer.public_key]))
    return export(kit.release, tmp_path / "request.json")


def responses(request: Path, *keys: KeyFile) -> tuple[Path, ...]:
    return tuple(
        signed_request(request, key.signer, request.with_name(f"{key.path.stem}.json"))
        for key in keys
    )


def test_signatures_are_collected_to_a_root(kit: ReleaseKit, request_file: Path) -> None:
    first, second = responses(request_file, *kit.roots)
    done = collect(kit.release, (first,))
    assert (done.taken, done.pending.missing) == (("Rhea Root",), (1, 1))
    done = collect(kit.release, (second,))
    assert (done.taken, done.pending.complete) == (("Rolf Root",), True)
    assert roots_of(kit.release) == ["1.root.json", "2.root.json"]


def test_responses_may_come_at_once_twice_and_late(kit: ReleaseKit, request_file: Path) -> None:
    files = responses(request_file, *kit.roots)
    assert collect(kit.release, (*files, *files)).taken == ("Rhea Root", "Rolf Root")
    before = (kit.release / "2.root.json").read_bytes()
    again = collect(kit.release, files)
    assert (again.taken, again.pending.complete) == ((), True)
    assert (kit.release / "2.root.json").read_bytes() == before


def test_one_file_may_go_from_holder_to_holder(kit: ReleaseKit, request_file: Path) -> None:
    for key in kit.roots:
        signed_request(request_file, key.signer, request_file)
    assert collect(kit.release, (request_file,)).taken == ("Rhea Root", "Rolf Root")


def test_the_first_root_can_be_signed_apart(tmp_path: Path, kit: ReleaseKit) -> None:
    plan = RootPlan(
        tuple(k.signer.public_key for k in kit.roots), 2,
        tuple(k.signer.public_key for k in kit.approvers), 2,
        kit.builder.signer.public_key, now() + timedelta(days=9),
    )  # fmt: skip
    release = tmp_path / "apart"
    create_root(release, plan, [], now())
    request = export(release, tmp_path / "request.json")
    assert "the first root" in " ".join(page(explain(read_request(request))))
    done = collect(release, responses(request, *kit.roots))
    assert (done.taken, done.pending.complete) == (("Rhea Root", "Rolf Root"), True)
    assert collect(release, responses(request, *kit.roots)).taken == ()


def test_signing_again_changes_nothing(kit: ReleaseKit, request_file: Path) -> None:
    (first,) = responses(request_file, kit.roots[0])
    data = first.read_bytes()
    signed_request(first, kit.roots[0].signer, first)
    assert first.read_bytes() == data


def test_a_signature_more_than_is_needed_is_not_taken(
    tmp_path: Path, kit: ReleaseKit, dora: KeyFile
) -> None:
    advance(kit, add([dora.signer.public_key], []))
    draft(kit.release)
    request = export(kit.release, tmp_path / "request.json")
    done = collect(kit.release, responses(request, *kit.roots, dora))
    assert (len(done.taken), len(done.pending.draft.signatures)) == (2, 2)


def test_a_new_root_key_holder_signs_as_well(
    tmp_path: Path, kit: ReleaseKit, dora: KeyFile
) -> None:
    draft(kit.release, rotate("Rhea Root", dora.signer.public_key))
    request = export(kit.release, tmp_path / "request.json")
    pending = read_request(request)
    counts = [counts_for(pending, key.signer.public_key.keyid) for key in (*kit.roots, dora)]
    old, new = "the present root (version 1)", "the new root (version 2)"
    assert counts == [(old,), (old, new), (new,)]
    done = collect(kit.release, responses(request, kit.roots[1], dora))
    assert done.pending.missing == (1, 0)
    assert collect(kit.release, responses(request, kit.roots[0])).pending.complete


def test_a_holder_is_told_in_words(tmp_path: Path, kit: ReleaseKit, dora: KeyFile) -> None:
    new = make_key(tmp_path / "new", "Ada Example", "ml-dsa-65")
    draft(
        kit.release,
        add([], [dora.signer.public_key]),
        rotate("Ada Example", new.signer.public_key),
        set_thresholds(1, 3),
        later(),
    )
    told = explain(read_request(export(kit.release, tmp_path / "request.json")))
    text = "\n".join(page(told))
    for words in (
        "root version 2",
        "replaces version 1",
        "Dora Example is an approver, and decides with others what is released",
        "Ada Example, approver, gets a new key: ed25519",
        "-> ml-dsa-65",
        "approvals needed for a release: 2 -> 3",
        "signatures needed to change the root: 2 -> 1",
        "the root is valid until",
        "approver: 3 of Ada Example",
        "Signed so far by: nobody",
        "2 of version 1's root key holders and 1 of version 2's",
    ):
        assert words in text
    assert kit.fingerprint.removeprefix("sha256:") in text.replace(" ", "").replace("\n", "")


def test_everybody_sees_the_same_check_value(kit: ReleaseKit, request_file: Path) -> None:
    unsigned = read_request(request_file).check_value
    (first,) = responses(request_file, kit.roots[0])
    assert read_request(first).check_value == unsigned
    draft(kit.release, set_thresholds(None, 3))
    pending = read_pending(kit.release)
    assert pending is not None
    assert pending.check_value != unsigned


@pytest.mark.parametrize("who", ["approver", "builder", "stranger"])
def test_only_root_key_holders_sign(kit: ReleaseKit, request_file: Path, who: str) -> None:
    key = {"approver": kit.approvers[0], "builder": kit.builder, "stranger": kit.stranger}[who]
    with pytest.raises(UnknownKeyError, match="Rhea Root, Rolf Root"):
        with_signature(read_request(request_file), key.signer)


def test_an_expired_draft_is_not_signed(request_file: Path) -> None:
    pending = read_request(request_file)
    check_unexpired_draft(pending, now())
    with pytest.raises(ExpiredError):
        check_unexpired_draft(pending, now() + timedelta(days=1000))


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Change the draft in a request, keeping its signatures."""
    fields = json.loads(path.read_bytes())
    inner = json.loads(fields["draft"])
    change(inner)
    fields["draft"] = json.dumps(inner, separators=(",", ":"), sort_keys=True)
    path.write_bytes(canonical_json(fields))
    return path


def untouched(
    kit: ReleaseKit, files: tuple[Path, ...], error: type[IsowardError], says: str
) -> None:
    """Check that collecting is refused, and that the release folder stays as it was."""
    before = {path: path.read_bytes() for path in kit.release.rglob("*.json")}
    with pytest.raises(error, match=says):
        collect(kit.release, files)
    assert {path: path.read_bytes() for path in kit.release.rglob("*.json")} == before


def test_an_altered_draft_is_refused(kit: ReleaseKit, request_file: Path) -> None:
    first, second = responses(request_file, *kit.roots)
    edit(second, lambda root: root["signed"]["roles"]["targets"].update(threshold=3))
    untouched(kit, (first, second), SignatureError, "it was altered")


def test_another_draft_is_refused(kit: ReleaseKit, request_file: Path) -> None:
    files = responses(request_file, *kit.roots)
    draft(kit.release, set_thresholds(None, 3))
    untouched(kit, files, MixedMetadataError, "for another draft, version 2")


def test_a_draft_of_another_version_is_refused(kit: ReleaseKit, request_file: Path) -> None:
    files = responses(request_file, *kit.roots)
    collect(kit.release, files)
    draft(kit.release)
    untouched(kit, files, MixedMetadataError, "version 2; the one waiting here is version 3")


def test_another_vendor_s_request_is_refused(
    tmp_path: Path, kit: ReleaseKit, request_file: Path
) -> None:
    other = make_release(tmp_path / "other")
    draft(other.release)
    theirs = export(other.release, tmp_path / "theirs.json")
    untouched(kit, responses(theirs, *other.roots), MixedMetadataError, "another draft")


def test_a_signature_that_does_not_verify_is_refused(kit: ReleaseKit, request_file: Path) -> None:
    first, second = responses(request_file, *kit.roots)
    edit(second, lambda root: root["signatures"][0].update(sig="ab" * 64))
    untouched(kit, (first, second), SignatureError, "Rolf Root is not valid")


def test_a_stranger_s_signature_is_refused(kit: ReleaseKit, request_file: Path) -> None:
    first, second = responses(request_file, *kit.roots)

    def forge(root: dict[str, Any]) -> None:
        metadata: Metadata[Root] = Metadata.from_dict(json.loads(json.dumps(root)))
        metadata.sign(kit.stranger.signer, append=True)
        root["signatures"] = [s.to_dict() for s in metadata.signatures.values()]

    edit(second, forge)
    untouched(kit, (first, second), UnknownKeyError, "not a key of the role root")


def test_a_response_to_another_present_root_is_refused(kit: ReleaseKit, request_file: Path) -> None:
    """Its holder was told other changes than those that are made."""
    first, second = responses(request_file, *kit.roots)
    fields = json.loads(second.read_bytes())
    present = json.loads(fields["present"])
    present["signatures"] = present["signatures"][:1]
    fields["present"] = json.dumps(present, separators=(",", ":"), sort_keys=True)
    second.write_bytes(canonical_json(fields))
    untouched(kit, (first, second), MixedMetadataError, "shown a different present root")


def test_nothing_is_collected_where_nothing_waits(kit: ReleaseKit, request_file: Path) -> None:
    from bundler.root.draft import discard

    files = responses(request_file, *kit.roots)
    discard(kit.release)
    untouched(kit, files, MixedMetadataError, "another draft")


MALFORMED = {
    "empty": b"",
    "no JSON": b"nothing",
    "an array": b"[]",
    "deep": b"[" * 100_000,
    "another kind": b'{"apiVersion":"isoward/v1","draft":"","kind":"Bundle"}',
    "another version": b'{"apiVersion":"isoward/v2","draft":"","kind":"SigningRequest"}',
    "white space": b'{"apiVersion":"isoward/v1", "draft":"","kind":"SigningRequest"}',
    "unknown field": b'{"apiVersion":"isoward/v1","draft":"","kind":"SigningRequest","x":1}',
    "number for text": b'{"apiVersion":"isoward/v1","draft":1,"kind":"SigningRequest"}',
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_no_request_is_refused(tmp_path: Path, kit: ReleaseKit, case: str) -> None:
    path = tmp_path / "request.json"
    path.write_bytes(MALFORMED[case])
    draft(kit.release)
    with pytest.raises(FormatError):
        read_request(path)
    untouched(kit, (path,), FormatError, "request")


def test_a_huge_request_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_bytes(b" " * 3_000_000)
    with pytest.raises(SizeMismatchError):
        read_request(tmp_path / "request.json")


Parts = dict[str, Any]
"""A request, taken apart: the draft and the present root as plain data."""

HOSTILE: dict[str, Callable[[Parts, str], object]] = {
    "an empty draft": lambda parts, _: parts.update(draft=None),
    "a draft of the present version": lambda parts, _: parts.update(draft=parts["present"]),
    "a present root that nobody signed": lambda parts, _: parts["present"].update(signatures=[]),
    "a present root that was altered": lambda parts, _: _role(parts, "present", "root").update(
        threshold=1
    ),
    "no present root for a later draft": lambda parts, _: parts.update(present=None),
    "a jump over a version": lambda parts, _: parts["draft"]["signed"].update(version=3),
    "a field that nobody can explain": lambda parts, _: parts["draft"]["signed"].update(
        {"x-isoward-secret": True}
    ),
    "the builder approves": lambda parts, builder: _role(parts, "draft", "targets")[
        "keyids"
    ].append(builder),
    "one approval": lambda parts, _: _role(parts, "draft", "targets").update(threshold=1),
    "a signature of somebody else": lambda parts, _: parts["draft"].update(
        signatures=[{"keyid": "ab" * 32, "sig": "ab" * 64}]
    ),
    "a signature twice": lambda parts, builder: parts["draft"].update(
        signatures=[{"keyid": builder, "sig": "ab" * 64}] * 2
    ),
}


def _role(parts: Parts, which: str, role: str) -> dict[str, Any]:
    found: dict[str, Any] = parts[which]["signed"]["roles"][role]
    return found


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_request_is_not_even_shown(
    kit: ReleaseKit, request_file: Path, case: str
) -> None:
    fields = json.loads(request_file.read_bytes())
    parts = {name: json.loads(fields[name]) for name in ("draft", "present")}
    HOSTILE[case](parts, kit.builder.signer.public_key.keyid)
    for name, root in parts.items():
        text = json.dumps(root, separators=(",", ":"), sort_keys=True)
        fields[name] = "" if root is None else text
    if not fields["present"]:
        del fields["present"]
    before = request_file.read_bytes()
    request_file.write_bytes(canonical_json(fields))
    assert request_file.read_bytes() != before
    with pytest.raises(TrustError):
        read_request(request_file)


def test_a_forged_present_root_hides_nothing_of_what_holds_then(
    tmp_path: Path, kit: ReleaseKit, dora: KeyFile
) -> None:
    """A request names a stranger's root, in which Dora approves already, as the present one."""
    stranger = make_release(tmp_path / "stranger")
    draft(kit.release, add([], [dora.signer.public_key]))
    request = export(kit.release, tmp_path / "request.json")
    theirs: Metadata[Root] = Metadata.from_bytes((kit.release / "1.root.json").read_bytes())
    theirs.signed.add_key(dora.signer.public_key, "targets")
    theirs.signed.roles["root"].threshold = 1
    theirs.signed.add_key(stranger.stranger.signer.public_key, "root")
    theirs.signatures.clear()
    theirs.sign(stranger.stranger.signer)
    fields = json.loads(request.read_bytes())
    fields["present"] = theirs.to_bytes().decode()
    request.write_bytes(canonical_json(fields))
    told = explain(read_request(request))
    assert not any("Dora" in change for change in told.changes)
    assert any("Dora Example" in line for line in told.roles)
    assert told.present_fingerprint != kit.fingerprint
    untouched(kit, responses(request, *kit.roots), MixedMetadataError, "a different present root")


def test_a_request_needs_something_that_waits(kit: ReleaseKit) -> None:
    from bundler.root.draft import require_pending

    with pytest.raises(UsageError, match="no draft of a root"):
        require_pending(kit.release)
    amend(kit.release, [later()], now())
    assert require_pending(kit.release).version == 2
    for key in kit.roots:
        sign_pending(kit.release, key.signer)
    with pytest.raises(UsageError, match="no draft of a root"):
        require_pending(kit.release)
