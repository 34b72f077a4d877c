"""Reading the documents of the online side from files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

from msgspec.structs import replace

from bundle.base.errors import DefinitionError, FormatError
from bundle.base.limits import MAX_DEFINITION_BYTES, MAX_LOCK_BYTES
from bundle.base.yaml.problems import problems_error
from bundle.base.yaml.strict import load_yaml, yaml_lines
from bundle.model.lock import Lock, check_lock
from bundle.store.reading import read_bounded
from bundle.trust.upstream.material import inline_material
from bundler.model.definition import Definition, definition_problems, entry_problems
from bundler.registry.config import NO_SOURCES, SourceConfig, check_source_config
from bundler.sources.charts.keyring import inline_keyrings

T = TypeVar("T")


def default_sources() -> Path:
    """Return where a user's source configuration lies by the XDG base directory specification."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "isoward" / "sources.yaml"


def load_definition(path: Path) -> Definition:
    """Read and check a definition, with the text of the files that its signature rules name.

    Raises:
        DefinitionError: It is not one, or it or a file that it names is not there.
        StorageError: A blob cannot be read.
    """
    data = _read(path, MAX_DEFINITION_BYTES)
    try:
        definition = _parse(data, Definition, path)
    except DefinitionError as error:
        # What is wrong in itself hides nothing of what is wrong elsewhere.
        tree = _parse(data, dict[Any, Any], path) if error.problems else {}
        more = entry_problems(tree)
        if not more:
            raise
        lines = yaml_lines(data.decode("utf-8"))
        found = [*error.problems, *(problem.at(lines) for problem in more)]
        raise problems_error(DefinitionError, str(path), found) from error
    problems = definition_problems(definition)
    if problems:
        lines = yaml_lines(data.decode("utf-8"))
        raise problems_error(DefinitionError, str(path), [found.at(lines) for found in problems])
    rules = inline_material(definition.signatures, path.parent, str(path))
    charts = inline_keyrings(definition.charts, path.parent, str(path))
    return replace(definition, signatures=rules, charts=charts)


def load_lock(path: Path) -> Lock:
    """Read and check a lock.

    Raises:
        FormatError: It is not one, or it contradicts itself.
        DefinitionError: There is no such file.
        StorageError: A blob cannot be read.
    """
    return parse_lock(_read(path, MAX_LOCK_BYTES), str(path))


def parse_lock(data: bytes, where: str) -> Lock:
    """Parse and check a lock.

    Raises:
        FormatError: It is not one, or it contradicts itself.
    """
    lock = load_yaml(data, Lock, where=where, limit=MAX_LOCK_BYTES, error=FormatError)
    check_lock(lock)
    return lock


def load_sources(path: Path | None) -> SourceConfig:
    """Read and check a source configuration; its relative paths are from its own folder.

    Args:
        path: As the user named it; None for the user's own, which need not exist.
    Raises:
        DefinitionError: It is not one, or there is no such file.
        StorageError: A blob cannot be read.
    """
    if path is None:
        path = default_sources()
        if not path.exists():
            return NO_SOURCES
    data = _read(path, MAX_DEFINITION_BYTES)
    config = load_yaml(
        data, SourceConfig, where=str(path), limit=MAX_DEFINITION_BYTES, error=DefinitionError
    )
    check_source_config(config)
    folder = path.parent
    hosts = {
        host: replace(settings, ca=str(folder / settings.ca)) if settings.ca else settings
        for host, settings in config.hosts.items()
    }
    return replace(config, hosts=hosts)


def _parse(data: bytes, type_: type[T], path: Path) -> T:
    return load_yaml(
        data, type_, where=str(path), limit=MAX_DEFINITION_BYTES, error=DefinitionError
    )


def _read(path: Path, limit: int) -> bytes:
    """Read at most one byte more than `limit`, so that the parser can say it is too large."""
    if not path.exists():
        raise DefinitionError(f"{path}: no such file", "Check the path.")
    return read_bounded(path, limit)
