"""Signatures while an image is locked: found, fetched into the cache, verified."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle.base.documents import Metadata
from bundle.base.errors import (
    AuthenticationError,
    PolicyError,
    TransportError,
    TransportRefusedError,
    UnsignedError,
)
from bundle.cli.auditor.inspect_page import page
from bundle.kinds.images import ImageSource
from bundle.kinds.policy import SignatureRule, UnsignedRule
from bundle.model.changes import compare_releases
from bundle.model.lock import Lock
from bundle.model.plan import plan_bundle
from bundle.model.summary import unasked_lines
from bundler.build.cache import BlobCache
from bundler.lock.diff import changes
from bundler.lock.resolve import resolve
from bundler.model.definition import Definition
from tests.support.documents.sources import context
from tests.support.registries.connecting import client
from tests.support.registries.content import RegistryContent
from tests.support.registries.faulty_registry import Fault, FaultyRegistry, faulty_registry
from tests.support.registries.oci import CONFIG, LAYER, Artifact, Blob, index, manifest, to_json
from tests.support.registries.referrers import ImageSigner, cosign_signature, cosign_tag
from tests.support.registries.signing import by_key

NOW = dt.datetime.now(dt.UTC)


def _platform(architecture: str) -> Artifact:
    return manifest(
        Blob(CONFIG, to_json({"os": "linux", "architecture": architecture})),
        [Blob(LAYER, architecture.encode())],
        platform=f"linux/{architecture}",
    )


AMD, ARM = _platform("amd64"), _platform("arm64")
BOTH = index([AMD, ARM])


class Vendor:
    """A registry with an image that may be signed, and what locks it."""

    def __init__(self, registry: FaultyRegistry, folder: Path) -> None:
        self.registry = registry
        self.folder = folder
        self.signer, self.stranger = ImageSigner(), ImageSigner()

    def sign(self, signer: ImageSigner, subject: Artifact = BOTH) -> None:
        made = cosign_signature(signer, f"{self.registry.host}/app/web", subject)
        self.registry.content.put("app/web", made, cosign_tag(subject.digest, "sig"))

    def lock(
        self,
        *rules: SignatureRule,
        platforms: tuple[str, ...] = ("linux/amd64",),
        now: dt.datetime = NOW,
    ) -> Lock:
        definition = Definition(
            api_version="isoward/v1",
            kind="BundleDefinition",
            metadata=Metadata(name="platform", version="1.0.0"),
            platforms=platforms,
            images=(ImageSource(reference=f"{self.registry.host}/app/web:1"),),
            signatures=rules,
        )
        cache = BlobCache(self.folder / "cache")
        return resolve(definition, context(client(self.registry.host), cache, now=now))


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    content = RegistryContent()
    content.put("app/web", BOTH, "1")
    with faulty_registry(content) as registry:
        yield Vendor(registry, tmp_path)


def test_the_indexs_signature_counts_when_one_platform_is_chosen(vendor: Vendor) -> None:
    vendor.sign(vendor.signer)
    lock = vendor.lock(by_key(vendor.signer))
    (image,) = lock.images
    (found,) = image.verified
    assert found.subject == BOTH.digest
    assert [m.platform for m in image.manifests] == ["linux/amd64"]
    assert lock.signatures == (by_key(vendor.signer),)


def test_a_platforms_signature_counts_when_only_it_is_chosen(vendor: Vendor) -> None:
    vendor.sign(vendor.signer, AMD)
    assert vendor.lock(by_key(vendor.signer)).images[0].verified
    with pytest.raises(UnsignedError, match="none for linux/arm64"):
        vendor.lock(by_key(vendor.signer), platforms=("linux/amd64", "linux/arm64"))


def test_the_default_is_to_refuse_and_nothing_is_asked(vendor: Vendor) -> None:
    vendor.sign(vendor.signer)
    with pytest.raises(UnsignedError, match="no rule"):
        vendor.lock()
    assert vendor.registry.log.count("GET") == {}


def test_a_wrong_key(vendor: Vendor) -> None:
    vendor.sign(vendor.stranger)
    with pytest.raises(UnsignedError, match="1 signature, none valid: it was not made by this key"):
        vendor.lock(by_key(vendor.signer))


def test_an_ended_waiver_and_nothing_is_asked(vendor: Vendor) -> None:
    unsigned = UnsignedRule(reason="r", approved_by="A", ticket="T-7", expires="2026-01-31")
    rule = SignatureRule(images=("**",), unsigned=unsigned)
    assert vendor.lock(rule, now=dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)).images
    asked = vendor.registry.log.count("GET")
    with pytest.raises(PolicyError, match="T-7"):
        vendor.lock(rule, now=dt.datetime(2026, 2, 1, tzinfo=dt.UTC))
    assert vendor.registry.log.count("GET") == asked


@pytest.mark.parametrize("where", ["/blobs/", ".sig", "/referrers/"])
def test_a_failed_fetch_is_an_error_and_never_unsigned(vendor: Vendor, where: str) -> None:
    vendor.sign(vendor.signer)
    vendor.registry.fault(where, Fault(status=503))
    with pytest.raises(TransportError):
        vendor.lock(by_key(vendor.signer))


@pytest.mark.parametrize(
    ("fault", "kind", "answer"),
    [
        (Fault(status=403), AuthenticationError, "could not be asked: 403"),
        (Fault(status=405), TransportRefusedError, "could not be asked: 405"),
        (Fault(body=b"<html>"), TransportRefusedError, "could not be asked: 200 with text/html"),
        (Fault(status=503), TransportError, "could not be asked: 503"),
    ],
)
def test_a_signature_that_is_demanded_and_cannot_be_looked_for(
    vendor: Vendor, fault: Fault, kind: type[TransportError], answer: str
) -> None:
    vendor.registry.fault("/referrers/", fault)
    with pytest.raises(kind, match=answer) as caught:
        vendor.lock(by_key(vendor.signer))
    assert type(caught.value) is kind
    assert "expected a signature by cosign key" in caught.value.message


def test_a_signature_that_is_found_is_enough_and_the_rest_is_kept(vendor: Vendor) -> None:
    vendor.registry.fault("/referrers/", Fault(status=405))
    vendor.sign(vendor.signer)
    (image,) = vendor.lock(by_key(vendor.signer)).images
    assert len(image.verified) == 1
    assert [place.answer for place in image.unasked] == ["405"]


def test_where_it_is_waived_approvers_see_what_could_not_be_asked(vendor: Vendor) -> None:
    vendor.registry.fault("/referrers/", Fault(status=403))
    unsigned = UnsignedRule(reason="r", approved_by="A", ticket="T-7", expires="2999-01-31")
    lock = vendor.lock(SignatureRule(images=("**",), unsigned=unsigned))
    manifest = plan_bundle(lock).manifest
    assert manifest.images[0].unasked == lock.images[0].unasked
    lines = unasked_lines(compare_releases(1, manifest, None).unasked)
    said = "the referrers API could not be asked: 403"
    assert any(manifest.images[0].reference in line and said in line for line in lines)
    assert said in "\n".join(page(manifest, "sha256:0"))


def test_a_payload_is_fetched_once(vendor: Vendor) -> None:
    vendor.sign(vendor.signer)
    vendor.lock(by_key(vendor.signer))
    asked = [path for path in vendor.registry.log.count("GET") if "/blobs/" in path]
    assert len(asked) == 1
    vendor.lock(by_key(vendor.signer))
    assert vendor.registry.log.count("GET")[asked[0]] == 1


def test_another_signer_is_said(vendor: Vendor) -> None:
    vendor.sign(vendor.signer)
    first = vendor.lock(by_key(vendor.signer))
    assert changes(first, vendor.lock(by_key(vendor.signer))) == []
    vendor.sign(vendor.stranger)
    second = vendor.lock(by_key(vendor.stranger))
    (line,) = [c.line for c in changes(first, second) if c.thing.endswith(": signer")]
    for lock in (first, second):
        assert lock.images[0].verified[0].signer in line
