"""What changed in charts from one lock to the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bundle.kinds.charts import LockedChart
from bundle.kinds.rendering import Rendering
from bundler.sources.common.source import Change, changed, compare_digests, pairs
from bundler.sources.images.compared import compare_inside


def chart_changes(old: Sequence[LockedChart], new: Sequence[LockedChart]) -> Iterator[Change]:
    """Compare charts: their archives, where they are from, and how they were rendered."""
    yield from _charts(_by_name(old), _by_name(new))


def _by_name(charts: Sequence[LockedChart]) -> dict[str, LockedChart]:
    return {f"chart {c.repository} {c.name} {c.version}": c for c in charts}


def _charts(old: Mapping[str, LockedChart], new: Mapping[str, LockedChart]) -> Iterator[Change]:
    yield from compare_digests(
        {name: chart.archive.digest for name, chart in old.items()},
        {name: chart.archive.digest for name, chart in new.items()},
    )
    for name in sorted(old.keys() & new.keys()):
        before, after = old[name], new[name]
        yield from changed(f"{name}: address", before.url or "", after.url or "")
        yield from changed(f"{name}: folder", _folder(before), _folder(after))
        yield from changed(f"{name}: provenance", _provenance(before), _provenance(after))
        yield from compare_digests(_dependencies(name, before), _dependencies(name, after))
        yield from compare_inside(name, before.artifact, after.artifact)
        yield from _renderings(name, before.rendering, after.rendering)


def _renderings(name: str, old: Rendering | None, new: Rendering | None) -> Iterator[Change]:
    """Compare how a chart was rendered and what that showed."""
    yield from changed(f"{name}: rendered", _settings(old), _settings(new))
    yield from pairs(f"{name}: values", _values(old), _values(new))
    yield from changed(f"{name}: needs", _wanted(old), _wanted(new))
    yield from changed(f"{name}: leaves out", _left_out(old), _left_out(new))


def _settings(rendering: Rendering | None) -> str:
    if rendering is None:
        return "not"
    if rendering.not_rendered is not None:
        return f"not: {rendering.not_rendered}"
    kubernetes = f"Kubernetes {rendering.kube_version or 'of Helm'}"
    apis = "".join(f", {version}" for version in rendering.api_versions)
    return f"as {rendering.release.namespace}/{rendering.release.name} for {kubernetes}{apis}"


def _values(rendering: Rendering | None) -> dict[str, str]:
    return {file.path: file.digest for file in (rendering.values if rendering else ())}


def _wanted(rendering: Rendering | None) -> str:
    return ", ".join(wanted.image for wanted in rendering.images) if rendering else ""


def _left_out(rendering: Rendering | None) -> str:
    return ", ".join(entry.image for entry in rendering.left_out) if rendering else ""


def _folder(chart: LockedChart) -> str:
    """Say what a chart is packed from."""
    folder = chart.folder
    if folder is None:
        return "none"
    where = f"{folder.git.repository} {folder.git.commit} " if folder.git else ""
    return f"{where}{folder.path or '.'}"


def _provenance(chart: LockedChart) -> str:
    found = chart.provenance
    if found is None:
        return "none"
    return f"{found.digest} signed by {found.signer}" if found.signer else f"{found.digest}, unread"


def _dependencies(name: str, chart: LockedChart) -> dict[str, str]:
    found = chart.folder.dependencies if chart.folder is not None else ()
    return {f"{name}: dependency {d.repository} {d.name} {d.version}": d.digest for d in found}
