"""What the content itself refers to: nothing outside the bundle, and as bundle.json says.

An OCI manifest is someone else's document. Its digest is approved, yet it could name content that
is not in the bundle, be another kind of document to another reader, or be listed by index.json
under a name that the approvers never saw.

Source: OCI image-spec, manifest.md, image-index.md and image-layout.md.
"""

from __future__ import annotations

from typing import Final

from bundle.base.digest import digest_of
from bundle.base.errors import FormatError
from bundle.base.limits import MAX_OCI_MANIFEST_BYTES
from bundle.base.oci import OCI_INDEX, OciDescriptor, OciIndex, OciManifest, parse_oci
from bundle.base.reference import fallback_tag, parse_reference
from bundle.kinds.artifacts import Artifact, ManifestEntry, ReferrerEntry
from bundle.kinds.registry import KINDS
from bundle.model.manifest import Manifest, artifacts
from bundle.model.plan import REF_NAME
from bundle.store.hashing import check_content
from bundle.store.layout import BundleDirectory

INDEX_NAME: Final = "index.json"
_AGAIN: Final = "The lock or the bundle is faulty; run `isoward lock` and build again."


def check_graph(bundle: BundleDirectory, manifest: Manifest) -> None:
    """Check every OCI manifest and index of a bundle against bundle.json.

    Args:
        bundle: On its medium; everything is checked while it is read.
        manifest: Authenticated, or just made.
    Raises:
        FormatError: One refers to content that the bundle lacks or has in another size, has
            another media type, or bundle.json lists a blob that nothing refers to.
        IntegrityError: A blob is missing or damaged.
        StorageError: A blob cannot be read.
    """
    graph = _Graph(bundle, manifest)
    for artifact in artifacts(manifest):
        graph.check(artifact)
    named = set(graph.reached)
    for kind in KINDS:
        for one in kind.entries(manifest):
            named |= {digest for _, digest in kind.named(one)}
            for artifact, what, digest in kind.held(one):
                if digest not in graph.layers_of(artifact):
                    raise FormatError(f"{what} {digest}", _AGAIN)
    for blob in manifest.blobs:
        if blob.digest not in named:
            raise FormatError(
                f"bundle.json: it lists the blob {blob.digest}, which nothing refers to", _AGAIN
            )


def check_index(bundle: BundleDirectory, manifest: Manifest) -> None:
    """Check that index.json gives each name the same content as bundle.json.

    Stock tools read index.json and know nothing of bundle.json.

    Args:
        bundle: On its medium; index.json has been checked by digest.
        manifest: Authenticated.
    Raises:
        FormatError: The two disagree.
    """
    if all(file.path != INDEX_NAME for file in manifest.layout):
        return
    data = bundle.read_small(INDEX_NAME, MAX_OCI_MANIFEST_BYTES)
    index = parse_oci(data, OCI_INDEX, INDEX_NAME)
    if isinstance(index, OciIndex) and index.unusable:
        # In someone else's index, broken entries may go unused; this one came from our own build.
        raise FormatError(f"{INDEX_NAME}: {index.unusable[0]}", _AGAIN)
    sizes = {blob.digest: blob.size for blob in manifest.blobs}
    meant = _names(manifest)
    for entry in index.manifests if isinstance(index, OciIndex) else ():
        name = entry.annotations.get(REF_NAME, "")
        if name and meant.pop(name, "") != entry.digest:
            raise FormatError(
                f"{INDEX_NAME}: it calls {entry.digest} {name!r}, and bundle.json does not", _AGAIN
            )
        if sizes.get(entry.digest) != entry.size:
            raise FormatError(
                f"{INDEX_NAME}: {entry.digest} is not a blob of {entry.size} bytes here", _AGAIN
            )
    missing = sorted({artifact.reference for artifact in artifacts(manifest)} & meant.keys())
    if missing:
        raise FormatError(f"{INDEX_NAME}: {missing[0]} is missing", _AGAIN)


def _names(manifest: Manifest) -> dict[str, str]:
    """Return what index.json may name: references, and tags of signatures."""
    names: dict[str, str] = {}
    for artifact in artifacts(manifest):
        repository = parse_reference(artifact.reference).name
        # A fallback tag names a list, which the depot generates; none of the entries on it.
        tagged = (r for r in artifact.referrers if r.tag not in {"", fallback_tag(r.subject)})
        names |= {f"{repository}:{r.tag}": r.digest for r in tagged}
    return names | {artifact.reference: artifact.digest for artifact in artifacts(manifest)}


class _Graph:
    """Follows the references between manifests, reading each once."""

    def __init__(self, bundle: BundleDirectory, manifest: Manifest) -> None:
        self._bundle = bundle
        self._sizes = {blob.digest: blob.size for blob in manifest.blobs}
        self._layers: dict[str, frozenset[str]] = {}
        self.reached: set[str] = set()

    def check(self, artifact: Artifact) -> None:
        types = {entry.digest: entry.media_type for entry in artifact.manifests}
        entries: list[ManifestEntry | ReferrerEntry] = [*artifact.manifests, *artifact.referrers]
        for entry in entries:
            self.reached.add(entry.digest)
            body = self._read(artifact, entry)
            if isinstance(body, OciManifest):
                self._manifest(entry.digest, body)
                continue
            for digest, reason in body.passed_over.items():
                # Another reader may follow what ours skips.
                if digest in self._sizes:
                    raise _refuse(entry.digest, reason)
            for child in body.manifests:
                wanted = types.get(child.digest, child.media_type)
                if child.media_type != wanted:
                    raise _refuse(
                        entry.digest,
                        f"{child.digest} is {child.media_type!r} to it, "
                        f"and {wanted!r} to bundle.json",
                    )
                if child.digest in self._sizes:
                    self._sized(entry.digest, child)

    def layers_of(self, artifact: Artifact) -> set[str]:
        return {d for entry in artifact.manifests for d in self._layers.get(entry.digest, ())}

    def _manifest(self, digest: str, body: OciManifest) -> None:
        parts = body.parts
        for part in parts:
            if part.digest not in self._sizes:
                raise _refuse(digest, f"it names {part.digest}, which is not in the bundle")
            self._sized(digest, part)
        self.reached.update(part.digest for part in parts)
        self._layers[digest] = frozenset(layer.digest for layer in body.layers)

    def _sized(self, digest: str, part: OciDescriptor) -> None:
        size = self._sizes[part.digest]
        if part.size != size:
            raise _refuse(
                digest, f"{part.digest} has {part.size} bytes to it, and {size} to bundle.json"
            )

    def _read(
        self, artifact: Artifact, entry: ManifestEntry | ReferrerEntry
    ) -> OciIndex | OciManifest:
        size, name = self._sizes[entry.digest], self._bundle.blob_name(entry.digest)
        if size > MAX_OCI_MANIFEST_BYTES:
            raise _refuse(entry.digest, f"{size} bytes are too many for an OCI manifest")
        data = self._bundle.read_small(name, size)
        check_content(name, size, entry.digest, found_size=len(data), found=digest_of(data))
        return parse_oci(data, entry.media_type, f"{artifact.reference} {entry.digest}")


def _refuse(digest: str, why: str) -> FormatError:
    return FormatError(f"{digest}: {why}", _AGAIN)
