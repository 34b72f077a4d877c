"""The dependencies of a chart that is packed from a folder: brought into its folder charts/.

Chart.lock says which versions; without it nothing is chosen for anybody. What Helm would have to
fetch, or would leave out without a word, is refused here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from bundle.base.errors import ClosureError, DefinitionError, FormatError
from bundle.base.limits import MAX_CHART_BYTES, MAX_CHART_DEPTH
from bundle.kinds.chart_source import ChartName, ChartVersion
from bundler.sources.charts.pack import pack_chart
from bundler.sources.charts.parts import CHARTS, ChartParts, Dependency, read_archive, read_files
from bundler.sources.charts.semver_range import in_range
from bundler.sources.charts.tree import ChartFolder

_FILE: Final = "file://"
_REMOTE: Final = ("https://", "http://", "oci://")
Fetch = Callable[[Sequence[Dependency]], Sequence[bytes]]
"""Returns the archives of dependencies, each at the one version that Chart.lock says."""

ReadFolder = Callable[[ChartFolder], Mapping[str, bytes]]


def packed_chart(folder: ChartFolder, name: str, read: ReadFolder, fetch: Fetch) -> bytes:
    """Pack a chart's folder, with all that it depends on.

    Args:
        folder: Where it is.
        name: Of the chart, and of the folder in its archive.
        read: Reads a folder.
        fetch: Brings what comes from a repository.
    Returns:
        The archive.
    Raises:
        DefinitionError: A dependency is not locked, or not as Chart.yaml wants it.
        FormatError: Something cannot be carried.
        ClosureError: A dependency of a dependency is missing.
        TransportError: And its subclasses, when a dependency cannot be had.
    """
    return _Packer(read, fetch).pack(folder, name, 0)


def check_complete(parts: ChartParts, where: str) -> None:
    """Refuse a chart that does not have within it all that it depends on.

    Raises:
        ClosureError: It lacks a dependency, or has it in a version that its range does not allow.
    """
    gaps = parts.gaps()
    if not gaps:
        return
    by, wanted, there = gaps[0]
    more = f", and {len(gaps) - 1} more" if len(gaps) > 1 else ""
    raise ClosureError(
        f"{where}: {by} depends on {wanted.name} {wanted.version[:100]}, found "
        f"{there[:100] or 'none'} in its archive{more}",
        "Helm would refuse to install it, or silently omit the dependency. Ask the publisher, or "
        "pack it from a folder with `path:` after `helm dependency update`.",
        {"missing": len(gaps)},
    )


class _Packer:
    """Packs folders, those that `file://` names among them."""

    def __init__(self, read: ReadFolder, fetch: Fetch) -> None:
        self._read = read
        self._fetch = fetch

    def pack(self, folder: ChartFolder, name: str, depth: int) -> bytes:
        """Pack one folder."""
        if depth > MAX_CHART_DEPTH:
            raise FormatError(
                f"{folder.name}: charts depend on each other more than {MAX_CHART_DEPTH} deep",
                "Do two of them depend on each other by file://?",
            )
        files = dict(self._read(folder))
        parts = read_files(files, folder.name)
        wanted = [_locked(parts, dependency, folder) for dependency in parts.missing()]
        files |= self._bring(list(dict.fromkeys(wanted)), folder, depth)
        check_complete(read_files(files, folder.name), folder.name)
        archive = pack_chart(name, files)
        if len(archive) > MAX_CHART_BYTES:
            raise FormatError(
                f"{folder.name}: expected a chart of at most {MAX_CHART_BYTES} bytes, found "
                f"{len(archive)} with its dependencies",
                "Is it the right folder?",
            )
        return archive

    def _bring(
        self, wanted: Sequence[Dependency], folder: ChartFolder, depth: int
    ) -> dict[str, bytes]:
        """Return the archives of dependencies by their place in the chart."""
        beside = [exact for exact in wanted if exact.repository.startswith(_FILE)]
        remote = [exact for exact in wanted if exact.repository.startswith(_REMOTE)]
        for exact in wanted:
            if exact not in beside and exact not in remote:
                raise DefinitionError(
                    f"{folder.name}: dependency {exact.name}: it is not in charts/, and its "
                    f"repository is {exact.repository[:200] or 'left out'!r}",
                    "Write its address into Chart.yaml and run `helm dependency update`.",
                )
        archives = [self._beside(exact, folder, depth) for exact in beside]
        archives += self._fetch(remote) if remote else ()
        found: dict[str, bytes] = {}
        for exact, archive in zip((*beside, *remote), archives, strict=True):
            where = f"{folder.name}: dependency {exact.name} {exact.version}"
            made = read_archive(archive, where)
            if (made.name, made.version) != (exact.name, exact.version):
                raise FormatError(
                    f"{where}: found {made.name} {made.version}",
                    "Run `helm dependency update` and look at what changed in Chart.lock.",
                )
            found[f"{CHARTS}{exact.name}-{exact.version}.tgz"] = archive
        return found

    def _beside(self, exact: Dependency, folder: ChartFolder, depth: int) -> bytes:
        beside = folder.sibling(exact.repository.removeprefix(_FILE))
        if beside is None:
            raise DefinitionError(
                f"{folder.name}: dependency {exact.name}: {exact.repository[:200]!r} leads out of "
                "the definition's folder",
                "Put both charts below the definition's folder, or in one Git repository.",
            )
        return self.pack(beside, exact.name, depth + 1)


def _locked(parts: ChartParts, wanted: Dependency, folder: ChartFolder) -> Dependency:
    """Return the version of a dependency that the chart's lock says."""
    there = parts.versions(wanted.name)
    if there:
        raise DefinitionError(
            f"{folder.name}: it depends on {wanted.name} {wanted.version[:100]}, found "
            f"{there[0][:100]} in its charts/",
            "Run `helm dependency update`, or remove outdated charts from charts/.",
        )
    if parts.locked is None:
        raise DefinitionError(
            f"{folder.name}: {wanted.name} {wanted.version[:100]} is not in its charts/, and "
            "without a Chart.lock its version is not fixed",
            "Run `helm dependency update` and keep Chart.lock next to Chart.yaml.",
        )
    for exact in parts.locked:
        same = exact.name == wanted.name and _plain(exact) == _plain(wanted)
        if same and in_range(wanted.version, exact.version):
            _check_name(exact, folder)
            return exact
    raise DefinitionError(
        f"{folder.name}: Chart.lock has no {wanted.name} {wanted.version[:100]} of "
        f"{wanted.repository[:200] or 'no repository'!r}",
        "It is out of date; run `helm dependency update`.",
    )


def _check_name(exact: Dependency, folder: ChartFolder) -> None:
    """Refuse a name that could not be a file's."""
    try:
        msgspec.convert(exact.name, ChartName)
        msgspec.convert(exact.version, ChartVersion)
    except msgspec.ValidationError as error:
        raise DefinitionError(
            f"{folder.name}: {exact.name[:100]!r} {exact.version[:100]!r} are not the name and the "
            "version of a chart",
            "Correct Chart.yaml and Chart.lock.",
        ) from error


def _plain(dependency: Dependency) -> str:
    return dependency.repository.rstrip("/")
