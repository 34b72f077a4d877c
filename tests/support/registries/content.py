"""What the in-process registry serves: artefacts made in memory, or an OCI layout on disk."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.registries.oci import INDEX, Artifact

_REF_NAME = "org.opencontainers.image.ref.name"
_MANIFEST_KINDS = ("manifest", "index")


@dataclass
class RegistryContent:
    """Blobs, manifests and tags; change them to change what the registry says.

    Attributes:
        blobs: Bytes, or the file that has them, by digest; manifests are among them.
        media_types: The media type of each manifest, by digest.
        tags: Tag to digest, by repository.
    """

    blobs: dict[str, bytes | Path] = field(default_factory=dict)
    media_types: dict[str, str] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)

    def put(self, repository: str, artifact: Artifact, tag: str = "") -> str:
        """Add an artefact with all below it and return its digest."""
        for part in artifact.walk():
            self.media_types[part.digest] = part.media_type
            self.blobs.update(part.pieces())
        tags = self.tags.setdefault(repository, {})
        if tag:
            tags[tag] = artifact.digest
        return artifact.digest

    def read(self, digest: str) -> bytes:
        """Return the bytes of a blob."""
        data = self.blobs[digest]
        return data.read_bytes() if isinstance(data, Path) else data

    def referrers(self, subject: str) -> list[dict[str, Any]]:
        """Return the descriptors of what names `subject`, by digest."""
        found = []
        for digest in sorted(self.media_types):
            body = json.loads(self.read(digest))
            if body.get("subject", {}).get("digest") != subject:
                continue
            entry = {
                "mediaType": self.media_types[digest],
                "digest": digest,
                "size": len(self.read(digest)),
                "artifactType": body.get("artifactType")
                or body.get("config", {}).get("mediaType", ""),
            }
            if body.get("annotations"):
                entry["annotations"] = body["annotations"]
            found.append(entry)
        return found


def content_of_layout(layout: Path) -> RegistryContent:
    """Read an OCI layout whose artefacts are named `repository:tag`; blobs stay on disk."""
    content = RegistryContent()
    listing = json.loads((layout / "index.json").read_bytes())
    for entry in listing["manifests"]:
        repository, _, tag = entry.get("annotations", {})[_REF_NAME].rpartition(":")
        content.tags.setdefault(repository, {})[tag] = entry["digest"]
        _take(content, layout, entry)
    return content


def _take(content: RegistryContent, layout: Path, entry: dict[str, Any]) -> None:
    digest = str(entry["digest"])
    path = layout / "blobs" / "sha256" / digest.removeprefix("sha256:")
    content.blobs[digest] = path
    if not any(f".{kind}." in entry["mediaType"] for kind in _MANIFEST_KINDS):
        return
    content.media_types[digest] = entry["mediaType"]
    body = json.loads(path.read_bytes())
    if entry["mediaType"] == INDEX:
        children = body["manifests"]
    else:
        children = [body["config"], *body["layers"]]
    for child in children:
        _take(content, layout, child)
