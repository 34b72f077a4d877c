"""The measurements, each of one command of the journey."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.content import Source
from bench.measure import ISOWARD, MIB, Row, Run, alternate, isoward, run
from bench.serving import serve_rows

_CHUNK = 1024 * 1024
_APPROVERS = ("ada", "ben", "cleo")
_DEFINITION = """\
apiVersion: isoward/v1
kind: BundleDefinition
metadata: {name: bench, version: 1.0.0}
platforms: [linux/amd64]
images:
"""
_SIGNATURES = """\
signatures:
  - images: ["**"]
    unsigned:
      reason: random bytes, made to be measured
      approvedBy: the benchmark
      ticket: BENCH-1
      expires: "2099-12-31"
"""


@dataclass(frozen=True)
class Kit:
    """The files that the commands need.

    Attributes:
        work: A folder on the disk that is measured.
        medium: A folder on another filesystem, so that an import has to copy.
        rounds: How often each measurement is made; the median counts.
    """

    work: Path
    medium: Path
    rounds: int

    @property
    def lock(self) -> Path:
        """Where the lock is."""
        return self.work / "bench.lock.yaml"

    @property
    def bundle(self) -> Path:
        """Where the bundle is built."""
        return self.work / "bundle"

    def key(self, name: str) -> Path:
        """Where a holder's private key is."""
        return self.work / "keys" / f"{name}.pem"

    def public(self, name: str) -> Path:
        """Where a holder's public key is."""
        return self.key(name).with_suffix(".pub")


def prepare(kit: Kit, references: Sequence[str]) -> None:
    """Make keys, a root, a definition and its lock."""
    (kit.work / "keys").mkdir()
    for name in ("root", *_APPROVERS, "builder"):
        isoward("keys", "new", name, "-o", kit.key(name), "--no-passphrase")
    public = next((kit.work / "keys").glob("ada*.pub")).name.replace("ada", "{}")
    key = {n: kit.work / "keys" / public.format(n) for n in ("root", *_APPROVERS, "builder")}
    isoward(
        *("root", "new", kit.work / "release", "--root-key", key["root"], "--root-threshold", "1"),
        *("--approver", key["ada"], "--approver", key["ben"], "--approver", key["cleo"]),
        *("--builder", key["builder"], "--sign-with", kit.key("root")),
    )
    definition = kit.work / "bench.yaml"
    lines = "".join(f"  - reference: {reference}\n" for reference in references)
    definition.write_text(_DEFINITION + lines + _SIGNATURES)
    isoward("lock", definition, "-o", kit.lock, "--cache", kit.work / "cache")


def build_rows(kit: Kit, source: Source) -> list[Row]:
    """Measure build against skopeo copy of the same images into one OCI layout."""
    layout = kit.work / "skopeo"

    def ours(_: int) -> Run:
        shutil.rmtree(kit.bundle, ignore_errors=True)
        shutil.rmtree(kit.work / "cache", ignore_errors=True)
        return isoward(
            *("build", kit.lock, "-o", kit.bundle, "--cache", kit.work / "cache"),
            *("--release", kit.work / "release", "--key", kit.key("builder")),
        )

    def peer(_: int) -> Run:
        shutil.rmtree(layout, ignore_errors=True)
        runs = [_skopeo(reference, layout) for reference in source.references]
        return Run(sum(r.seconds for r in runs), max(r.memory for r in runs))

    mine, theirs = alternate(kit.rounds, ours, peer)
    shutil.rmtree(layout)
    for name in _APPROVERS[:2]:
        isoward("approve", kit.bundle, "--key", kit.key(name), "--ticket", "CHG-1234", "--yes")
    row = Row("build", mine.seconds, theirs.seconds, "skopeo copy", "s", 1.0, mine.memory)
    return [row]


def _skopeo(reference: str, layout: Path) -> Run:
    target = f"oci:{layout}:{reference.rpartition('/')[2]}"
    command = ["skopeo", "copy", "--quiet", "--src-tls-verify=false"]
    return run([*command, f"docker://{reference}", target])


def verify_rows(kit: Kit) -> list[Row]:
    """Measure verify against sha256sum and against hashlib's own rate."""
    print_ = _fingerprint(kit)
    size = _size(kit.bundle)

    def ours(_: int) -> Run:
        return isoward("verify", kit.bundle, "--fingerprint", print_)

    def sha256sum(_: int) -> Run:
        return run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=kit.bundle)

    def hashlib_alone(_: int) -> Run:
        began = time.monotonic()
        _hash_tree(kit.bundle)
        return Run(time.monotonic() - began, 0)

    mine, theirs = alternate(kit.rounds, ours, sha256sum)
    again, limit = alternate(kit.rounds, ours, hashlib_alone)
    return [
        Row("verify", mine.seconds, theirs.seconds, "sha256sum -c", "s", 1.0, mine.memory),
        Row(
            what="verify",
            ours=size / MIB / again.seconds,
            peer=size / MIB / limit.seconds,
            peer_name="hashlib, reading the same files",
            unit="MiB/s",
            goal=0.9,
            memory=again.memory,
        ),
    ]


def import_rows(kit: Kit) -> list[Row]:
    """Measure import from another filesystem against cp, sync and a hash of the copy."""
    medium = kit.medium / "bundle"
    shutil.copytree(kit.bundle, medium)
    print_ = _fingerprint(kit)

    def ours(i: int) -> Run:
        depot = kit.work / f"depot-{i}"
        isoward("enroll", medium, "--depot", depot, "--fingerprint", print_)
        taken = isoward("import", medium, "--depot", depot)
        if i:
            shutil.rmtree(depot)
        return taken

    def peer(_: int) -> Run:
        copy = kit.work / "copy"
        began = time.monotonic()
        run(["cp", "-r", medium, copy])
        run(["sync", "-f", copy])
        _hash_tree(copy)
        took = time.monotonic() - began
        shutil.rmtree(copy)
        return Run(took, 0)

    mine, theirs = alternate(kit.rounds, ours, peer)
    shutil.rmtree(medium)
    return [Row("import", mine.seconds, theirs.seconds, "cp, sync, hash", "s", 1.1, mine.memory)]


def depot_rows(kit: Kit) -> list[Row]:
    """Measure the depot against nginx, both over TLS, with four clients at a time."""
    return serve_rows(kit.work, kit.work / "depot-0", kit.rounds)


def inspect_seconds(kit: Kit) -> float:
    """Return the median time of inspect."""
    return sorted(isoward("inspect", kit.bundle).seconds for _ in range(5))[2]


def _fingerprint(kit: Kit) -> str:
    shown = subprocess.run(
        [*ISOWARD, "root", "show", str(kit.work / "release"), "--json"],
        check=True,
        capture_output=True,
    )
    fingerprint: str = json.loads(shown.stdout)["fingerprint"]
    return fingerprint


def _hash_tree(tree: Path) -> None:
    buffer = memoryview(bytearray(_CHUNK))
    for path in sorted(tree.rglob("*")):
        if path.is_file():
            state = hashlib.sha256()
            with path.open("rb", buffering=0) as file:
                while count := file.readinto(buffer):
                    state.update(buffer[:count])


def _size(tree: Path) -> int:
    return sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())
