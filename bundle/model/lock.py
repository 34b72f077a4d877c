"""The lock: every reference of a definition resolved to digests, for a person to review.

It names each byte that a build will fetch, so that the manifest of a bundle follows from it alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from typing import Literal

from bundle.base.content import Content, MediaType
from bundle.base.digest import Digest
from bundle.base.documents import Document, Metadata, QueriedUrl, Text, Url
from bundle.base.errors import DefinitionError, FormatError
from bundle.base.paths import InnerPath
from bundle.base.platform import Platform
from bundle.base.reference import check_url, parse_reference
from bundle.kinds.chart_lock import LockedFolder, LockedProvenance, check_folder
from bundle.kinds.chart_source import ChartName, ChartRepository, ChartVersion
from bundle.kinds.closure import chart_wants, check_closure, kubespray_wants
from bundle.kinds.files import FileName, check_file_origin
from bundle.kinds.git import GitSource
from bundle.kinds.image_origin import ImageOrigin, check_image_origin
from bundle.kinds.kubespray import LockedKubespray, check_kubespray_content
from bundle.kinds.os_packages import LockedOs, check_os_lock, sized_files
from bundle.kinds.policy import SignatureRule, VerifiedBy, check_rules
from bundle.kinds.python_packages import LockedPythonSet, check_locked_python
from bundle.kinds.rendering import RenderedWith, Rendering
from bundle.kinds.start import LockedStart, check_locked_start
from bundle.kinds.unasked import Unasked


class LockedManifest(Content, frozen=True, kw_only=True):
    """An OCI manifest with what it names: a platform's image, a referrer or a chart."""

    media_type: MediaType
    platform: Platform | None = None
    config: Content | None = None
    layers: tuple[Content, ...] = ()


class LockedIndex(Content, frozen=True, kw_only=True):
    """An OCI index or Docker manifest list, carried whole so that its signatures stay valid."""

    media_type: MediaType


class LockedReferrer(LockedManifest, frozen=True, kw_only=True):
    """A signature, an attestation or an SBOM that refers to `subject`."""

    subject: Digest
    artifact_type: Text = ""
    via: Literal["api", "fallback-tag", "cosign-tag", "index"]
    tag: Text = ""
    """The tag under which it was found, when it was a tag."""


class LockedArtifact(Document, frozen=True, kw_only=True):
    """What hangs below one reference in a registry."""

    reference: Text
    origin: ImageOrigin | None = None
    """Where an image is, if not in the registry of its reference."""
    digest: Digest
    """Of the index, or of the only manifest."""
    indexes: tuple[LockedIndex, ...] = ()
    manifests: tuple[LockedManifest, ...]
    referrers: tuple[LockedReferrer, ...] = ()
    unasked: tuple[Unasked, ...] = ()
    """Where its registry did not say whether there are more, sorted."""
    verified: tuple[VerifiedBy, ...] = ()
    """By what an image passed its rule; empty for a chart."""
    wanted_by: tuple[Text, ...] = ()
    """What else in the bundle wants the image, sorted; empty when a person alone asked for it."""


class LockedChart(Document, frozen=True, kw_only=True):
    """A chart: the archive's digest, and the OCI artefact that holds it.

    For a chart from an HTTP repository `url` says where the archive is, for one from a folder
    `folder` what it is packed from. In both cases the artefact is made by the build from the
    archive, always the same; an OCI chart has neither.
    """

    name: ChartName
    version: ChartVersion
    repository: ChartRepository
    archive: Content
    url: QueriedUrl | None = None
    folder: LockedFolder | None = None
    provenance: LockedProvenance | None = None
    artifact: LockedArtifact
    rendering: Rendering | None = None

    @property
    def is_made(self) -> bool:
        """Whether the artefact is made from the archive."""
        return self.url is not None or self.folder is not None


class LockedFile(Content, frozen=True, kw_only=True):
    """A file: by URL, by a path beside the lock, or by a path in a Git commit."""

    url: Url | None = None
    name: FileName | None = None
    """Under which a file without a URL is served."""
    path: InnerPath | None = None
    git: GitSource | None = None
    wanted_by: tuple[Text, ...] = ()
    """What else in the bundle wants the file, sorted; empty when a person alone asked for it."""


class Lock(Document, frozen=True, kw_only=True):
    """A lock file.

    Source: docs/FORMAT.md, "Lock".
    """

    api_version: Literal["isoward/v1"]
    kind: Literal["BundleLock"]
    metadata: Metadata
    definition: Digest
    """Digest of the canonical JSON of the definition that was resolved."""
    platforms: tuple[Platform, ...]
    images: tuple[LockedArtifact, ...] = ()
    charts: tuple[LockedChart, ...] = ()
    helm: RenderedWith | None = None
    files: tuple[LockedFile, ...] = ()
    os_packages: tuple[LockedOs, ...] = ()
    python_packages: tuple[LockedPythonSet, ...] = ()
    kubespray: LockedKubespray | None = None
    start: LockedStart | None = None
    signatures: tuple[SignatureRule, ...] = ()
    """The definition's rules, with the text of the files that they name."""


def artifact_contents(artifact: LockedArtifact) -> Iterator[Content]:
    """Yield every piece of content below `artifact`, with repeats."""
    yield from artifact.indexes
    for manifest in (*artifact.manifests, *artifact.referrers):
        yield manifest
        if manifest.config is not None:
            yield manifest.config
        yield from manifest.layers


def lock_contents(lock: Lock) -> dict[str, int]:
    """Return the size of every blob of the bundle by its digest, sorted by digest.

    Raises:
        FormatError: One digest has two sizes.
    """
    sizes: dict[str, int] = {}
    for content in _all_contents(lock):
        known = sizes.setdefault(content.digest, content.size)
        if known != content.size:
            raise FormatError(
                f"lock: {content.digest} has two sizes, {known} and {content.size}",
                "The lock was edited or an upstream manifest is wrong; run `isoward lock` again.",
            )
    return dict(sorted(sizes.items()))


def _all_contents(lock: Lock) -> Iterator[Content]:
    for image in lock.images:
        yield from artifact_contents(image)
    for chart in lock.charts:
        yield chart.archive
        for values in chart.rendering.values if chart.rendering is not None else ():
            yield Content(digest=values.digest, size=values.size)
        yield from artifact_contents(chart.artifact)
    yield from lock.files
    for file in sized_files(lock.os_packages):
        yield Content(digest=file.digest, size=file.size)
    if lock.start is not None:
        yield Content(digest=lock.start.wheel.digest, size=lock.start.wheel.size)
    for found in lock.python_packages:
        yield from (Content(digest=wheel.digest, size=wheel.size) for wheel in found.files)
    if lock.kubespray is not None:
        yield Content(digest=lock.kubespray.tree, size=lock.kubespray.tree_size)


def check_lock(lock: Lock) -> None:
    """Check what the structure alone cannot say: names are sane, what is named is listed.

    Raises:
        FormatError: The lock contradicts itself.
    """
    _check_names(lock)
    lock_contents(lock)
    for artifact in (*lock.images, *(chart.artifact for chart in lock.charts)):
        known = {c.digest for c in (*artifact.indexes, *artifact.manifests)}
        if artifact.digest not in known:
            raise _inconsistent(artifact, artifact.digest)
        known |= {c.digest for c in artifact.referrers}
        for referrer in artifact.referrers:
            if referrer.subject not in known:
                raise _inconsistent(artifact, referrer.subject)
    for chart in lock.charts:
        layers = {c.digest for m in chart.artifact.manifests for c in m.layers}
        for wanted in (chart.archive, chart.provenance):
            if wanted is not None and wanted.digest not in layers:
                raise _inconsistent(chart.artifact, wanted.digest)
    check_helm(lock.helm, {file.digest for file in lock.files}, "lock")
    _check_closure(lock)


def _check_closure(lock: Lock) -> None:
    wants = (*chart_wants(lock.charts), *kubespray_wants(lock.kubespray))
    try:
        check_closure(wants, lock.images, "lock")
    except DefinitionError as error:
        raise FormatError(
            f"lock: {error.message}", "The lock was edited; run `isoward lock` again."
        ) from error


def _check_names(lock: Lock) -> None:
    try:
        check_rules(lock.signatures)
        for artifact in (*lock.images, *(chart.artifact for chart in lock.charts)):
            parse_reference(artifact.reference)
            if artifact.origin is not None:
                check_image_origin(artifact.origin, artifact.reference)
        archives = (chart.url for chart in lock.charts if chart.url is not None)
        repositories = (chart.repository for chart in lock.charts)
        for chart in lock.charts:
            check_folder(chart.folder, chart.repository, chart.url, f"chart {chart.name}")
        for address in (*repositories, *archives):
            check_url(address, "address")
        for i, file in enumerate(lock.files):
            check_file_origin(file, f"files[{i}]")
        for packages in lock.os_packages:
            check_os_lock(packages)
        check_locked_start(lock.start, lock.python_packages, lock.os_packages)
        for found in lock.python_packages:
            check_locked_python(found)
        if lock.kubespray is not None:
            files = {file.url: file.digest for file in lock.files if file.url}
            check_kubespray_content(lock.kubespray, files)
    except DefinitionError as error:
        raise FormatError(
            f"lock: {error.message}", "The lock was edited; run `isoward lock` again."
        ) from error


def check_helm(helm: RenderedWith | None, files: Set[str], where: str) -> None:
    """Check that the Helm that is said to be carried is.

    Raises:
        FormatError: It is not among the files.
    """
    if helm is not None and helm.archive is not None and helm.archive not in files:
        raise FormatError(
            f"{where}: helm names {helm.archive}, which is not among the files",
            "Run `isoward lock` again.",
        )


def _inconsistent(artifact: LockedArtifact, digest: str) -> FormatError:
    return FormatError(
        f"lock: {artifact.reference} names {digest}, which it does not list",
        "The lock was edited; run `isoward lock` again.",
    )
