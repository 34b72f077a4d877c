"""A registry with an image of two platforms, and a cache for what is fetched of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bundler.build.cache import BlobCache
from tests.support.documents.referred import MULTI
from tests.support.registries.content import RegistryContent
from tests.support.registries.faulty_registry import FaultyRegistry, faulty_registry


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    content = RegistryContent()
    content.put("app/web", MULTI, "1")
    with faulty_registry(content) as made:
        yield made


@pytest.fixture
def cache(tmp_path: Path) -> BlobCache:
    return BlobCache(tmp_path / "cache")
