"""A vendor with a release folder, and a site that enrolled its root."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.trust.state import TrustState
from tests.support.trust import ReleaseKit, enrolled, make_release, trusted_bundle


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
