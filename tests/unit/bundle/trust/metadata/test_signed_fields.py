"""Each field of what is signed is shown to who signs it, or nothing is signed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, Root

from bundle.base.canonical import canonical_json
from bundle.base.errors import (
    SignatureError,
    TrustError,
)
from bundle.model.attestation import RECOVERY, WAIVER, make_statement
from bundle.store.layout import BundleDirectory
from bundle.trust.metadata.restrictions import REVOKED_FIELD, SITES_FIELD
from bundle.trust.metadata.signed import read_signed_root, read_signed_targets
from bundle.trust.site.statement import NamedKey, draft
from bundle.trust.site.waiver import ExpiredFile, WaiverPredicate
from bundler.cli.approve_page import page
from bundler.release.review import review
from bundler.root.draft import read_pending, sign_pending
from bundler.root.explain import explain
from installer.cli.recover import _look as look_at_recovery
from installer.cli.waiver import _look as look_at_waiver
from installer.enrollment.recovery import RecoveryPredicate
from tests.support.trust.edit import edit
from tests.support.trust.release_kit import (
    ReleaseKit,
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
        with pytest.raises(SignatureError, match="cannot show everything"):
            as_shown(_payload(more))


def test_a_root_with_a_field_more_is_neither_shown_nor_signed(kit: ReleaseKit) -> None:
    metadata: Metadata[Root] = Metadata.from_bytes((kit.release / "1.root.json").read_bytes())
    signed = json.loads(metadata.signed_bytes)
    read_signed_root(_payload(signed), "1.root.json")
    for more in _add_everywhere(signed):
        with pytest.raises(SignatureError, match="cannot show everything"):
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
    with pytest.raises(SignatureError, match="cannot show everything"):
        explain(pending)
    with pytest.raises(SignatureError, match="cannot show everything"):
        sign_pending(kit.release, kit.roots[0].signer)


_MOMENT = datetime(2027, 1, 1, 12, 0, 1, tzinfo=UTC)
_COMMON: dict[str, Any] = {
    "site": "north",
    "reason": "reason 1",
    "created": _MOMENT,
    "expires": _MOMENT + timedelta(days=3),
    "threshold": 2,
    "signers": (NamedKey(key_id="1" * 64, name="Ada 1"), NamedKey(key_id="2" * 64, name="Ben 1")),
}


def _waiver() -> WaiverPredicate:
    return WaiverPredicate(
        **_COMMON,
        waives="expired",
        ticket="T-1",
        name="tiny",
        version="1.0.1",
        release=3,
        root=DIGEST,
        files=(ExpiredFile(file="trust/timestamp.json", expired=_MOMENT),),
    )


def _recovery() -> RecoveryPredicate:
    return RecoveryPredicate(
        **_COMMON,
        floor=3,
        roots=("root 1", "root 2"),
        last_seen=_MOMENT,
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
