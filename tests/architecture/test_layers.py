"""The layer rule: which folder may import which. docs/ARCHITECTURE.md shows it as a picture.

bundler.cli -> bundler.{lock,build,release,root} -> bundler.{gates,formats,sources} -> bundle
installer.cli -> installer.installation -> installer.{steps,proofs} -> its other folders -> bundle
"""

from __future__ import annotations

import ast
import sys

import pytest

from tests.architecture.source import PACKAGES, Module, by_name, modules, under

_VALUES = ("bundle.base", "bundle.base.yaml", "bundle.texts", "bundle.kinds", "bundle.model")
_TRUST = (
    "bundle.trust.keys",
    "bundle.trust.metadata",
    "bundle.trust.attestations",
    "bundle.trust.site",
    "bundle.trust.verify",
    "bundle.trust.upstream",
)
_SHARED = (*_VALUES, "bundle.store", *_TRUST, "bundle.checks")
_SOURCE = (*_SHARED, "bundler.model", "bundler.registry", "bundler.sources.common")
_SOURCES = (
    "bundler.sources.common",
    "bundler.sources.files",
    "bundler.sources.images",
    "bundler.sources.charts",
    "bundler.sources.rendering",
    "bundler.sources.kubespray",
    "bundler.sources.os",
    "bundler.sources.os.apt",
    "bundler.sources.os.rpm",
    "bundler.sources.python",
    "bundler.sources.start",
)
_ONLINE = ("bundler.model", "bundler.registry", *_SOURCES)
_SITE = ("installer.base", "installer.site")
_DEPOT = ("installer.depot", "installer.depot.client", "installer.serving", "installer.serving.tls")
_NODES = (*_SITE, "installer.preflight", "installer.core", "installer.hosts", "installer.depot")
_PARTS = (
    *_NODES,
    *_DEPOT,
    "installer.ansible_run",
    "installer.kubespray",
    "installer.kube",
    "installer.records",
)
_OUTPUT = (
    "bundle.cli.depots",
    "bundle.cli.given",
    "bundle.cli.help.schema_line",
    "bundle.cli.output",
    "bundle.cli.passphrase",
    "bundle.cli.progress_bar",
    "bundle.cli.questions",
)
"""What commands on both sides talk to a person with; it is all that they see of bundle.cli."""

# Folder -> what of ours it may import, besides itself. A folder that is missing here is a mistake.
ALLOWED: dict[str, tuple[str, ...]] = {
    "bundle": (),
    "bundle.base": ("bundle.base.yaml",),
    "bundle.base.yaml": ("bundle.base",),
    "bundle.texts": ("bundle.base",),
    "bundle.kinds": ("bundle.base", "bundle.texts"),
    "bundle.model": ("bundle.base", "bundle.texts", "bundle.kinds"),
    # What both sides know of registries: the vendor's pulls, the site's pushes.
    "bundle.registry": (*_VALUES, "bundle.store"),
    "bundle.store": _VALUES,
    "bundle.trust": (),
    # The trust folders read a bundle and keep a site's state: both by way of the store.
    "bundle.trust.keys": (*_VALUES, "bundle.store"),
    "bundle.trust.metadata": (*_VALUES, "bundle.store", "bundle.trust.keys"),
    "bundle.trust.attestations": (*_VALUES, "bundle.store", *_TRUST[:2]),
    "bundle.trust.site": (*_VALUES, "bundle.store", *_TRUST[:3]),
    "bundle.trust.verify": (*_VALUES, "bundle.store", *_TRUST[:4]),
    "bundle.trust.upstream": (*_VALUES, "bundle.store", "bundle.trust.keys"),
    "bundle.checks": (*_VALUES, "bundle.store", *_TRUST),
    "bundle.cli": _SHARED,
    "bundle.cli.auditor": (*_SHARED, "bundle.cli"),
    "bundle.cli.help": (*_SHARED, "bundle.cli"),
    "bundler": (),
    "bundler.model": _VALUES,
    "bundler.registry": (*_VALUES, "bundle.registry"),
    "bundler.gates": (*_SHARED, "bundler.model"),
    # The table of all of them.
    "bundler.sources": (*_SHARED, *_ONLINE),
    "bundler.sources.common": (*_SHARED, "bundler.model", "bundler.registry"),
    "bundler.sources.files": _SOURCE,
    "bundler.sources.images": (*_SOURCE, "bundler.sources.files"),
    "bundler.sources.charts": (*_SOURCE, "bundler.sources.files", "bundler.sources.images"),
    "bundler.sources.rendering": (*_SOURCE, "bundler.sources.files"),
    "bundler.sources.kubespray": (*_SOURCE, "bundler.sources.files"),
    "bundler.sources.os.apt": (*_SOURCE, "bundler.sources.files"),
    "bundler.sources.os.rpm": (*_SOURCE, "bundler.sources.files"),
    "bundler.sources.os": (
        *_SOURCE,
        "bundler.sources.files",
        "bundler.sources.os.apt",
        "bundler.sources.os.rpm",
    ),
    "bundler.sources.python": (*_SOURCE, "bundler.sources.files"),
    "bundler.sources.start": (*_SOURCE, "bundler.sources.files"),
    # Unpacking a package takes the sources' reader of archives.
    "bundler.formats": (*_SHARED, *_ONLINE),
    "bundler.build": (*_SHARED, *_ONLINE, "bundler.sources"),
    "bundler.lock": (*_SHARED, *_ONLINE, "bundler.sources", "bundler.gates", "bundler.build"),
    "bundler.root": _SHARED,
    "bundler.release": (*_SHARED, "bundler.root"),
    "bundler.cli": (
        *_SHARED,
        *_OUTPUT,
        *_ONLINE,
        "bundler.build",
        "bundler.formats",
        "bundler.lock",
        "bundler.release",
        "bundler.root",
    ),
    "installer": (),
    "installer.base": _VALUES,
    "installer.site": (*_VALUES, "bundle.store", "installer.base"),
    "installer.enrollment": _SHARED,
    "installer.depot": (*_SHARED, "installer.enrollment"),
    "installer.serving": (*_SHARED, "installer.depot", "installer.serving.tls"),
    "installer.serving.tls": (*_SHARED, "installer.base"),
    "installer.preflight": (*_SHARED, *_SITE),
    # These travel to a node, where nothing else of ours is.
    "installer.preflight.on_node": (),
    "installer.core": (*_SHARED, *_SITE, "installer.depot", "installer.preflight"),
    "installer.hosts": (*_SHARED, *_NODES),
    "installer.ansible_run": (*_SHARED, "installer.base"),
    "installer.kubespray": (*_SHARED, *_NODES, "installer.ansible_run"),
    "installer.kube": (*_SHARED, *_SITE, "installer.preflight"),
    "installer.push": (*_SHARED, "bundle.registry", "installer.depot"),
    "installer.records": (*_SHARED, *_NODES, "installer.kubespray"),
    "installer.depot.client": (
        *_SHARED,
        *_NODES,
        "installer.kubespray",
        "installer.serving.tls",
    ),
    "installer.steps": (*_SHARED, *_PARTS),
    "installer.proofs": (*_SHARED, *_PARTS, "installer.steps"),
    "installer.installation": (*_SHARED, *_PARTS, "installer.steps", "installer.proofs"),
    "installer.cli": (
        *_SHARED,
        *_OUTPUT,
        *_PARTS,
        "bundle.registry",
        "installer.enrollment",
        "installer.installation",
        "installer.push",
        "installer.steps",
    ),
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
    "ansible_runner": ("installer.ansible_run",),
    "click": ("bundle.cli", "bundler.cli", "installer.cli"),
    "cryptography": (
        "bundle.trust",
        "bundler.root",
        "bundler.release",
        "installer.serving",
        "installer.site.sops",
    ),
    # These two are the system's own; the program that imports them is run by its Python.
    "dnf": ("bundler.sources.os.rpm.solver",),
    "docker": ("bundler.sources.images.daemon",),
    "granian": ("installer.serving",),
    "hawkey": ("bundler.sources.os.rpm.solver",),
    "jinja2": ("installer.ansible_run", "installer.kubespray.inventory"),
    "msgspec": PACKAGES,
    "oras": ("installer.push.oras_client",),
    "nacl": ("bundle.trust.keys.from_cosign",),
    "packaging": ("bundler.sources.python",),
    "paramiko": ("installer.preflight", "installer.site.scan_key"),
    "pyrage": ("installer.site.sops",),
    "requests": ("installer.push.oras_client", "installer.push.refusals"),
    "securesystemslib": ("bundle.trust", "bundler.root", "bundler.release"),
    "sigstore": ("bundle.trust.upstream.keyless",),
    "tqdm": ("bundle.cli",),
    "tuf": ("bundle.trust", "bundler.root", "bundler.release", "installer.enrollment"),
    "urllib3": ("bundler.registry",),
    "zstandard": ("bundler.formats.zarf_archive",),
    "yaml": (
        "bundle.base.yaml",
        "bundler.model.yaml_go",
        "bundler.sources",
        "bundler.formats.yaml_lines",
    ),
}


def _may_import(module: Module, imported: str) -> bool:
    layer = module.layer
    target = by_name().get(imported)
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
            for found in module.imports
            if found.module.split(".")[0] in PACKAGES and not _may_import(module, found.module)
        ]
    assert not wrong


def test_no_folder_is_reached_from_itself() -> None:
    """No circles: a folder can be understood, and taken out, with only what is below it."""
    below: dict[str, set[str]] = {module.layer: set() for module in modules()}
    folders = {module.name: module.layer for module in modules()}
    for module in modules():
        for found in module.imports:
            target = folders.get(found.module)
            if target not in {None, module.layer} and not found.lazy:
                below[module.layer].add(str(target))
    circles = [folder for folder in below if folder in _reached(folder, below)]
    assert not circles


def _reached(start: str, below: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    pending = [*below[start]]
    while pending:
        folder = pending.pop()
        if folder not in seen:
            seen.add(folder)
            pending += below[folder]
    return seen


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
        for found in module.imports
        if under(found.module, *strangers)
    ]
    assert not wrong


def test_product_code_imports_neither_tests_nor_tools() -> None:
    wrong = [
        f"{module.where}:{found.line} imports {found.module}"
        for module in modules()
        for found in module.imports
        if under(found.module, "tests", "tools", "demo", "bench")
    ]
    assert not wrong


def test_values_are_pure() -> None:
    wrong = []
    for module in modules():
        if not under(module.name, *_VALUES, "bundler.model"):
            continue
        for found in module.imports:
            if under(found.module, *IMPURE):
                wrong.append(f"{module.where}:{found.line} imports {found.module}")
        for node in module.nodes:
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
        for found in module.imports:
            top = found.module.split(".")[0]
            if top in BEHIND and not under(module.name, *BEHIND[top]):
                wrong.append(f"{module.where}:{found.line} imports {found.module}")
    assert not wrong


def test_no_library_is_used_that_the_table_does_not_know() -> None:
    known = {*sys.stdlib_module_names, *PACKAGES, *BEHIND, "inventory", "manifests"}
    wrong = [
        f"{module.where}:{found.line} imports {found.module}"
        for module in modules()
        for found in module.imports
        if found.module.split(".")[0] not in known
    ]
    assert not wrong


def test_only_bundle_trust_makes_a_verified_bundle() -> None:
    wrong = [
        f"{module.where}:{node.lineno}"
        for module in modules()
        if not under(module.name, "bundle.trust")
        for node in module.nodes
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) == "VerifiedBundle"
    ]
    assert not wrong
