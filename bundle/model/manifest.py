"""The manifest: bundle.json, which names every blob of a bundle and its role."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bundle.base.documents import Text
from bundle.base.errors import DefinitionError, FormatError
from bundle.base.names import ServedNames
from bundle.base.reference import is_host
from bundle.kinds.artifacts import Artifact, check_artifact, named_parts
from bundle.kinds.closure import check_closure
from bundle.kinds.policy import SignatureRule, check_rules
from bundle.kinds.registry import KINDS, BundleContent

_TAKEN: Final = frozenset({"bundle.json", "sha256sums", "trust", "attestations", "blobs"})
"""Names at the top of every bundle, in one case: some media ignore case."""


class Manifest(BundleContent, frozen=True, kw_only=True):
    """bundle.json.

    Source: docs/FORMAT.md, "bundle.json".
    """

    signatures: tuple[SignatureRule, ...] = ()
    """Who must have signed the images; checked again wherever the bundle is verified."""
    sources: tuple[Text, ...] = ()
    """Every host that content came from."""

    @property
    def content_bytes(self) -> int:
        """Size of all blobs together, in bytes."""
        return sum(blob.size for blob in self.blobs)


def check_manifest(manifest: Manifest) -> dict[str, int]:
    """Check what the type alone cannot express, and return the blobs' sizes by digest.

    Raises:
        FormatError: Blobs unsorted or repeated, something names a blob that is not listed, or a
            name is malformed or means two things.
        ClosureError: Something in it needs an image that it does not have.
    """
    digests = [blob.digest for blob in manifest.blobs]
    if digests != sorted(set(digests)):
        raise FormatError(
            "bundle.json: blobs are not sorted, or one is a duplicate", "Build the bundle again."
        )
    paths = [file.path.lower() for file in manifest.layout]
    if len(set(paths)) != len(paths) or not _TAKEN.isdisjoint(paths):
        raise FormatError("bundle.json: duplicate layout path", "Build the bundle again.")
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
        wants = (w for kind in KINDS for one in kind.entries(manifest) for w in kind.wants(one))
        check_closure(wants, manifest.images, "bundle.json")
    except DefinitionError as error:
        raise FormatError(f"bundle.json: {error.message}", "Build the bundle again.") from error
    return known


def _check_names(manifest: Manifest) -> None:
    served = ServedNames()
    for artifact in artifacts(manifest):
        check_artifact(artifact)
        served.add(artifact.reference, artifact.digest)
    for kind in KINDS:
        kind.check_bundle(manifest)
        for one in kind.entries(manifest):
            for top, path, digest in kind.served(one):
                served.add(f"{top} {path}", digest)
    for host in manifest.sources:
        if not is_host(host):
            raise DefinitionError(f"sources: {host[:100]!r} is not a host", "")


def artifacts(manifest: Manifest) -> Iterator[Artifact]:
    """Yield all that a bundle has in OCI form, of every kind."""
    for kind in KINDS:
        for one in kind.entries(manifest):
            yield from kind.artifacts(one)


def named_content(manifest: Manifest) -> list[tuple[str, str]]:
    """List everything that bundle.json names by digest, as (display name, digest)."""
    named = [n for kind in KINDS for one in kind.entries(manifest) for n in kind.named(one)]
    for artifact in artifacts(manifest):
        named += [(artifact.reference, digest) for digest in named_parts(artifact)]
    return named
