"""What hangs below one reference in a registry, in a lock and in bundle.json: images and charts.

`Unasked` is where a registry did not say whether there are signatures: neither what it has nor
"not found". One that answers 403, or with a page for a browser, has perhaps signatures of an image
and perhaps none. Where a rule demands one that is an error; elsewhere it is written down, so that
approvers see it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final, Literal

from bundle.base.content import Content, MediaType
from bundle.base.digest import Digest
from bundle.base.documents import Document, Text
from bundle.base.errors import DefinitionError, FormatError
from bundle.base.patterns import formed
from bundle.base.platform import Platform
from bundle.base.reference import is_tag, parse_reference
from bundle.kinds.image_origin import ImageOrigin, check_image_origin
from bundle.kinds.policy import VerifiedBy

Place = Literal["referrers", "fallback-tag", "sig", "att", "sbom", "referrer"]
Answer = Annotated[
    str,
    formed(
        r"^[A-Za-z0-9][A-Za-z0-9 :;,.+/_-]{0,199}$(?!\n)",
        "a registry's answer, in plain letters",
        "403",
        "200 with text/html",
        max_length=200,
    ),
]
_PLACES: Final[Mapping[Place, str]] = {
    "referrers": "the referrers API",
    "fallback-tag": "the tag of the list of referrers",
    "sig": "cosign's tag .sig",
    "att": "cosign's tag .att",
    "sbom": "cosign's tag .sbom",
    "referrer": "a listed referrer",
}

_SHOWN: Final = 6


class Unasked(Document, frozen=True, kw_only=True):
    """A place where signatures may be, and what the registry answered there."""

    place: Place
    answer: Answer
    """Such as `403`, `200 with text/html` or `sent on to login.example.org`."""


def describe_unasked(places: Sequence[Unasked]) -> str:
    """Describe on one line which places could not be queried, and why."""
    said = [f"{_PLACES[place.place]} could not be asked: {place.answer}" for place in places]
    more = f"; and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    return "; ".join(said[:_SHOWN]) + more


class LockedManifest(Content, frozen=True, kw_only=True):
    """An OCI manifest with what it names: a platform's image, a referrer or a chart."""

    media_type: MediaType
    platform: Platform | None = None
    config: Content | None = None
    layers: tuple[Content, ...] = ()


class LockedIndex(Content, frozen=True, kw_only=True):
    """An OCI index or Docker manifest list, carried unchanged so that its signatures stay valid."""

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
    """How an image satisfied its rule; empty for a chart."""
    wanted_by: tuple[Text, ...] = ()
    """What else in the bundle needs the image, sorted; empty if only the definition names it."""


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
    """How an image satisfied its rule; empty for a chart."""
    wanted_by: tuple[Text, ...] = ()
    """What else in the bundle needs the image, sorted; empty if only the definition names it."""


def artifact_entry(locked: LockedArtifact) -> Artifact:
    """Return an artifact of a lock as it stands in bundle.json."""
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


def artifact_contents(artifact: LockedArtifact) -> Iterator[Content]:
    """Yield every piece of content below `artifact`, with repeats."""
    yield from artifact.indexes
    for manifest in (*artifact.manifests, *artifact.referrers):
        yield manifest
        if manifest.config is not None:
            yield manifest.config
        yield from manifest.layers


def check_names(artifact: LockedArtifact | Artifact) -> None:
    """Check the reference of an artifact, and where it is from.

    Raises:
        DefinitionError: One is malformed.
    """
    parse_reference(artifact.reference)
    if artifact.origin is not None:
        check_image_origin(artifact.origin, artifact.reference)


def check_locked_artifact(artifact: LockedArtifact) -> None:
    """Check that an artifact of a lock lists what it names.

    Raises:
        FormatError: It does not.
    """
    known = {c.digest for c in (*artifact.indexes, *artifact.manifests)}
    if artifact.digest not in known:
        raise unlisted(artifact, artifact.digest)
    known |= {c.digest for c in artifact.referrers}
    for referrer in artifact.referrers:
        if referrer.subject not in known:
            raise unlisted(artifact, referrer.subject)


def check_artifact(artifact: Artifact) -> None:
    """Check an artifact of bundle.json.

    Raises:
        DefinitionError: It does not list its own digest, or a name is malformed or short.
    """
    if str(parse_reference(artifact.reference)) != artifact.reference:
        raise DefinitionError(f"{artifact.reference!r} is not a full reference", "")
    check_names(artifact)
    if artifact.digest not in {entry.digest for entry in artifact.manifests}:
        raise DefinitionError(f"{artifact.reference} does not list {artifact.digest}", "")
    for referrer in artifact.referrers:
        if referrer.tag and not is_tag(referrer.tag):
            raise DefinitionError(f"{artifact.reference}: {referrer.tag!r} is not a tag", "")


def unlisted(artifact: LockedArtifact, digest: str) -> FormatError:
    """Return the error of an artifact of a lock that lacks what is said to be in it."""
    return FormatError(
        f"lock: {artifact.reference} names {digest}, which it does not list",
        "The lock was edited; run `isoward lock` again.",
    )


def named_parts(artifact: Artifact) -> Iterator[str]:
    """Yield the digest of everything that an artifact of bundle.json names, with repeats."""
    yield artifact.digest
    yield from (entry.digest for entry in artifact.manifests)
    yield from (entry.digest for entry in artifact.referrers)
    yield from (entry.subject for entry in artifact.referrers)
