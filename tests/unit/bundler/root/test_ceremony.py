"""The key ceremony: which roots are made, and which never are."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import Key

from bundle.base.digest import digest_of
from bundle.base.errors import UnknownKeyError, UsageError
from bundle.trust.keys.stored import SigningKey, generate_key
from bundle.trust.keys.terms import NAME_FIELD
from bundle.trust.metadata.fingerprint import describe_root, fingerprint_groups, parse_fingerprint
from bundler.root.ceremony import RootPlan, create_root, sign_root
from tests.support.trust.release_kit import now

ADA, BOB, CYD = (generate_key(name) for name in ("Ada", "Bob", "Cyd"))
RHEA, ROLF, BUILD = (generate_key(name) for name in ("Rhea", "Rolf", "Build"))


def publics(*keys: SigningKey) -> tuple[Key, ...]:
    return tuple(key.public_key for key in keys)


def renamed(key: SigningKey, name: str) -> Key:
    """Return the same public key under another holder's name."""
    copy = Key.from_dict(key.public_key.keyid, key.public_key.to_dict())
    copy.unrecognized_fields = {NAME_FIELD: name}
    return copy


PLAN = RootPlan(
    root_keys=publics(RHEA, ROLF),
    root_threshold=2,
    approvers=publics(ADA, BOB, CYD),
    approvals=2,
    builder=BUILD.public_key,
    expires=now() + timedelta(days=730),
)


def test_a_root_is_signed_together(tmp_path: Path) -> None:
    root = create_root(tmp_path / "release", PLAN, [RHEA, ROLF], now())
    data = (tmp_path / "release" / "1.root.json").read_bytes()
    assert root.fingerprint == digest_of(data)
    assert (root.version, root.missing, set(root.signed_by)) == (1, 0, {"Rhea", "Rolf"})
    approvers = next(role for role in root.roles if role.name == "targets")
    assert approvers.threshold == 2
    assert {name for name, _ in approvers.keys} == {"Ada", "Bob", "Cyd"}


def test_a_root_is_signed_one_after_the_other(tmp_path: Path) -> None:
    assert create_root(tmp_path, PLAN, [], now()).missing == 2
    first, added = sign_root(tmp_path, RHEA)
    assert (first.missing, added) == (1, True)
    again, added = sign_root(tmp_path, RHEA)
    assert (again.missing, added) == (1, False)
    assert sign_root(tmp_path, ROLF)[0].missing == 0


def test_a_complete_root_is_not_signed_again(tmp_path: Path) -> None:
    plan = dataclasses.replace(PLAN, root_threshold=1)
    before = create_root(tmp_path, plan, [RHEA], now())
    with pytest.raises(UsageError, match="all required signatures"):
        sign_root(tmp_path, ROLF)
    data = (tmp_path / "1.root.json").read_bytes()
    assert describe_root(data, "root").fingerprint == before.fingerprint


@pytest.mark.parametrize("key", [ADA, BUILD, generate_key("Rhea")])
def test_only_root_keys_sign_a_root(tmp_path: Path, key: SigningKey) -> None:
    with pytest.raises(UnknownKeyError):
        create_root(tmp_path / "new", PLAN, [key], now())
    assert not (tmp_path / "new").exists()
    create_root(tmp_path, PLAN, [RHEA], now())
    with pytest.raises(UnknownKeyError):
        sign_root(tmp_path, key)


def test_a_root_is_made_once(tmp_path: Path) -> None:
    create_root(tmp_path, PLAN, [RHEA, ROLF], now())
    before = (tmp_path / "1.root.json").read_bytes()
    with pytest.raises(UsageError, match="already has a root"):
        create_root(tmp_path, PLAN, [RHEA, ROLF], now())
    assert (tmp_path / "1.root.json").read_bytes() == before


def test_signing_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a release folder"):
        sign_root(tmp_path / "none", RHEA)
    assert list(tmp_path.iterdir()) == []


UNSAFE: dict[str, tuple[dict[str, Any], str]] = {
    "the builder approves": ({"approvers": publics(ADA, BUILD)}, "build system"),
    "the builder holds a root key": ({"root_keys": publics(RHEA, BUILD)}, "build system"),
    "the builder has an approver's name": (
        {"builder": generate_key("ada").public_key},
        "build system",
    ),
    "one approval": ({"approvals": 1}, "at least 2"),
    "no approval": ({"approvals": 0}, "at least 1"),
    "too many approvals": ({"approvals": 4}, "requires 4 signatures but has 3 keys"),
    "too many root signatures": ({"root_threshold": 3}, "requires 3 signatures but has 2 keys"),
    "no root signature": ({"root_threshold": 0}, "at least 1"),
    "one approver twice": ({"approvers": publics(ADA, BOB, ADA)}, "duplicate public key"),
    "one root key twice": ({"root_keys": publics(RHEA, RHEA)}, "duplicate public key"),
    "one person with two keys": (
        {"approvers": (*publics(ADA, BOB), generate_key("ADA").public_key)},
        "one holder is listed twice",
    ),
    "one key under two names": (
        {"root_keys": (*publics(RHEA), renamed(ADA, "Eve"))},
        "two holders' names",
    ),
    "one key under two ids": (
        {
            "approvers": (
                *publics(ADA, BOB),
                Key.from_dict("ab" * 32, renamed(ADA, "Eve").to_dict()),
            )
        },
        "under two key ids",
    ),
    "expired at once": ({"expires": now() - timedelta(days=1)}, "expire"),
}


@pytest.mark.parametrize("case", UNSAFE)
def test_an_unsafe_root_is_refused(tmp_path: Path, case: str) -> None:
    changes, says = UNSAFE[case]
    plan = dataclasses.replace(PLAN, **changes)
    with pytest.raises(UsageError, match=says):
        create_root(tmp_path / "release", plan, [], now())
    assert not (tmp_path / "release").exists()


def test_a_fingerprint_is_read_as_a_person_types_it() -> None:
    fingerprint = digest_of(b"root")
    groups = "\n".join(fingerprint_groups(fingerprint))
    assert [len(group) for group in groups.split()] == [4] * 16
    assert parse_fingerprint(groups) == fingerprint
    assert parse_fingerprint(groups.upper().replace(" ", "-")) == fingerprint
    assert parse_fingerprint(fingerprint) == fingerprint
    told = fingerprint.removeprefix("sha256:")
    for form in (
        f"SHA-256: {told}", f"SHA256 Fingerprint={told.upper()}", f'"{told}".',
        f"\ufeff{told}\u200b",
        groups.replace(" ", "\u2013"), groups.replace(" ", ", "), groups.replace(" ", ".\u00a0"),
    ):  # fmt: skip
        assert parse_fingerprint(form) == fingerprint
    for wrong in ("", "ab", groups[:-1], groups + "a", groups[:-1] + "g"):
        with pytest.raises(UsageError):
            parse_fingerprint(wrong)
