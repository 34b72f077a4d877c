"""Documents that the operator of a site writes, read from disk."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from bundle.base.errors import DefinitionError
from bundle.base.limits import MAX_DEFINITION_BYTES
from bundle.base.paths import is_inner_path
from bundle.base.problem import Problem
from bundle.base.yaml.problems import structural_problems, text_problems
from bundle.base.yaml.strict import load_yaml, yaml_lines
from bundle.store.atomic import storage_errors
from bundle.store.reading import read_bounded
from installer.base.ssh_key import key_text_problem
from installer.base.ssh_path import ssh_path_problem
from installer.site.checks import site_problems
from installer.site.document import Site
from installer.site.host_key import parse_host_key
from installer.site.secrets_file import secrets_problems
from installer.site.warnings import site_warnings

_ADVICE = 'See docs/FORMAT.md, "Site", and inventory/samples/site.yaml.'
_SECRET: Final = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY|AGE-SECRET-KEY-1")


@dataclass(frozen=True, slots=True)
class SiteFile:
    """A site and what its file stands for on this machine.

    Attributes:
        path: The file it was read from.
        site: What it says.
        ssh_key: The private key, resolved from the file's own folder. It is only ever named to
            programs, never copied.
    """

    path: Path
    site: Site
    ssh_key: Path


def load_site(path: Path) -> SiteFile:
    """Read and check a site file.

    Raises:
        DefinitionError: It is not there or wrong, or its SSH key is not there or open to others.
        StorageError: It cannot be read.
    """
    site = parse_site(_read(path), str(path))
    key = _key_path(site, path)
    for problem in _key_problems(key):
        raise DefinitionError(f"{path}: {problem.text}", problem.hint)
    return SiteFile(path, site, key.resolve())


def parse_site(data: bytes, where: str) -> Site:
    """Parse and check a site document, without looking at the disk.

    Raises:
        DefinitionError: It is wrong; the message names the line and field of the first problem.
    """
    site, problems = examine_site(data, where)
    if site is not None and not problems:
        return site
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    hint = first.hint or _ADVICE
    if more:
        hint += " `isoward site check` shows everything."
    raise DefinitionError(f"{where}: {first.placed}{more}", hint)


def examine_site(data: bytes, where: str) -> tuple[Site | None, list[Problem]]:
    """Find everything that is wrong with a site document, by line.

    Args:
        data: Typed by a person.
        where: The file's name, for messages.
    Returns:
        The site, if its structure is right, and the problems in the order of their lines.
    Raises:
        DefinitionError: It is not YAML that we read, so that nothing further can be said.
    """
    tree = load_yaml(
        data, dict[str, Any], where=where, limit=MAX_DEFINITION_BYTES, error=DefinitionError
    )
    text = data.decode("utf-8")
    problems = [*_secret_problems(text), *structural_problems(tree, Site)]
    known = {found.path for found in problems}
    problems += [found for found in text_problems(tree) if found.path not in known]
    site = None
    if not problems:
        site = msgspec.convert(tree, Site, strict=True)
        problems = [*site_problems(site), *_host_key_problems(site)]
    lines = yaml_lines(text)
    placed = [found if found.line else found.at(lines) for found in problems]
    return site, sorted(placed, key=lambda found: found.line)


def examine_site_file(path: Path) -> tuple[Site | None, list[Problem]]:
    """Find everything that is wrong with a site file and the files that it names.

    Raises:
        DefinitionError: It is not there, or is not YAML that we read.
        StorageError: It cannot be read.
    """
    return examine_site_bytes(_read(path), path)


def examine_site_bytes(data: bytes, path: Path) -> tuple[Site | None, list[Problem]]:
    """Find what is wrong with a site file that is, or will be, at `path`.

    Raises:
        DefinitionError: It is not YAML that we read.
    """
    site, problems = examine_site(data, str(path))
    if site is None:
        return site, problems
    found = _key_problems(_key_path(site, path))
    if site.secrets is not None and is_inner_path(site.secrets):
        found += secrets_problems(path.parent / site.secrets)
    lines = yaml_lines(data.decode("utf-8"))
    problems += [problem.at(lines) for problem in found]
    return site, sorted(problems, key=lambda problem: problem.line)


def warnings_of(path: Path, site: Site | None) -> list[Problem]:
    """Find what a person should look at in a site that is right in itself, by line.

    Args:
        path: The file it was read from.
        site: Without a problem; nothing is found in none.
    Raises:
        StorageError: It cannot be read.
    """
    if site is None:
        return []
    lines = yaml_lines(_read(path).decode("utf-8"))
    found = [warning.at(lines) for warning in site_warnings(site)]
    return sorted(found, key=lambda warning: warning.line)


def looks_secret(text: str) -> bool:
    """Say whether a private key stands in a text."""
    return _SECRET.search(text) is not None


def _secret_problems(text: str) -> list[Problem]:
    return [
        Problem(
            "",
            "the site file contains a private key",
            "Remove it and treat the key as compromised: many read this file. Keep secrets in "
            "the file that secrets: names.",
            number,
        )
        for number, line in enumerate(text.splitlines(), start=1)
        if looks_secret(line)
    ]


def _host_key_problems(site: Site) -> list[Problem]:
    problems = []
    for i, node in enumerate(site.nodes):
        field = f"nodes[{i}].hostKey"
        try:
            parse_host_key(node.host_key, field)
        except DefinitionError as error:
            problems.append(Problem(field, error.message.removeprefix(f"{field}: "), error.hint))
    return problems


def _key_path(site: Site, path: Path) -> Path:
    try:
        return path.parent / Path(site.ssh.key).expanduser()
    except RuntimeError:
        # Nobody has that name here: then it is a folder that is called so.
        return path.parent / site.ssh.key


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise DefinitionError(f"{path}: expected a site file, found no such file", _ADVICE)
    return read_bounded(path, MAX_DEFINITION_BYTES)


def _key_problems(key: Path) -> list[Problem]:
    try:
        mode = key.stat().st_mode
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        return [
            Problem(
                "ssh.key",
                f"expected a private key at {str(key)[:300]!r}, found none ({why})",
                "Write the path relative to the site file.",
            )
        ]
    if not stat.S_ISREG(mode):
        return [
            Problem(
                "ssh.key",
                f"expected a file at {key}, found something else",
                "Name the private key itself, not its folder.",
            )
        ]
    if mode & 0o077:
        return [
            Problem(
                "ssh.key",
                f"expected {key} to be its owner's alone, found mode {mode & 0o777:o}",
                f"Run `chmod 600 {key}`; ssh refuses a key that others can read.",
            )
        ]
    problem = ssh_path_problem(key.resolve())
    if problem:
        return [
            Problem(
                "ssh.key",
                f"expected a path that ssh accepts, found {problem}",
                "Put the key where folders have plain names, and name it there.",
            )
        ]
    return _key_text_problems(key)


def _key_text_problems(key: Path) -> list[Problem]:
    """Judge the key's file as ssh does, which will use it."""
    with storage_errors(f"read {key}"), key.open("rb") as file:
        wrong = key_text_problem(file.read(MAX_DEFINITION_BYTES))
    if wrong is None:
        return []
    found, advice = wrong
    return [
        Problem(
            "ssh.key",
            f"expected an OpenSSH private key at {key}, found {found}",
            advice.replace("FILE", str(key)),
        )
    ]
