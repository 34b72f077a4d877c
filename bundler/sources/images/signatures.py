"""The signatures of an image while it is locked: fetched into the cache, then verified."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from msgspec.structs import replace

from bundle.base.content import Content
from bundle.base.errors import (
    AuthenticationError,
    MissingBlobError,
    TransportError,
    TransportRefusedError,
    UnsignedError,
)
from bundle.base.limits import MAX_SIGNATURE_BYTES
from bundle.base.reference import parse_reference
from bundle.kinds.artifacts import (
    LockedArtifact,
    artifact_contents,
    artifact_entry,
    describe_unasked,
)
from bundle.kinds.policy import SignatureRule, rule_for
from bundle.trust.upstream.judgement import verify_image
from bundler.registry.client import by_digest
from bundler.sources.common.download import check_bytes, small_blob
from bundler.sources.common.manifests import ManifestSource

_LATER: Final = re.compile(r"\b(429|50[0234])\b")
_FORBIDDEN: Final = re.compile(r"\b(401|403)\b")


def verified_image(
    image: LockedArtifact,
    rules: tuple[SignatureRule, ...],
    source: ManifestSource,
    now: dt.datetime,
) -> LockedArtifact:
    """Return a locked image with that by which it was verified.

    What its registry does not say is no matter where a rule waives signatures, or where one that
    it demands was found; unless the registry may say it a minute later.

    Raises:
        UnsignedError: It is not signed as the rules want, or no rule matches it.
        PolicyError: Its waiver has ended.
        TransportError, IntegrityError: A signature cannot be fetched as it must be, or none was
            found and the registry did not say everywhere whether there is one.
    """
    reader = _RegistryReader(image, source)
    demanded = _demanded(image, rules)
    try:
        verified = verify_image(artifact_entry(image), rules, reader, now)
    except UnsignedError as error:
        if demanded and image.unasked:
            raise _could_not_ask(image, error.message) from error
        raise
    if demanded and _LATER.search(_answers(image)):
        raise _could_not_ask(image, f"{image.reference}: its rule requires a signature")
    return replace(image, verified=verified)


def _demanded(image: LockedArtifact, rules: tuple[SignatureRule, ...]) -> bool:
    _, rule = rule_for(rules, parse_reference(image.reference).name)
    return rule is not None and rule.unsigned is None


def _answers(image: LockedArtifact) -> str:
    return " ".join(unasked.answer for unasked in image.unasked)


def _could_not_ask(image: LockedArtifact, why: str) -> TransportError:
    """Return the error for a signature that is demanded, and that the registry may have."""
    kind: type[TransportError] = TransportRefusedError
    if _LATER.search(_answers(image)):
        kind = TransportError
    elif _FORBIDDEN.search(_answers(image)):
        kind = AuthenticationError
    return kind(
        f"{why}, and the registry does not tell everywhere whether there is one: "
        f"{describe_unasked(image.unasked)}",
        "Log in as a user who may read them, or ask the registry's operator; if nobody can look "
        "for signatures, they can only be waived.",
        {"image": image.reference, "answer": image.unasked[0].answer},
    )


class _RegistryReader:
    """Reads what belongs to one image from the cache, else from its registry; see BlobReader."""

    def __init__(self, image: LockedArtifact, source: ManifestSource) -> None:
        self._reference = parse_reference(image.reference)
        self._source = source
        self._contents: dict[str, Content] = {c.digest: c for c in artifact_contents(image)}
        self._manifests = {c.digest for c in (*image.indexes, *image.manifests, *image.referrers)}

    def size(self, digest: str) -> int | None:
        """Return the size of a blob of the image."""
        content = self._contents.get(digest)
        return None if content is None else content.size

    def read(self, digest: str) -> bytes:
        """Return a blob of the image."""
        content = self._contents.get(digest)
        if content is None:
            raise MissingBlobError(
                f"{self._reference.name}@{digest}: not part of the image",
                "Ask the image's publisher.",
            )
        if digest not in self._manifests:
            return small_blob(self._source, self._reference, content, MAX_SIGNATURE_BYTES)
        kept = self._source.store.read_bytes(digest, content.size)
        if kept is None:
            kept = self._source.client.get_manifest(by_digest(self._reference, digest)).data
            check_bytes(kept, content, f"{self._reference.name}@{digest}")
        return kept
