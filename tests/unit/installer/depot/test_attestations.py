"""The depot keeps who approved a bundle and why, and takes nothing without it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bundle.base.digest import digest_of, hex_of
from bundle.base.errors import AttestationError
from installer.depot.accepted import accepted_bundles
from installer.depot.directory import open_depot
from tests.support.depot.imported import import_now
from tests.support.trust.release_kit import ReleaseKit, enrolled, make_release, trusted_bundle


@pytest.fixture
def kit(tmp_path: Path) -> ReleaseKit:
    return make_release(tmp_path / "vendor")


@pytest.fixture
def bundle(tmp_path: Path, kit: ReleaseKit) -> Path:
    return trusted_bundle(tmp_path / "bundle", kit)


@pytest.fixture
def depot(tmp_path: Path, kit: ReleaseKit) -> Path:
    enrolled(tmp_path / "depot", kit)
    return tmp_path / "depot"


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def kept(bundle: Path, depot: Path) -> Path:
    return depot / "bundles" / hex_of(digest_of((bundle / "bundle.json").read_bytes()))


def test_they_are_kept_as_they_came(bundle: Path, depot: Path) -> None:
    import_now(bundle, depot)
    assert tree(kept(bundle, depot) / "attestations") == tree(bundle / "attestations")
    assert len(accepted_bundles(open_depot(depot))) == 1


@pytest.mark.parametrize("kind", ["provenance", "changes", "approval", "bundle.json", "keys/"])
def test_none_is_missing_from_a_bundle_that_is_served(bundle: Path, depot: Path, kind: str) -> None:
    import_now(bundle, depot)
    folder = kept(bundle, depot) / "attestations"
    name = next(name for name in sorted(tree(folder)) if name.startswith(kind))
    (folder / name).unlink()
    with pytest.raises(AttestationError, match=name):
        accepted_bundles(open_depot(depot))
    # Importing the bundle again heals it.
    assert not import_now(bundle, depot).already
    assert len(accepted_bundles(open_depot(depot))) == 1


def test_without_them_nothing_comes_in(bundle: Path, depot: Path) -> None:
    shutil.rmtree(bundle / "attestations")
    with pytest.raises(AttestationError, match="provenance"):
        import_now(bundle, depot)
    assert not kept(bundle, depot).exists()
