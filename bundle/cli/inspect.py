"""`isoward inspect`: what a bundle says it holds. Reads bundle.json alone, so it is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from bundle.cli.output import Output, json_option, pass_output
from bundle.cli.progress import readable_size
from bundle.model.canonical import decode_canonical
from bundle.model.digest import digest_of, short
from bundle.model.files import file_label
from bundle.model.kubespray import KubesprayEntry
from bundle.model.limits import MAX_MANIFEST_BYTES
from bundle.model.manifest import Artifact, ChartEntry, FileEntry, Manifest, check_manifest
from bundle.model.os_packages import OsEntry
from bundle.model.policy import describe_verified
from bundle.model.python_packages import PythonSet
from bundle.model.start import INSTALL_NAME, StartEntry
from bundle.store.layout import MANIFEST_NAME, BundleDirectory


@click.command("inspect")
@click.argument("bundle", type=click.Path(path_type=Path))
@json_option
@pass_output
def command(output: Output, bundle: Path) -> None:
    """Show what the BUNDLE says it holds.

    Nothing is verified; `isoward verify` does that.
    """
    directory = BundleDirectory(bundle)
    directory.require()
    data = directory.read_small(MANIFEST_NAME, MAX_MANIFEST_BYTES)
    manifest = decode_canonical(data, Manifest, MANIFEST_NAME)
    check_manifest(manifest)
    digest = digest_of(data)
    output.result(_as_json(manifest, digest), _as_text(manifest, digest))


def _as_json(manifest: Manifest, digest: str) -> dict[str, Any]:
    return {
        "verified": False,
        "name": manifest.metadata.name,
        "version": manifest.metadata.version,
        "digest": digest,
        "lock": manifest.lock,
        "platforms": list(manifest.platforms),
        "blobs": len(manifest.blobs),
        "bytes": manifest.content_bytes,
        "images": [_image_json(image) for image in manifest.images],
        "helm": None if manifest.helm is None else msgspec.to_builtins(manifest.helm),
        "charts": [_chart_json(chart) for chart in manifest.charts],
        "files": [_file_json(file) for file in manifest.files],
        "osPackages": [_os_json(entry) for entry in manifest.os_packages],
        "pythonPackages": [_python_json(found) for found in manifest.python_packages],
        "kubespray": msgspec.to_builtins(manifest.kubespray),
        "start": None if manifest.start is None else msgspec.to_builtins(manifest.start),
        "sources": list(manifest.sources),
    }


def _chart_json(chart: ChartEntry) -> dict[str, Any]:
    said: dict[str, Any] = {
        "name": chart.name,
        "version": chart.version,
        "repository": chart.repository,
        "digest": chart.archive,
    }
    for name in ("path", "git", "provenance", "rendering"):
        value = getattr(chart, name)
        if value is not None:
            said[name] = msgspec.to_builtins(value)
    return said


def _origin(chart: ChartEntry) -> str:
    if chart.git is not None:
        within = f"{chart.path} in " if chart.path else ""
        return f"from {within}{chart.git.repository} at {chart.git.commit[:12]}"
    return f"from {chart.path or chart.repository}"


def _file_json(file: FileEntry) -> dict[str, Any]:
    if file.url is not None:
        return {"url": file.url, "digest": file.digest, "wantedBy": list(file.wanted_by)}
    said: dict[str, Any] = {"name": file.name, "path": file.path, "digest": file.digest}
    if file.git is not None:
        said["git"] = msgspec.to_builtins(file.git)
    return said


def _file_origin(file: FileEntry) -> str:
    if file.git is not None:
        return f" from {file.path} in {file.git.repository} at {file.git.commit[:12]}"
    return f" from {file.path}" if file.path else ""


def _os_json(entry: OsEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "release": entry.release,
        "kind": entry.kind,
        "repositories": [msgspec.to_builtins(place) for place in entry.repositories],
        "keyring": entry.keyring.digest,
        "files": len(entry.files),
        "packages": [msgspec.to_builtins(package) for package in entry.packages],
    }


def _chart_text(chart: ChartEntry) -> list[str]:
    lines = [f"  {short(chart.archive)}  {chart.name} {chart.version} {_origin(chart)}"]
    said = []
    if chart.provenance is not None and chart.provenance.signer is not None:
        said.append(f"provenance signed by {chart.provenance.signer}")
    rendering = chart.rendering
    if rendering is not None:
        said += [f"wants {wanted.image}" for wanted in rendering.images]
        said += [f"does not have {out.image}: {out.reason}" for out in rendering.left_out]
        if rendering.not_rendered is not None:
            said.append(f"was not rendered: {rendering.not_rendered}")
    return lines + [f"                {line}" for line in said]


def _image_json(image: Artifact) -> dict[str, Any]:
    return {
        "reference": image.reference,
        "origin": image.origin.said if image.origin else None,
        "digest": image.digest,
        "platforms": sorted({m.platform for m in image.manifests if m.platform}),
        "referrers": [
            {"digest": r.digest, "artifactType": r.artifact_type} for r in image.referrers
        ],
        "wantedBy": list(image.wanted_by),
        "verifiedBy": [msgspec.to_builtins(entry) for entry in image.verified],
    }


def _python_json(found: PythonSet) -> dict[str, Any]:
    return {
        "name": found.name,
        "environments": [
            {"name": e.name, "python": e.python, "platform": e.platform, "wheels": len(e.wheels)}
            for e in found.environments
        ],
        "files": [{"name": file.name, "digest": file.digest} for file in found.files],
    }


def _as_text(manifest: Manifest, digest: str) -> str:
    lines = [
        f"{manifest.metadata.name} {manifest.metadata.version}",
        f"  bundle.json  {digest}",
        f"  platforms    {', '.join(manifest.platforms)}",
        f"  content      {len(manifest.blobs)} blobs, {readable_size(manifest.content_bytes)}",
        f"  from         {', '.join(manifest.sources) or 'nowhere'}",
    ]
    if manifest.images:
        lines.append(f"images ({len(manifest.images)})")
        for image in manifest.images:
            lines.append(f"  {short(image.digest)}  {image.reference}{_referrers(image)}")
            if image.origin is not None:
                lines.append(f"                from {image.origin.said}")
            lines += [f"                {line}" for line in _verified(image)]
    if manifest.charts:
        lines.append(f"charts ({len(manifest.charts)})")
        for chart in manifest.charts:
            lines += _chart_text(chart)
    if manifest.files:
        lines.append(f"files ({len(manifest.files)})")
        lines += [
            f"  {short(file.digest)}  {file_label(file)}{_file_origin(file)}"
            for file in manifest.files
        ]
    for entry in manifest.os_packages:
        lines.append(f"OS packages {entry.name} for {entry.release} ({len(entry.packages)})")
        lines += [f"  {short(package.digest)}  {package.full_name}" for package in entry.packages]
    for found in manifest.python_packages:
        lines.append(f"Python packages {found.name} ({len(found.files)})")
        lines += [f"  {short(file.digest)}  {file.name}" for file in found.files]
    lines += _kubespray(manifest.kubespray)
    if manifest.start is not None:
        lines.append(f"start ({INSTALL_NAME})")
        lines += [f"  {line}" for line in _start(manifest.start)]
    lines.append("Nothing here was verified: run `isoward verify`.")
    return "\n".join(lines)


def _kubespray(content: KubesprayEntry | None) -> list[str]:
    if content is None:
        return []
    return [
        f"kubespray {content.version}",
        f"  {short(content.tree)}  its tree, for the inventory {short(content.inventory)}",
        *(f"  leaves out {left.item}: {left.reason}" for left in content.leave_out),
    ]


def _referrers(image: Artifact) -> str:
    count = len(image.referrers)
    return f"  (+{count} signature, SBOM or attestation)" if count else ""


def _verified(image: Artifact) -> list[str]:
    """Say by what the image passed its rule, each signer once."""
    lines = [describe_verified(entry) for entry in image.verified]
    return list(dict.fromkeys(lines)) or ["not said by whom it is signed"]


def _start(start: StartEntry) -> list[str]:
    packages = f"{start.python_packages} ({start.environment})"
    systems = ", ".join(start.os_packages) or "no system"
    return [
        f"{short(start.wheel.digest)}  {start.wheel.name}",
        f"with Python packages {packages}, a Python for {systems}",
    ]
