"""Where each blob of a lock is fetched from."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from bundle.base.content import Content
from bundle.base.errors import DefinitionError, SizeMismatchError
from bundle.base.queries import beside
from bundle.base.reference import Reference, parse_reference
from bundle.kinds.artifacts import LockedArtifact
from bundle.kinds.charts import LockedChart
from bundle.kinds.rendering import ValuesFile
from bundle.model.lock import Lock
from bundle.store.atomic import storage_errors
from bundler.registry.client import RegistryClient, by_digest
from bundler.sources.charts.from_source import folder_opener
from bundler.sources.common.context import SourceContext
from bundler.sources.common.opener import BlobStream, FileStream, Opener, WholeBytes
from bundler.sources.files.local import local_opener
from bundler.sources.kubespray.gather import kubespray_opener
from bundler.sources.os.carried import os_openers
from bundler.sources.start.medium import start_openers


def origins(lock: Lock, context: SourceContext) -> dict[str, Opener]:
    """Return how to open each blob that is fetched, by digest.

    Those of local images are absent, for they are put into the cache before. The two small blobs
    that make an archive from an HTTP repository or a folder an OCI artifact are not fetched but
    made, so they are absent as well.
    """
    client = context.client
    found: dict[str, Opener] = {}
    for image in lock.images:
        if image.origin is None:
            _add_artifact(found, image, client)
    for chart in lock.charts:
        _add_chart(found, chart, context)
    for file in lock.files:
        made = _from_url(client, file.url) if file.url else local_opener(file, context)
        found.setdefault(file.digest, made)
    for wheel in (wheel for python in lock.python_packages for wheel in python.files):
        found.setdefault(wheel.digest, _from_url(client, wheel.url))
    systems = (os_openers(packages, context) for packages in lock.os_packages)
    for digest, opener in chain(*systems, start_openers(lock.start, context)):
        found.setdefault(digest, opener)
    if lock.kubespray is not None:
        found.setdefault(lock.kubespray.tree, kubespray_opener(lock.kubespray, context))
    return found


def _add_chart(found: dict[str, Opener], chart: LockedChart, context: SourceContext) -> None:
    """Add a chart's archive and its values files."""
    if chart.folder is not None:
        found.setdefault(chart.archive.digest, folder_opener(chart, chart.folder, context))
    elif chart.url is None:
        _add_artifact(found, chart.artifact, context.client)
    else:
        found.setdefault(chart.archive.digest, _from_url(context.client, chart.url))
        if chart.provenance is not None:
            signed = _from_url(context.client, beside(chart.url, ".prov"))
            found.setdefault(chart.provenance.digest, signed)
    for values in chart.rendering.values if chart.rendering is not None else ():
        found.setdefault(values.digest, _values(context.folder / values.path, values))


def _add_artifact(
    found: dict[str, Opener], artifact: LockedArtifact, client: RegistryClient
) -> None:
    reference = parse_reference(artifact.reference)
    for manifest in _manifests(artifact):
        found.setdefault(manifest.digest, _manifest(client, reference, manifest.digest))
    for content in _blobs(artifact):
        found.setdefault(content.digest, _blob(client, reference, content.digest))


def _manifests(artifact: LockedArtifact) -> Iterator[Content]:
    yield from artifact.indexes
    yield from artifact.manifests
    yield from artifact.referrers


def _blobs(artifact: LockedArtifact) -> Iterator[Content]:
    for manifest in (*artifact.manifests, *artifact.referrers):
        if manifest.config is not None:
            yield manifest.config
        yield from manifest.layers


def _values(path: Path, values: ValuesFile) -> Opener:
    """Open a values file again, beside the lock; it must be as it was when the lock was made."""

    def opener(offset: int, *, mirrors: bool) -> BlobStream:  # noqa: ARG001 - it is here or nowhere
        with storage_errors(f"read {values.path}"):
            if not path.is_file():
                raise DefinitionError(
                    f"{path}: no such file, and the cache does not have it",
                    "Build next to the definition, or with the cache that `isoward lock` used.",
                )
            found = path.stat().st_size
            if found != values.size:
                raise SizeMismatchError(
                    f"{path}: expected {values.size} bytes, found {found}",
                    "It was changed since the lock was made; run `isoward lock` again.",
                )
            return FileStream(path, values.size, offset=offset)

    return opener


def _blob(client: RegistryClient, reference: Reference, digest: str) -> Opener:
    def opener(offset: int, *, mirrors: bool) -> BlobStream:
        return client.open_blob(reference, digest, offset, mirrors=mirrors)

    return opener


def _manifest(client: RegistryClient, reference: Reference, digest: str) -> Opener:
    def opener(offset: int, *, mirrors: bool) -> BlobStream:  # noqa: ARG001 - it is always whole
        return WholeBytes(client.get_manifest(by_digest(reference, digest)).data)

    return opener


def _from_url(client: RegistryClient, url: str) -> Opener:
    def opener(offset: int, *, mirrors: bool) -> BlobStream:
        if mirrors:
            return client.open_url(url, offset)
        # It has none; but other bytes than were promised may be what came out of gzip, and is it.
        return client.open_url(url, offset, undo=False)

    return opener
