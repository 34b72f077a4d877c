"""`isoward inspect`: what a bundle says it holds. Reads bundle.json alone, so it is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from bundle.base.canonical import decode_canonical
from bundle.base.digest import digest_of
from bundle.base.limits import MAX_MANIFEST_BYTES
from bundle.cli.auditor.inspect_page import page
from bundle.cli.given import Given
from bundle.cli.output import Output, output_options, pass_output
from bundle.kinds.os_packages import OsEntry
from bundle.kinds.python_packages import PythonSet
from bundle.model.manifest import Artifact, ChartEntry, FileEntry, Manifest, check_manifest
from bundle.store.layout import MANIFEST_NAME, BundleDirectory


@click.command("inspect")
@click.argument("bundle", type=Given("bundle"))
@output_options
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
    leftovers = directory.top_leftovers()
    facts = {**_as_json(manifest, digest), "passedOver": leftovers}
    output.result(facts, *page(manifest, digest, leftovers))


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


def _file_json(file: FileEntry) -> dict[str, Any]:
    if file.url is not None:
        return {"url": file.url, "digest": file.digest, "wantedBy": list(file.wanted_by)}
    said: dict[str, Any] = {"name": file.name, "path": file.path, "digest": file.digest}
    if file.git is not None:
        said["git"] = msgspec.to_builtins(file.git)
    return said


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


def _image_json(image: Artifact) -> dict[str, Any]:
    return {
        "reference": image.reference,
        "origin": image.origin.said if image.origin else None,
        "digest": image.digest,
        "platforms": sorted({m.platform for m in image.manifests if m.platform}),
        "referrers": [
            {"digest": r.digest, "artifactType": r.artifact_type} for r in image.referrers
        ],
        "unasked": [msgspec.to_builtins(place) for place in image.unasked],
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
