"""Running Ansible on Kubespray's variables, apart from this machine as far as that is possible.

It works in a folder of its own with an environment of its own, on copies, without a network where
the machine lets it, and for a bounded time. That keeps mistakes away, not malice: a tree's
templates can run programs, and its commit or digest is what vouches for them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import yaml

from bundle.base.errors import FormatError, MissingProgramError, ProgramError
from bundle.base.extras import VENDOR, how_to_install
from bundle.store.atomic import storage_errors
from bundle.store.programs import Bounds, Finished
from bundler.sources.common.alone import bare_environment, can_run
from bundler.sources.common.context import SourceContext
from bundler.sources.kubespray.checkout import Tree
from bundler.sources.kubespray.inventory import Inventory
from bundler.sources.kubespray.playbook import MARK

VERSIONS: Final = "playbooks/ansible_version.yml"
"""Where Kubespray says which Ansible it works with."""

_SECONDS: Final = 1800.0
"""Two seconds a node and platform, and a large site has some hundred nodes."""

_OWN: Final = (sys.executable, "-m", "ansible", "playbook")
_OTHER: Final = ("ansible-playbook",)

APART: Final = ("unshare", "--user", "--map-root-user", "--net")
"""A network namespace of its own has no way out; unshare(1)."""

_LINE: Final = re.compile(r"^(\S+) \| ([A-Z]+)!? => (\{.*\})$")
"""A line of Ansible's callback `oneline`."""

_NUMBERS: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_CORE: Final = re.compile(rf"\[core {_NUMBERS.pattern}")


def evaluate(
    tree: Tree,
    inventory: Inventory,
    book: bytes,
    roles: Iterable[tuple[str, bytes]],
    context: SourceContext,
) -> list[dict[str, Any]]:
    """Run a playbook over an inventory.

    Args:
        tree: Kubespray, which says what Ansible it works with.
        inventory: The hosts and their variables.
        book: The playbook.
        roles: Files below roles/ that it uses, with their paths in the tree.
        context: Has the runner.
    Returns:
        What its tasks printed under our mark, one for each host and play.
    Raises:
        ProgramError: Ansible refused something, or is not of a version that Kubespray takes.
        StorageError: The disk refused.
    """
    program = _program(tree, context)
    with (
        storage_errors("write Ansible's input"),
        tempfile.TemporaryDirectory(prefix="isoward-") as temporary,
    ):
        folder = Path(temporary)
        for path, data in roles:
            _write(folder / path, data)
        for path, data in inventory.files.items():
            _write(folder / "inventory" / path, data)
        _write(folder / "playbook.yml", book)
        _write(folder / "ansible.cfg", b"[defaults]\n")
        hosts = f"inventory/{inventory.name}"
        done = context.run(
            [*_apart(folder, context), *program, "--inventory", hosts, "playbook.yml"],
            folder=folder,
            environment=_environment(folder),
            bounds=Bounds(_SECONDS),
        )
    return list(_results(done, tree.where))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(0o400)


def _apart(folder: Path, context: SourceContext) -> Sequence[str]:
    """Return what takes the network away from a program, where this machine has it."""
    if can_run([*APART, "true"], folder, _environment(folder), context):
        return APART
    context.progress.note(
        "Kubespray's variables are evaluated with network access: this machine allows no "
        "network namespaces"
    )
    return ()


def _environment(folder: Path) -> Mapping[str, str]:
    return {
        **bare_environment(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "home" / "tmp"),
        "ANSIBLE_ROLES_PATH": str(folder / "roles"),
        "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
        "ANSIBLE_STDOUT_CALLBACK": "oneline",
        "ANSIBLE_CALLBACKS_ENABLED": "",
        "ANSIBLE_CACHE_PLUGIN": "memory",
        # No scripts, which would be run, and no plugins that ask elsewhere.
        "ANSIBLE_INVENTORY_ENABLED": "yaml,ini",
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
        # As in Kubespray's own ansible.cfg: group names with dashes stay as they are.
        "ANSIBLE_TRANSFORM_INVALID_GROUP_CHARS": "ignore",
        "ANSIBLE_DISPLAY_SKIPPED_HOSTS": "False",
        "ANSIBLE_DEPRECATION_WARNINGS": "False",
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORKS": "2",
    }


def _results(done: Finished, where: str) -> Iterator[dict[str, Any]]:
    """Yield what was printed under our mark."""
    refused: list[str] = []
    for line in done.output.decode("utf-8", "replace").splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        host, state, text = match.groups()
        for found in _items(text):
            said = found.get("msg")
            if found.get("failed") or state not in {"SUCCESS", "CHANGED"}:
                refused.append(f"{host}: {said}")
            elif isinstance(said, dict) and MARK in said:
                yield said
    if done.code != 0 or refused:
        said = done.errors.decode("utf-8", "replace").strip()
        raise ProgramError(
            f"{where}: Ansible could not evaluate the inventory: "
            f"{' '.join((refused[0] if refused else said).split())[-_SHOWN:]}",
            "Correct the inventory; `ansible-inventory --list` shows how Ansible reads it.",
            {"exitCode": done.code},
        )


def _items(text: str) -> list[dict[str, Any]]:
    """Return the results of a task: one, or one for each item of its loop."""
    try:
        result = json.loads(text)
    except ValueError:
        return [{"failed": True, "msg": text}]
    found = result.get("results", [result])
    return [item for item in found if isinstance(item, dict)] if found else [result]


_SHOWN: Final = 1200
"""Characters of Ansible's own words within an error."""


def _program(tree: Tree, context: SourceContext) -> Sequence[str]:
    """Return an Ansible of the versions that Kubespray takes.

    Raises:
        MissingProgramError: There is none at all.
        ProgramError: What there is is too old or too new.
    """
    least, below = _wanted_versions(tree)
    found: list[str] = []
    for program, version in _programs(context):
        if least <= version < below:
            return program
        found.append(_dotted(version))
    wanted = f"ansible-core from {_dotted(least)} up to, but not including, {_dotted(below)}"
    if not found:
        raise MissingProgramError(
            f"{tree.where}: expected {wanted} on this machine, found none",
            f"{how_to_install(VENDOR)} Or put an ansible-playbook of that version on the PATH.",
            {"program": "ansible-playbook"},
        )
    raise ProgramError(
        f"{tree.where}: expected {wanted}, found {' and '.join(found)}",
        "Put an ansible-playbook of that version on the PATH.",
    )


def _programs(context: SourceContext) -> Iterator[tuple[Sequence[str], tuple[int, ...]]]:
    """Yield the Ansible that is installed with Isoward, and then the machine's own."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        numbers = _NUMBERS.match(metadata.version("ansible-core"))
        if numbers is not None:
            yield _OWN, tuple(map(int, numbers.groups()))
    clean = {name: "" for name in os.environ if name.startswith(("ANSIBLE_", "PYTHON"))}
    with contextlib.suppress(MissingProgramError):
        done = context.run([*_OTHER, "--version"], environment=clean)
        core = _CORE.search(done.output.decode("utf-8", "replace"))
        if core is not None:
            yield _OTHER, tuple(map(int, core.groups()))


def _wanted_versions(tree: Tree) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the oldest version that Kubespray takes, and the first that is too new."""
    try:
        variables = yaml.safe_load(tree.require(VERSIONS))[0]["vars"]
        least, below = (
            tuple(int(part) for part in str(variables[f"{name}_ansible_version"]).split("."))
            for name in ("minimal", "maximal")
        )
    except (yaml.YAMLError, LookupError, TypeError, ValueError) as error:
        raise FormatError(
            f"{tree.where}: {VERSIONS} does not say which Ansible it needs",
            "Is it a release of Kubespray?",
        ) from error
    return least, below


def _dotted(version: Iterable[int]) -> str:
    return ".".join(map(str, version))
