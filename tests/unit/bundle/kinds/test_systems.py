"""One table of systems, and nobody keeps another."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

import pytest

from bundle.base.errors import DefinitionError
from bundle.kinds.systems import (
    SYSTEMS,
    Release,
    makes_nodes,
    release_name,
    supported,
    systems_text,
)
from tests.support.documents.right import DEFINITION, read_definition

ROOT = Path(__file__).resolve().parents[4]
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
