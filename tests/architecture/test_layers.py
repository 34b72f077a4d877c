"""The layer rule: who may import whom. An arrow points to what may be imported.

bundler.cli -> use cases -> bundler.{sources,gates} -> bundle.{registry,store,trust} -> bundle.model
installer.cli -> use cases -> installer.{depot,preflight,steps} -> the same
"""

from __future__ import annotations

import ast
import sys

import pytest

from tests.architecture.source import PACKAGES, Module, imports, modules, under

_SHARED = ("bundle.model", "bundle.store", "bundle.trust", "bundle.registry")
_ONLINE = ("bundler.sources", "bundler.gates", "bundler.formats")
_OFFLINE = ("installer.depot", "installer.preflight", "installer.steps")
_OUTPUT = (
    "bundle.cli.depots",
    "bundle.cli.given",
    "bundle.cli.output",
    "bundle.cli.passphrase",
    "bundle.cli.progress",
    "bundle.cli.questions",
    "bundle.cli.schema_line",
)
"""What commands on both sides talk to a person with; it is all that they see of bundle.cli."""

# Layer -> what of ours it may import, besides itself. A layer that is missing here is a mistake.
ALLOWED = {
    "bundle": (),
    "bundle.model": (),
    "bundle.store": ("bundle.model",),
    "bundle.registry": ("bundle.model",),
    # bundle.trust reads a bundle and keeps a site's state: both by way of the store.
    "bundle.trust": ("bundle.model", "bundle.store"),
    "bundle.cli": _SHARED,
    "bundler.sources": _SHARED,
    "bundler.gates": _SHARED,
    # Unpacking a package takes the sources' reader of archives.
    "bundler.formats": (*_SHARED, "bundler.sources"),
    "bundler": (*_SHARED, *_ONLINE),
    "bundler.cli": (*_SHARED, *_OUTPUT, *_ONLINE, "bundler"),
    "installer.depot": _SHARED,
    "installer.preflight": _SHARED,
    "installer.steps": (*_SHARED, "installer.preflight", "installer.depot"),
    "installer": (*_SHARED, *_OFFLINE),
    "installer.cli": (*_SHARED, *_OUTPUT, *_OFFLINE, "installer"),
}

# A pure module gets bytes and gives values: nothing that reaches a disk, a network or a clock.
IMPURE = {
    "asyncio", "ctypes", "fcntl", "getpass", "glob", "http", "io.open", "logging", "os", "pathlib",
    "multiprocessing", "platform", "random", "secrets", "select", "shutil", "signal", "socket",
    "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib.request", "uuid",
}  # fmt: skip
IMPURE_CALLS = ("open", "input", "print", "exec", "eval")
CLOCK_CALLS = ("now", "utcnow", "today")

# Third-party name -> the only modules that may import it.
BEHIND = {
    "ansible": (),
    "ansible_runner": ("installer.steps",),
    "click": ("bundle.cli", "bundler.cli", "installer.cli"),
    "cryptography": ("bundle.trust", "installer.depot", "installer.steps.sops"),
    # These two are the system's own; the program that imports them is run by its Python.
    "dnf": ("bundler.sources.rpm_solver",),
    "docker": ("bundler.sources.daemon",),
    "granian": ("installer.depot",),
    "hawkey": ("bundler.sources.rpm_solver",),
    "jinja2": ("installer.steps",),
    "msgspec": PACKAGES,
    "nacl": ("bundle.trust.key_cosign",),
    "packaging": ("bundler.sources.python",),
    "paramiko": ("installer.preflight",),
    "pyrage": ("installer.steps.sops",),
    "securesystemslib": ("bundle.trust",),
    "sigstore": ("bundle.trust.upstream.keyless",),
    "tqdm": ("bundle.cli",),
    "tuf": ("bundle.trust",),
    "urllib3": ("bundle.registry",),
    "zstandard": ("bundler.formats.zarf_archive",),
    "yaml": (
        "bundle.model.yaml_strict",
        "bundle.model.yaml_go",
        "bundler.sources",
        "bundler.formats.yaml_lines",
    ),
}


def _may_import(module: Module, imported: str) -> bool:
    layer = module.layer
    target = next((m for m in modules() if m.name == imported), None)
    if target is None:  # a name inside a module, whose module is looked at itself
        return True
    if target.layer == layer:
        return True
    return not {target.layer, target.name}.isdisjoint(ALLOWED[layer])


def test_a_module_imports_only_what_its_layer_may() -> None:
    wrong = []
    for module in modules():
        assert module.layer in ALLOWED, f"{module.where}: {module.layer} is no layer of the design"
        wrong += [
            f"{module.where}:{found.line} imports {found.module}"
            for found in imports(module)
            if found.module.split(".")[0] in PACKAGES and not _may_import(module, found.module)
        ]
    assert not wrong


@pytest.mark.parametrize(
    ("package", "strangers"),
    [
        ("bundle", ("bundler", "installer")),
        ("bundler", ("installer",)),
        ("installer", ("bundler",)),
    ],
)
def test_the_two_sides_of_the_gap_do_not_know_each_other(
    package: str, strangers: tuple[str, ...]
) -> None:
    wrong = [
        f"{module.where}:{found.line} imports {found.module}"
        for module in modules()
        if under(module.name, package)
        for found in imports(module)
        if under(found.module, *strangers)
    ]
    assert not wrong


def test_product_code_imports_neither_tests_nor_tools() -> None:
    wrong = [
        f"{module.where}:{found.line} imports {found.module}"
        for module in modules()
        for found in imports(module)
        if under(found.module, "tests", "tools", "demo", "bench")
    ]
    assert not wrong


def test_the_model_is_pure() -> None:
    wrong = []
    for module in modules():
        if not under(module.name, "bundle.model"):
            continue
        for found in imports(module):
            if under(found.module, *IMPURE):
                wrong.append(f"{module.where}:{found.line} imports {found.module}")
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Call):
                continue
            if isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
                wrong.append(f"{module.where}:{node.lineno} calls {node.func.id}()")
            if isinstance(node.func, ast.Attribute) and node.func.attr in CLOCK_CALLS:
                wrong.append(f"{module.where}:{node.lineno} reads the clock")
    assert not wrong


def test_each_library_stands_behind_the_modules_it_belongs_to() -> None:
    wrong = []
    for module in modules():
        for found in imports(module):
            top = found.module.split(".")[0]
            if top in BEHIND and not under(module.name, *BEHIND[top]):
                wrong.append(f"{module.where}:{found.line} imports {found.module}")
    assert not wrong


def test_no_library_is_used_that_the_table_does_not_know() -> None:
    known = {*sys.stdlib_module_names, *PACKAGES, *BEHIND, "inventory", "manifests"}
    wrong = [
        f"{module.where}:{found.line} imports {found.module}"
        for module in modules()
        for found in imports(module)
        if found.module.split(".")[0] not in known
    ]
    assert not wrong


def test_only_bundle_trust_makes_a_verified_bundle() -> None:
    wrong = [
        f"{module.where}:{node.lineno}"
        for module in modules()
        if not under(module.name, "bundle.trust")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) == "VerifiedBundle"
    ]
    assert not wrong
