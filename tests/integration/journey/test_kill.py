"""Kill -9 at random moments: the end state is the same, and what was finished is not done again."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.content import source
from tests.support.programs.needs import requires_tool
from tests.support.programs.processes import start
from tests.support.registries.journey import (
    APPROVERS,
    BUILDER,
    Machine,
    approve,
    build,
    key_file,
    make_keys,
    make_root,
)
from tests.support.registries.registry import Registry
from tests.support.trust.signature_rules import WAIVE_ALL_YAML

KILLS = 20
FIRST = 6
"""How many of them `make test` has; all are for `make e2e`."""
MIB = 1024 * 1024
_SHARED_MEMORY = Path("/dev/shm")
_DEFINITION = """\
apiVersion: isoward/v1
kind: BundleDefinition
metadata: {name: large, version: 1.0.0}
platforms: [linux/amd64]
images:
"""


@dataclass(frozen=True)
class Work:
    """A lock of many large blobs, and what its bundle is when nobody kills the build."""

    machine: Machine
    registry: Registry
    lock: Path
    release: Path
    keys: Path
    fingerprint: str
    bundle: Path
    seconds: float


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Work]:
    requires_tool("docker-registry", "skopeo")
    home = tmp_path_factory.mktemp("kill")
    machine = Machine(home)
    make_keys(home / "keys")
    fingerprint = make_root(machine, home / "keys", home / "release")
    with source(home / "upstream", images=6, size=192 * MIB) as upstream:
        definition, lock = home / "large.yaml", home / "large.lock.yaml"
        lines = "".join(f"  - reference: {reference}\n" for reference in upstream.references)
        definition.write_text(_DEFINITION + lines + WAIVE_ALL_YAML)
        machine.run("lock", definition, "-o", lock, "--cache", home / "lock-cache")
        began = time.monotonic()
        build(machine, lock, home / "bundle", home / "release", home / "keys")
        took = time.monotonic() - began
        yield Work(
            machine=machine,
            registry=upstream.registry,
            lock=lock,
            release=home / "release",
            keys=home / "keys",
            fingerprint=fingerprint,
            bundle=home / "bundle",
            seconds=took,
        )


@pytest.fixture
def kills_wanted(whole: bool) -> int:
    return KILLS if whole else FIRST


def test_build(work: Work, tmp_path: Path, kills_wanted: int) -> None:
    chooser = random.Random(20)
    expected = _content(work.bundle)
    kills, attempt, longest = 0, 0, work.seconds
    cache, output = tmp_path / "cache-0", tmp_path / "bundle-0"
    while kills < kills_wanted:
        finished, fetched = _names(cache / "blobs" / "sha256"), work.registry.blob_fetches()
        argv = work.machine.argv(*_build(work, cache, output))
        killed = _kill_after(argv, work, tmp_path, chooser.uniform(0.1, longest))
        now = work.registry.blob_fetches()
        assert not [n for n in finished if now[f"sha256:{n}"] != fetched[f"sha256:{n}"]]
        if killed:
            kills += 1
            assert not output.exists() or _content(output) == expected
            continue
        # It was done before the kill, on a machine that has become less busy.
        longest = max(0.2, longest * 0.8)
        assert _content(output) == expected
        attempt += 1
        shutil.rmtree(cache)
        cache, output = tmp_path / f"cache-{attempt}", tmp_path / f"bundle-{attempt}"
    work.machine.run(*_build(work, cache, output))
    assert _content(output) == expected
    assert not list(tmp_path.glob("*.building"))


def _content(bundle: Path) -> dict[str, str]:
    """Return a bundle's files but its provenance, which says when it was built, and the list."""
    found = _tree(bundle)
    assert found.pop("attestations/provenance.dsse.json")
    assert found.pop("SHA256SUMS")
    return found


def _build(work: Work, cache: Path, output: Path) -> tuple[str | Path, ...]:
    key = key_file(work.keys, BUILDER)
    arguments = ("build", work.lock, "-o", output, "--release", work.release, "--key", key)
    return (*arguments, "--cache", cache)


def test_import(work: Work, tmp_path: Path, kills_wanted: int) -> None:
    for name in APPROVERS[:2]:
        approve(work.machine, work.bundle, work.keys, name)
    chooser = random.Random(21)
    with tempfile.TemporaryDirectory(prefix="isoward-", dir=_other_filesystem()) as folder:
        medium = Path(folder) / "bundle"
        shutil.copytree(work.bundle, medium)
        depots = (tmp_path / f"depot-{i}" for i in itertools.count())
        reference = _enrolled(work, next(depots))
        began = time.monotonic()
        work.machine.run("import", medium, "--depot", reference)
        longest = time.monotonic() - began
        expected = _depot(reference)
        kills, depot = 0, _enrolled(work, next(depots))
        while kills < kills_wanted:
            blobs = _inodes(depot / "blobs" / "sha256")
            argv = work.machine.argv("import", medium, "--depot", depot)
            killed = _kill_after(argv, work, tmp_path, chooser.uniform(0.1, longest))
            after = _inodes(depot / "blobs" / "sha256")
            assert {name: after[name] for name in blobs} == blobs
            if killed:
                kills += 1
                continue
            # It was done before the kill, on a machine that has become less busy.
            longest = max(0.2, longest * 0.8)
            assert _depot(depot) == expected
            shutil.rmtree(depot)
            depot = _enrolled(work, next(depots))
        work.machine.run("import", medium, "--depot", depot)
        assert _depot(depot) == expected
        assert not _names(depot / "staging")


def _kill_after(argv: list[str], work: Work, tmp_path: Path, seconds: float) -> bool:
    """Start a command and kill it; return False when it had ended well before."""
    child = start("isoward", argv, tmp_path / "log", env=work.machine.environment)
    time.sleep(seconds)
    code = child.kill()
    assert code in {0, -9}, child.tail()
    return code == -9


def _enrolled(work: Work, depot: Path) -> Path:
    fingerprint = ("--fingerprint", work.fingerprint)
    work.machine.run("enroll", work.bundle, "--depot", depot, *fingerprint)
    return depot


def _other_filesystem() -> str | None:
    """Return a folder from which an import has to copy, where the machine has one."""
    usable = _SHARED_MEMORY.is_dir() and os.access(_SHARED_MEMORY, os.W_OK)
    room = usable and shutil.disk_usage(_SHARED_MEMORY).free > 512 * MIB
    return str(_SHARED_MEMORY) if room else None


def _tree(folder: Path) -> dict[str, str]:
    """Return the digest of each file; pytest would take minutes to compare their bytes."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): _digest(path) for path in files}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _depot(depot: Path) -> dict[str, str]:
    """Return what is in a depot, but for what says when it came there."""
    dated = {"import.json"}
    kept = {"blobs", "bundles"}
    tree = _tree(depot)
    return {
        name: data
        for name, data in tree.items()
        if name.split("/")[0] in kept and name.rpartition("/")[2] not in dated
    }


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _inodes(folder: Path) -> dict[str, int]:
    found = folder.iterdir() if folder.is_dir() else ()
    return {path.name: path.stat().st_ino for path in found}
