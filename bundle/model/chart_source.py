"""Charts as a definition asks for them."""

from __future__ import annotations

from typing import Annotated

import msgspec

from bundle.model.documents import Document
from bundle.model.errors import DefinitionError
from bundle.model.reference import Reference, is_host, is_repository, is_tag, parse_reference

ChartName = Annotated[
    str, msgspec.Meta(pattern=r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$(?!\n)", max_length=63)
]
ChartRepository = Annotated[
    str, msgspec.Meta(pattern=r"^(https?|oci)://[^\s#?@\\\x00-\x1f\x7f]+$(?!\n)", max_length=2048)
]
ChartVersion = Annotated[
    str, msgspec.Meta(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,127}$(?!\n)", max_length=128)
]


class ChartSource(Document, frozen=True, kw_only=True):
    """One Helm chart at one version."""

    name: ChartName
    version: ChartVersion
    repository: ChartRepository

    @property
    def is_oci(self) -> bool:
        """Whether the chart lives in an OCI registry."""
        return self.repository.startswith("oci://")

    @property
    def oci_reference(self) -> Reference:
        """The chart's reference below an `oci://` home."""
        return oci_chart_reference(self.repository, self.name, self.version)


def oci_chart_reference(repository: str, name: str, version: str) -> Reference:
    """Return the reference of a chart; Helm writes `+` in a version as `_` in a tag."""
    whole = f"{repository.removeprefix('oci://').rstrip('/')}/{name}"
    return parse_reference(f"{whole}:{version.replace('+', '_')}", f"chart {name}")


def check_chart_source(chart: ChartSource, where: str) -> None:
    """Check what the structure alone cannot say.

    Raises:
        DefinitionError: Its repository or its version is malformed.
    """
    if not is_tag(chart.version.replace("+", "_")):
        raise DefinitionError(
            f"{where}.version: {chart.version!r} is not a version", "Write it as 1.2.3."
        )
    _check_repository(chart.repository, chart.name, where)


def _check_repository(repository: str, name: str, where: str) -> None:
    host, _, path = repository.split("://", 1)[1].rstrip("/").partition("/")
    if not is_host(host):
        raise DefinitionError(
            f"{where}.repository: {host!r} is not a host", "Write it as https://host/path."
        )
    oci = repository.startswith("oci://")
    if oci and not is_repository(f"{path}/{name}" if path else name):
        raise DefinitionError(
            f"{where}.repository: {path!r} is not a repository name",
            "Write it as oci://registry.example.org/charts, without the chart's name.",
        )
