"""The manifest: bundle.json, which names every blob of a bundle and what each one is."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from bundle.base.content import Content, MediaType
from bundle.base.digest import Digest
from bundle.base.documents import Document, Metadata, Text, Url
from bundle.base.errors import DefinitionError, FormatError
from bundle.base.names import ServedNames, chart_folder, kubespray_path
from bundle.base.paths import InnerPath, check_inner_path
from bundle.base.patterns import formed
from bundle.base.platform import Platform
from bundle.base.reference import check_url, is_host, is_tag, parse_reference
from bundle.kinds.chart_lock import Fingerprint
from bundle.kinds.chart_source import ChartName, ChartRepository, ChartVersion
from bundle.kinds.closure import chart_wants, check_closure, kubespray_wants
from bundle.kinds.files import FileName, check_file_origin, file_label, served_path
from bundle.kinds.git import GitSource, check_git_source
from bundle.kinds.image_origin import ImageOrigin, check_image_origin
from bundle.kinds.kubespray import KubesprayEntry, check_kubespray_content
from bundle.kinds.os_packages import OsEntry, check_os_entry
from bundle.kinds.policy import SignatureRule, VerifiedBy, check_rules
from bundle.kinds.python_packages import PythonSet, check_python_sets, python_digests
from bundle.kinds.rendering import RenderedWith, Rendering
from bundle.kinds.start import INSTALL_NAME, StartEntry, parts_of
from bundle.kinds.unasked import Unasked
from bundle.model.lock import check_helm

LayoutPath = Annotated[
    str,
    formed(
        r"^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$(?!\n)",
        "the name of a file at the top of the bundle: a letter or digit, then also '.' and '-'",
        "README.txt",
    ),
]
"""A file at the top of the bundle; a single component, so that it cannot leave the bundle."""

_TAKEN: Final = frozenset({"bundle.json", "sha256sums", "trust", "attestations", "blobs"})
"""Names at the top of every bundle, without case: some media do not tell it apart."""


class ManifestEntry(Document, frozen=True, kw_only=True):
    """An OCI index or manifest that a registry client may ask for."""

    digest: Digest
    media_type: MediaType
    platform: Platform | None = None


class ReferrerEntry(Document, frozen=True, kw_only=True):
    """A referrer: what it is and what it is about."""

    digest: Digest
    media_type: MediaType
    subject: Digest
    artifact_type: Text = ""
    tag: Text = ""


class Artifact(Document, frozen=True, kw_only=True):
    """An image or a chart in OCI form, under the reference that its users know."""

    reference: Text
    origin: ImageOrigin | None = None
    """Where an image came from, if not from the registry of its reference."""
    digest: Digest
    manifests: tuple[ManifestEntry, ...]
    referrers: tuple[ReferrerEntry, ...] = ()
    unasked: tuple[Unasked, ...] = ()
    """Where its registry did not say whether there are more, sorted."""
    verified: tuple[VerifiedBy, ...] = ()
    """By what an image passed its rule; empty for a chart."""
    wanted_by: tuple[Text, ...] = ()
    """What else in the bundle wants the image, sorted; empty when a person alone asked for it."""


class ProvenanceEntry(Document, frozen=True, kw_only=True):
    """A chart's provenance file, and who signed it, where that was verified."""

    digest: Digest
    signer: Fingerprint | None = None


class ChartEntry(Document, frozen=True, kw_only=True):
    """A Helm chart; `archive` is the blob of its .tgz."""

    name: ChartName
    version: ChartVersion
    repository: ChartRepository
    archive: Digest
    artifact: Artifact
    path: InnerPath | None = None
    """Of the folder that it was packed from."""
    git: GitSource | None = None
    """The commit that the folder is in."""
    provenance: ProvenanceEntry | None = None
    rendering: Rendering | None = None


class FileEntry(Document, frozen=True, kw_only=True):
    """A file; it is served below its host and path, or as `local/<name>`."""

    url: Url | None = None
    name: FileName | None = None
    path: InnerPath | None = None
    git: GitSource | None = None
    digest: Digest
    wanted_by: tuple[Text, ...] = ()
    """What else in the bundle wants the file, sorted; empty when a person alone asked for it."""


class LayoutFile(Content, frozen=True, kw_only=True):
    """A file at the top of the bundle, next to bundle.json."""

    path: LayoutPath


class Manifest(Document, frozen=True, kw_only=True):
    """bundle.json.

    Source: docs/FORMAT.md, "bundle.json".
    """

    api_version: Literal["isoward/v1"]
    kind: Literal["Bundle"]
    metadata: Metadata
    lock: Digest
    """Digest of the canonical JSON of the lock."""
    platforms: tuple[Platform, ...]
    blobs: tuple[Content, ...]
    layout: tuple[LayoutFile, ...]
    images: tuple[Artifact, ...] = ()
    charts: tuple[ChartEntry, ...] = ()
    helm: RenderedWith | None = None
    files: tuple[FileEntry, ...] = ()
    os_packages: tuple[OsEntry, ...] = ()
    python_packages: tuple[PythonSet, ...] = ()
    kubespray: KubesprayEntry | None = None
    start: StartEntry | None = None
    """What a machine without isoward begins with; install.sh follows from it."""
    signatures: tuple[SignatureRule, ...] = ()
    """By whom images must be signed; checked again wherever the bundle is verified."""
    sources: tuple[Text, ...] = ()
    """Every host that content came from."""

    @property
    def content_bytes(self) -> int:
        """Size of all blobs together, in bytes."""
        return sum(blob.size for blob in self.blobs)


def check_manifest(manifest: Manifest) -> dict[str, int]:
    """Check what the structure alone cannot say and return the blobs' sizes by digest.

    Raises:
        FormatError: Blobs unsorted or repeated, something names a blob that is not listed, or a
            name is malformed or means two things.
        ClosureError: Something in it wants an image that it does not have.
    """
    digests = [blob.digest for blob in manifest.blobs]
    if digests != sorted(set(digests)):
        raise FormatError(
            "bundle.json: blobs are not sorted, or one stands twice", "Build the bundle again."
        )
    paths = [file.path.lower() for file in manifest.layout]
    if len(set(paths)) != len(paths) or not _TAKEN.isdisjoint(paths):
        raise FormatError("bundle.json: a layout path stands twice", "Build the bundle again.")
    known = {blob.digest: blob.size for blob in manifest.blobs}
    for what, digest in named_content(manifest):
        if digest not in known:
            raise FormatError(
                f"bundle.json: {what} names {digest}, which is not among its blobs",
                "Build the bundle again.",
            )
    try:
        check_rules(manifest.signatures)
        _check_names(manifest)
        check_helm(manifest.helm, {file.digest for file in manifest.files}, "bundle.json")
        wants = (*chart_wants(manifest.charts), *kubespray_wants(manifest.kubespray))
        check_closure(wants, manifest.images, "bundle.json")
    except DefinitionError as error:
        raise FormatError(f"bundle.json: {error.message}", "Build the bundle again.") from error
    return known


def _check_names(manifest: Manifest) -> None:
    served = ServedNames()
    for artifact in (*manifest.images, *(chart.artifact for chart in manifest.charts)):
        _check_artifact(artifact, served)
    for chart in manifest.charts:
        _check_chart(chart, served)
    for i, file in enumerate(manifest.files):
        check_file_origin(file, f"files[{i}]")
        served.add(f"files {served_path(file)}", file.digest)
    for packages in manifest.os_packages:
        check_os_entry(packages)
        for path, digest in packages.served():
            served.add(f"os {path}", digest)
    check_python_sets(manifest.python_packages, served)
    if manifest.kubespray is not None:
        files = {file.url: file.digest for file in manifest.files if file.url}
        check_kubespray_content(manifest.kubespray, files)
        path = kubespray_path(manifest.kubespray.version)
        served.add(f"files {path}", manifest.kubespray.tree)
    _check_start(manifest)
    for host in manifest.sources:
        if not is_host(host):
            raise DefinitionError(f"sources: {host[:100]!r} is not a host", "")


def _check_start(manifest: Manifest) -> None:
    if (manifest.start is None) == (INSTALL_NAME in {file.path for file in manifest.layout}):
        raise DefinitionError(f"{INSTALL_NAME} and `start` do not stand together", "")
    if manifest.start is not None:
        parts_of(manifest.start, manifest.python_packages, manifest.os_packages)


def _check_chart(chart: ChartEntry, served: ServedNames) -> None:
    check_url(chart.repository, "repository")
    if chart.path is not None:
        check_inner_path(chart.path, "path")
    if chart.git is not None:
        check_git_source(chart.git, "git")
    name = f"{chart_folder(chart.repository)}/{chart.name}-{chart.version}.tgz"
    served.add(name, chart.archive)
    if chart.provenance is not None:
        served.add(f"{name}.prov", chart.provenance.digest)


def _check_artifact(artifact: Artifact, served: ServedNames) -> None:
    if str(parse_reference(artifact.reference)) != artifact.reference:
        raise DefinitionError(f"{artifact.reference!r} is not written out as a full reference", "")
    served.add(artifact.reference, artifact.digest)
    if artifact.origin is not None:
        check_image_origin(artifact.origin, artifact.reference)
    if artifact.digest not in {entry.digest for entry in artifact.manifests}:
        raise DefinitionError(f"{artifact.reference} does not list {artifact.digest}", "")
    for referrer in artifact.referrers:
        if referrer.tag and not is_tag(referrer.tag):
            raise DefinitionError(f"{artifact.reference}: {referrer.tag!r} is not a tag", "")


def named_content(manifest: Manifest) -> list[tuple[str, str]]:
    """List what bundle.json names by digest: the name for a person, and the digest."""
    artifacts = [*manifest.images, *(chart.artifact for chart in manifest.charts)]
    named = [(f"chart {chart.name}", chart.archive) for chart in manifest.charts]
    named += [
        (f"chart {chart.name}", values.digest)
        for chart in manifest.charts
        for values in (chart.rendering.values if chart.rendering is not None else ())
    ]
    named += [
        (f"chart {chart.name}", chart.provenance.digest)
        for chart in manifest.charts
        if chart.provenance is not None
    ]
    named += [(f"file {file_label(file)}", file.digest) for file in manifest.files]
    named += python_digests(manifest.python_packages).items()
    for packages in manifest.os_packages:
        named += [(f"OS file {path}", digest) for path, digest in packages.served()]
    if manifest.kubespray is not None:
        named.append(("kubespray", manifest.kubespray.tree))
    if manifest.start is not None:
        named.append((manifest.start.wheel.name, manifest.start.wheel.digest))
    for artifact in artifacts:
        named.append((artifact.reference, artifact.digest))
        named += [(artifact.reference, entry.digest) for entry in artifact.manifests]
        named += [(artifact.reference, entry.digest) for entry in artifact.referrers]
        named += [(artifact.reference, entry.subject) for entry in artifact.referrers]
    return named
