"""One table of systems, and nobody keeps another."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path
from typing import get_args

import pytest
import yaml

from bundle.base.errors import DefinitionError
from bundle.kinds.systems import (
    SYSTEMS,
    Release,
    makes_nodes,
    release_name,
    supported,
    systems_text,
)
from bundler.sources.kubespray.playbook import FAMILIES
from tests.support.documents.right import DEFINITION, read_definition

ROOT = Path(__file__).resolve().parents[4]
RELEASE_IN_TEXT = re.compile(r"`((?:debian|ubuntu|rocky)-[0-9.]+)`")
RELEASE = re.compile(r"(debian|ubuntu|rocky)-[0-9]+(\.[0-9]+)?|[0-9]+\.04")


def test_the_names_of_the_model_are_the_tables() -> None:
    assert get_args(Release) == tuple(SYSTEMS)


def test_no_module_has_a_table_of_its_own() -> None:
    found = []
    for package in ("bundle", "bundler", "installer"):
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            if path.name == "systems.py":
                continue
            found += [
                f"{path.relative_to(ROOT)}:{node.lineno}: {node.value}"
                for node in ast.walk(tree)
                if isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and (RELEASE.fullmatch(node.value) or node.value in {"debian", "ubuntu", "rocky"})
            ]
    assert not found


@pytest.mark.parametrize(
    ("distribution", "version", "name"),
    [
        ("rocky", "10.1", "rocky-10"),
        ("rocky", "9", "rocky-9"),
        ("ubuntu", "22.04", "ubuntu-22.04"),
        ("debian", "13", "debian-13"),
        ("debian", "11", ""),
        ("", "", ""),
    ],
)
def test_preflight_asks_the_table(distribution: str, version: str, name: str) -> None:
    assert (supported(release_name(distribution, version)) is not None) == bool(name)
    assert not name or release_name(distribution, version) == name


def test_all_are_said() -> None:
    assert systems_text() == "Debian 12 or 13, Rocky 9 or 10, Ubuntu 22.04 or 24.04"


def _read(path: str) -> str:
    return " ".join((ROOT / path).read_text(encoding="utf-8").split())


def test_the_documents_name_all_of_them_and_no_other() -> None:
    row = _read("docs/FORMAT.md").partition("`osPackages[].name`, `.release` |")[2].split("|")[0]
    assert sorted(RELEASE_IN_TEXT.findall(row)) == sorted(SYSTEMS)
    for tool in ("apt", "rpm"):
        head = _read(f"docs/runbooks/{tool}.md").partition(", and for whoever")[0]
        of_tool = {release for release, system in SYSTEMS.items() if system.tool == tool}
        assert set(RELEASE_IN_TEXT.findall(head)) == of_tool
    # In any order: the distributions, each with all its versions.
    nodes = (
        _read("docs/runbooks/install.md").partition("nodes with ")[2].partition(", with sshd")[0]
    )
    parts = re.split(r", | or (?=[A-Z])", nodes)
    assert sorted(parts) == sorted(systems_text().split(", "))
    for name in {system.name for system in SYSTEMS.values()}:
        assert name in _read("bundle/texts/files/README.txt")


@pytest.mark.parametrize(
    ("distribution", "version"),
    [("debian", "12"), ("debian", "13"), ("rocky", "9.6"), ("rocky", "10.0"),
     ("ubuntu", "22.04"), ("ubuntu", "24.04")],
)  # fmt: skip
def test_install_sh_names_a_system_as_the_table_does(
    distribution: str, version: str, tmp_path: Path
) -> None:
    """It cannot ask: it runs where there is no Python yet."""
    text = (ROOT / "bundle/texts/files/install.sh").read_text(encoding="utf-8")
    function = re.search(r"^name_system\(\) \{\n.*?^\}\n", text, re.MULTILINE | re.DOTALL)
    assert function is not None
    told = tmp_path / "os-release"
    told.write_text(f"ID={distribution}\nVERSION_ID={version}\n")
    script = function[0].replace("/etc/os-release", str(told)) + "name_system\n"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == release_name(distribution, version)
    assert supported(done.stdout.strip()) is not None


@pytest.mark.parametrize(("role", "table"), [("package_source", "kinds"), ("site_ca", "stores")])
def test_a_role_knows_every_family_of_systems(role: str, table: str) -> None:
    """Ansible says the family of a node itself; a role has what is different between them."""
    text = (ROOT / f"installer/ansible/roles/{role}/defaults/main.yml").read_text(encoding="utf-8")
    families = {FAMILIES[system.tool]["ansible_os_family"] for system in SYSTEMS.values()}
    assert set(yaml.safe_load(text)[f"{role}_{table}"]) == families


@pytest.mark.parametrize("release", SYSTEMS)
def test_every_release_is_one_of_a_definition(release: str) -> None:
    rpm = SYSTEMS[release].tool == "rpm"  # type: ignore[index]  # a parameter of the table's own
    where = "" if rpm else ", suite: x, components: [main]"
    text = (
        DEFINITION.partition("images:")[0]
        + f"osPackages: [{{name: a, release: {release}, keyring: k, packages: [b],"
        + f" repositories: [{{url: 'https://e.org/r'{where}}}]}}]\n"
    )
    assert read_definition(text).os_packages[0].release == release


def test_a_release_that_kubespray_does_not_know_is_said() -> None:
    assert makes_nodes("v2.31.0", "rocky-10")
    assert not makes_nodes("v2.28.1", "rocky-10")
    assert makes_nodes("main", "rocky-10")
    text = (
        DEFINITION.partition("images:")[0]
        + "kubespray: {version: v2.28.1, path: k, inventory: i/inventory.ini}\n"
        + "osPackages: [{name: a, release: rocky-10, keyring: k, kubespray: true,"
        + " repositories: [{url: 'https://e.org/r'}]}]\n"
    )
    with pytest.raises(DefinitionError, match=r"rocky-10, which Kubespray does from 2\.29"):
        read_definition(text)
    read_definition(text.replace("2.28.1", "2.29.0"))


def test_wheels_for_a_newer_c_library_than_a_system_has_are_refused() -> None:
    text = (
        DEFINITION.partition("images:")[0]
        + "start: {pythonPackages: p, osPackages: [a]}\n"
        + "pythonPackages: [{name: p, requirements: [r.txt], pythons: ['3.11'], glibc: '2.36'}]\n"
        + "osPackages: [{name: a, release: rocky-9, keyring: k, packages: [python3.11],"
        + " repositories: [{url: 'https://e.org/r'}]}]\n"
    )
    with pytest.raises(DefinitionError, match=r"rocky-9 has glibc 2\.34"):
        read_definition(text)
    read_definition(text.replace("2.36", "2.34"))
