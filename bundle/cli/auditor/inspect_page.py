"""What `isoward inspect` says to a person: every kind of content, and where it is from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from bundle.base.digest import short
from bundle.base.progress import counted
from bundle.cli.progress_bar import readable_size
from bundle.kinds.files import file_label
from bundle.kinds.kubespray import KubesprayEntry
from bundle.kinds.os_packages import OsEntry
from bundle.kinds.policy import describe_verified
from bundle.kinds.python_packages import PythonSet
from bundle.kinds.rendering import RenderedWith
from bundle.kinds.start import INSTALL_NAME, StartEntry
from bundle.kinds.unasked import describe_unasked
from bundle.model.manifest import Artifact, ChartEntry, FileEntry, Manifest
from bundle.store.leftovers import shown_leftovers

NOT_VERIFIED: Final = "NOT VERIFIED, this is what the medium says of itself: run `isoward verify`"


def page(manifest: Manifest, digest: str, leftovers: Sequence[str] = ()) -> list[str]:
    """Return what a bundle says it holds, a kind after the other.

    Args:
        manifest: Its bundle.json, checked for form alone.
        digest: Of that.
        leftovers: What other systems left beside it.
    """
    size = readable_size(manifest.content_bytes)
    lines = [
        NOT_VERIFIED,
        f"it says it is {manifest.metadata.name} {manifest.metadata.version}",
        f"  bundle.json  {digest}",
        f"  platforms    {', '.join(manifest.platforms)}",
        f"  content      {counted(len(manifest.blobs), 'blob')}, {size}",
        f"  from         {', '.join(manifest.sources) or 'nowhere'}",
    ]
    lines += _section("images", len(manifest.images), map(_image, manifest.images))
    lines += _section("charts", len(manifest.charts), map(_chart, manifest.charts))
    lines += _helm(manifest.helm)
    lines += _section("files", len(manifest.files), map(_file, manifest.files))
    for entry in manifest.os_packages:
        lines += _os_packages(entry)
    for found in manifest.python_packages:
        lines += _python_packages(found)
    lines += _kubespray(manifest.kubespray)
    lines += _start(manifest.start)
    if leftovers:
        lines.append(f"passed over, left by another system: {shown_leftovers(leftovers)}")
    first, *said = lines
    # What anybody may have written stands below a heading, and never where a line of ours begins.
    return [first, *(f"  {line}" for line in said), NOT_VERIFIED]


def _section(title: str, count: int, things: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield a kind's lines: of each thing the first with its digest, the others below it."""
    if count:
        yield f"{title} ({count})"
    for first, *others in things:
        yield f"  {first}"
        yield from (f"                {line}" for line in others)


def _image(image: Artifact) -> Iterator[str]:
    count = len(image.referrers)
    referrers = f"  (+{count} signature, SBOM or attestation)" if count else ""
    yield f"{short(image.digest)}  {image.reference}{referrers}"
    if image.origin is not None:
        yield f"from {image.origin.said}"
    if image.wanted_by:
        yield f"wanted by {', '.join(image.wanted_by)}"
    # By what the image passed its rule, each signer once.
    said = dict.fromkeys(describe_verified(entry) for entry in image.verified)
    yield from said or ("not said by whom it is signed",)
    if image.unasked:
        yield describe_unasked(image.unasked)


def _chart(chart: ChartEntry) -> Iterator[str]:
    yield f"{short(chart.archive)}  {chart.name} {chart.version} {_chart_origin(chart)}"
    if chart.provenance is not None and chart.provenance.signer is not None:
        yield f"provenance signed by {chart.provenance.signer}"
    if chart.artifact.unasked:
        yield describe_unasked(chart.artifact.unasked)
    rendering = chart.rendering
    if rendering is None:
        return
    yield from (f"with the values {values.path}" for values in rendering.values)
    yield from (f"wants {wanted.image}" for wanted in rendering.images)
    yield from (f"does not have {out.image}: {out.reason}" for out in rendering.left_out)
    if rendering.not_rendered is not None:
        yield f"was not rendered: {rendering.not_rendered}"


def _chart_origin(chart: ChartEntry) -> str:
    if chart.git is not None:
        within = f"{chart.path} in " if chart.path else ""
        return f"from {within}{chart.git.repository} at {chart.git.commit[:12]}"
    return f"from {chart.path or chart.repository}"


def _helm(helm: RenderedWith | None) -> Iterator[str]:
    if helm is not None:
        carried = "carried as a file" if helm.archive else "the vendor's own, not carried"
        yield f"  rendered by Helm {helm.version}, {carried}"


def _file(file: FileEntry) -> Iterator[str]:
    origin = f" from {file.path}" if file.path else ""
    if file.git is not None:
        origin += f" in {file.git.repository} at {file.git.commit[:12]}"
    yield f"{short(file.digest)}  {file_label(file)}{origin}"
    if file.wanted_by:
        yield f"wanted by {', '.join(file.wanted_by)}"


def _os_packages(entry: OsEntry) -> Iterator[str]:
    yield f"OS packages {entry.name} for {entry.release} ({len(entry.packages)})"
    for place in entry.repositories:
        parts = " ".join(filter(None, (place.suite, *place.components)))
        yield f"  from {place.folder}{f': {parts}' if parts else ''}, as it was signed"
    yield f"  {short(entry.keyring.digest)}  the keyring that verifies it"
    yield from (f"  {short(package.digest)}  {package.full_name}" for package in entry.packages)


def _python_packages(found: PythonSet) -> Iterator[str]:
    yield f"Python packages {found.name} ({len(found.files)})"
    for env in found.environments:
        wheels = counted(len(env.wheels), "wheel")
        yield f"  {env.name} for Python {env.python} on {env.platform}: {wheels}"
    yield from (f"  {short(file.digest)}  {file.name}" for file in found.files)


def _kubespray(content: KubesprayEntry | None) -> Iterator[str]:
    if content is not None:
        yield f"Kubespray {content.version}"
        yield f"  {short(content.tree)}  its tree, for the inventory {short(content.inventory)}"
        yield from (f"  leaves out {left.item}: {left.reason}" for left in content.leave_out)


def _start(start: StartEntry | None) -> Iterator[str]:
    if start is not None:
        systems = ", ".join(start.os_packages) or "no system"
        packages = f"{start.python_packages} ({start.environment})"
        yield f"start ({INSTALL_NAME})"
        yield f"  {short(start.wheel.digest)}  {start.wheel.name}"
        yield f"  with Python packages {packages}, a Python for {systems}"
