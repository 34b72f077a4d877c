"""What a lock and a build ask of the world: nothing twice, and nothing at all that is here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.programs.helm import helm_on_path
from tests.support.programs.needs import requires_tool
from tests.support.registries.definition import definition_yaml
from tests.support.registries.journey import Machine, build, make_keys, make_root
from tests.support.registries.platform_upstream import PlatformUpstream, platform_upstream

_IMAGES, _CHARTS = 12, 4


@dataclass(frozen=True)
class _Locked:
    """A small platform that was locked once, and what that asked for.

    Attributes:
        platform: Its upstream.
        machine: Where it was locked, with a cache that was empty.
        folder: Has the definition and the lock.
        manifests: How often each was sent for the first lock.
        blobs: Likewise.
        site: How often each path of the web server was asked for.
    """

    platform: PlatformUpstream
    machine: Machine
    folder: Path
    manifests: Counter[str]
    blobs: Counter[str]
    site: Counter[str]

    @property
    def lock(self) -> Path:
        return self.folder / "platform.lock.yaml"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Locked]:
    """A small platform, locked for the first time."""
    requires_tool("docker-registry")
    helm_on_path()
    folder = tmp_path_factory.mktemp("platform")
    with platform_upstream(folder / "upstream", _IMAGES, _CHARTS) as running:
        text = definition_yaml(running.upstream)
        (folder / "platform.yaml").write_text(text, encoding="utf-8")
        machine = Machine(folder / "home")
        machine.run("lock", folder / "platform.yaml")
        manifests, blobs = running.manifest_fetches(), running.registry.blob_fetches()
        yield _Locked(running, machine, folder, manifests, blobs, running.site.log.count())


def test_a_lock_fetches_no_manifest_and_no_blob_twice(locked: _Locked) -> None:
    assert {name for name, count in locked.manifests.items() if count > 1} == set()
    assert {name for name, count in locked.blobs.items() if count > 1} == set()
    images = locked.platform.upstream.seeded.images
    named = {f"{image.recipe.repository}@{image.digest}" for image in images}
    assert len(named) == _IMAGES
    assert named <= set(locked.manifests), "each was fetched, so each was counted"


def test_a_chart_of_a_web_server_costs_its_archive_and_one_question(locked: _Locked) -> None:
    archives = [f"/charts/chart-{number:03}-1.0.0.tgz" for number in range(0, _CHARTS, 2)]
    asked = ["/charts/index.yaml", *archives, *(f"{path}.prov" for path in archives)]
    assert locked.site == Counter(asked)


def test_a_second_lock_fetches_no_blob(locked: _Locked) -> None:
    before = locked.lock.read_bytes()
    locked.platform.forget_requests()
    locked.machine.run("lock", locked.folder / "platform.yaml")
    assert locked.lock.read_bytes() == before
    assert locked.platform.manifest_fetches(), "it looks where the tags are now"
    assert not locked.platform.registry.blob_fetches()
    assert not [path for path in locked.platform.site.log.count() if path.endswith(".tgz")]


def test_a_warm_build_asks_nothing(locked: _Locked, tmp_path: Path) -> None:
    keys, release = tmp_path / "keys", tmp_path / "release"
    make_keys(keys)
    make_root(locked.machine, keys, release)
    first, second = tmp_path / "first", tmp_path / "second"
    assert build(locked.machine, locked.lock, first, release, keys)["fetched"] > _IMAGES
    locked.platform.forget_requests()
    assert build(locked.machine, locked.lock, second, release, keys)["fetched"] == 0
    assert locked.platform.requests() == 0
    assert (first / "bundle.json").read_bytes() == (second / "bundle.json").read_bytes()
