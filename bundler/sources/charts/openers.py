"""How a build opens a chart's archive and its values files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bundle.base.errors import DefinitionError, SizeMismatchError
from bundle.base.queries import beside
from bundle.kinds.charts import LockedChart
from bundle.kinds.rendering import ValuesFile
from bundle.store.atomic import storage_errors
from bundler.sources.charts.from_source import folder_opener
from bundler.sources.common.context import SourceContext
from bundler.sources.common.opener import BlobStream, FileStream, Opener, url_opener
from bundler.sources.images.fetched import artifact_openers


def chart_openers(chart: LockedChart, context: SourceContext) -> Iterator[tuple[str, Opener]]:
    """Yield the digest of each blob of a chart that is fetched, and how it is opened.

    The two small blobs that make an archive from an HTTP repository or a folder an OCI artifact
    are made, so they are not among them.
    """
    if chart.folder is not None:
        yield chart.archive.digest, folder_opener(chart, chart.folder, context)
    elif chart.url is None:
        yield from artifact_openers(chart.artifact, context.client)
    else:
        yield chart.archive.digest, url_opener(context.client, chart.url)
        if chart.provenance is not None:
            signed = url_opener(context.client, beside(chart.url, ".prov"))
            yield chart.provenance.digest, signed
    for values in chart.rendering.values if chart.rendering is not None else ():
        yield values.digest, _values(context.folder / values.path, values)


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
