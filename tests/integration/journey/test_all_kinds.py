"""Every kind of content in one bundle, from the vendor's folder to a client of the depot."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from bundle.base.digest import digest_of
from bundle.base.errors import DefinitionError, ThresholdError
from bundle.store.programs import run_program
from bundler.sources.python.simple_index import pip_index
from tests.support.charts.folders import write_chart
from tests.support.charts.git_repositories import commit_files, new_repository
from tests.support.cluster import kubespray as standin
from tests.support.packages import apt_repository as apt
from tests.support.programs.helm import helm_on_path
from tests.support.programs.needs import requires_index, requires_tool
from tests.support.registries.content import RegistryContent
from tests.support.registries.faulty_registry import faulty_registry
from tests.support.registries.image_archives import oci_archive, small_image
from tests.support.registries.journey import (
    APPROVERS,
    Journey,
    ServedDepot,
    approve,
    build,
    carry,
    served,
)
from tests.support.registries.static_site import static_site
from tests.support.trust.signature_rules import WAIVE_ALL_YAML

ROOT = Path(__file__).resolve().parents[3]
CONF = b"listen = 0.0.0.0\n"
OWN = "registry.example.org/app/own:1.0"
SECTIONS = (
    "images", "charts", "files", "OS packages", "Python packages", "Kubespray", "start",
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """A bundle of all kinds.

    Attributes:
        journey: Which it has gone.
        registry: Host of the registry that its images came from.
    """

    journey: Journey
    registry: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    requires_tool("apt-get", "gpgv", "skopeo", "git")
    requires_index(pip_index(run_program))
    helm_on_path()
    home = tmp_path_factory.mktemp("all-kinds")
    content, key = RegistryContent(), apt.SigningKey(home / "gnupg")
    with static_site(home / "site") as site, faulty_registry(content) as registry:
        web = f"{registry.host}/app/web:1.0"
        images = (web, *(f"{registry.host}/{name}" for name in standin.IMAGES))
        standin.put_images(content, images, home / "made")
        for path, data in standin.site_files().items():
            site.put(path, data)
        apt.AptRepository(site.root / "debian", key).make()
        (home / "keys.gpg").write_bytes(key.public())
        asked = {**_own_content(home, web), **_kubespray(home, site.url, registry.host)}
        text = yaml.safe_dump(asked) + apt.apt_definition(f"{site.url}/debian") + WAIVE_ALL_YAML
        hosts = [registry.host, site.url.removeprefix("http://")]
        (home / ".config/isoward").mkdir(parents=True)
        (home / ".config/isoward/sources.yaml").write_text(
            yaml.safe_dump(
                {"apiVersion": "isoward/v1", "kind": "SourceConfig", "allowedHosts": hosts}
            )
        )
        yield World(carry(home, text), registry.host)
    key.close()


def _own_content(home: Path, web: str) -> dict[str, Any]:
    """Write what lies beside the definition, and return the definition's head with it."""
    own = oci_archive(home / "images", small_image(home / "trees", "own"))
    write_chart(home / "charts/web", "web", "1.0.0")
    (home / "web.yaml").write_text(f"image: {{repository: {web.rpartition(':')[0]}, tag: '1.0'}}\n")
    (home / "tool.conf").write_bytes(CONF)
    shutil.copy(ROOT / "requirements/start.txt", home)
    return {
        "apiVersion": "isoward/v1",
        "kind": "BundleDefinition",
        "metadata": {"name": "ward", "version": "1.0.0"},
        "platforms": ["linux/amd64"],
        "images": [
            {"reference": OWN, "archive": str(own.relative_to(home)), "name": "own:1.0"},
        ],
        "charts": [
            {"name": "web", "version": "1.0.0", "path": "charts/web", "values": ["web.yaml"]}
        ],
        "files": [{"path": "tool.conf"}],
        "pythonPackages": [
            {
                "name": "installer",
                "requirements": ["start.txt"],
                "pythons": [f"3.{sys.version_info[1]}"],
                "glibc": "2.34",
            }
        ],
        "start": {"pythonPackages": "installer"},
    }


def _kubespray(home: Path, site: str, registry: str) -> dict[str, Any]:
    repository = new_repository(home / "repository")
    standin.stand_in().write(repository)
    variables = {"site_url": site, "kube_image_repo": registry}
    (home / "inventory.yaml").write_text(standin.inventory(**variables))
    commit = commit_files(repository, {})
    return {
        "kubespray": {
            "version": standin.VERSION,
            "git": {"repository": "repository", "commit": commit},
            "inventory": "inventory.yaml",
        }
    }


@pytest.fixture(scope="module")
def depot(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDepot]:
    journey = world.journey
    with served(journey.machine, journey.depot, tmp_path_factory.mktemp("serve")) as running:
        yield running


def test_inspect_shows_each_kind_and_where_it_is_from(world: World) -> None:
    page = world.journey.machine.run("inspect", world.journey.bundle)
    said = [line[2:] for line in page.splitlines()[1:-1] if not line.startswith("   ")]
    titles = [re.split(r" [({]| test-| installer| v9", line)[0] for line in said[1:]]
    assert tuple(titles) == SECTIONS
    for line in (
        "needed by chart web 1.0.0",
        "web 1.0.0 from charts/web",
        "with the values web.yaml",
        f"needs {world.registry}/app/web:1.0",
        "local/tool.conf from tool.conf",
        "from test: stable main, as signed",
        f"for Python 3.{sys.version_info[1]} on linux/amd64: ",
        "its tree, for the inventory ",
    ):
        assert line in page
    assert "local.invalid" not in page


def test_the_second_lock_and_build_say_that_nothing_is_new(world: World, tmp_path: Path) -> None:
    journey = world.journey
    done = journey.machine.attempt("lock", journey.definition, "-o", journey.lock)
    counts, second, *_ = done.stdout.splitlines()
    assert (done.returncode, second) == (0, f"no changes: {journey.lock}")
    assert ", 1 chart, " in counts
    assert ", 4 OS packages, " in counts
    assert f"Kubespray {standin.VERSION}, a start for machines without isoward: " in counts
    phases = [line.partition(" in ")[0] for line in done.stderr.splitlines()]
    assert "resolving Python packages: 1 set" in phases
    assert "rendering: 1 chart" in phases
    release, keys = journey.release, journey.keys
    again = build(journey.machine, journey.lock, tmp_path / "again", release, keys)
    assert again["fetched"] == 0
    made = (tmp_path / "again/bundle.json").read_bytes()
    assert made == (journey.bundle / "bundle.json").read_bytes()
    verify = ("verify", tmp_path / "again", "--fingerprint", journey.fingerprint)
    refused = journey.machine.attempt(*verify)
    assert refused.returncode == ThresholdError.exit_code
    # What an approver is shown names folders as their owner does.
    changes = approve(journey.machine, tmp_path / "again", keys, APPROVERS[0])["changes"]
    assert "local.invalid" not in "".join(changes)
    assert journey.machine.result("verify", journey.bundle, "--depot", journey.depot)["verified"]


@pytest.mark.parametrize(
    "path",
    [
        "/files/local/tool.conf",
        "/charts/index.yaml",
        "/os/test-system/test/dists/stable/InRelease",
        "/pypi/installer/simple/click/",
        "/v2/registry.example.org/app/own/manifests/1.0",
    ],
)
def test_the_depot_serves_each_kind(depot: ServedDepot, path: str) -> None:
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json, */*"}
    with urllib3.PoolManager(ca_certs=str(depot.ca)) as http:
        found = http.request("GET", depot.url + path, headers=accept)
        assert (found.status, found.data != b"") == (200, True)
        if path.endswith("tool.conf"):
            assert digest_of(found.data) == digest_of(CONF)


def test_wrong_input_is_said_by_its_place_and_leaves_the_lock(world: World) -> None:
    journey = world.journey
    home, before = journey.machine.home, journey.lock.read_bytes()
    text = journey.definition.read_text()
    for old, new, said in (
        ("- start.txt", "- none.txt", "none.txt"),
        ("keys.gpg", "none.gpg", "none.gpg"),
        ("path: charts/web", "path: charts/none", "charts/none"),
    ):
        assert old in text
        (home / "wrong.yaml").write_text(text.replace(old, new))
        done = journey.machine.attempt("lock", "wrong.yaml", "-o", journey.lock)
        assert (done.returncode, said in done.stderr) == (DefinitionError.exit_code, True), (
            done.stderr
        )
        assert "Traceback" not in done.stderr
        assert journey.lock.read_bytes() == before
