"""From a lock to the manifest and the layout files of its bundle.

Pure, so that the same lock gives the same bytes on every machine.

Source: OCI image-spec, image-layout.md; docs/FORMAT.md, "The bundle".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bundle.base.canonical import canonical_digest, canonical_json
from bundle.base.content import Content
from bundle.base.digest import digest_of
from bundle.base.documents import API_VERSION
from bundle.base.oci import OCI_INDEX
from bundle.base.reference import parse_reference
from bundle.kinds.artifacts import LockedArtifact
from bundle.kinds.protocol import LayoutFile
from bundle.kinds.registry import KINDS
from bundle.model.lock import Lock, lock_contents, locked_artifacts
from bundle.model.manifest import Manifest, check_manifest
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
        **{name: data for kind in KINDS for name, data in kind.layout(lock)},
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
        **{kind.field: kind.value(map(kind.entry, kind.locked(lock))) for kind in KINDS},
        signatures=lock.signatures,
        sources=tuple(sorted(set(filter(None, _hosts(lock))))),
    )
    check_manifest(manifest)
    return Plan(manifest, canonical_json(manifest), layout)


def _layout_index(lock: Lock) -> dict[str, Any]:
    """Build index.json: every reference by its full name, every referrer that it would miss."""
    entries: dict[tuple[str, str], dict[str, Any]] = {}
    for artifact in locked_artifacts(lock):
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
    for kind in KINDS:
        for one in kind.entries(manifest):
            yield from filter(None, kind.named_hosts(one))


def _hosts(lock: Lock) -> Iterator[str | None]:
    for kind in KINDS:
        for one in kind.locked(lock):
            yield from kind.hosts(one)
