"""What lies on the vendor's machine, all the way to a client of the depot."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from bundle.base.digest import digest_of
from bundle.base.errors import DefinitionError, DigestMismatchError
from tests.support.charts.git_repositories import commit_files, new_repository
from tests.support.registries.journey import Journey, Machine, ServedDepot, build, carry, served

CONF = b"listen = 0.0.0.0\n" * 1000
SCRIPT = b"#!/bin/sh\necho from git\n"


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Journey:
    home = tmp_path_factory.mktemp("local")
    (home / "files").mkdir()
    (home / "files" / "tool.conf").write_bytes(CONF)
    commit = commit_files(new_repository(home / "platform"), {"bin/run.sh": SCRIPT})
    return carry(
        home,
        f"""
apiVersion: isoward/v1
kind: BundleDefinition
metadata: {{name: local-platform, version: 1.0.0}}
platforms: [linux/amd64]
files:
  - {{path: files/tool.conf}}
  - {{git: {{repository: platform, commit: {commit}}}, path: bin/run.sh, name: start.sh}}
""",
    )


@pytest.fixture(scope="module")
def depot(journey: Journey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDepot]:
    with served(journey.machine, journey.depot, tmp_path_factory.mktemp("serve")) as running:
        yield running


@pytest.mark.parametrize(("name", "data"), [("tool.conf", CONF), ("start.sh", SCRIPT)])
def test_local_files_are_served_by_name(depot: ServedDepot, name: str, data: bytes) -> None:
    with urllib3.PoolManager(ca_certs=str(depot.ca)) as http:
        found = http.request("GET", f"{depot.url}/files/local/{name}")
    assert (found.status, digest_of(found.data)) == (200, digest_of(data))


def test_nothing_of_the_machine_is_in_a_lock_or_a_bundle(journey: Journey) -> None:
    for path in (journey.lock, journey.bundle / "bundle.json"):
        assert str(journey.machine.home) not in path.read_text()
    assert journey.manifest().get("sources", []) == []


def test_what_a_bundle_has_is_said_with_its_origin(journey: Journey) -> None:
    said = journey.machine.result("inspect", journey.bundle)["files"]
    assert {file["name"]: file["path"] for file in said} == {
        "start.sh": "bin/run.sh",
        "tool.conf": "files/tool.conf",
    }
    page = journey.machine.run("inspect", journey.bundle)
    assert "local/start.sh from bin/run.sh in platform at" in page


def test_a_second_lock_says_that_nothing_changed(journey: Journey) -> None:
    said = journey.machine.result("lock", journey.definition, "-o", journey.lock)
    assert said["changes"] == []


def _moved(journey: Journey, folder: Path) -> Path:
    """Put what a lock needs elsewhere, as another machine's checkout of it."""
    for name in ("files", "platform"):
        shutil.copytree(journey.machine.home / name, folder / name)
    return Path(shutil.copy(journey.lock, folder / "definition.lock.yaml"))


def test_another_machine_builds_the_same_from_its_own_folder(
    journey: Journey, tmp_path: Path
) -> None:
    lock = _moved(journey, tmp_path)
    made = build(Machine(tmp_path), lock, tmp_path / "b", journey.release, journey.keys)
    assert (made["fetched"], made["fromCache"]) == (2, 0)
    assert (tmp_path / "b" / "bundle.json").read_bytes() == (
        journey.bundle / "bundle.json"
    ).read_bytes()


def test_a_cached_build_needs_no_folder(journey: Journey, tmp_path: Path) -> None:
    lock = Path(shutil.copy(journey.lock, tmp_path))
    made = build(journey.machine, lock, tmp_path / "b", journey.release, journey.keys)
    assert made["fetched"] == 0


def test_without_its_folder_a_build_names_what_is_not_there(
    journey: Journey, tmp_path: Path
) -> None:
    lock = _moved(journey, tmp_path)
    (tmp_path / "files" / "tool.conf").unlink()
    done = Machine(tmp_path).attempt(*_build(journey, lock))
    assert (done.returncode, "files/tool.conf" in done.stderr) == (DefinitionError.exit_code, True)
    (tmp_path / "files" / "tool.conf").write_bytes(CONF[:-1] + b"x")
    done = Machine(tmp_path).attempt(*_build(journey, lock))
    assert done.returncode == DigestMismatchError.exit_code
    assert "file files/tool.conf: expected" in done.stderr
    assert not (tmp_path / "b").exists()


def _build(journey: Journey, lock: Path) -> list[str | Path]:
    key = journey.keys / "build.pem"
    return ["build", lock, "-o", lock.parent / "b", "--release", journey.release, "--key", key]
