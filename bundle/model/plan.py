"""From a lock to the manifest and the layout files of its bundle.

Pure, so that the same lock gives the same bytes on every machine.

Source: OCI image-spec, image-layout.md; docs/FORMAT.md, "The bundle".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from bundle.base.canonical import canonical_digest, canonical_json
from bundle.base.content import Content
from bundle.base.digest import digest_of
from bundle.base.documents import API_VERSION
from bundle.base.oci import OCI_INDEX
from bundle.base.reference import parse_reference
from bundle.kinds.chart_lock import folder_hosts
from bundle.kinds.chart_source import LOCAL_CHARTS
from bundle.kinds.files import file_host
from bundle.kinds.git import git_host
from bundle.kinds.kubespray import kubespray_entry, kubespray_hosts
from bundle.kinds.os_packages import os_entry
from bundle.kinds.python_packages import python_entry
from bundle.kinds.start import INSTALL_NAME, parts_of, start_entry
from bundle.model.lock import Lock, LockedArtifact, LockedChart, LockedFile, lock_contents
from bundle.model.manifest import (
    Artifact,
    ChartEntry,
    FileEntry,
    LayoutFile,
    Manifest,
    ManifestEntry,
    ProvenanceEntry,
    ReferrerEntry,
    check_manifest,
)
from bundle.texts.install_script import install_script
from bundle.texts.medium import readme_text, verify_text

OCI_LAYOUT_VERSION: Final = "1.0.0"
REF_NAME: Final = "org.opencontainers.image.ref.name"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a build has to write besides the blobs.

    Attributes:
        manifest: The decoded bundle.json.
        manifest_bytes: bundle.json.
        layout: The other files at the top of the bundle, by name.
    """

    manifest: Manifest
    manifest_bytes: bytes
    layout: Mapping[str, bytes]


def plan_bundle(lock: Lock) -> Plan:
    """Derive the manifest of a bundle from a checked lock.

    Raises:
        FormatError: The lock contradicts itself.
    """
    layout = {
        "README.txt": readme_text(lock.metadata).encode(),
        "VERIFY.txt": verify_text(lock.metadata).encode(),
        "index.json": canonical_json(_layout_index(lock)),
        "oci-layout": canonical_json({"imageLayoutVersion": OCI_LAYOUT_VERSION}),
        **_start_layout(lock),
    }
    manifest = Manifest(
        api_version=API_VERSION,
        kind="Bundle",
        metadata=lock.metadata,
        lock=canonical_digest(lock),
        platforms=lock.platforms,
        blobs=tuple(Content(digest=d, size=s) for d, s in lock_contents(lock).items()),
        layout=tuple(
            LayoutFile(path=path, digest=digest_of(data), size=len(data))
            for path, data in sorted(layout.items())
        ),
        images=tuple(artifact_entry(image) for image in lock.images),
        charts=tuple(_chart(chart) for chart in lock.charts),
        helm=lock.helm,
        files=tuple(_file(file) for file in lock.files),
        os_packages=tuple(map(os_entry, lock.os_packages)),
        python_packages=tuple(map(python_entry, lock.python_packages)),
        kubespray=None if lock.kubespray is None else kubespray_entry(lock.kubespray),
        start=None if lock.start is None else start_entry(lock.start),
        signatures=lock.signatures,
        sources=tuple(sorted(set(_hosts(lock)))),
    )
    check_manifest(manifest)
    return Plan(manifest, canonical_json(manifest), layout)


def _start_layout(lock: Lock) -> dict[str, bytes]:
    """Return the layout files of a medium that carries its own start."""
    if lock.start is None:
        return {}
    python, systems = map(python_entry, lock.python_packages), map(os_entry, lock.os_packages)
    parts = parts_of(start_entry(lock.start), python, systems)
    return {INSTALL_NAME: install_script(parts).encode("ascii")}


def artifact_entry(locked: LockedArtifact) -> Artifact:
    """Return an artefact of a lock as it stands in bundle.json."""
    indexes = [ManifestEntry(digest=i.digest, media_type=i.media_type) for i in locked.indexes]
    manifests = [
        ManifestEntry(digest=m.digest, media_type=m.media_type, platform=m.platform)
        for m in locked.manifests
    ]
    referrers = [
        ReferrerEntry(
            digest=r.digest,
            media_type=r.media_type,
            subject=r.subject,
            artifact_type=r.artifact_type,
            tag=r.tag,
        )
        for r in locked.referrers
    ]
    return Artifact(
        reference=locked.reference,
        origin=locked.origin,
        digest=locked.digest,
        manifests=(*indexes, *manifests),
        referrers=tuple(referrers),
        unasked=locked.unasked,
        verified=locked.verified,
        wanted_by=locked.wanted_by,
    )


def _chart(locked: LockedChart) -> ChartEntry:
    return ChartEntry(
        name=locked.name,
        version=locked.version,
        repository=locked.repository,
        archive=locked.archive.digest,
        artifact=artifact_entry(locked.artifact),
        path=locked.folder.path if locked.folder else None,
        git=locked.folder.git if locked.folder else None,
        provenance=_provenance(locked),
        rendering=locked.rendering,
    )


def _file(locked: LockedFile) -> FileEntry:
    return FileEntry(
        url=locked.url,
        name=locked.name,
        path=locked.path,
        git=locked.git,
        digest=locked.digest,
        wanted_by=locked.wanted_by,
    )


def _provenance(locked: LockedChart) -> ProvenanceEntry | None:
    found = locked.provenance
    return None if found is None else ProvenanceEntry(digest=found.digest, signer=found.signer)


def _layout_index(lock: Lock) -> dict[str, Any]:
    """Build index.json: every reference by its full name, every referrer that it would miss."""
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    for artifact in (*lock.images, *(chart.artifact for chart in lock.charts)):
        for name, digest, size, media_type in _named(artifact):
            entry: dict[str, Any] = {"mediaType": media_type, "digest": digest, "size": size}
            if name:
                entry["annotations"] = {REF_NAME: name}
            entries.setdefault((name, digest), entry)
    named = {digest for name, digest in entries if name}
    kept = [
        entry for (name, digest), entry in sorted(entries.items()) if name or digest not in named
    ]
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": kept}


def _named(artifact: LockedArtifact) -> Iterator[tuple[str, str, int, str]]:
    for index in artifact.indexes:
        if index.digest == artifact.digest:
            yield artifact.reference, index.digest, index.size, index.media_type
    for manifest in artifact.manifests:
        if manifest.digest == artifact.digest:
            yield artifact.reference, manifest.digest, manifest.size, manifest.media_type
    repository = parse_reference(artifact.reference).name
    for referrer in artifact.referrers:
        # An OCI referrer has no name: a client finds it by its subject.
        name = f"{repository}:{referrer.tag}" if referrer.via == "cosign-tag" else ""
        yield name, referrer.digest, referrer.size, referrer.media_type


def named_hosts(manifest: Manifest) -> Iterator[str]:
    """Yield the hosts of all addresses that a manifest itself names, with repeats.

    `sources` has them and more, such as the host that an index of charts names for an archive.
    """
    for image in manifest.images:
        if image.origin is None:
            yield parse_reference(image.reference).registry
    for chart in manifest.charts:
        if chart.git is not None:
            yield git_host(chart.git.repository) or ""
        elif chart.repository != LOCAL_CHARTS:
            yield urlsplit(chart.repository).netloc
    for file in manifest.files:
        yield file_host(file) or ""
    if manifest.kubespray is not None:
        yield from kubespray_hosts(manifest.kubespray)


def _hosts(lock: Lock) -> Iterator[str]:
    for image in lock.images:
        if image.origin is None:
            yield parse_reference(image.reference).registry
    for chart in lock.charts:
        yield from _chart_hosts(chart)
    yield from filter(None, map(file_host, lock.files))
    for python in lock.python_packages:
        yield from (urlsplit(wheel.url).netloc for wheel in python.files)
    for packages in lock.os_packages:
        for part in packages.files:
            yield urlsplit(part.url).netloc
    if lock.kubespray is not None:
        yield from kubespray_hosts(lock.kubespray)


def _chart_hosts(chart: LockedChart) -> Iterator[str]:
    if chart.folder is not None:
        yield from folder_hosts(chart.folder)
        return
    yield urlsplit(chart.repository).netloc
    if chart.url is not None:
        # An index may name archives on another host,
        yield urlsplit(chart.url).netloc
    elif not chart.repository.startswith("oci://"):
        # or what is in a registry.
        yield parse_reference(chart.artifact.reference).registry
