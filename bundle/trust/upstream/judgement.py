"""Do an image's signatures satisfy the rules? The same at lock, build, verify and import.

The first rule that matches an image decides, and one must match. A signature over the image's root
covers all its platforms; otherwise each carried platform needs one. Anything unreadable is an error
and never "unsigned".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from bundle.base.errors import FormatError, PolicyError, UnsignedError
from bundle.base.limits import MAX_OCI_MANIFEST_BYTES, MAX_SIGNATURE_BYTES, MAX_SIGNATURES
from bundle.base.oci import OciDescriptor, OciManifest, parse_oci
from bundle.base.reference import parse_reference
from bundle.kinds.artifacts import Artifact, ReferrerEntry
from bundle.kinds.policy import SignatureRule, UnsignedRule, VerifiedBy, expiry_of, rule_for
from bundle.trust.upstream import notation
from bundle.trust.upstream.cosign import LAYER_TYPES, KeyVerifier, judge_layers
from bundle.trust.upstream.public_keys import load_upstream_key
from bundle.trust.upstream.reader import BlobReader
from bundle.trust.upstream.sigstore_bundle import (
    KeyBundleVerifier,
    is_bundle_layer,
    judge_bundles,
)
from bundle.trust.upstream.subjects import Subjects, subjects_of
from bundle.trust.upstream.verdict import (
    Bad,
    Good,
    NotGoodError,
    SignatureManifest,
    Subject,
    Verdict,
)

Judge = Callable[[SignatureManifest, Subject], Iterable[Verdict]]
_SHOWN: Final = 3
"""Reasons shown in one message."""


def verify_image(
    image: Artifact,
    rules: tuple[SignatureRule, ...],
    reader: BlobReader,
    now: dt.datetime,
    whose: str = "the definition",
) -> tuple[VerifiedBy, ...]:
    """Verify one image's signatures.

    Args:
        image: As it stands in bundle.json; its `verified` is not looked at.
        rules: With their material inlined.
        reader: Reads manifests and signatures.
        now: UTC.
        whose: Whose rules they are, for messages.
    Returns:
        Every valid signature and attestation by the rule's signer, sorted; or the waiver.
    Raises:
        UnsignedError: No rule matches, or no signature is valid.
        PolicyError: A waiver has expired, or a rule is not usable.
        IntegrityError, StorageError, TransportError: Something cannot be read as it must be.
    """
    place, rule = _rule(image.reference, rules, now, whose)
    subjects = subjects_of(image, reader)
    if rule.unsigned is not None:
        return (_waived(place, rule.unsigned),)
    try:
        judge = _judge_of(rule, now)
    except NotGoodError as error:
        raise PolicyError(
            f"signatures[{place}] of {whose}: {error}", "Correct the rule, or the file it names."
        ) from error
    found = _Found(image, place, rule)
    for referrer in _candidates(image, subjects):
        found.look(referrer, subjects.by_digest()[referrer.subject], judge, reader)
    found.require(subjects, whose)
    return tuple(found.good)


def check_covered(
    names: Iterable[str], rules: tuple[SignatureRule, ...], now: dt.datetime, whose: str
) -> None:
    """Check what needs no signature, before hours of fetching: each image has a usable rule.

    Args:
        names: References.
        rules: In order.
        now: UTC.
        whose: Whose rules they are, for messages.
    Raises:
        UnsignedError: No rule matches an image.
        PolicyError: An image depends on an expired waiver.
    """
    for name in names:
        _rule(name, rules, now, whose)


def _rule(
    name: str, rules: tuple[SignatureRule, ...], now: dt.datetime, whose: str
) -> tuple[int, SignatureRule]:
    place, rule = rule_for(rules, parse_reference(name).name)
    if rule is None or place is None:
        raise UnsignedError(
            f"{name}: no rule in the signatures: of {whose} matches it",
            "Add a rule that names its signer, or waive it with a reason, a ticket and an expiry.",
            {"image": name},
        )
    if rule.unsigned is not None:
        _require_running(name, rule.unsigned, now)
    return place, rule


class _Found:
    """Collects what is found of one image's signatures."""

    def __init__(self, image: Artifact, place: int, rule: SignatureRule) -> None:
        self._image = image
        self._place = place
        self._rule = rule
        self.good: list[VerifiedBy] = []
        self._signed: set[str] = set()
        self._others: list[str] = []
        self._bad: list[str] = []

    def look(
        self, referrer: ReferrerEntry, subject: Subject, judge: Judge, reader: BlobReader
    ) -> None:
        """Judge what one referrer carries."""
        try:
            manifest = _open(referrer, reader)
        except NotGoodError as error:
            self._bad.append(str(error))
            return
        for verdict in judge(manifest, subject) if manifest is not None else ():
            self._note(verdict, referrer, subject)

    def _note(self, verdict: Verdict, referrer: ReferrerEntry, subject: Subject) -> None:
        if isinstance(verdict, Bad):
            self._bad.append(verdict.why)
            return
        if verdict.counts:
            self._signed.add(subject.digest)
        else:
            self._others.append(f"an attestation of type {verdict.predicate} is not a signature")
        entry = _entry(self._place, self._rule, verdict, referrer)
        if entry not in self.good:
            self.good.append(entry)

    def require(self, subjects: Subjects, whose: str) -> None:
        """Refuse the image unless it is signed.

        Raises:
            UnsignedError: It is not.
        """
        missing = [p.name for p in subjects.platforms if p.digest not in self._signed]
        if subjects.root.digest in self._signed or (subjects.platforms and not missing):
            return
        raise UnsignedError(
            f"{self._image.reference}: expected a signature {_wanted(self._rule)}, "
            f"found {self._describe(subjects, missing)}",
            f"signatures[{self._place}] of {whose} requires it. Is it the right key or signer, and "
            "the right image? Ask its publisher before you waive it.",
            {"image": self._image.reference, "rule": self._place},
        )

    def _describe(self, subjects: Subjects, missing: list[str]) -> str:
        if self._signed & {p.digest for p in subjects.platforms}:
            return f"none for the index and none for {', '.join(missing)}"
        reasons = [*dict.fromkeys(self._others), *dict.fromkeys(self._bad)]
        if not reasons:
            return "none"
        shown = "; ".join(reasons[:_SHOWN])
        more = f"; and {len(reasons) - _SHOWN} more reasons" if len(reasons) > _SHOWN else ""
        count = len(self._bad) + len(self._others)
        return f"{count} signature{'s' if count > 1 else ''}, none valid: {shown}{more}"


def _candidates(image: Artifact, subjects: Subjects) -> Iterator[ReferrerEntry]:
    """Yield the referrers that may carry signatures over one of the subjects, each once."""
    known = subjects.by_digest()
    seen: set[tuple[str, str]] = set()
    for referrer in sorted(image.referrers, key=lambda r: (r.digest, r.subject)):
        if referrer.subject in known and (referrer.digest, referrer.subject) not in seen:
            seen.add((referrer.digest, referrer.subject))
            if len(seen) > MAX_SIGNATURES:
                raise FormatError(
                    f"{image.reference}: more than {MAX_SIGNATURES} referrers",
                    "No real image has that many; ask the registry's operator to remove some.",
                )
            yield referrer


def _open(referrer: ReferrerEntry, reader: BlobReader) -> SignatureManifest | None:
    """Read a referrer's manifest; None for an index, which no form of signature uses."""
    if (reader.size(referrer.digest) or 0) > MAX_OCI_MANIFEST_BYTES:
        raise NotGoodError(f"its manifest has more than {MAX_OCI_MANIFEST_BYTES} bytes")
    data = reader.read(referrer.digest)
    body = parse_oci(data, referrer.media_type, referrer.digest)
    if not isinstance(body, OciManifest):
        return None

    def read(layer: OciDescriptor) -> bytes:
        size = reader.size(layer.digest)
        if size is None or size != layer.size:
            raise NotGoodError("its content is not carried")
        if size > MAX_SIGNATURE_BYTES:
            raise NotGoodError(f"it has {size} bytes, more than {MAX_SIGNATURE_BYTES}")
        return reader.read(layer.digest)

    return SignatureManifest(referrer.digest, body, read)


def _judge_of(rule: SignatureRule, now: dt.datetime) -> Judge:
    """Return what judges by a rule.

    Raises:
        NotGoodError: The rule's key, certificate or trusted root cannot be used.
    """
    if rule.notation is not None:
        verifier = notation.NotationVerifier(rule.notation, now)

        def by_certificate(manifest: SignatureManifest, subject: Subject) -> Iterator[Verdict]:
            if manifest.body.effective_artifact_type == notation.ARTIFACT_TYPE:
                yield from verifier.judge(manifest, subject)
            else:
                yield from _other_kind(manifest, "not a Notation one")

        return by_certificate
    if rule.cosign is not None:
        key = load_upstream_key(rule.cosign.key)
        layers, bundles = KeyVerifier(key), KeyBundleVerifier(key)
        return lambda m, s: (*judge_layers(m, s, layers), *judge_bundles(m, s, bundles), *_not(m))
    if rule.keyless is None:
        raise NotGoodError("it has no method")
    # The library loads much, so only where it is needed.
    from bundle.trust.upstream.keyless import KeylessVerifier

    keyless = KeylessVerifier(rule.keyless)
    return lambda m, s: (*judge_layers(m, s, keyless), *judge_bundles(m, s, keyless), *_not(m))


def _not(manifest: SignatureManifest) -> Iterator[Verdict]:
    if manifest.body.effective_artifact_type == notation.ARTIFACT_TYPE:
        yield Bad("it is a Notation signature, not a cosign one")


def _other_kind(manifest: SignatureManifest, why: str) -> Iterator[Verdict]:
    for layer in manifest.body.layers:
        if layer.media_type in LAYER_TYPES or is_bundle_layer(layer.media_type):
            yield Bad(f"it is a cosign signature, {why}")


def _wanted(rule: SignatureRule) -> str:
    if rule.cosign is not None:
        return f"by cosign key {load_upstream_key(rule.cosign.key).fingerprint}"
    if rule.keyless is not None:
        who = rule.keyless.identity or rule.keyless.identity_regexp
        return f"by {who} ({rule.keyless.issuer})"
    return "by Notation below the rule's certificate"


def _entry(place: int, rule: SignatureRule, good: Good, referrer: ReferrerEntry) -> VerifiedBy:
    return VerifiedBy(
        rule=place,
        method=rule.method,
        signer=good.signer,
        digest=referrer.digest,
        subject=referrer.subject,
        predicate=good.predicate,
    )


def _waived(place: int, rule: UnsignedRule) -> VerifiedBy:
    return VerifiedBy(
        rule=place,
        method="unsigned",
        signer=rule.approved_by,
        ticket=rule.ticket,
        expires=rule.expires,
    )


def _require_running(name: str, rule: UnsignedRule, now: dt.datetime) -> None:
    if now.astimezone(dt.UTC).date() > expiry_of(rule, "unsigned"):
        raise PolicyError(
            f"{name}: its waiver for a missing signature expired on {rule.expires} "
            f"(ticket {rule.ticket}, approved by {rule.approved_by})",
            "Have it signed, or decide again: a new lock, a new build and new approvals.",
            {"image": name, "ticket": rule.ticket, "expires": rule.expires},
        )
