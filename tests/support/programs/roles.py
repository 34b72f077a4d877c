"""An environment with what one role installs and nothing else, made of this one without a network.

Its packages are links to those of the environment that runs the tests, chosen by the role's own
locked requirements; its Python is a virtual environment of its own, so that no other is seen.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ROLES = ("auditor", "vendor", "operator")
_SECONDS = 120
_SCRIPT = "#!{python}\nimport sys\nfrom {module} import {name}\nsys.exit({name}())\n"
_EACH = """\
import contextlib, io, json, sys
from bundle.cli.main import run
said = {}
for arguments in json.loads(sys.argv[1]):
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = run(arguments)
    said[" ".join(arguments)] = [code, out.getvalue(), errors.getvalue()]
print(json.dumps(said))
"""


@dataclass(frozen=True)
class RoleEnvironment:
    """A virtual environment.

    Attributes:
        path: Of it.
    """

    path: Path

    @property
    def bin(self) -> Path:
        """Where its programs are."""
        return self.path / "bin"

    def run(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run isoward in a folder."""
        return subprocess.run(
            [self.bin / "isoward", *arguments],
            cwd=folder, env={"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(folder)},
            capture_output=True, text=True, check=False, timeout=_SECONDS,
        )  # fmt: skip

    def run_each(self, folder: Path, commands: list[list[str]]) -> dict[str, tuple[int, str, str]]:
        """Run several commands in one process; return code, output and errors by command."""
        done = subprocess.run(
            [self.bin / "python", "-I", "-c", _EACH, json.dumps(commands)],
            cwd=folder, env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
            capture_output=True, text=True, check=False, timeout=_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        return {command: (code, out, errors) for command, (code, out, errors) in said.items()}


def role_environment(path: Path, role: str) -> RoleEnvironment:
    """Make the environment of a role.

    Args:
        path: Is made, unless it is there.
        role: Whose requirements are in requirements/.
    """
    made = RoleEnvironment(path)
    if path.exists():
        return made
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", path], check=True)
    (packages,) = path.glob("lib/python*/site-packages")
    for name in ("isoward", "pip", *locked_names(role)):
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # another system's
        for link in _tops(found):
            place = packages / link.name
            if not place.exists():
                place.symlink_to(link)
        _link_programs(found, made.bin)
    return made


def copy_checkout(target: Path) -> Path:
    """Copy the files of the checkout, without what was made in it."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    return target


def locked_names(role: str) -> list[str]:
    """Return the projects that a role's requirements pin."""
    text = (ROOT / "requirements" / f"{role}.txt").read_text(encoding="utf-8")
    return re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)


def _tops(found: Distribution) -> Iterator[Path]:
    """Yield the files and folders that a distribution has at the top of site-packages."""
    base = Path(str(found.locate_file("")))
    if found.metadata["Name"] == "isoward":
        # It is installed as it lies in the checkout.
        yield from (ROOT / name for name in ("bundle", "bundler", "installer", "inventory"))
        yield ROOT / "manifests"
    tops = {path.parts[0] for path in found.files or ()} - {"..", "__pycache__"}
    yield from (base / top for top in sorted(tops) if not top.endswith((".pth", ".py", ".so")))
    yield from (base / top for top in sorted(tops) if top.endswith((".py", ".so")))


def _link_programs(found: Distribution, folder: Path) -> None:
    for entry in found.entry_points.select(group="console_scripts"):
        text = _SCRIPT.format(python=folder / "python", module=entry.module, name=entry.attr)
        (folder / entry.name).write_text(text)
        (folder / entry.name).chmod(0o755)
    for path in found.files or ():
        if path.parts[0] == ".." and path.parent.name == "bin":
            place = folder / path.name
            if not place.exists():
                place.symlink_to(Path(str(path.locate())).resolve())
