"""Where each kind of content comes from: what the vendor's side knows them all by.

A new kind has its `Source` in a folder beside this file, and a line in `SOURCES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from bundle.base.canonical import canonical_digest
from bundle.base.digest import short
from bundle.kinds.artifacts import describe_unasked
from bundle.kinds.chart_source import ChartSource
from bundle.kinds.charts import CHARTS, LockedChart
from bundle.kinds.files import FILES, FileSource, LockedFile, file_label
from bundle.kinds.images import IMAGES
from bundle.kinds.kubespray import KUBESPRAY, kubespray_digests
from bundle.kinds.os_packages import OS_PACKAGES, LockedOs, os_packages_by_name, sized_files
from bundle.kinds.protocol import nothing
from bundle.kinds.python_packages import (
    PYTHON_PACKAGES,
    LockedPythonSet,
    python_digests,
    python_entry,
)
from bundle.kinds.rendering import HELM, RenderedWith
from bundle.kinds.start import START, LockedStart
from bundler.model.definition import Definition
from bundler.sources.charts.differences import chart_changes
from bundler.sources.charts.from_source import resolve_folder
from bundler.sources.charts.openers import chart_openers
from bundler.sources.charts.published import ChartResolver
from bundler.sources.common.blame import BY_LOCK, Blame, of_chart, of_file, of_image
from bundler.sources.common.context import SourceContext
from bundler.sources.common.opener import Opener, url_opener
from bundler.sources.common.source import Change, Resolving, Source, changed, pairs
from bundler.sources.files.downloads import resolve_file
from bundler.sources.files.local import local_opener
from bundler.sources.images.compared import image_changes
from bundler.sources.images.fetched import image_openers
from bundler.sources.images.sought import SoughtFile, files_to_resolve
from bundler.sources.kubespray.gather import kubespray_opener
from bundler.sources.os.carried import os_openers
from bundler.sources.os.resolvers import resolve_os_packages
from bundler.sources.start.medium import start_openers


def _helm_changes(old: Sequence[RenderedWith], new: Sequence[RenderedWith]) -> Iterator[Change]:
    yield from changed("helm", _helm(old), _helm(new))


def _helm(found: Sequence[RenderedWith]) -> str:
    for helm in found:
        carried = short(helm.archive) if helm.archive else "not carried"
        return f"{helm.version} ({carried})"
    return "none"


def _chart_tasks(work: Resolving) -> Iterator[Callable[[], LockedChart]]:
    charts = ChartResolver(work.definition.charts, work.manifests, work.context.run)
    return (partial(_chart, chart, charts, work.context) for chart in work.definition.charts)


def _chart(chart: ChartSource, charts: ChartResolver, context: SourceContext) -> LockedChart:
    found = charts.resolve(chart) if chart.repository else resolve_folder(chart, context)
    if found.artifact.unasked:
        said = describe_unasked(found.artifact.unasked)
        context.progress.note(f"chart {found.name} {found.version}: {said}")
    return found


def _file_tasks(work: Resolving) -> Iterator[Callable[[], LockedFile]]:
    files = files_to_resolve(dict(_files(work.definition)), work.files)
    return (partial(_file, file, work.context) for file in files)


def _files(definition: Definition) -> Iterator[tuple[str, FileSource]]:
    """Yield the files to carry by their place: those of the definition, and its Helm."""
    helm = definition.helm
    for i, file in enumerate(definition.files):
        yield f"files[{i}]", file
    if helm is not None and all(file.url != helm.url for file in definition.files):
        yield "helm", FileSource(url=helm.url, digest=helm.digest)


def _file(file: SoughtFile, context: SourceContext) -> LockedFile:
    found = resolve_file(file.source, context, file.place)
    return replace(found, wanted_by=file.wanted_by)


def _file_openers(file: LockedFile, context: SourceContext) -> Iterator[tuple[str, Opener]]:
    made = url_opener(context.client, file.url) if file.url else local_opener(file, context)
    yield file.digest, made


def _os_tasks(work: Resolving) -> Iterator[Callable[[], LockedOs]]:
    asked = work.definition
    for source in asked.os_packages:
        yield partial(resolve_os_packages, source, asked.platforms, work.context, work.systems)


def _os_blames(locked: LockedOs) -> Iterator[tuple[str, Blame]]:
    for found in locked.files:
        yield found.digest, Blame(f"osPackages {locked.name}: {found.url}", BY_LOCK)


def _os_changes(old: Sequence[LockedOs], new: Sequence[LockedOs]) -> Iterator[Change]:
    yield from pairs("OS package", os_packages_by_name(old), os_packages_by_name(new))
    yield from pairs("OS file", _os_files(old), _os_files(new))


def _os_files(all_packages: Sequence[LockedOs]) -> dict[str, str]:
    """Return the keyrings and indexes; packages are named by themselves."""
    found: dict[str, str] = {}
    for packages in all_packages:
        known = {package.digest for package in packages.packages}
        found |= {
            f"{packages.name}/{file.path}": file.digest
            for file in sized_files([packages])
            if file.digest not in known
        }
    return found


def _python_openers(found: LockedPythonSet, context: SourceContext) -> Iterator[tuple[str, Opener]]:
    for wheel in found.files:
        yield wheel.digest, url_opener(context.client, wheel.url)


def _python_blames(found: LockedPythonSet) -> Iterator[tuple[str, Blame]]:
    for wheel in found.files:
        yield wheel.digest, Blame(f"pythonPackages {found.name}: {wheel.name} {wheel.url}", BY_LOCK)


def _python_changes(
    old: Sequence[LockedPythonSet], new: Sequence[LockedPythonSet]
) -> Iterator[Change]:
    wheels = (python_digests(map(python_entry, found)) for found in (old, new))
    yield from pairs("Python package", *wheels)
    yield from pairs("Python environment", _environments(old), _environments(new))


def _environments(sets: Sequence[LockedPythonSet]) -> dict[str, str]:
    return {
        f"{found.name}/{e.name} for {e.python} on {e.platform}": canonical_digest(e)
        for found in sets
        for e in found.environments
    }


def _start_digests(start: LockedStart) -> Iterator[tuple[str, str]]:
    sets = " ".join((start.python_packages, start.environment, *start.os_packages))
    yield f"with {sets}", canonical_digest(start)
    yield start.wheel.name, start.wheel.digest


SOURCES: Final[tuple[Source[Any], ...]] = (
    Source(kind=IMAGES, openers=image_openers, blames=of_image, changes=image_changes),
    Source(kind=HELM, changes=_helm_changes),
    Source(
        kind=CHARTS,
        tasks=_chart_tasks,
        order=lambda chart: (chart.repository, chart.name, chart.version),
        openers=chart_openers,
        blames=of_chart,
        changes=chart_changes,
    ),
    Source(
        kind=FILES,
        tasks=_file_tasks,
        order=file_label,
        openers=_file_openers,
        blames=of_file,
        digests=lambda file: [(file_label(file), file.digest)],
    ),
    Source(
        kind=OS_PACKAGES,
        tasks=_os_tasks,
        order=lambda packages: packages.name,
        openers=os_openers,
        blames=_os_blames,
        changes=_os_changes,
    ),
    Source(
        kind=PYTHON_PACKAGES,
        openers=_python_openers,
        blames=_python_blames,
        changes=_python_changes,
    ),
    Source(
        kind=KUBESPRAY,
        openers=lambda locked, context: [(locked.tree, kubespray_opener(locked, context))],
        digests=lambda locked: kubespray_digests(locked).items(),
    ),
    Source(kind=START, openers=start_openers, blames=nothing, digests=_start_digests),
)
"""In the order of `KINDS`. Images are resolved last and Kubespray first, each by itself."""
