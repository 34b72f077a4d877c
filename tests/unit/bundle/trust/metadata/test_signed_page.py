"""An approver is shown all that they sign, whatever a taken-over build system wrote into it."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, Root, TargetFile

from bundle.base.canonical import canonical_json
from bundle.base.errors import (
    AttestationError,
    CouldNotVerifyError,
    LifetimeError,
    SignatureError,
    TrustError,
)
from bundle.model.attestation import RECOVERY, WAIVER, make_statement
from bundle.store.layout import BundleDirectory
from bundle.trust.attestations.checked import CHANGES_NAME, PROVENANCE_NAME
from bundle.trust.attestations.envelope import sign_statement
from bundle.trust.metadata.restrictions import REVOKED_FIELD, SITES_FIELD
from bundle.trust.metadata.signed import read_signed_root, read_signed_targets
from bundle.trust.site.state import TrustState
from bundle.trust.site.statement import NamedKey, draft
from bundle.trust.site.waiver import ExpiredFile, WaiverPredicate
from bundle.trust.verify.verification import verify_trust
from bundler.cli.approve_page import page, page_data
from bundler.release.approval import approve
from bundler.release.review import review
from bundler.root.draft import read_pending, sign_pending
from bundler.root.explain import explain
from installer.cli.recover import _look as look_at_recovery
from installer.cli.waiver import _look as look_at_waiver
from installer.enrollment.recovery import RecoveryPredicate
from tests.support.trust.edit import edit, reissue
from tests.support.trust.release_kit import (
    TICKET,
    ReleaseKit,
    approve_all,
    make_bundle,
    make_release,
    now,
    release_bundle,
)

DIGEST = "sha256:" + "ab" * 32
REVOKED = [{"release": 3, "digest": DIGEST, "reason": "a good release"}]


@pytest.fixture
def fresh(tmp_path: Path, kit: ReleaseKit) -> Path:
    path = make_bundle(tmp_path / "fresh")
    release_bundle(path, kit)
    return path


def shown(bundle: Path, previous: bytes | None = None) -> list[str]:
    moment = now()
    return page(review(BundleDirectory(bundle), moment, previous), moment)


def alter(bundle: Path, change: Callable[[Any], None]) -> None:
    """Change targets.json before anybody approves, as whoever has the build system can."""
    edit(bundle, "targets.json", lambda metadata: change(metadata.signed))


def row(lines: list[str], title: str) -> str:
    (found,) = (line for line in lines if line.startswith(f"  {title} "))
    return found


def test_an_honest_release_says_what_it_does_not_do(fresh: Path) -> None:
    lines = shown(fresh)
    assert "takes back    no release" in row(lines, "takes back")
    assert "any may import it" in row(lines, "only for")
    assert "365 days from now" in row(lines, "valid until") or "364 days" in row(
        lines, "valid until"
    )
    assert "LONGER" not in "".join(lines)
    assert "files.example.org" in row(lines, "hosts")


def test_a_revocation_is_on_the_page(fresh: Path) -> None:
    alter(fresh, lambda signed: signed.unrecognized_fields.update({REVOKED_FIELD: REVOKED}))
    lines = shown(fresh)
    assert f"release 3 ({DIGEST}): a good release" in row(lines, "takes back")
    assert any("for ever" in line for line in lines)
    assert page_data(review(BundleDirectory(fresh), now()))["revokes"] == REVOKED


def test_every_revocation_is_on_the_page(fresh: Path) -> None:
    many = [{"release": n, "digest": f"sha256:{n:064x}", "reason": f"r{n}"} for n in range(1, 300)]
    alter(fresh, lambda signed: signed.unrecognized_fields.update({REVOKED_FIELD: many}))
    text = "\n".join(shown(fresh))
    assert all(f"release {entry['release']} ({entry['digest']})" in text for entry in many)


def test_sites_and_expiry_are_on_the_page(fresh: Path) -> None:
    alter(fresh, lambda signed: signed.unrecognized_fields.update({SITES_FIELD: ["else"]}))
    alter(fresh, lambda signed: setattr(signed, "expires", datetime(2099, 1, 1, tzinfo=UTC)))
    lines = shown(fresh)
    assert "else" in row(lines, "only for")
    assert "2099-01-01" in row(lines, "valid until")
    assert "LONGER than a build sets it" in row(lines, "valid until")


def _second_target(signed: Any) -> None:
    signed.targets["other"] = TargetFile.from_data("other", b"x", ["sha256"])


NOT_SHOWN: dict[str, Callable[[Any], None]] = {
    "a field of its own": lambda s: s.unrecognized_fields.update({"x-new": "y"}),
    "a custom field of the target": lambda s: s.targets["bundle.json"].unrecognized_fields.update(
        {"custom": {"run": "x"}}
    ),
    "another digest": lambda s: s.targets["bundle.json"].hashes.update(sha512="ab" * 64),
    "another target": _second_target,
    "a field of a revocation": lambda s: s.unrecognized_fields.update(
        {REVOKED_FIELD: [{**REVOKED[0], "also": "x"}]}
    ),
    "no revocation": lambda s: s.unrecognized_fields.update({REVOKED_FIELD: []}),
    "a line break in a reason": lambda s: s.unrecognized_fields.update(
        {REVOKED_FIELD: [{**REVOKED[0], "reason": "x\nvalid until 2027"}]}
    ),
    "another order of reading": lambda s: s.unrecognized_fields.update(
        {REVOKED_FIELD: [{**REVOKED[0], "reason": "x\u202egpj"}]}
    ),
    "another specification": lambda s: setattr(s, "spec_version", "1.0.31\n"),
}


@pytest.mark.parametrize("case", NOT_SHOWN)
def test_what_cannot_be_shown_whole_is_not_signed(fresh: Path, kit: ReleaseKit, case: str) -> None:
    before = review(BundleDirectory(fresh), now())
    alter(fresh, NOT_SHOWN[case])
    data = (fresh / "trust/targets.json").read_bytes()
    with pytest.raises(SignatureError):
        review(BundleDirectory(fresh), now())
    with pytest.raises(SignatureError):
        approve(BundleDirectory(fresh), before, kit.approvers[0].signer, TICKET, now())
    assert (fresh / "trust/targets.json").read_bytes() == data


def test_what_was_not_shown_is_not_signed(fresh: Path, kit: ReleaseKit) -> None:
    """Between the page and the answer the medium may be another one."""
    seen = review(BundleDirectory(fresh), now())
    alter(fresh, lambda signed: signed.unrecognized_fields.update({REVOKED_FIELD: REVOKED}))
    with pytest.raises(CouldNotVerifyError, match="changed while it was being approved"):
        approve(BundleDirectory(fresh), seen, kit.approvers[0].signer, TICKET, now())
    assert not Metadata[Any].from_bytes((fresh / "trust/targets.json").read_bytes()).signatures


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list) and value:
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from _leaves(value[key], (*path, key))
    else:
        yield path


def _changed(value: Any, path: tuple[Any, ...]) -> Any:
    copied = copy.deepcopy(value)
    place = copied
    for key in path[:-1]:
        place = place[key]
    old = place[path[-1]]
    if isinstance(old, bool):
        place[path[-1]] = not old
    elif isinstance(old, int):
        place[path[-1]] = old + 1
    else:
        digits = [i for i, char in enumerate(old) if char.isdigit()]
        at = digits[-1] if digits else len(old) - 1
        new = {"1": "2"}.get(old[at], "1") if digits else "x"
        place[path[-1]] = old[:at] + new + old[at + 1 :]
    return copied


def _add_everywhere(value: Any) -> Iterator[Any]:
    """Give each object within a document a field more, one at a time."""

    def places(inner: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        if isinstance(inner, dict):
            yield path
            for key, below in inner.items():
                yield from places(below, (*path, key))
        elif isinstance(inner, list):
            for i, below in enumerate(inner):
                yield from places(below, (*path, i))

    for path in places(value):
        copied = copy.deepcopy(value)
        place = copied
        for key in path:
            place = place[key]
        place["x-more"] = "0"
        yield copied


def _payload(signed: Any) -> bytes:
    return json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_whatever_is_changed_in_what_is_signed_is_seen_or_refused(
    fresh: Path, kit: ReleaseKit
) -> None:
    """Each value of the signed bytes, one after the other: so a new field is covered as well."""
    fields = {REVOKED_FIELD: REVOKED, SITES_FIELD: ["north", "south"]}
    alter(fresh, lambda signed: signed.unrecognized_fields.update(fields))
    seen = review(BundleDirectory(fresh), now())
    signed = json.loads(seen.signed)
    assert _payload(signed) == seen.signed

    def as_shown(payload: bytes) -> list[str]:
        terms = read_signed_targets(payload, "targets.json")
        other = replace(seen, terms=terms)  # the check value stays, or it would show everything
        return page(other, now())

    before = as_shown(seen.signed)
    paths = list(_leaves(signed))
    assert len(paths) == 11
    for path in paths:
        try:
            after = as_shown(_payload(_changed(signed, path)))
        except SignatureError:
            continue
        assert after != before, path
    for more in _add_everywhere(signed):
        with pytest.raises(SignatureError, match="cannot be shown whole"):
            as_shown(_payload(more))


def test_a_root_with_a_field_more_is_neither_shown_nor_signed(kit: ReleaseKit) -> None:
    metadata: Metadata[Root] = Metadata.from_bytes((kit.release / "1.root.json").read_bytes())
    signed = json.loads(metadata.signed_bytes)
    read_signed_root(_payload(signed), "1.root.json")
    for more in _add_everywhere(signed):
        with pytest.raises(SignatureError, match="cannot be shown whole"):
            read_signed_root(_payload(more), "1.root.json")


def test_a_draft_with_a_field_more_is_neither_explained_nor_signed(tmp_path: Path) -> None:
    kit = make_release(tmp_path / "vendor")
    path = kit.release / "1.root.json"
    metadata: Metadata[Root] = Metadata.from_bytes(path.read_bytes())
    metadata.signed.roles["root"].unrecognized_fields["also"] = "x"
    metadata.signatures.clear()
    path.write_bytes(metadata.to_bytes())
    pending = read_pending(kit.release)
    assert pending is not None
    with pytest.raises(SignatureError, match="cannot be shown whole"):
        explain(pending)
    with pytest.raises(SignatureError, match="cannot be shown whole"):
        sign_pending(kit.release, kit.roots[0].signer)


def restate(bundle: Path, kit: ReleaseKit, name: str, change: Callable[[Any], None]) -> None:
    """Let the build system say something else in one of its statements."""
    path = bundle / name
    payload = json.loads(base64.b64decode(json.loads(path.read_bytes())["payload"]))
    change(payload["predicate"])
    digest = f"sha256:{payload['subject'][0]['digest']['sha256']}"
    made = make_statement("bundle.json", digest, payload["predicateType"], payload["predicate"])
    path.write_bytes(sign_statement(made, kit.builder.signer))


def _internal(predicate: Any) -> Any:
    return predicate["buildDefinition"]["internalParameters"]


LIES: dict[str, tuple[str, Callable[[Any], None]]] = {
    "another host": (PROVENANCE_NAME, lambda p: _internal(p).update(hosts=["good.example.org"])),
    "other content": (
        PROVENANCE_NAME,
        lambda p: p["buildDefinition"].update(resolvedDependencies=[]),
    ),
    "content left out": (PROVENANCE_NAME, lambda p: _internal(p).update(dependenciesLeftOut=5)),
    "nothing added": (
        CHANGES_NAME,
        lambda p: p.update(files={"added": [], "removed": [], "moved": []}),
    ),
    "unsigned images": (CHANGES_NAME, lambda p: p.update(unsigned=["a:1"])),
    "more unsigned images": (CHANGES_NAME, lambda p: p.update(unsignedLeftOut=1)),
    "platforms": (
        CHANGES_NAME,
        lambda p: p.update(platforms={"added": ["linux/arm64"], "removed": []}),
    ),
    "waivers": (
        CHANGES_NAME,
        lambda p: p["waivers"].update(
            new=[
                {
                    "images": ["a"],
                    "reason": "r",
                    "approvedBy": "A",
                    "expires": "2030-01-01",
                    "ticket": "T",
                }
            ]
        ),
    ),
}


@pytest.mark.parametrize("case", LIES)
def test_a_statement_that_contradicts_the_bundle_is_refused(
    fresh: Path, kit: ReleaseKit, case: str
) -> None:
    name, change = LIES[case]
    restate(fresh, kit, name, change)
    with pytest.raises(AttestationError, match="contradicts the bundle"):
        review(BundleDirectory(fresh), now())


@pytest.fixture
def second(tmp_path: Path, kit: ReleaseKit, fresh: Path) -> Path:
    path = make_bundle(tmp_path / "second", b"other content", "2.0.0")
    release_bundle(path, kit)
    return path


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("added", [{"name": "https://files.example.org/never", "digest": DIGEST}]),
        ("removed", [{"name": "https://files.example.org/file", "digest": DIGEST}]),
        ("moved", [{"name": "https://files.example.org/file", "old": DIGEST, "new": DIGEST}]),
    ],
)
def test_a_later_release_claims_nothing_false(
    second: Path, kit: ReleaseKit, what: str, value: Any
) -> None:
    restate(second, kit, CHANGES_NAME, lambda p: p["files"].update({what: value}))
    with pytest.raises(AttestationError, match="contradicts the bundle"):
        review(BundleDirectory(second), now())


def test_with_the_release_before_nothing_can_be_left_out(
    fresh: Path, second: Path, kit: ReleaseKit
) -> None:
    before = (fresh / "bundle.json").read_bytes()
    assert any("moved from" in line for line in shown(second, before))
    restate(second, kit, CHANGES_NAME, lambda p: p["files"].update(moved=[]))
    lines = shown(second)
    assert "by the build system's word" in row(lines, "changes")
    assert any("--previous" in line for line in lines)
    with pytest.raises(AttestationError, match="contradicts the bundle"):
        shown(second, before)


def test_the_release_before_must_be_the_one_that_was_compared(second: Path) -> None:
    with pytest.raises(AttestationError, match="compared with release 1"):
        shown(second, (second / "bundle.json").read_bytes())


def _sign_for(bundle: Path, kit: ReleaseKit, name: str, days: int) -> None:
    """Let whoever has the build system's key sign for longer."""
    end = now() + timedelta(days=days)
    if name == "snapshot.json":
        reissue(bundle, kit, lambda signed: setattr(signed, "expires", end))
    else:
        edit(bundle, name, lambda m: setattr(m.signed, "expires", end), kit.builder.signer)


@pytest.mark.parametrize(("name", "most"), [("timestamp.json", 91), ("snapshot.json", 366)])
def test_a_stolen_key_of_the_build_system_cannot_hold_a_site_for_ever(
    fresh: Path, kit: ReleaseKit, state: TrustState, name: str, most: int
) -> None:
    approve_all(fresh, kit)
    _sign_for(fresh, kit, name, most)
    verify_trust(BundleDirectory(fresh), state)
    for days in (most + 1, 3650):
        _sign_for(fresh, kit, name, days)
        with pytest.raises(LifetimeError, match=f"{name}: expected it to expire within {most}"):
            verify_trust(BundleDirectory(fresh), state)
        with pytest.raises(LifetimeError):
            review(BundleDirectory(fresh), now())


def _waiver() -> WaiverPredicate:
    moment = datetime(2027, 1, 1, 12, 0, 1, tzinfo=UTC)
    return WaiverPredicate(
        site="north",
        reason="reason 1",
        created=moment,
        expires=moment + timedelta(days=3),
        threshold=2,
        signers=(NamedKey(key_id="1" * 64, name="Ada 1"), NamedKey(key_id="2" * 64, name="Ben 1")),
        waives="expired",
        ticket="T-1",
        name="tiny",
        version="1.0.1",
        release=3,
        root=DIGEST,
        files=(ExpiredFile(file="trust/timestamp.json", expired=moment),),
    )


def _recovery() -> RecoveryPredicate:
    moment = datetime(2027, 1, 1, 12, 0, 1, tzinfo=UTC)
    return RecoveryPredicate(
        site="north",
        reason="reason 1",
        created=moment,
        expires=moment + timedelta(days=3),
        threshold=2,
        signers=(NamedKey(key_id="1" * 64, name="Ada 1"), NamedKey(key_id="2" * 64, name="Ben 1")),
        floor=3,
        roots=("root 1", "root 2"),
        last_seen=moment,
    )


@pytest.mark.parametrize("kind", ["waiver", "recovery"])
def test_a_statement_of_a_site_is_shown_whole(tmp_path: Path, kind: str) -> None:
    """Each value of what its people sign, one after the other."""
    made = _waiver() if kind == "waiver" else _recovery()
    type_, look = (WAIVER, look_at_waiver) if kind == "waiver" else (RECOVERY, look_at_recovery)
    signed = json.loads(make_statement("x", DIGEST, type_, json.loads(canonical_json(made))))

    def as_shown(predicate: Any) -> list[str]:
        return look(tmp_path / "x", draft(make_statement("x", DIGEST, type_, predicate)))[1]

    before = as_shown(signed["predicate"])
    for path in _leaves(signed["predicate"]):
        try:
            after = as_shown(_changed(signed["predicate"], path))
        except TrustError:
            continue
        assert after != before, path
    for more in _add_everywhere(signed["predicate"]):
        with pytest.raises(TrustError):
            as_shown(more)
