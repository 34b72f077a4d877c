"""A real upstream, and a bundle that travelled from it into a served depot."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.packages.debian_images import content_cache
from tests.support.packages.rpm_world import (
    APPSTREAM,
    BASEOS,
    MODULES,
    RpmWorld,
    end_signer,
    make_world,
)
from tests.support.programs.helm import helm_on_path
from tests.support.programs.needs import requires_tool
from tests.support.registries.journey import Journey, ServedDepot, served, travel
from tests.support.registries.seeded import Upstream
from tests.support.registries.seeded import upstream as run_upstream
from tests.support.registries.static_site import StaticSite, static_site
from tests.vectors.hostile.base import Seed, Stage, make_seed


@pytest.fixture(scope="session")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """The distribution registry, a chart repository and a file server with Debian's content."""
    requires_tool("docker-registry", "skopeo", "apt-get", "dpkg-deb")
    helm_on_path()
    with run_upstream(tmp_path_factory.mktemp("upstream"), content_cache()) as running:
        yield running


@pytest.fixture(scope="session")
def journey(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Journey:
    """A bundle of all that is upstream, approved and imported."""
    return travel(tmp_path_factory.mktemp("journey"), upstream)


@pytest.fixture(scope="session")
def depot(tmp_path_factory: pytest.TempPathFactory, journey: Journey) -> Iterator[ServedDepot]:
    """The depot of that journey, being served."""
    with served(journey.machine, journey.depot, tmp_path_factory.mktemp("serve")) as running:
        yield running


@pytest.fixture(scope="session")
def rpm_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RpmWorld]:
    """Packages of a small rpm distribution, signed with its key."""
    requires_tool("dnf", "rpmbuild", "rpmsign", "rpmkeys", "createrepo_c", "gpg", "gpgv")
    made = make_world(tmp_path_factory.mktemp("rpm"))
    yield made
    end_signer(made.key)
    end_signer(made.stranger)


@pytest.fixture(scope="session")
def rpm_site(tmp_path_factory: pytest.TempPathFactory, rpm_world: RpmWorld) -> Iterator[StaticSite]:
    """That distribution's server, with its two repositories as they should be."""
    with static_site(tmp_path_factory.mktemp("rpm-site")) as site:
        rpm_world.repository(site.root / "baseos", BASEOS)
        rpm_world.repository(site.root / "appstream", APPSTREAM, modules=MODULES)
        yield site


@pytest.fixture(scope="session")
def seed(tmp_path_factory: pytest.TempPathFactory) -> Seed:
    """A good bundle and a depot that would take it, of which every hostile case is made."""
    return make_seed(tmp_path_factory.mktemp("seed"))


@pytest.fixture
def stage(seed: Seed, tmp_path: Path) -> Iterator[Stage]:
    """A copy of that for one test."""
    yield seed.stage(tmp_path)
    # So many small files are not worth keeping.
    shutil.rmtree(tmp_path, ignore_errors=True)
