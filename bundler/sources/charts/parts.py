"""What a chart is made of: its name and version, what it depends on, and the charts within it.

Read as Helm reads it, from an archive or from files in memory; nothing is unpacked to disk.

Source: Helm, pkg/chart/v2/loader/load.go and pkg/chart/loader/archive.go.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bundle.base.limits import (
    MAX_CHART_BYTES,
    MAX_CHART_DEPTH,
    MAX_CHART_MEMBERS,
    MAX_CHART_UNPACKED_BYTES,
    MAX_CHART_YAML_BYTES,
)
from bundler.model.chart import chart_mapping
from bundler.model.chart_archive import chart_files, refuse
from bundler.model.yaml_go import go_fields
from bundler.sources.charts.semver_range import in_range

CHARTS: Final = "charts/"
_DOCUMENTS: Final = ("Chart.yaml", "Chart.lock", "requirements.yaml", "requirements.lock")


@dataclass(frozen=True, slots=True)
class Dependency:
    """An entry of a chart's list of dependencies, or of its lock.

    Attributes:
        name: Of the chart that it wants, which its alias does not change.
        version: A range; in a lock one version.
        repository: An address; empty for one that is always inside.
    """

    name: str
    version: str
    repository: str


@dataclass(frozen=True, slots=True)
class ChartParts:
    """A chart, and the charts within it.

    Attributes:
        name: From Chart.yaml.
        version: From Chart.yaml.
        dependencies: That it lists, whatever condition, tag or alias they have: Helm wants them
            all inside.
        locked: What its lock says; None where it has none.
        subcharts: In its folder charts/.
    """

    name: str
    version: str
    dependencies: tuple[Dependency, ...]
    locked: tuple[Dependency, ...] | None
    subcharts: tuple[ChartParts, ...]

    def missing(self) -> list[Dependency]:
        """Return the dependencies that are not inside in a version that they accept."""
        return [wanted for wanted in self.dependencies if not self._has(wanted)]

    def gaps(self) -> list[tuple[str, Dependency, str]]:
        """Return what is missing here and below.

        Returns:
            Which chart wants it, what it wants, and the version that is there instead, if any.
        """
        found = [
            (self.name, wanted, next(iter(self.versions(wanted.name)), ""))
            for wanted in self.missing()
        ]
        for subchart in self.subcharts:
            found += [(f"{self.name}/{by}", what, there) for by, what, there in subchart.gaps()]
        return found

    def versions(self, name: str) -> list[str]:
        """Return the versions in which a chart is inside."""
        return [subchart.version for subchart in self.subcharts if subchart.name == name]

    def _has(self, wanted: Dependency) -> bool:
        return any(in_range(wanted.version, version) for version in self.versions(wanted.name))


class _Budget:
    """What one chart may hold, with all the archives within it."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._members = 0
        self._bytes = 0

    def take(self, size: int) -> None:
        self._members += 1
        self._bytes += size
        if self._members > MAX_CHART_MEMBERS or self._bytes > MAX_CHART_UNPACKED_BYTES:
            raise refuse(self.where, "it contains far too much")


def read_archive(archive: bytes, where: str) -> ChartParts:
    """Read a chart's archive.

    Args:
        archive: Untrusted, of bounded size.
        where: Names the manifest in messages.
    Raises:
        FormatError: It is not a chart's archive, has a link, a device or a path that leads out,
            or holds too much.
    """
    return _from_archive(archive, where, _Budget(where), 0)


def read_files(files: Mapping[str, bytes], where: str) -> ChartParts:
    """Read a chart from its files, by inner path; see `read_archive`."""
    return _from_files(files, where, _Budget(where), 0)


def _from_archive(archive: bytes, where: str, budget: _Budget, depth: int) -> ChartParts:
    files = chart_files(archive, where, _limit_of, budget.take)
    return _from_files(files, where, budget, depth)


def _limit_of(path: str) -> int:
    """Return how large what says of what the chart is made may be; nothing else is read."""
    if posixpath.basename(path) in _DOCUMENTS:
        return MAX_CHART_YAML_BYTES
    return MAX_CHART_BYTES if path.startswith(CHARTS) and path.endswith(".tgz") else 0


def _from_files(files: Mapping[str, bytes], where: str, budget: _Budget, depth: int) -> ChartParts:
    if depth > MAX_CHART_DEPTH:
        raise refuse(where, f"charts are nested deeper than {MAX_CHART_DEPTH} levels")
    metadata = _document(files, "Chart.yaml", where)
    if not metadata:
        raise refuse(where, "it has no Chart.yaml")
    metadata = go_fields(metadata, ("name", "version", "dependencies"))
    name, version = metadata.get("name"), metadata.get("version")
    if not isinstance(name, str) or not isinstance(version, str):
        raise refuse(where, "its Chart.yaml lacks a name or a version")
    listed = {**metadata, **_document(files, "requirements.yaml", where)}
    locks = [n for n in ("requirements.lock", "Chart.lock") if n in files]
    locked = _document(files, locks[0], where) if locks else None
    return ChartParts(
        name=name,
        version=version,
        dependencies=_dependencies(listed, where),
        locked=None if locked is None else _dependencies(locked, where),
        subcharts=tuple(_subcharts(files, f"{where}: {name}", budget, depth)),
    )


def _subcharts(
    files: Mapping[str, bytes], where: str, budget: _Budget, depth: int
) -> Iterator[ChartParts]:
    below: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
    for path in files:
        if not path.startswith(CHARTS) or path.endswith(".prov"):
            continue
        top, _, rest = path.removeprefix(CHARTS).partition("/")
        if top.startswith(("_", ".")):
            continue
        if not rest and top.endswith(".tgz"):
            yield _from_archive(files[path], f"{where}/{path}", budget, depth + 1)
        elif rest:
            below[top][rest] = files[path]
    for top, inside in sorted(below.items()):
        yield _from_files(inside, f"{where}/{CHARTS}{top}", budget, depth + 1)


def _document(files: Mapping[str, bytes], name: str, where: str) -> dict[str, Any]:
    data = files.get(name, b"")
    return chart_mapping(data, name, where) if data.strip() else {}


def _dependencies(document: Mapping[str, Any], where: str) -> tuple[Dependency, ...]:
    listed = go_fields(document, ("dependencies",)).get("dependencies")
    if listed in ("", None):
        return ()
    if not isinstance(listed, list):
        raise refuse(where, "its dependencies are not a list")
    found = []
    for entry in listed:
        names = ("name", "version", "repository")
        fields = go_fields(entry, names) if isinstance(entry, dict) else {}
        texts = [fields.get(key) or "" for key in names]
        if not texts[0] or not all(isinstance(text, str) for text in texts):
            raise refuse(where, "a dependency lacks a name, or one of its fields is not a string")
        found.append(Dependency(*texts))
    return tuple(found)
