"""Random bit flips over a real bundle: every one is refused, and named by file."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from bundle.base.errors import IntegrityError, TrustError
from bundle.cli.main import run
from tests.support.registries.journey import Journey

FLIPS = 200
FIRST = 60
"""How many of them `make test` has; all are for `make e2e`."""


def test_every_flip_is_refused_by_verify_and_import(
    journey: Journey, tmp_path: Path, capsys: pytest.CaptureFixture[str], whole: bool
) -> None:
    bundle, depot = tmp_path / "bundle", tmp_path / "depot"
    shutil.copytree(journey.bundle, bundle)
    enroll = ["enroll", str(bundle), "--depot", str(depot), "--fingerprint", journey.fingerprint]
    assert run(enroll) == 0
    files = sorted(path for path in bundle.rglob("*") if path.is_file())
    assert len(files) > 50
    before = _names(depot)
    chooser = random.Random(200)
    for path in _choose(files, chooser, FLIPS if whole else FIRST):
        name = str(path.relative_to(bundle))
        place, bit = chooser.randrange(path.stat().st_size), chooser.randrange(8)
        _flip(path, place, bit)
        for command in ("verify", "import"):
            code = run([command, str(bundle), "--depot", str(depot)])
            said = capsys.readouterr().err
            assert code in _refusals(), f"{command}: {name} byte {place} bit {bit}: {said}"
            assert name in said, f"{command}: {name} byte {place} bit {bit}: {said}"
        _flip(path, place, bit)
    # Blobs that were whole may stay, for the next try; nothing names them, so nothing serves them.
    left = {name for name in _names(depot) - before if not name.startswith("blobs/")}
    assert left <= {"depot.json", ".lock"}
    assert run(["verify", str(bundle), "--depot", str(depot)]) == 0
    assert run(["import", str(bundle), "--depot", str(depot)]) == 0


def _choose(files: list[Path], chooser: random.Random, flips: int) -> list[Path]:
    """Choose every small file at least once, and then at random."""
    small = [path for path in files if "blobs" not in path.parts]
    assert len(small) < flips
    return small + chooser.choices(files, k=flips - len(small))


def _flip(path: Path, place: int, bit: int) -> None:
    mode = path.stat().st_mode
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1 << bit]))
    path.chmod(mode)


def _refusals() -> set[int]:
    families = (IntegrityError, TrustError)
    return {error.exit_code for f in families for error in (f, *f.__subclasses__())}


def _names(depot: Path) -> set[str]:
    return {str(path.relative_to(depot)) for path in depot.rglob("*") if path.is_file()}
