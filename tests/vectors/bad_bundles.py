"""Broken bundles: ways to spoil a good one, each with the exit code that is promised for it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bundle.base.canonical import canonical_json


@dataclass(frozen=True)
class BadBundle:
    """A way to spoil a bundle.

    Attributes:
        name: What is wrong with it.
        spoil: Does it to the bundle in this folder.
        code: The exit code that docs/EXIT_CODES promises.
        says: A part of the message.
    """

    name: str
    spoil: Callable[[Path], None]
    code: int
    says: str


def bad_bundles() -> list[BadBundle]:
    """Return ways to spoil a bundle."""
    return [
        BadBundle("no-folder", shutil.rmtree, 11, "bundle.json"),
        BadBundle("no-manifest", lambda b: (b / "bundle.json").unlink(), 11, "bundle.json"),
        BadBundle("no-trust", lambda b: shutil.rmtree(b / "trust"), 23, "root.json"),
        BadBundle("no-targets", lambda b: (b / "trust/targets.json").unlink(), 23, "targets.json"),
        BadBundle("no-sums", lambda b: (b / "SHA256SUMS").unlink(), 23, "SHA256SUMS"),
        BadBundle("no-blob", lambda b: _blob(b).unlink(), 23, "blobs/sha256/"),
        BadBundle("short-blob", _shorten, 22, "blobs/sha256/"),
        BadBundle("long-blob", lambda b: _append(_blob(b)), 22, "blobs/sha256/"),
        BadBundle("other-blob", _other_blob, 21, "blobs/sha256/"),
        BadBundle("blob-is-a-link", _link_blob, 25, "blobs/sha256/"),
        BadBundle("blob-is-a-pipe", _pipe_blob, 25, "blobs/sha256/"),
        BadBundle("stray-file", lambda b: _write(b / "extra"), 24, "extra"),
        BadBundle("stray-blob", lambda b: _write(b / "blobs/sha256/x"), 24, "blobs"),
        BadBundle("edited-manifest", _edit_manifest, 21, "bundle.json"),
        BadBundle("pretty-manifest", _pretty_manifest, 22, "bundle.json"),
        BadBundle("no-approvals", lambda b: _sign(b, 0), 32, "targets.json"),
        BadBundle("one-approval", lambda b: _sign(b, 1), 32, "targets.json"),
        BadBundle("edited-targets", _edit_targets, 31, "targets.json"),
        BadBundle("huge-targets", lambda b: _fill(b / "trust/targets.json"), 22, "targets.json"),
        BadBundle("empty-snapshot", lambda b: _empty(b / "trust/snapshot.json"), 31, "snapshot"),
        BadBundle("trust-is-a-link", _link_trust, 25, "trust"),
    ]


def _blob(bundle: Path) -> Path:
    return min((bundle / "blobs" / "sha256").iterdir())


def _write(path: Path) -> None:
    path.write_text("x")


def _append(path: Path) -> None:
    path.chmod(0o644)
    with path.open("ab") as file:
        file.write(b"x")


def _shorten(bundle: Path) -> None:
    path = _blob(bundle)
    path.chmod(0o644)
    os.truncate(path, path.stat().st_size - 1)


def _other_blob(bundle: Path) -> None:
    path = _blob(bundle)
    size = path.stat().st_size
    path.unlink()
    path.write_bytes(b"\0" * size)


def _link_blob(bundle: Path) -> None:
    path = _blob(bundle)
    outside = bundle.parent / "outside"
    shutil.move(path, outside)
    path.symlink_to(outside)


def _pipe_blob(bundle: Path) -> None:
    path = _blob(bundle)
    path.unlink()
    os.mkfifo(path)


def _edit_manifest(bundle: Path) -> None:
    path = bundle / "bundle.json"
    path.write_bytes(path.read_bytes().replace(b"1.0.0", b"1.0.1"))


def _pretty_manifest(bundle: Path) -> None:
    path = bundle / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()), indent=2))


def _sign(bundle: Path, approvals: int) -> None:
    path = bundle / "trust" / "targets.json"
    targets = json.loads(path.read_bytes())
    targets["signatures"] = targets["signatures"][:approvals]
    path.write_bytes(canonical_json(targets))


def _edit_targets(bundle: Path) -> None:
    path = bundle / "trust" / "targets.json"
    targets = json.loads(path.read_bytes())
    targets["signed"]["expires"] = "2099-01-01T00:00:00Z"
    path.write_bytes(canonical_json(targets))


def _fill(path: Path) -> None:
    path.write_bytes(b" " * 10_000_000)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _link_trust(bundle: Path) -> None:
    outside = bundle.parent / "outside-trust"
    shutil.move(bundle / "trust", outside)
    (bundle / "trust").symlink_to(outside)
