"""A vendor with a release folder, and a site that enrolled its root."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.trust.site.state import TrustState
from tests.support.sites.people import SiteKit, expired_bundle, make_site, old_release
from tests.support.trust.release_kit import ReleaseKit, enrolled, make_release, trusted_bundle


@pytest.fixture
def kit(tmp_path: Path) -> ReleaseKit:
    return make_release(tmp_path / "vendor")


@pytest.fixture
def state(tmp_path: Path, kit: ReleaseKit) -> TrustState:
    return enrolled(tmp_path / "depot", kit)


@pytest.fixture
def bundle(tmp_path: Path, kit: ReleaseKit) -> Path:
    """A released and approved bundle: release 1."""
    return trusted_bundle(tmp_path / "bundle", kit)


@pytest.fixture
def vendor(tmp_path: Path) -> ReleaseKit:
    return old_release(tmp_path / "vendor")


@pytest.fixture
def site(tmp_path: Path, vendor: ReleaseKit) -> SiteKit:
    return make_site(tmp_path / "site", vendor)


@pytest.fixture
def expired(tmp_path: Path, vendor: ReleaseKit) -> Path:
    return expired_bundle(tmp_path / "expired", vendor)
