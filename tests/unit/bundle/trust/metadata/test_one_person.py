"""Two keys of one person are no two persons, however the name is written."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, Root

from bundle.base.errors import KeyFileError, TrustError, UsageError
from bundle.trust.keys.schemes import generate_signer
from bundle.trust.keys.stored import generate_key
from bundle.trust.keys.terms import NAME_FIELD
from bundle.trust.metadata.root import parse_root
from bundle.trust.site.authority import make_authority
from bundler.root.ceremony import RootPlan, create_root
from tests.support.trust.release_kit import make_release, now

AGAIN = ["ADA EXAMPLE", "\uff21\uff44\uff41 Example", "\u0410\u0501\u0430 Example"]


def plan(*names: str) -> RootPlan:
    keys = tuple(generate_key(name).public_key for name in names)
    holders = tuple(generate_key(name).public_key for name in ("Rhea Root", "Rolf Root"))
    builder = generate_key("Build System").public_key
    return RootPlan(holders, 2, keys, 2, builder, now() + timedelta(days=9))


@pytest.mark.parametrize("again", AGAIN)
def test_a_root_counts_persons(tmp_path: Path, again: str) -> None:
    with pytest.raises(UsageError, match="one holder is listed twice"):
        create_root(tmp_path / "release", plan("Ada Example", again), [], now())


def test_an_approver_under_the_builder_s_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must not be an approver"):
        create_root(
            tmp_path / "release",
            plan("Ada Example", "BUILD\u2003SYSTEM".replace("\u2003", " ")),
            [],
            now(),
        )


@pytest.mark.parametrize("again", AGAIN)
def test_a_site_counts_persons(again: str) -> None:
    keys = [generate_key(name).public_key for name in ("Ada Example", again)]
    with pytest.raises(UsageError, match="one person is given twice"):
        make_authority(keys, 2, "north")


@pytest.mark.parametrize(
    "name", ["Ada\u200b Example", "Zoe\u0308 Example", "\u0410d\u0430 Example"]
)
def test_a_root_that_others_made_is_looked_at_as_well(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyFileError, match="invalid holder's name"):
        generate_key(name)
    kit = make_release(tmp_path)
    metadata: Metadata[Root] = Metadata.from_bytes((kit.release / "1.root.json").read_bytes())
    key = generate_signer("ed25519").public_key
    key.unrecognized_fields[NAME_FIELD] = name
    metadata.signed.add_key(key, "targets")
    with pytest.raises(TrustError):
        parse_root(metadata.to_bytes(), "1.root.json")
