"""From a definition with a start to an isoward on a machine that took it from the medium alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from bundle.base.errors import DefinitionError, FormatError
from bundle.store.programs import run_program
from bundler.sources.python.simple_index import pip_index
from bundler.sources.start.own_wheel import make_wheel
from tests.support.documents.verify_text import steps_of_text, type_steps
from tests.support.programs.needs import requires_index
from tests.support.registries.journey import (
    APPROVERS,
    Machine,
    approve,
    build,
    make_keys,
    make_root,
)

ROOT = Path(__file__).resolve().parents[3]
PYTHON = f"3.{sys.version_info[1]}"
PLATFORM = {"aarch64": "linux/arm64"}.get(os.uname().machine, "linux/amd64")
DEFINITION = f"""\
apiVersion: isoward/v1
kind: BundleDefinition
metadata: {{name: start, version: 1.0.0}}
platforms: [{PLATFORM}]
pythonPackages:
  - {{name: installer, requirements: [start.txt], pythons: ["{PYTHON}"], glibc: "2.34"}}
start: {{pythonPackages: installer}}
"""


@dataclass(frozen=True)
class Vendor:
    """A machine with a lock, a release folder and a bundle that two persons approved.

    Attributes:
        machine: Where `isoward` is run.
        fingerprint: Of the root, in hexadecimal.
    """

    machine: Machine
    fingerprint: str

    @property
    def home(self) -> Path:
        return self.machine.home

    @property
    def bundle(self) -> Path:
        return self.home / "bundle"


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    requires_index(pip_index(run_program))
    home = tmp_path_factory.mktemp("vendor")
    machine = Machine(home)
    make_keys(home / "keys")
    make_root(machine, home / "keys", home / "release")
    (home / "definition.yaml").write_text(DEFINITION)
    (home / "start.txt").write_bytes((ROOT / "requirements/start.txt").read_bytes())
    machine.run("lock", "definition.yaml")
    build(machine, home / "definition.lock.yaml", home / "bundle", home / "release", home / "keys")
    for name in APPROVERS[:2]:
        approve(machine, home / "bundle", home / "keys", name)
    root = machine.result("root", "show", home / "release")
    return Vendor(machine, root["fingerprint"].removeprefix("sha256:"))


def test_a_machine_starts_from_the_medium_alone(vendor: Vendor, tmp_path: Path) -> None:
    steps = steps_of_text((vendor.bundle / "VERIFY.txt").read_text())
    typed = type_steps([steps[n] for n in (1, 2, 5, 8)], vendor.bundle, vendor.fingerprint)
    assert typed.returncode == 0, typed.stderr
    assert typed.stdout.splitlines()[0] == "trust/1.root.json"
    assert typed.stdout.splitlines()[-1] == "install.sh"
    assert "NOT" not in typed.stdout
    # Without a network at all where this can be had.
    alone = ["unshare", "--net"] if os.geteuid() == 0 else []
    installed = subprocess.run(
        [*alone, "sh", vendor.bundle / "install.sh", "--prefix", tmp_path / "isoward"],
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert installed.returncode == 0, installed.stdout + installed.stderr
    isoward = tmp_path / "isoward/current/bin/isoward"
    depot = tmp_path / "depot"
    for arguments in (
        ["--version"],
        ["verify", vendor.bundle, "--fingerprint", vendor.fingerprint],
        ["enroll", vendor.bundle, "--depot", depot, "--fingerprint", vendor.fingerprint],
        ["import", vendor.bundle, "--depot", depot],
        ["serve", "--help"],
        ["install", "--help"],
    ):
        done = subprocess.run(
            [*alone, isoward, *arguments], capture_output=True, text=True, check=False, timeout=120,
            env={"PATH": os.defpath, "HOME": str(tmp_path)},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    assert list((depot / "bundles").iterdir())


def test_the_lock_names_the_wheel_of_the_isoward_that_ran(vendor: Vendor) -> None:
    lock = yaml.safe_load((vendor.home / "definition.lock.yaml").read_text())
    wheel = make_wheel()
    assert lock["start"]["wheel"]["name"] == wheel.name
    assert lock["start"]["wheel"]["size"] == len(wheel.data)
    assert str(vendor.home) not in (vendor.home / "definition.lock.yaml").read_text()
    shown = vendor.machine.run("inspect", vendor.bundle)
    assert "start (install.sh)" in shown
    assert wheel.name in shown


def test_a_build_without_the_cache_makes_the_same_wheel_again(vendor: Vendor) -> None:
    lock = vendor.home / "definition.lock.yaml"
    digest = yaml.safe_load(lock.read_text())["start"]["wheel"]["digest"].removeprefix("sha256:")
    (cached,) = vendor.home.rglob(f".cache/isoward/content/blobs/sha256/{digest}")
    cached.unlink()
    again = build(
        vendor.machine, lock, vendor.home / "again", vendor.home / "release", vendor.home / "keys"
    )
    assert again["fetched"] == 1
    made = (vendor.home / "again/bundle.json").read_bytes()
    assert made == (vendor.bundle / "bundle.json").read_bytes()


def test_a_wheel_by_its_path_is_found_beside_the_lock(vendor: Vendor, tmp_path: Path) -> None:
    home, wheel = vendor.home, make_wheel()
    (home / "wheels").mkdir()
    (home / "wheels" / wheel.name).write_bytes(wheel.data)
    text = DEFINITION.replace("installer}", f"installer, wheel: wheels/{wheel.name}}}")
    (home / "named.yaml").write_text(text)
    vendor.machine.run("lock", "named.yaml")
    assert f"path: wheels/{wheel.name}" in (home / "named.lock.yaml").read_text()
    # Another file in its place is refused, and nothing is built.
    other = wheel.data[:-2] + b"\1\0x"  # the archive's comment
    for cached in home.rglob(".cache/isoward/content/blobs/sha256/*"):
        if cached.stat().st_size == len(wheel.data):
            cached.unlink()
    (home / "wheels" / wheel.name).write_bytes(other)
    refused = vendor.machine.attempt(
        "build", "named.lock.yaml", "-o", "named", "--release", "release", "--key",
        "keys/build.pem",
    )  # fmt: skip
    assert refused.returncode == FormatError.exit_code
    assert f"start: expected {wheel.name} as sha256:" in refused.stderr
    assert not (home / "named").exists()


def test_a_set_that_lacks_what_isoward_needs_cannot_be_locked(vendor: Vendor) -> None:
    text = (ROOT / "requirements/start.txt").read_text()
    entries = [e for e in re.split(r"\n(?=\S)", text) if not e.startswith("granian==")]
    (vendor.home / "start.txt").write_text("\n".join(entries))
    refused = vendor.machine.attempt("lock", "definition.yaml", "-o", "other.lock.yaml")
    (vendor.home / "start.txt").write_text(text)
    assert refused.returncode == DefinitionError.exit_code
    assert "lacks granian, which isoward-" in refused.stderr
    assert not (vendor.home / "other.lock.yaml").exists()
