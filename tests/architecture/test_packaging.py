"""What is installed, and what a process loads: the offside of each side stays out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import installer
from bundle.base.extras import EXTRA_OF, how_to_install
from tests.architecture.source import ROOT, modules, under

_LOCKS = ("auditor", "vendor", "operator", "start", "dev")
_BUILDER_ONLY = ("bundler",)
_HEAVY = ("tuf", "granian", "paramiko", "ansible_runner", "urllib3", "jinja2", "cryptography")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """The parsed pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _loaded_by(code: str) -> set[str]:
    """Run `code` in a fresh interpreter and return the modules that it has loaded at its end."""
    script = f"{code}\nimport json, sys\nprint('\\n' + json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def _run_command(*arguments: str) -> str:
    return (
        "import sys\nfrom bundle.cli.main import main\n"
        f"sys.argv = {['isoward', *arguments]!r}\n"
        "try:\n    code = main()\nexcept SystemExit as end:\n    code = end.code\n"
        "assert not code, code"
    )


def test_installer_is_ours_and_not_the_one_of_pypa() -> None:
    """PyPA's project of that name installs the same top-level package into a shared environment."""
    assert Path(installer.__file__).resolve().parent == ROOT / "installer"
    assert installer.__doc__ is not None
    assert "Isoward" in installer.__doc__
    with pytest.raises(metadata.PackageNotFoundError):
        metadata.distribution("installer")


def test_the_console_script_is_there() -> None:
    (script,) = metadata.entry_points(group="console_scripts", name="isoward")
    assert script.value == "bundle.cli.main:main"
    assert callable(script.load())


def test_the_lowest_layer_of_dependencies_is_small(project: dict[str, Any]) -> None:
    base = {_name(requirement) for requirement in project["project"]["dependencies"]}
    extras = project["project"]["optional-dependencies"]
    assert base.isdisjoint(_name(requirement) for requirement in extras["operator"])
    offline = base | {_name(requirement) for requirement in extras["operator"]}
    # Both run Ansible on Kubespray: one for what it wants, one for what it does.
    online = {_name(requirement) for requirement in extras["vendor"]} - {"ansible-core"}
    assert offline.isdisjoint(online)
    assert extras["bundler"] == ["isoward[vendor]"]
    assert extras["installer"] == ["isoward[operator]"]


def test_a_library_that_only_a_role_has_is_known_to_the_hint(project: dict[str, Any]) -> None:
    """Whatever is imported, at whatever depth, is installed for everyone or named by a hint."""
    module_of = {"ansible-runner": "ansible_runner", "pynacl": "nacl", "python-pkcs11": "pkcs11"}
    extras = project["project"]["optional-dependencies"]
    for extra in ("vendor", "operator", "hsm"):
        for requirement in map(_name, extras[extra]):
            if requirement != "ansible-core":  # run as a program of its own
                assert EXTRA_OF[module_of.get(requirement, requirement)] == extra
            assert how_to_install(extra)
    base = {_name(requirement) for requirement in project["project"]["dependencies"]}
    everyone = (base - {"pyyaml"}) | {"yaml"} | set(sys.stdlib_module_names)
    # The machine's own Python has these, and runs the module that imports them.
    everyone |= {"dnf", "hawkey"}
    for module in modules():
        if not under(module.name, "bundle", "bundler", "installer"):
            continue
        tops = {found.module.split(".")[0] for found in module.imports} - everyone
        ours = {"bundle", "bundler", "installer", "inventory", "manifests"}
        assert tops <= EXTRA_OF.keys() | ours, (module.name, tops)


@pytest.mark.parametrize("name", _LOCKS)
def test_requirements_are_pinned_hashed_and_name_no_address(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text.strip())
    pinned = [entry for entry in entries if not entry.startswith("#")]
    assert len(pinned) > 5
    for entry in pinned:
        assert re.match(r"[A-Za-z0-9._\[\]-]+==[^ ]+", entry), entry.splitlines()[0]
        assert "--hash=sha256:" in entry, entry.splitlines()[0]
    assert "://" not in text
    assert "--index" not in text


@pytest.mark.parametrize("name", _LOCKS)
def test_requirements_lock_what_the_project_asks_for(name: str, project: dict[str, Any]) -> None:
    wanted = list(project["project"]["dependencies"])
    extras = project["project"]["optional-dependencies"]
    chosen = {"vendor": ["vendor"], "operator": ["operator"], "start": ["operator"]}
    for extra in extras if name == "dev" else chosen.get(name, []):
        wanted += [one for one in extras[extra] if not one.startswith("isoward[")]
    if name != "dev":
        wanted += project["dependency-groups"]["start" if name == "start" else "build"]
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    locked = {_name(found) for found in re.findall(r"^[A-Za-z0-9._-]+(?===)", text, re.MULTILINE)}
    assert {_name(requirement) for requirement in wanted} <= locked


def test_the_offline_side_loads_nothing_of_the_builder() -> None:
    names = [
        module.name
        for module in modules()
        if under(module.name, "bundle", "installer") and not module.name.endswith("__main__")
    ]
    code = "import importlib\n" + "\n".join(f"importlib.import_module({name!r})" for name in names)
    loaded = {name.split(".")[0] for name in _loaded_by(code)}
    assert loaded.isdisjoint(_BUILDER_ONLY)


@pytest.mark.parametrize("arguments", [("--help",), ("inspect", "--help"), ("--version",)])
def test_a_light_command_loads_no_heavy_library(arguments: tuple[str, ...]) -> None:
    loaded = {name.split(".")[0] for name in _loaded_by(_run_command(*arguments))}
    assert "click" in loaded
    assert loaded.isdisjoint((*_HEAVY, "bundler", "installer"))


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return re.sub(r"[._-]+", "-", found.group()).lower()
