"""What a chart shows when the real Helm renders it, with the values that it is installed with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import msgspec

from bundle.base.digest import digest_of
from bundle.base.errors import DefinitionError, FormatError, MissingBlobError
from bundle.base.limits import (
    MAX_CHART_IMAGES,
    MAX_REASON,
    MAX_RENDERED_BYTES,
    MAX_VALUES_BYTES,
)
from bundle.kinds.chart_source import ChartSource
from bundle.kinds.charts import LockedChart
from bundle.kinds.closure import Named, chart_name
from bundle.kinds.rendering import Release, ValuesFile
from bundle.store.atomic import storage_errors
from bundler.model.chart import chart_artifact
from bundler.sources.common.context import SourceContext
from bundler.sources.files.local import read_local
from bundler.sources.rendering.apart import SKIP_SCHEMAS
from bundler.sources.rendering.helm import Helm
from bundler.sources.rendering.rendered_yaml import rendered_documents
from bundler.sources.rendering.workloads import images_of

ANNOTATIONS: Final = ("artifacthub.io/images", "helm.sh/images", "images")
"""Keys of Chart.yaml's annotations whose value is a YAML list of images."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What rendering a chart showed.

    Attributes:
        images: That it names, each at the first place, sorted.
        values: The files that it was rendered with; the store has them.
    """

    images: tuple[Named, ...]
    values: tuple[ValuesFile, ...]


def release_of(chart: ChartSource) -> Release:
    """Return under which name a chart is rendered and installed.

    Raises:
        DefinitionError: The chart's name cannot be a release's, and none is given.
    """
    if chart.release is not None:
        return chart.release
    try:
        return msgspec.convert({"name": chart.name}, Release)
    except msgspec.ValidationError:
        raise DefinitionError(
            f"chart {chart.name}: its name is not a valid release name",
            "Give one under release: of the chart, of letters, digits and dashes.",
        ) from None


def keep_values(chart: ChartSource, context: SourceContext) -> tuple[ValuesFile, ...]:
    """Read a chart's values files into the store.

    Raises:
        DefinitionError: One is not there, or too large.
        StorageError: One cannot be read.
    """
    return tuple(_keep_values(path, chart, context) for path in chart.values)


def _keep_values(path: str, chart: ChartSource, context: SourceContext) -> ValuesFile:
    where = f"chart {chart.name}: values {path}"
    data = read_local(context.folder, path, MAX_VALUES_BYTES, where)
    if len(data) > MAX_VALUES_BYTES:
        raise DefinitionError(
            f"{where}: expected at most {MAX_VALUES_BYTES} bytes", "Is it the right file?"
        )
    digest = digest_of(data)
    context.store.put_bytes(digest, data)
    return ValuesFile(path=path, digest=digest, size=len(data))


def show_chart(
    chart: ChartSource, locked: LockedChart, helm: Helm, context: SourceContext
) -> Shown:
    """Render a chart and say which images that shows it to need.

    Raises:
        DefinitionError: A values file is not there.
        ProgramError: Helm refused the chart or its values; the error has its words.
        FormatError: What it renders cannot be read.
    """
    what = chart_name(chart.name, chart.version)
    values = keep_values(chart, context)
    archive = _kept(locked.archive.digest, locked.archive.size, context, what)
    with (
        storage_errors(f"render {what}"),
        TemporaryDirectory(dir=helm.folder) as name,
    ):
        folder = Path(name)
        (folder / "chart.tgz").write_bytes(archive)
        for i, file in enumerate(values):
            data = _kept(file.digest, file.size, context, file.path)
            (folder / f"values-{i}.yaml").write_bytes(data)
        printed = helm.prints(
            _arguments(chart, folder, len(values), helm),
            folder,
            f"{what}: helm template",
            "Give it the required values under values:, or a reason under notRendered:.",
            limit=MAX_RENDERED_BYTES,
        )
    named = [*_annotated(archive, what), *images_of(rendered_documents(printed, what), what)]
    first: dict[tuple[str, str], Named] = {}
    for entry in named:
        first.setdefault((entry.image, entry.how), entry)
    if len(first) > MAX_CHART_IMAGES:
        raise FormatError(
            f"{what}: expected at most {MAX_CHART_IMAGES} images, found {len(first)}",
            "Is it the right chart?",
        )
    return Shown(tuple(first[key] for key in sorted(first)), values)


def _arguments(chart: ChartSource, folder: Path, count: int, helm: Helm) -> list[str]:
    release = release_of(chart)
    more = [f"--kube-version={chart.kube_version}"] if chart.kube_version else []
    more += [f"--api-versions={version}" for version in chart.api_versions]
    more += [f"--values={folder}/values-{i}.yaml" for i in range(count)]
    more += [] if helm.sealed else [SKIP_SCHEMAS]
    return [
        "template",
        release.name,
        str(folder / "chart.tgz"),
        f"--namespace={release.namespace}",
        "--include-crds",
        *more,
    ]


def _kept(digest: str, size: int, context: SourceContext, what: str) -> bytes:
    data = context.store.read_bytes(digest, size)
    if data is None:
        raise MissingBlobError(
            f"{what}: {digest} was just cached and is missing now",
            "Is something cleaning the cache? Run `isoward lock` again.",
        )
    return data


def _annotated(archive: bytes, what: str) -> Iterator[Named]:
    """Yield the images that Chart.yaml lists in its annotations.

    Source: Artifact Hub, "Helm annotations"; Helm's own `helm.sh/images`; charts that list them
    under `images`.
    """
    metadata = msgspec.json.decode(chart_artifact(archive, what).config)
    annotations = metadata.get("annotations")
    for key, text in annotations.items() if isinstance(annotations, dict) else ():
        if key not in ANNOTATIONS and not key.startswith("images."):
            continue
        for image in _listed(text, f"{what}: Chart.yaml: annotation {key}"):
            yield Named(image, "annotation", f"Chart.yaml, annotation {key}")


def _listed(text: Any, where: str) -> Iterator[str]:
    try:
        documents = rendered_documents(str(text).encode(), where)
    except FormatError as error:
        raise FormatError(
            f"{where} is not a YAML list of images ({error.message[:MAX_REASON]})",
            "Ask the chart's publisher.",
        ) from error
    for entry in documents[0] if documents and isinstance(documents[0], list) else ():
        image = entry.get("image") if isinstance(entry, dict) else entry
        if not isinstance(image, str) or not image:
            raise FormatError(
                f"{where}: expected a list of images, found {str(entry)[:100]!r} in it",
                "Ask the chart's publisher.",
            )
        yield image
