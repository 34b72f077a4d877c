"""Two releases of one set of Python packages in a depot, and pip by the words of the runbook."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle.kinds.python_packages import LockedPythonSet, LockedWheel, PythonEnvironment
from bundle.model.lock import Lock
from tests.support.depot.imported import (
    RunningDepot,
    change_lock,
    import_now,
    serving,
    signed_bundle,
)
from tests.support.documents.content import Maker, sample
from tests.support.packages.pip_client import PipClient, by_name
from tests.support.packages.python_index import wheel
from tests.support.trust.release_kit import enrolled, make_release

ROOT = Path(__file__).resolve().parents[3]
_PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_ASKING = "asking-1.0-py3-none-any.whl"


def _release(version: str) -> tuple[Lock, dict[str, bytes]]:
    """Return a release whose set has `words` of a version, which `asking` wants with an extra."""
    make = Maker()
    lock, _ = sample(make)
    words = f"words-{version}-py3-none-any.whl"
    wheels = {
        _ASKING: wheel(_ASKING, requires=("words[more]",)),
        words: wheel(words, extras=("more",)),
    }
    files = tuple(
        LockedWheel(
            name=name, url=f"https://example.org/{name}", digest=made.digest, size=made.size
        )
        for name, made in ((name, make.put(data)) for name, data in sorted(wheels.items()))
    )
    environments = tuple(
        PythonEnvironment(name="tools", python=python, platform="linux/amd64", wheels=tuple(wheels))
        for python in _PYTHONS
    )
    found = LockedPythonSet(name="tools", files=files, environments=environments)
    return change_lock(lock, python_packages=(found,)), make.blobs


@pytest.fixture(scope="module")
def depot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDepot]:
    """A depot whose older release has a newer version of what the newer one has."""
    base = tmp_path_factory.mktemp("pip")
    kit = make_release(base / "vendor")
    enrolled(base / "depot", kit)
    for name, version in (("first", "2.0"), ("second", "1.0")):
        import_now(signed_bundle(base / name, kit, *_release(version)), base / "depot")
    with serving(base / "depot", base) as running:
        yield running


def test_the_runbook_installs_what_the_newest_release_pins(
    depot: RunningDepot, tmp_path: Path
) -> None:
    text = (ROOT / "docs/runbooks/python.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    typed = block.replace("/etc/isoward/ca.pem", str(depot.ca))
    typed = typed.replace("/opt/tools", str(tmp_path / "tools"))
    typed = typed.replace("https://depot.example.org:5443", by_name(depot.url))
    done = subprocess.run(
        ["bash", "-ec", typed],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull},
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No broken requirements found." in done.stdout
    pip = PipClient(tmp_path / "tools", depot.ca)
    assert pip.installed()["words"] == "1.0"
    # The index has both, so a resolver without the pins would have taken the other one.
    newest = pip.attempt(
        "download", "--no-deps", "--index-url", f"{by_name(depot.url)}/pypi/tools/simple/", "words"
    )
    assert "words-2.0-py3-none-any.whl" in newest.stdout, newest.stderr


def test_a_depot_that_has_only_an_address(depot: RunningDepot, tmp_path: Path) -> None:
    """pip from 24.2 on needs an option of the runbook for it (pypa/pip, issue 12906)."""
    text = (ROOT / "docs/runbooks/python.md").read_text(encoding="utf-8")
    (option,) = set(re.findall(r"`(--use-deprecated=[a-z-]+)`", text))
    pip = PipClient.make(tmp_path / "venv", depot.ca)
    said = pip.attempt("--version").stdout.split()[1]
    newer = tuple(map(int, said.split(".")[:2])) >= (24, 2)
    done = pip.attempt(
        "download", "--no-deps", *([option] if newer else []),
        "--index-url", f"{depot.url}/pypi/tools/simple/", "words",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "words-2.0-py3-none-any.whl" in done.stdout
