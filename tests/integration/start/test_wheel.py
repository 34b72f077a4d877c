"""An installed wheel has what a checkout has: the commands, the playbooks, the schemas."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that the checkout stays as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_symlink():
            (source / name).symlink_to((ROOT / name).readlink())
        elif (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [*_PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, source],
        check=True,
    )
    (built,) = folder.glob("isoward-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, installed into a folder of its own."""
    target = tmp_path_factory.mktemp("installed")
    subprocess.run(
        [*_PIP, "install", "--no-deps", "--no-index", "--target", target, wheel], check=True
    )
    return target


def test_data_travels_and_tests_do_not(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "installer", "inventory", "manifests", "bundle", "bundler"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    missing = {name for name in tracked if (ROOT / name).is_file()} - names
    assert not missing
    documents = (path.relative_to(ROOT) for path in (ROOT / "docs").rglob("*.md"))
    assert {f"bundle/{path.as_posix()}" for path in documents} <= names
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"bundle", "bundler", "installer", "inventory", "manifests"}


def test_the_installed_command_runs_outside_of_the_checkout(
    installed: Path, tmp_path: Path
) -> None:
    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "bundle.cli.main", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(installed)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run("--version") == "isoward 0.1.0\n"
    assert run("docs", "format").startswith("# The formats\n")
    assert '"BundleDefinition"' in run("schema", "definition")
    for name in ("lock", "build", "verify", "import", "serve", "install"):
        assert "Usage:" in run(name, "--help")


def test_the_data_is_found_where_it_is_installed(installed: Path, tmp_path: Path) -> None:
    code = (
        "from importlib.resources import files\n"
        "import installer, inventory, manifests\n"
        "assert (files(manifests) / 'schema' / 'definition.json').is_file()\n"
        "assert (files(inventory) / 'first.yml.j2').is_file()\n"
        "assert (files(installer) / 'ansible').is_dir()\n"
        "print(installer.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(installed))
