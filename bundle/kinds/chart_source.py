"""Charts as a definition requests them: from a repository, or from a folder."""

from __future__ import annotations

from typing import Annotated, Final

from bundle.base.documents import Document
from bundle.base.errors import DefinitionError
from bundle.base.paths import InnerPath, check_inner_path
from bundle.base.patterns import formed
from bundle.base.reference import Reference, is_host, is_repository, is_tag, parse_reference
from bundle.kinds.git import GitSource, check_git_source, git_host
from bundle.kinds.policy import Material
from bundle.kinds.rendering import RenderOptions, check_render_options

LOCAL_HOST: Final = "local.invalid"
"""The host in names of content that is in no registry. RFC 6761: no name server ever knows it, so
a client that does not ask the depot asks nobody."""

LOCAL_CHARTS: Final = f"oci://{LOCAL_HOST}"
"""The repository of charts from folders, as a lock and bundle.json have it."""

ChartName = Annotated[
    str,
    formed(
        r"^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$(?!\n)",
        "the name of a chart: lowercase letters and digits, with '.', '_' and '-' in between",
        "web",
        max_length=63,
    ),
]
ChartRepository = Annotated[
    str,
    formed(
        r"^(https?|oci)://[^\s#?@\\\x00-\x1f\x7f]+$(?!\n)",
        "an address that begins with https://, http:// or oci://, without a user name, '?' or '#'",
        "oci://registry.example.org/charts",
        max_length=2048,
    ),
]
ChartVersion = Annotated[
    str,
    formed(
        r"^[0-9A-Za-z][0-9A-Za-z.+-]{0,127}$(?!\n)",
        "one version of a chart, not a range",
        "1.2.3",
        max_length=128,
    ),
]


class ProvenanceRule(Document, frozen=True, kw_only=True):
    """The chart must have a provenance file that a key of this keyring signed."""

    keyring: Material
    """OpenPGP public keys."""


class ChartSource(RenderOptions, frozen=True, kw_only=True):
    """One Helm chart at one version: of a repository, of a folder, or of a folder in Git."""

    name: ChartName
    version: ChartVersion
    repository: ChartRepository | None = None
    path: InnerPath | None = None
    """A folder, relative to the definition or within the Git tree."""
    git: GitSource | None = None
    provenance: ProvenanceRule | None = None

    @property
    def home(self) -> str:
        """The repository under which the chart is known."""
        return self.repository or LOCAL_CHARTS

    @property
    def is_oci(self) -> bool:
        """Whether the chart lives in an OCI registry."""
        return self.repository is not None and self.repository.startswith("oci://")

    @property
    def oci_reference(self) -> Reference:
        """The chart's reference below an `oci://` home."""
        return oci_chart_reference(self.home, self.name, self.version)


def oci_chart_reference(repository: str, name: str, version: str) -> Reference:
    """Return the reference of a chart; Helm writes `+` in a version as `_` in a tag."""
    whole = f"{repository.removeprefix('oci://').rstrip('/')}/{name}"
    return parse_reference(f"{whole}:{version.replace('+', '_')}", f"chart {name}")


def chart_host(chart: ChartSource) -> str | None:
    """Return the host that a chart is fetched from; None for a folder on this machine."""
    if chart.git is not None:
        return git_host(chart.git.repository)
    if chart.repository is None:
        return None
    return repository_host(chart.repository)


def repository_host(repository: str) -> str:
    """Return the host of a chart repository."""
    return repository.split("://", 1)[1].partition("/")[0]


def check_chart_source(chart: ChartSource, where: str) -> None:
    """Check what the type alone cannot express.

    Raises:
        DefinitionError: The source or the rendering options are missing, ambiguous or malformed.
            to be rendered.
    """
    check_render_options(chart, where)
    if not is_tag(chart.version.replace("+", "_")):
        raise DefinitionError(
            f"{where}.version: {chart.version!r} is not a version", "Write it as 1.2.3."
        )
    local = chart.path is not None or chart.git is not None
    if local == (chart.repository is not None):
        raise DefinitionError(
            f"{where}: expected either repository, or path and git or one of them",
            "Name exactly one source for the chart.",
        )
    if chart.repository is not None:
        _check_repository(chart.repository, chart.name, where)
        return
    if chart.path is not None:
        check_inner_path(chart.path, f"{where}.path")
    if chart.git is not None:
        check_git_source(chart.git, f"{where}.git")
    if not is_repository(chart.name):
        raise DefinitionError(
            f"{where}.name: {chart.name!r} cannot be the name of a served chart",
            "Use letters and digits with single dots, dashes and underscores between them.",
        )
    if chart.provenance is not None:
        raise DefinitionError(
            f"{where}.provenance: a chart from a folder is packed by the build and unsigned",
            "Remove provenance; the review of the folder vouches for it.",
        )


def _check_repository(repository: str, name: str, where: str) -> None:
    host, _, path = repository.split("://", 1)[1].rstrip("/").partition("/")
    if not is_host(host) or host == LOCAL_HOST:
        raise DefinitionError(
            f"{where}.repository: {host!r} is not a host", "Write it as https://host/path."
        )
    oci = repository.startswith("oci://")
    if oci and not is_repository(f"{path}/{name}" if path else name):
        raise DefinitionError(
            f"{where}.repository: {path!r} is not a repository name",
            "Write it as oci://registry.example.org/charts, without the chart's name.",
        )
