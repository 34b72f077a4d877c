"""The definition: what a vendor asks for, typed by a person in YAML."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from bundle.model.digest import Digest
from bundle.model.documents import Document, Metadata, Text, Url
from bundle.model.errors import DefinitionError
from bundle.model.platform import Platform
from bundle.model.policy import SignatureRule, check_rules
from bundle.model.reference import (
    Reference,
    check_url,
    is_host,
    is_repository,
    is_tag,
    parse_reference,
)

ChartName = Annotated[
    str, msgspec.Meta(pattern=r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$(?!\n)", max_length=63)
]
ChartRepository = Annotated[
    str, msgspec.Meta(pattern=r"^(https?|oci)://[^\s#?@\\\x00-\x1f\x7f]+$(?!\n)", max_length=2048)
]
ChartVersion = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,127}$(?!\n)", max_length=128)
]


class ImageSource(Document, frozen=True, kw_only=True):
    """One image, by tag, digest or both."""

    reference: Text
    platforms: tuple[Platform, ...] = ()
    """Overrides the definition's platforms."""


class FileSource(Document, frozen=True, kw_only=True):
    """One file, which must have this digest."""

    url: Url
    digest: Digest


class ChartSource(Document, frozen=True, kw_only=True):
    """One Helm chart at one version."""

    name: ChartName
    repository: ChartRepository
    version: ChartVersion

    @property
    def is_oci(self) -> bool:
        """Whether the chart lives in an OCI registry."""
        return self.repository.startswith("oci://")

    @property
    def oci_reference(self) -> Reference:
        """The chart's reference; Helm writes `+` in a version as `_` in a tag."""
        name = f"{self.repository.removeprefix('oci://').rstrip('/')}/{self.name}"
        return parse_reference(f"{name}:{self.version.replace('+', '_')}", f"chart {self.name}")


class Definition(Document, frozen=True, kw_only=True):
    """A bundle definition.

    Source: docs/FORMAT.md, "Definition".
    """

    api_version: Literal["isoward/v1"]
    kind: Literal["BundleDefinition"]
    metadata: Metadata
    platforms: Annotated[tuple[Platform, ...], msgspec.Meta(min_length=1)]
    images: tuple[ImageSource, ...] = ()
    files: tuple[FileSource, ...] = ()
    charts: tuple[ChartSource, ...] = ()
    signatures: tuple[SignatureRule, ...] = ()
    """By whom images must be signed; the first rule that matches counts, and one must."""


def check_definition(definition: Definition) -> None:
    """Check what the structure alone cannot say.

    Raises:
        DefinitionError: A reference is malformed, an entry stands twice, or there is no content.
    """
    images = [
        str(parse_reference(image.reference, f"images[{i}].reference"))
        for i, image in enumerate(definition.images)
    ]
    _unique(images, "images")
    _unique([file.url for file in definition.files], "files")
    for i, file in enumerate(definition.files):
        check_url(file.url, f"files[{i}].url")
    _unique([f"{c.repository} {c.name} {c.version}" for c in definition.charts], "charts")
    _unique(list(definition.platforms), "platforms")
    check_rules(definition.signatures)
    for i, chart in enumerate(definition.charts):
        _check_chart(chart, f"charts[{i}]")
    if not (definition.images or definition.files or definition.charts):
        raise DefinitionError(
            "the definition has no content: expected at least one image, file or chart",
            "Add an entry under images:, files: or charts:.",
        )


def _check_chart(chart: ChartSource, where: str) -> None:
    rest = chart.repository.split("://", 1)[1].rstrip("/")
    host, _, path = rest.partition("/")
    if not is_host(host):
        raise DefinitionError(
            f"{where}.repository: {host!r} is not a host", "Write it as https://host/path."
        )
    if chart.is_oci and not (is_repository(f"{path}/{chart.name}" if path else chart.name)):
        raise DefinitionError(
            f"{where}.repository: {path!r} is not a repository name",
            "Write it as oci://registry.example.org/charts, without the chart's name.",
        )
    if not is_tag(chart.version.replace("+", "_")):
        raise DefinitionError(
            f"{where}.version: {chart.version!r} is not a version", "Write it as 1.2.3."
        )


def _unique(values: list[str], where: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise DefinitionError(
                f"{where}: {value!r} stands twice", "Remove one of the two entries."
            )
        seen.add(value)
