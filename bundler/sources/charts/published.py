"""Helm charts, from HTTP repositories and from OCI registries; see chart_local for folders.

An HTTP chart gets a reference under which a registry can serve it: the repository's host and path,
then the chart's name; where the path cannot be part of a repository's name, `charts` takes its
place.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable
from typing import Final
from urllib.parse import urljoin, urlsplit

import msgspec

from bundle.base.content import Content
from bundle.base.digest import digest_of
from bundle.base.documents import QueriedUrl
from bundle.base.errors import DefinitionError, FormatError
from bundle.base.limits import MAX_CHART_BYTES, MAX_INDEX_YAML_BYTES, MAX_PROVENANCE_BYTES
from bundle.base.oci import OCI_MANIFEST, OciManifest
from bundle.base.queries import shown_url, without_secrets
from bundle.base.reference import Reference, check_url, is_repository, parse_reference
from bundle.kinds.artifacts import LockedArtifact, LockedManifest
from bundle.kinds.chart_source import ChartSource
from bundle.kinds.charts import LockedChart, LockedProvenance
from bundle.store.programs import Runner
from bundler.model.chart import LAYER_TYPES, PROVENANCE_TYPE, ChartArtifact, chart_artifact
from bundler.sources.charts.dependencies import check_complete
from bundler.sources.charts.index import IndexEntry, read_index, require_digest
from bundler.sources.charts.parts import read_archive
from bundler.sources.charts.provenance import fetch_provenance, verify_provenance
from bundler.sources.common.download import check_digest, read_whole, small_blob
from bundler.sources.common.manifests import ManifestSource, locked_manifest
from bundler.sources.images.referrers import ReferrerSearch

_OCI: Final = "oci://"
_FALLBACK_PATH: Final = "charts"
_SHOWN: Final = 5
"""Versions named to a person who asked for another one."""


class ChartResolver:
    """Resolves charts, reading each repository's index once; safe to use from several threads."""

    def __init__(
        self,
        charts: Iterable[ChartSource],
        source: ManifestSource,
        run: Runner,
        *,
        provenance: bool = True,
    ) -> None:
        """Prepare for `charts`, since an index is read for all of its charts at a time.

        Args:
            charts: All that will be resolved.
            source: Fetches.
            run: Runs gpgv.
            provenance: Whether provenance files are of interest.
        """
        self._source = source
        self._run = run
        self._provenance = provenance
        self._names: defaultdict[str, set[str]] = defaultdict(set)
        for chart in charts:
            self._names[chart.home].add(chart.name)
        self._indexes: dict[str, dict[str, tuple[IndexEntry, ...]]] = {}
        self._busy = {repository: threading.Lock() for repository in self._names}

    def resolve(self, chart: ChartSource) -> LockedChart:
        """Resolve one chart.

        Raises:
            DefinitionError: The repository has no such chart or version.
            FormatError: Something upstream is malformed.
            DigestMismatchError: The archive is not the one that the index promises.
            UnsignedError: It has no provenance file as the definition wants it.
            ClosureError: It lacks a chart that it depends on.
            TransportError: And its subclasses, when something cannot be had.
        """
        if chart.is_oci:
            return self._from_registry(chart, chart.oci_reference)
        return self._from_http(chart)

    def _from_registry(self, chart: ChartSource, reference: Reference) -> LockedChart:
        parsed = self._source.at(reference)
        layers = [
            layer.content
            for layer in (parsed.body.layers if isinstance(parsed.body, OciManifest) else ())
            if layer.media_type in LAYER_TYPES
        ]
        if not isinstance(parsed.body, OciManifest) or len(layers) != 1:
            raise FormatError(
                f"{reference}: expected one chart archive, found {len(layers)}",
                "Is it a Helm chart? An image belongs under images:.",
            )
        archive = small_blob(self._source, reference, layers[0], MAX_CHART_BYTES)
        check_identity(chart, chart_artifact(archive, str(reference)), str(reference))
        check_complete(read_archive(archive, str(reference)), str(reference))
        found = ReferrerSearch(self._source, reference).search([parsed.digest], [])
        manifest = locked_manifest(parsed, parsed.body, None)
        artifact = LockedArtifact(
            reference=str(reference),
            digest=parsed.digest,
            indexes=found.indexes,
            manifests=(manifest, *(m for m in found.manifests if m.digest != manifest.digest)),
            referrers=found.referrers,
            unasked=found.unasked,
        )
        document = self._provenance_layer(parsed.body, reference)
        provenance = self._judged(chart, layers[0], document, str(reference))
        return _locked(chart, layers[0], None, provenance=provenance, artifact=artifact)

    def _provenance_layer(self, manifest: OciManifest, reference: Reference) -> bytes | None:
        found = [layer for layer in manifest.layers if layer.media_type == PROVENANCE_TYPE]
        if not found:
            return None
        content = found[0].content
        return small_blob(self._source, reference, content, MAX_PROVENANCE_BYTES)

    def _judged(
        self, chart: ChartSource, archive: Content, document: bytes | None, where: str
    ) -> LockedProvenance | None:
        """Verify a provenance file where the definition wants that, and say what it is."""
        keyring = chart.provenance.keyring if chart.provenance is not None else None
        signer = None
        if keyring is not None:
            name = f"{chart.name}-{chart.version}.tgz"
            signer = verify_provenance(
                document, keyring, (name, archive.digest), run=self._run, where=where
            )
        if document is None:
            return None
        return LockedProvenance(
            digest=digest_of(document), size=len(document), signer=signer, keyring=keyring
        )

    def _from_http(self, chart: ChartSource) -> LockedChart:
        entry = self._entry(chart)
        base = f"{chart.home.rstrip('/')}/"
        first = next(iter(entry.urls), "")
        address = _joined(base, first) if first else ""
        if address.startswith(_OCI):
            # The index says that the chart itself is in a registry, as Helm understands it.
            return self._from_registry(chart, _pointed(chart, address))
        url = _archive_url(chart, without_secrets(address))
        shown = shown_url(url)
        archive = self._archive(entry, address)
        digest = digest_of(archive)
        demanded = chart.provenance is not None
        document = None
        if self._provenance:
            document = fetch_provenance(self._source.client, address, demanded=demanded)
        made = chart_artifact(archive, shown, document)
        check_identity(chart, made, shown)
        check_complete(read_archive(archive, shown), shown)
        content = Content(digest=digest, size=len(archive))
        provenance = self._judged(chart, content, document, shown)
        for data in (archive, document, made.config, made.manifest):
            if data is not None:
                self._source.store.put_bytes(digest_of(data), data)
        artifact = made_artifact(chart_reference(chart), made, content, provenance)
        return _locked(chart, content, url, provenance=provenance, artifact=artifact)

    def _archive(self, entry: IndexEntry, address: str) -> bytes:
        """Return a chart's archive, from the store where the index tells its digest."""
        kept = None
        if entry.digest:
            kept = self._source.store.find_bytes(entry.digest, MAX_CHART_BYTES)
        if kept is not None:
            return kept
        shown = shown_url(address)
        archive = read_whole(lambda: self._source.client.open_url(address), MAX_CHART_BYTES, shown)
        if entry.digest:
            check_digest(digest_of(archive), entry.digest, shown)
        return archive

    def _entry(self, chart: ChartSource) -> IndexEntry:
        """Return the index's entry for a chart at its version."""
        versions = self._index(chart.home).get(chart.name)
        if versions is None:
            raise DefinitionError(
                f"{chart.home} has no chart {chart.name!r}",
                "Check the name and the repository's address.",
            )
        for entry in versions:
            if entry.version == chart.version:
                require_digest(entry, f"{chart.home}: {chart.name}")
                return entry
        known = ", ".join(entry.version[:40] for entry in versions[:_SHOWN]) or "none"
        more = f" and {len(versions) - _SHOWN} more" if len(versions) > _SHOWN else ""
        raise DefinitionError(
            f"{chart.home}: expected {chart.name} {chart.version}, found {known}{more}",
            "Choose one of the versions in the repository's index.yaml.",
        )

    def _index(self, repository: str) -> dict[str, tuple[IndexEntry, ...]]:
        with self._busy[repository]:
            if repository not in self._indexes:
                base = repository.rstrip("/")
                url = f"{base}/index.yaml"
                data = read_whole(
                    lambda: self._source.client.open_url(url), MAX_INDEX_YAML_BYTES, url
                )
                self._indexes[repository] = dict(read_index(data, self._names[repository], base))
            return self._indexes[repository]


def chart_reference(chart: ChartSource) -> Reference:
    """Return the reference of a chart from an HTTP repository.

    Raises:
        DefinitionError: Its host cannot be the host of a reference.
    """
    address = urlsplit(chart.home)
    host = address.netloc.lower()
    name = "/".join(part for part in (address.path.strip("/"), chart.name) if part)
    if not is_repository(name):
        name = f"{_FALLBACK_PATH}/{chart.name}"
    reference = Reference(host, name, chart.version.replace("+", "_"))
    try:
        same = parse_reference(str(reference)) == reference
    except DefinitionError:
        same = False
    if not same:
        raise DefinitionError(
            f"chart {chart.name}: {reference} cannot be served under this reference",
            "The repository's host needs a full name, and the chart one of letters and dashes.",
        )
    return reference


def _joined(base: str, address: str) -> str:
    try:
        return urljoin(base, address)
    except ValueError:
        # Half of an IPv6 address; as it stands it is refused.
        return address


def _pointed(chart: ChartSource, address: str) -> Reference:
    """Return what the index of a repository points to in a registry."""
    text = address.removeprefix(_OCI)
    if ":" not in text.rpartition("/")[2] and "@" not in text:
        text = f"{text}:{chart.version.replace('+', '_')}"
    try:
        return parse_reference(text, f"{chart.home}/index.yaml: {chart.name} {chart.version}")
    except DefinitionError as error:
        raise FormatError(error.message, "Ask the repository's operator.") from error


def _archive_url(chart: ChartSource, url: str) -> str:
    """Refuse an address that a lock may not hold, such as one with a user in it."""
    try:
        check_url(url, chart.name)
        return msgspec.convert(url, QueriedUrl)
    except (msgspec.ValidationError, DefinitionError):
        raise FormatError(
            f"{chart.home}/index.yaml: {chart.name} {chart.version} has no lockable address "
            f"found {shown_url(url)[:200]!r}",
            "Only http(s) and oci addresses without a user name can be locked.",
        ) from None


def check_identity(chart: ChartSource, made: ChartArtifact, where: str) -> None:
    """Refuse an archive that says it is another chart, or another version of it."""
    if (made.name, made.version) != (chart.name, chart.version):
        raise FormatError(
            f"{where}: expected chart {chart.name} {chart.version}, "
            f"found {made.name} {made.version}",
            "Its Chart.yaml is authoritative; correct the definition, or ask the publisher.",
        )


def made_artifact(
    reference: Reference,
    made: ChartArtifact,
    archive: Content,
    provenance: LockedProvenance | None = None,
) -> LockedArtifact:
    """Return the artifact that a build makes of an archive, for the lock."""
    layers = [archive]
    if provenance is not None:
        layers.append(Content(digest=provenance.digest, size=provenance.size))
    digest = digest_of(made.manifest)
    manifest = LockedManifest(
        digest=digest,
        size=len(made.manifest),
        media_type=OCI_MANIFEST,
        config=Content(digest=digest_of(made.config), size=len(made.config)),
        layers=tuple(layers),
    )
    return LockedArtifact(reference=str(reference), digest=digest, manifests=(manifest,))


def _locked(
    chart: ChartSource,
    archive: Content,
    url: str | None,
    provenance: LockedProvenance | None,
    artifact: LockedArtifact,
) -> LockedChart:
    return LockedChart(
        name=chart.name,
        version=chart.version,
        repository=chart.home,
        archive=archive,
        url=url,
        provenance=provenance,
        artifact=artifact,
    )
