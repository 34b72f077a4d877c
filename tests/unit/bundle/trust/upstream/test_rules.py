"""Which rule counts for an image, for how much a signature counts, and when a waiver ends."""

from __future__ import annotations

import datetime as dt

import pytest
from msgspec.structs import replace

from bundle.base.errors import DefinitionError, FormatError, PolicyError, UnsignedError
from bundle.base.limits import MAX_SIGNATURES
from bundle.kinds.policy import (
    CosignRule,
    KeylessRule,
    SignatureRule,
    UnsignedRule,
    check_rules,
    rule_for,
)
from tests.support.registries.referrers import ImageSigner
from tests.support.registries.signing import NAME, SignedImage, by_key

END = dt.date(2030, 6, 30)


def _waiver(pattern: str = "**", expires: str = "2030-06-30") -> SignatureRule:
    unsigned = UnsignedRule(
        reason="nobody signs it", approved_by="Ada Approver", ticket="SEC-1", expires=expires
    )
    return SignatureRule(images=(pattern,), unsigned=unsigned)


def _noon(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(12), dt.UTC)


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("registry.example.org/app/web", NAME, True),
        ("registry.example.org/app/we", NAME, False),
        ("registry.example.org/app/web/more", NAME, False),
        ("registry.example.org/app/*", NAME, True),
        ("registry.example.org/*", NAME, False),
        ("registry.example.org/**", NAME, True),
        ("registry.example.org/*/web", NAME, True),
        ("registry.example.org/app/w*b", NAME, True),
        ("registry.example.org/**/web", "registry.example.org/a/b/web", True),
        ("registry.example.org/app/*", "registry.example.org/app/", True),
        ("*/app/web", NAME, True),
        ("*.example.org/**", NAME, True),
        ("*.example.org/**", "example.org/app", False),
        ("*", NAME, False),
        ("**", NAME, True),
        ("***", NAME, True),
        ("registry?example.org/**", NAME, False),
        ("registryxexample.org/**", NAME, False),
        ("registry.example.org/**", "registry-example.org/app/web", False),
        ("registry.example.org/**", "evil.org/registry.example.org/app", False),
        ("[a-z]**", NAME, False),
        ("registry.example.org:5000/**", "registry.example.org:5000/app", True),
        ("registry.example.org/**", "registry.example.org:5000/app", False),
        ("docker.io/library/*", "docker.io/library/busybox", True),
    ],
)
def test_patterns(pattern: str, name: str, matches: bool) -> None:
    place, rule = rule_for((_waiver(pattern),), name)
    assert (place == 0, rule is not None) == (matches, matches)


def test_no_rule_is_a_refusal(image: SignedImage, signer: ImageSigner) -> None:
    image.sign(signer.sign)
    with pytest.raises(UnsignedError, match="no rule in the signatures: of the definition"):
        image.verify()
    with pytest.raises(UnsignedError, match="no rule"):
        image.verify(by_key(signer, "quay.io/**"))


def test_the_first_rule_that_matches_counts(
    image: SignedImage, signer: ImageSigner, stranger: ImageSigner
) -> None:
    image.sign(signer.sign)
    rules = (by_key(stranger, "quay.io/**"), by_key(signer), by_key(stranger))
    (found,) = image.verify(*rules)
    assert found.rule == 1
    with pytest.raises(UnsignedError, match=r"signatures\[0\]|not made by this key"):
        image.verify(by_key(stranger), by_key(signer))


def test_a_waiver_behind_a_key_does_not_help(image: SignedImage, signer: ImageSigner) -> None:
    with pytest.raises(UnsignedError, match="found none"):
        image.verify(by_key(signer), _waiver())


def test_the_names_of_a_rule_are_alternatives(image: SignedImage, signer: ImageSigner) -> None:
    image.sign(signer.sign)
    rule = replace(by_key(signer), images=("quay.io/**", NAME))
    assert image.verify(rule)


def test_a_waiver_is_recorded(image: SignedImage) -> None:
    (found,) = image.verify(_waiver(), now=_noon(END))
    assert (found.method, found.signer, found.ticket) == ("unsigned", "Ada Approver", "SEC-1")
    assert (found.expires, found.digest) == ("2030-06-30", None)


@pytest.mark.parametrize(
    ("moment", "holds"),
    [
        (_noon(END - dt.timedelta(days=1)), True),
        (_noon(END), True),
        (dt.datetime(2030, 6, 30, 23, 59, 59, tzinfo=dt.UTC), True),
        (dt.datetime(2030, 7, 1, tzinfo=dt.UTC), False),
        (dt.datetime(2030, 7, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=2))), True),
        (dt.datetime(2030, 6, 30, 23, tzinfo=dt.timezone(-dt.timedelta(hours=2))), False),
    ],
)
def test_a_waiver_holds_to_the_end_of_its_last_day(
    image: SignedImage, moment: dt.datetime, holds: bool
) -> None:
    if holds:
        assert image.verify(_waiver(), now=moment)
        return
    with pytest.raises(PolicyError, match=r"expired on 2030-06-30 \(ticket SEC-1"):
        image.verify(_waiver(), now=moment)


def test_a_signature_on_every_platform_counts(image: SignedImage, signer: ImageSigner) -> None:
    for i in (0, 1):
        image.sign(signer.sign, subject=image.platform(i))
    found = image.verify(by_key(signer))
    assert {entry.subject for entry in found} == {image.platform(0), image.platform(1)}


def test_a_signature_on_one_of_two_platforms_is_not_enough(
    image: SignedImage, signer: ImageSigner
) -> None:
    image.sign(signer.sign, subject=image.platform(0))
    with pytest.raises(UnsignedError, match="none for the index and none for linux/arm64"):
        image.verify(by_key(signer))


def test_a_platform_that_does_not_travel_needs_none(
    image: SignedImage, signer: ImageSigner
) -> None:
    image.sign(signer.sign, subject=image.platform(0))
    chosen = image.artifact()
    chosen = replace(chosen, manifests=chosen.manifests[:2])
    assert image.verify(by_key(signer), image=chosen)


def test_both_platforms_by_different_signers_is_not_enough(
    image: SignedImage, signer: ImageSigner, stranger: ImageSigner
) -> None:
    image.sign(signer.sign, subject=image.platform(0))
    image.sign(stranger.sign, subject=image.platform(1))
    with pytest.raises(UnsignedError, match="linux/arm64"):
        image.verify(by_key(signer))


def test_an_image_without_an_index(signer: ImageSigner) -> None:
    image = SignedImage(index=False)
    image.sign(signer.sign)
    assert image.verify(by_key(signer))


def test_a_signature_of_a_signature_is_none_of_the_image(
    image: SignedImage, signer: ImageSigner, stranger: ImageSigner
) -> None:
    carrier = image.sign(stranger.sign)
    image.sign(signer.sign, subject=carrier)
    with pytest.raises(UnsignedError, match="1 signature, none valid"):
        image.verify(by_key(signer))


@pytest.mark.parametrize("waived", [True, False])
def test_a_manifest_that_is_not_the_indexes_is_refused(
    image: SignedImage, signer: ImageSigner, waived: bool
) -> None:
    image.sign(signer.sign)
    other = image.make.manifest("another image")
    stray = replace(image.artifact().manifests[1], digest=other.digest)
    artifact = image.artifact()
    artifact = replace(artifact, manifests=(*artifact.manifests, stray))
    with pytest.raises(FormatError, match="is not part of"):
        image.verify(_waiver() if waived else by_key(signer), image=artifact)


def test_a_root_that_is_not_listed(image: SignedImage) -> None:
    artifact = image.artifact()
    artifact = replace(artifact, manifests=artifact.manifests[1:])
    with pytest.raises(FormatError, match="is not part of"):
        image.verify(_waiver(), image=artifact)


def test_a_flood_of_referrers_is_refused(image: SignedImage, signer: ImageSigner) -> None:
    for i in range(MAX_SIGNATURES + 1):
        image.attach([("text/plain", str(i).encode(), {})])
    with pytest.raises(FormatError, match=f"more than {MAX_SIGNATURES} referrers"):
        image.verify(by_key(signer))


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (SignatureRule(images=("**",)), "found none"),
        (replace(_waiver(), cosign=CosignRule(key="k")), "found cosign and unsigned"),
        (_waiver(expires="2030-02-30"), "is not a date"),
        (
            SignatureRule(images=("**",), keyless=KeylessRule(issuer="i", trusted_root="{}")),
            "either identity or identityRegexp",
        ),
        (
            SignatureRule(
                images=("**",),
                keyless=KeylessRule(
                    issuer="i", identity="a", identity_regexp="b", trusted_root="{}"
                ),
            ),
            "either identity or identityRegexp",
        ),
        (
            SignatureRule(
                images=("**",),
                keyless=KeylessRule(issuer="i", identity_regexp="(", trusted_root="{}"),
            ),
            "identityRegexp",
        ),
    ],
)
def test_rules_that_say_nothing_or_too_much(rule: SignatureRule, says: str) -> None:
    with pytest.raises(DefinitionError, match=says):
        check_rules((rule,))
