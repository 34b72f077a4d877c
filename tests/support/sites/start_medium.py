"""A medium with install.sh and a tiny isoward, whose installation takes a second or two."""

from __future__ import annotations

import ensurepip
import io
import os
import shutil
import subprocess
import sysconfig
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bundle.base.digest import digest_of, hex_of
from bundle.texts.install_script import Start, install_script

VERSION: Final = "9.9.9"
WHEEL: Final = f"isoward-{VERSION}-py3-none-any.whl"
PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
_PROGRAM: Final = f"def main() -> None:\n    print('isoward {VERSION}')\n"
_TOOLS: Final = (
    "cat", "chmod", "cp", "cut", "df", "dirname", "echo", "env", "grep", "id", "ln", "ls", "mkdir",
    "mktemp", "mv", "readlink", "rm", "sed", "sh", "sha256sum", "sort", "tail", "uname", "wc",
)  # fmt: skip
"""What install.sh needs of a machine, besides a Python."""


@dataclass(frozen=True)
class Medium:
    """A folder with install.sh and what it uses.

    Attributes:
        path: The folder.
        start: What its install.sh was made of.
    """

    path: Path
    start: Start

    def blob(self, wheel: str) -> Path:
        """Return where a wheel's blob lies."""
        return self.path / "blobs/sha256" / hex_of(self.start.wheels[wheel])

    def write_sums(self) -> None:
        """Write SHA256SUMS of what there is."""
        found = sorted(p for p in self.path.rglob("*") if p.is_file() and p.name != "SHA256SUMS")
        lines = (
            f"{hex_of(digest_of(p.read_bytes()))}  {p.relative_to(self.path)}\n" for p in found
        )
        (self.path / "SHA256SUMS").write_text("".join(lines))

    def with_start(self, **changes: object) -> Medium:
        """Write another install.sh, as if the medium had been made so."""
        start = replace(self.start, **changes)  # type: ignore[arg-type]
        (self.path / "install.sh").write_text(install_script(start))
        made = Medium(self.path, start)
        made.write_sums()
        return made

    def command(self, prefix: Path, shell: Sequence[str] = ("sh",)) -> list[str | Path]:
        """Return how a person runs install.sh."""
        return [*shell, self.path / "install.sh", "--prefix", prefix]

    def install(
        self, prefix: Path, shell: Sequence[str] = ("sh",), **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run install.sh to its end."""
        return subprocess.run(
            self.command(prefix, shell),
            env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip


def make_medium(path: Path, requires: str = "") -> Medium:
    """Make a medium with a tiny isoward, and the pip that this Python brings.

    Args:
        path: Is made.
        requires: Lines for the metadata of the tiny isoward.
    """
    pip = bundled_pip()
    wheels = {WHEEL: tiny_wheel(requires), pip.name: pip.read_bytes()}
    digests = {name: digest_of(data) for name, data in wheels.items()}
    (path / "blobs/sha256").mkdir(parents=True)
    for name, data in wheels.items():
        (path / "blobs/sha256" / hex_of(digests[name])).write_bytes(data)
    (path / "bundle.json").write_text("{}")
    start = Start(
        isoward=VERSION,
        pythons=PYTHONS,
        machines=(os.uname().machine,),
        wheels=digests,
        pip=pip.name,
        requirements=f"isoward=={VERSION} --hash={digests[WHEEL]}\n",
    )
    return Medium(path, start).with_start()


def bundled_pip() -> Path:
    """Return the wheel of pip that this Python makes environments with."""
    # Debian's Python has its wheels in a folder of the system, and says so or does not.
    elsewhere = sysconfig.get_config_var("WHEEL_PKG_DIR") or "/usr/share/python-wheels"
    for folder in (Path(ensurepip.__file__).parent / "_bundled", Path(elsewhere)):
        for found in sorted(folder.glob("pip-*.whl")):
            return found
    raise FileNotFoundError(
        f"no wheel of pip in {elsewhere} (Debian: apt-get install python3-venv)"
    )


def tiny_wheel(requires: str = "") -> bytes:
    """Return a wheel with a command isoward that says its version."""
    info = f"isoward-{VERSION}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: isoward\nVersion: {VERSION}\n{requires}"
    members = {
        "isoward_tiny.py": _PROGRAM,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nisoward = isoward_tiny:main\n",
    }
    record = "".join(f"{name},,\n" for name in (*members, f"{info}/RECORD"))
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name, text in {**members, f"{info}/RECORD": record}.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
    return raw.getvalue()


def bare_path(folder: Path, **programs: str) -> str:
    """Make a folder for PATH with what install.sh needs and no Python.

    Args:
        folder: Is made.
        programs: Scripts by name, which stand beside the machine's own or in their place.
    """
    folder.mkdir()
    for name in _TOOLS:
        found = shutil.which(name)
        assert found is not None, name
        (folder / name).symlink_to(found)
    for name, text in programs.items():
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return str(folder)
