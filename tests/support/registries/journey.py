"""Runs the real `isoward` command, and with it a bundle's whole journey."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.programs.processes import running
from tests.support.registries.definition import definition_yaml
from tests.support.registries.seeded import Upstream

PASSPHRASE = "correct horse battery staple"
ROOT_HOLDER = "Ruth Root"
APPROVERS = ("Ada Approver", "Ben Approver", "Cleo Approver")
BUILDER = "Build System"
TICKET = "CHG-1234"
REPOSITORY_ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Machine:
    """A machine on which `isoward` is run: a home of its own, with its own caches.

    Attributes:
        home: Where commands run, and where the caches are.
        engine: Its container engine, as DOCKER_HOST has it.
    """

    home: Path
    engine: str = ""

    @property
    def environment(self) -> dict[str, str]:
        # Nothing that the tests' own machine has set for registries may decide a test.
        kept = {key: value for key, value in os.environ.items() if not key.startswith("DOCKER_")}
        if self.engine:
            kept["DOCKER_HOST"] = self.engine
        return {
            **kept,
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "PYTHONPATH": str(REPOSITORY_ROOT),
        }

    def argv(self, *arguments: str | Path) -> list[str]:
        """Return the command line of `isoward`."""
        return [sys.executable, "-m", "bundle.cli.main", *map(str, arguments)]

    def attempt(
        self, *arguments: str | Path, passphrases: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """Run `isoward` and return how it ended.

        Args:
            arguments: Of the command line.
            passphrases: How many keys it opens; their passphrases come by a pipe.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        argv = self.argv(*arguments)
        reader, writer = os.pipe()
        os.write(writer, f"{PASSPHRASE}\n".encode() * passphrases)
        os.close(writer)
        if passphrases:
            argv += ["--passphrase-fd", str(reader)]
        try:
            return subprocess.run(
                argv,
                cwd=self.home,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                pass_fds=(reader,),
            )
        finally:
            os.close(reader)

    def run(self, *arguments: str | Path, passphrases: int = 0) -> str:
        """Run `isoward`, which must succeed, and return its standard output."""
        done = self.attempt(*arguments, passphrases=passphrases)
        assert done.returncode == 0, (
            f"isoward {' '.join(map(str, arguments))} ended with {done.returncode}:\n"
            f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        )
        return done.stdout

    def result(self, *arguments: str | Path, passphrases: int = 0) -> dict[str, Any]:
        """Run `isoward --json`, which must succeed, and return its result."""
        said: dict[str, Any] = json.loads(self.run(*arguments, "--json", passphrases=passphrases))
        return said


@dataclass(frozen=True)
class Journey:
    """A bundle that went all the way into a depot.

    Attributes:
        machine: Where it was made.
        definition: What was asked for.
        lock: What that was resolved to.
        release: The release folder with the root and the build system's metadata.
        keys: The folder of the private and public keys.
        bundle: The approved bundle.
        depot: The depot that imported it.
        fingerprint: Of the root, in hexadecimal.
    """

    machine: Machine
    definition: Path
    lock: Path
    release: Path
    keys: Path
    bundle: Path
    depot: Path
    fingerprint: str

    def manifest(self) -> dict[str, Any]:
        """Return bundle.json."""
        manifest: dict[str, Any] = json.loads((self.bundle / "bundle.json").read_bytes())
        return manifest


def make_keys(keys: Path) -> None:
    """Take a root key, three approvers' keys and the build system's, the same for all vendors."""
    shutil.copytree(_keys(), keys)


@cache
def _keys() -> Path:
    """Make them, once for all tests of this process."""
    home = Path(tempfile.mkdtemp(prefix="isoward-keys-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    machine, keys = Machine(home), home / "keys"
    keys.mkdir()
    for name in (ROOT_HOLDER, *APPROVERS):
        machine.run("keys", "new", name, "-o", key_file(keys, name), passphrases=1)
    machine.run("keys", "new", BUILDER, "-o", key_file(keys, BUILDER), "--no-passphrase")
    return keys


def key_file(keys: Path, name: str) -> Path:
    """Return the private key of a holder; the public one ends in .pub."""
    return keys / f"{name.split(maxsplit=1)[0].lower()}.pem"


def make_root(machine: Machine, keys: Path, release: Path) -> str:
    """Make the root of trust and return its fingerprint."""
    arguments: list[str | Path] = ["root", "new", release, "--root-threshold", "1"]
    arguments += ["--root-key", key_file(keys, ROOT_HOLDER).with_suffix(".pub")]
    for name in APPROVERS:
        arguments += ["--approver", key_file(keys, name).with_suffix(".pub")]
    arguments += ["--builder", key_file(keys, BUILDER).with_suffix(".pub")]
    arguments += ["--sign-with", key_file(keys, ROOT_HOLDER)]
    made = machine.result(*arguments, passphrases=1)
    return str(made["fingerprint"])


def build(machine: Machine, lock: Path, output: Path, release: Path, keys: Path) -> dict[str, Any]:
    """Build a bundle and return what the command said."""
    return machine.result(
        "build", lock, "-o", output, "--release", release, "--key", key_file(keys, BUILDER)
    )


def approve(machine: Machine, bundle: Path, keys: Path, name: str) -> dict[str, Any]:
    """Approve a bundle as one person and return what the command said."""
    key = key_file(keys, name)
    return machine.result(
        "approve", bundle, "--key", key, "--ticket", TICKET, "--yes", passphrases=1
    )


def travel(home: Path, upstream: Upstream) -> Journey:
    """Take everything that is upstream to a depot: lock, build, approve twice, import."""
    return carry(home, definition_yaml(upstream))


def carry(home: Path, asked: str, engine: str = "", machine: Machine | None = None) -> Journey:
    """Take what a definition asks for to a depot; what it names by a path lies in `home`."""
    machine = machine or Machine(home, engine)
    keys, release, bundle, depot = (home / n for n in ("keys", "release", "bundle", "depot"))
    make_keys(keys)
    fingerprint = make_root(machine, keys, release)
    definition, lock = home / "definition.yaml", home / "definition.lock.yaml"
    definition.write_text(asked, encoding="utf-8")
    machine.run("lock", definition, "-o", lock)
    build(machine, lock, bundle, release, keys)
    for name in APPROVERS[:2]:
        approve(machine, bundle, keys, name)
    machine.run("enroll", bundle, "--depot", depot, "--fingerprint", fingerprint)
    machine.run("import", bundle, "--depot", depot)
    return Journey(machine, definition, lock, release, keys, bundle, depot, fingerprint)


@dataclass(frozen=True)
class ServedDepot:
    """A depot that is being served.

    Attributes:
        url: Its address, https.
        ca: PEM file of the authority that a client must trust.
    """

    url: str
    ca: Path

    @property
    def host(self) -> str:
        return self.url.removeprefix("https://")

    def image(self, reference: str) -> str:
        """Return where the depot has an image: below its own host, the upstream one as a folder."""
        registry, _, rest = reference.partition("/")
        return f"{self.host}/{registry.replace(':', '_')}/{rest}"

    def cert_dir(self, folder: Path) -> Path:
        """Return a folder as skopeo's `--cert-dir` options want it."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ca.crt").write_bytes(self.ca.read_bytes())
        return folder


@contextmanager
def served(machine: Machine, depot: Path, directory: Path) -> Iterator[ServedDepot]:
    """Serve a depot with `isoward serve` until the end of the block."""
    ready = directory / "ready.json"
    argv = machine.argv(
        "serve", "--depot", depot, "--address", "127.0.0.1", "--port", "0", "--ready-file", ready
    )
    with running(
        "isoward serve",
        argv,
        directory / "serve.log",
        ready=ready.exists,
        env=machine.environment,
        cwd=machine.home,
    ):
        said = json.loads(ready.read_bytes())
        yield ServedDepot(said["url"], Path(said["ca"]))
