"""One depot with one bundle of every kind of content, served for a module's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.depot.imported import (
    RunningDepot,
    import_now,
    rich_sample,
    serving,
    signed_bundle,
)
from tests.support.trust.release_kit import enrolled, make_release


@pytest.fixture(scope="session")
def depot_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("contract")
    kit = make_release(base / "vendor")
    enrolled(base / "depot", kit)
    import_now(signed_bundle(base / "bundle", kit, *rich_sample()), base / "depot")
    return base / "depot"


@pytest.fixture(scope="module")
def served(depot_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDepot]:
    with serving(depot_path, tmp_path_factory.mktemp("serve"), ["--access-log"]) as running:
        yield running
