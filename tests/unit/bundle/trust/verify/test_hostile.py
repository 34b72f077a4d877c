"""Media that somebody tampered with: each one is refused, and the file is named."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import (
    Metadata,
    Root,
    Targets,
)

from bundle.base.errors import (
    DigestMismatchError,
    IsowardError,
    MissingBlobError,
    NotEnrolledError,
    SignatureError,
    SizeMismatchError,
    ThresholdError,
    TrustError,
    UnexpectedFileError,
    UnknownKeyError,
    UnsafePathError,
)
from bundle.trust.site.state import TrustState
from tests.support.trust.edit import FILES, edit, verify
from tests.support.trust.release_kit import (
    ReleaseKit,
    approve_by,
    make_bundle,
    make_release,
    release_bundle,
    trusted_bundle,
)


def test_unsigned_metadata_is_refused(bundle: Path, state: TrustState) -> None:
    for name in FILES:
        path = bundle / "trust" / name
        before = path.read_bytes()
        edit(bundle, name, lambda m: m.signatures.clear())
        with pytest.raises(TrustError, match=name):
            verify(bundle, state)
        path.write_bytes(before)
    verify(bundle, state)


def test_the_builder_s_signature_is_no_approval(
    tmp_path: Path, kit: ReleaseKit, state: TrustState
) -> None:
    for name, key in (("builder", kit.builder), ("stranger", kit.stranger), ("root", kit.roots[0])):
        bundle = make_bundle(tmp_path / name, name.encode())
        release_bundle(bundle, kit)
        approve_by(bundle, kit.approvers[:1])
        edit(bundle, "targets.json", lambda m, k=key: m.sign(k.signer, append=True))  # type: ignore[misc]
        with pytest.raises(UnknownKeyError, match=r"trust/targets\.json"):
            verify(bundle, state)


def test_a_stranger_s_third_signature_is_refused(
    bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    edit(bundle, "targets.json", lambda m: m.sign(kit.stranger.signer, append=True))
    with pytest.raises(UnknownKeyError, match=r"trust/targets\.json"):
        verify(bundle, state)


def test_one_signature_under_two_key_ids_counts_once(
    tmp_path: Path, kit: ReleaseKit, state: TrustState
) -> None:
    bundle = make_bundle(tmp_path / "once")
    release_bundle(bundle, kit)
    approve_by(bundle, kit.approvers[:1])
    path = bundle / "trust/targets.json"
    fields = json.loads(path.read_bytes())
    (signature,) = fields["signatures"]
    for key_id, error in (
        (signature["keyid"], SignatureError),
        (kit.approvers[1].signer.public_key.keyid, SignatureError),
        ("ab" * 32, UnknownKeyError),
    ):
        copied = [signature, {**signature, "keyid": key_id}]
        text = json.dumps({**fields, "signatures": copied}, separators=(",", ":"), sort_keys=True)
        path.write_text(text)
        with pytest.raises(error, match=r"trust/targets\.json"):
            verify(bundle, state)


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_bit_is_refused_and_named(
    bundle: Path, kit: ReleaseKit, state: TrustState, name: str
) -> None:
    """Three approvals where two would do: also the one that is not needed must be right."""
    approve_by(bundle, kit.approvers[2:])
    path = bundle / "trust" / name
    data = path.read_bytes()
    dice = random.Random(name)
    for at in dice.sample(range(len(data)), 80):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :])
        with pytest.raises(TrustError) as caught:
            verify(bundle, state)
        assert f"trust/{name}" in caught.value.message
    path.write_bytes(data)
    verify(bundle, state)


def test_upper_case_signatures_are_another_spelling(bundle: Path, state: TrustState) -> None:
    def shout(metadata: Metadata[Targets]) -> None:
        for signature in metadata.signatures.values():
            signature.signature = signature.signature.upper()

    edit(bundle, "targets.json", shout)
    with pytest.raises(SignatureError, match=r"trust/targets\.json"):
        verify(bundle, state)


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: {**fields, "note": "unsigned"},
        lambda fields: {
            **fields,
            "signatures": [{**s, "note": "unsigned"} for s in fields["signatures"]],
        },
    ],
)
def test_unsigned_fields_are_refused(
    bundle: Path, state: TrustState, change: Callable[[Any], Any]
) -> None:
    path = bundle / "trust/targets.json"
    fields = change(json.loads(path.read_bytes()))
    path.write_text(json.dumps(fields, separators=(",", ":"), sort_keys=True))
    with pytest.raises(SignatureError, match="unsigned fields"):
        verify(bundle, state)


def test_white_space_is_another_spelling(bundle: Path, state: TrustState) -> None:
    path = bundle / "trust/targets.json"
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(SignatureError, match="another encoding"):
        verify(bundle, state)


@pytest.mark.parametrize("name", FILES)
def test_garbage_is_refused(bundle: Path, state: TrustState, name: str) -> None:
    path = bundle / "trust" / name
    hostile: list[bytes] = [
        b"",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"signatures":[],"signed":{"_type":"targets"}}',
        b'{"signatures":5,"signed":{}}',
        b'{"signatures":[{"keyid":[],"sig":1}],"signed":5}',
    ]
    for data in hostile:
        path.write_bytes(data)
        with pytest.raises(SignatureError, match=name):
            verify(bundle, state)


@pytest.mark.parametrize("name", FILES)
def test_a_link_in_place_of_a_file_is_refused(
    tmp_path: Path, bundle: Path, state: TrustState, name: str
) -> None:
    path = bundle / "trust" / name
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafePathError, match=name):
        verify(bundle, state)


def test_a_link_in_place_of_the_folder_is_refused(
    tmp_path: Path, bundle: Path, state: TrustState
) -> None:
    (bundle / "trust").rename(tmp_path / "elsewhere")
    (bundle / "trust").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafePathError, match="trust/"):
        verify(bundle, state)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(bundle: Path, state: TrustState, name: str) -> None:
    (bundle / "trust" / name).unlink()
    with pytest.raises(MissingBlobError, match=f"trust/{name}"):
        verify(bundle, state)


def test_a_huge_file_is_not_read(bundle: Path, state: TrustState) -> None:
    with (bundle / "trust/targets.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(SizeMismatchError, match=r"trust/targets\.json"):
        verify(bundle, state)


@pytest.mark.parametrize("name", ["3.root.json", "role.json", ".targets.json.0123456789ab.tmp"])
def test_a_file_too_many_is_refused(bundle: Path, state: TrustState, name: str) -> None:
    (bundle / "trust" / name).write_bytes((bundle / "trust/1.root.json").read_bytes())
    with pytest.raises(UnexpectedFileError, match=name):
        verify(bundle, state)


def test_more_roots_than_anybody_has_are_refused(bundle: Path, state: TrustState) -> None:
    for version in range(2, 103):
        (bundle / "trust" / f"{version}.root.json").write_bytes(b"{}")
    with pytest.raises(SignatureError, match="at most 100 roots"):
        verify(bundle, state)


def test_a_copied_root_is_not_the_next_version(bundle: Path, state: TrustState) -> None:
    data = (bundle / "trust/1.root.json").read_bytes()
    (bundle / "trust/2.root.json").write_bytes(data)
    with pytest.raises(SignatureError, match=r"trust/2\.root\.json: expected version 2"):
        verify(bundle, state)


def test_another_bundle_json_is_refused(bundle: Path, state: TrustState) -> None:
    path = bundle / "bundle.json"
    path.write_bytes(path.read_bytes().replace(b"tiny", b"tinz"))
    with pytest.raises(DigestMismatchError, match=r"bundle\.json"):
        verify(bundle, state)
    path.unlink()
    with pytest.raises(MissingBlobError, match=r"bundle\.json"):
        verify(bundle, state)


def test_a_root_of_a_lax_vendor_is_refused_at_the_site(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    """Valid by TUF, signed by all root keys, and still not safe."""
    data = (bundle / "trust/1.root.json").read_bytes()
    roots = [key.signer for key in kit.roots]
    builder = kit.builder.signer.public_key

    def one_approval(root: Root) -> None:
        root.roles[Targets.type].threshold = 1

    def builder_approves(root: Root) -> None:
        root.add_key(builder, Targets.type)

    def out_of_reach(root: Root) -> None:
        root.roles[Root.type].threshold = 9

    for change in (one_approval, builder_approves, out_of_reach):
        metadata: Metadata[Root] = Metadata.from_bytes(data)
        metadata.signed.version = 2
        change(metadata.signed)
        metadata.signatures.clear()
        for signer in roots:
            metadata.sign(signer, append=True)
        (bundle / "trust/2.root.json").write_bytes(metadata.to_bytes())
        with pytest.raises(TrustError, match=r"trust/2\.root\.json"):
            verify(bundle, state)


def test_another_vendor_s_bundle_is_refused(tmp_path: Path, state: TrustState) -> None:
    other = make_release(tmp_path / "other")
    bundle = trusted_bundle(tmp_path / "theirs", other)
    with pytest.raises((NotEnrolledError, SignatureError)):
        verify(bundle, state)


def test_a_threshold_is_not_met_by_timestamps_of_others(
    bundle: Path, kit: ReleaseKit, state: TrustState
) -> None:
    edit(bundle, "timestamp.json", lambda m: None, kit.approvers[0].signer)
    with pytest.raises(UnknownKeyError, match=r"trust/timestamp\.json"):
        verify(bundle, state)


def test_nothing_is_written_to_the_medium(bundle: Path, state: TrustState) -> None:
    def tree() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in bundle.rglob("*") if p.is_file()}

    before = tree()
    verify(bundle, state)
    edit(bundle, "targets.json", lambda m: m.signatures.popitem())
    with pytest.raises(ThresholdError):
        verify(bundle, state)
    after = tree()
    assert after.keys() == before.keys()


def test_every_refusal_says_what_to_do(bundle: Path, state: TrustState) -> None:
    for name in FILES:
        path = bundle / "trust" / name
        data = path.read_bytes()
        path.write_bytes(data[:-1])
        with pytest.raises(IsowardError) as caught:
            verify(bundle, state)
        assert caught.value.hint
        path.write_bytes(data)
