"""The installer killed, and a machine without power, at random moments: it always ends installed.

Kubespray is a stand-in that sets machines up in seconds (tests/lab/stand_in.py); all else is the
real thing, from the depot to sshd. The steps after it need a real cluster and are not run.
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from bundle.base.errors import PreflightError, StepError, UnreachableError
from installer.records.journal import Record, read_journal
from tests.lab.cluster_site import lab_cluster
from tests.lab.cluster_vendor import LAB_VARIABLES
from tests.lab.node import Lab, LabNode, lab
from tests.lab.site import write_site
from tests.lab.stand_in import FILES, PACKAGE, ROOT, VERSION, stand_in_vendor
from tests.support.programs.needs import requires_root, requires_tool
from tests.support.programs.processes import running
from tests.support.registries.journey import carry

pytestmark = [pytest.mark.e2e, pytest.mark.lab, pytest.mark.timeout(1800)]

MOMENTS = 30
_ISOWARD = (sys.executable, "-m", "bundle.cli.main")
_LAST = "cluster"
_SEED = 20261122
_FAILURES = {kind.exit_code for kind in (PreflightError, StepError, UnreachableError)}


@dataclass
class World:
    """Two machines, and the depot that is served to them."""

    lab: Lab
    depot: Path
    site: Path
    overrides: Path

    @property
    def state(self) -> Path:
        return self.depot / "sites" / "lab"

    def start(self) -> subprocess.Popen[str]:
        """Start an installation."""
        argv: list[str | Path] = [*_ISOWARD, "install", self.site, "--depot", self.depot]
        argv += ["--overrides", self.overrides, "--until", _LAST]
        return subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            text=True, start_new_session=True,
        )  # fmt: skip

    def install(self) -> str:
        """Install to the end, and return what was said."""
        process = self.start()
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
        return said

    def journal(self) -> list[Record]:
        return read_journal(self.state / "journal.jsonl")

    def forget(self) -> None:
        """Make the machines and the journal as they were before the first installation."""
        shutil.rmtree(self.state, ignore_errors=True)
        for node in self.lab.nodes:
            node.run(
                "sh", "-c",
                "systemctl disable --now stand-in 2>/dev/null; "
                f"rm -rf {ROOT} /etc/isoward /etc/systemd/system/stand-in.service; "
                f"dpkg --configure -a; dpkg --purge {PACKAGE}; systemctl daemon-reload",
            )  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    requires_root()
    requires_tool("mmdebstrap", "systemd-nspawn", "unshare", "ssh")
    home = tmp_path_factory.mktemp("kills")
    with stand_in_vendor(home) as vendor:
        journey = carry(home, vendor.definition, machine=vendor.machine)
    overrides = home / "overrides" / "group_vars" / "all"
    overrides.mkdir(parents=True)
    (overrides / "lab.yml").write_text(yaml.safe_dump(dict(LAB_VARIABLES)))
    with lab(nodes=2) as site, _served(journey.depot, site.host_address, home) as port:
        data = lab_cluster(site, port, VERSION)
        yield World(site, journey.depot, write_site(home / "site.yaml", data), home / "overrides")


@contextmanager
def _served(depot: Path, address: str, home: Path) -> Iterator[int]:
    ready = home / "ready.json"
    argv: list[str | Path] = [*_ISOWARD, "serve", "--depot", depot, "--address", address]
    argv += ["--port", "0", "--ready-file", ready]
    with running("isoward serve", argv, home / "serve.log", ready=ready.exists):
        yield int(json.loads(ready.read_text())["url"].rsplit(":", 1)[1])


def _require_installed(world: World) -> None:
    for node in world.lab.nodes:
        for number in range(FILES):
            said = node.run("cat", f"{ROOT}/{number}").stdout.decode()
            assert said == f"file {number} of {node.name}\n"
        assert node.run("systemctl", "is-active", "stand-in").stdout == b"active\n"
        status = node.run("dpkg-query", "--show", "--showformat=${db:Status-Status}", PACKAGE)
        assert status.stdout == b"installed"
        assert node.run("cat", f"{ROOT}/cluster").stdout == b"begun\n"


def _require_nothing_done_twice(records: list[Record]) -> None:
    finished: set[str] = set()
    for record in records:
        assert record.step not in finished, f"{record.step} was finished, and then {record.event}"
        if record.event == "finished":
            finished.add(record.step)
    assert finished == {"verify", "depot", "preflight", "hosts", "cluster"}


def test_1_an_installation_ends_and_a_second_one_does_nothing(world: World) -> None:
    said = world.install()
    assert "installed lab until cluster: 5 steps" in said
    _require_installed(world)
    _require_nothing_done_twice(world.journal())
    before = len(world.journal())
    assert "nothing to do" in world.install()
    assert len(world.journal()) == before


def test_2_killed_or_without_power_at_any_moment_it_ends_installed(world: World) -> None:
    """30 moments, chosen by chance over as many installations as it takes."""
    choose = random.Random(_SEED)
    seconds = _timed_installation(world)
    done = 0
    while done < MOMENTS:
        world.forget()
        while True:
            node = choose.choice([None, *world.lab.nodes]) if done % 2 else None
            if done >= MOMENTS or not _stopped(world, choose.uniform(0.3, seconds), node):
                break
            done += 1
        world.install()
        _require_installed(world)
        _require_nothing_done_twice(world.journal())


def _timed_installation(world: World) -> float:
    world.forget()
    begun = time.monotonic()
    world.install()
    return time.monotonic() - begun


def _stopped(world: World, after: float, node: LabNode | None) -> bool:
    """Install, and stop that after some seconds; say whether it had not ended by then.

    Args:
        world: Where.
        after: Seconds.
        node: Whose power is cut; without one the installer is killed.
    """
    process = world.start()
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        if node is None:
            process.kill()
            process.communicate()
            return True
        node.cut_power()
        node.boot()
        said, _ = process.communicate(timeout=300)
        # It may not have needed that machine any more; else it says which one was lost.
        assert process.returncode in {0, *_FAILURES}, said
        assert process.returncode == 0 or node.name in said or "lab" in said, said
        assert "Traceback" not in said
        return True
    said, _ = process.communicate()
    assert process.returncode == 0, said
    return False
