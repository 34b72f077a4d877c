from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle.model.definition import ImageSource
from bundle.model.errors import FormatError, NotFoundError, SizeMismatchError, TransportError
from bundle.model.lock import LockedArtifact, artifact_contents
from bundle.model.progress import NO_PROGRESS
from bundler.cache import BlobCache
from bundler.sources.images import resolve_image
from bundler.sources.manifests import ManifestSource
from tests.support.connecting import client
from tests.support.faulty_registry import Fault, FaultyRegistry, faulty_registry
from tests.support.upstream_content import RegistryContent
from tests.support.upstream_oci import (
    CONFIG,
    INDEX,
    LAYER,
    Artifact,
    Blob,
    index,
    manifest,
    to_json,
)
from tests.support.upstream_referrers import cosign_tag, referrer, with_provenance

SBOM = "application/vnd.cyclonedx+json"
AMD = manifest(
    Blob(CONFIG, to_json({"os": "linux", "architecture": "amd64"})),
    [Blob(LAYER, b"layer")],
    platform="linux/amd64",
)
ARM = manifest(
    Blob(CONFIG, to_json({"os": "linux", "architecture": "arm64"})),
    [Blob(LAYER, b"arm")],
    platform="linux/arm64",
)
MULTI = index([AMD, ARM])


def signature(text: str) -> Artifact:
    """Something as cosign pushes it: no subject, found by its tag alone."""
    return manifest(Blob(CONFIG, b"{}"), [Blob("application/x.signature", text.encode())])


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    content = RegistryContent()
    content.put("app/web", MULTI, "1")
    with faulty_registry(content) as made:
        yield made


@pytest.fixture
def cache(tmp_path: Path) -> BlobCache:
    return BlobCache(tmp_path / "cache")


def resolve(registry: FaultyRegistry, cache: BlobCache, tag: str = "1") -> LockedArtifact:
    source = ManifestSource(client(registry.host), cache)
    asked = ImageSource(reference=f"{registry.host}/app/web:{tag}")
    return resolve_image(asked, ("linux/amd64",), source, NO_PROGRESS)


def found(locked: LockedArtifact) -> set[tuple[str, str, str, str]]:
    return {(r.subject, r.digest, r.via, r.tag) for r in locked.referrers}


def fallback(*referrers: Artifact, media_type: str = INDEX) -> Artifact:
    listed = index(list(referrers), [r.descriptor for r in referrers])
    return Artifact(media_type, listed.data, children=tuple(referrers))


def fallback_tag(digest: str) -> str:
    return digest.replace(":", "-")


def test_by_the_api_of_the_index_and_of_the_platform(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    of_index, of_amd, of_arm = (referrer(SBOM, b"bom", subject) for subject in (MULTI, AMD, ARM))
    for made in (of_index, of_amd, of_arm):
        registry.content.put("app/web", made)
    locked = resolve(registry, cache)
    assert found(locked) == {
        (MULTI.digest, of_index.digest, "api", ""),
        (AMD.digest, of_amd.digest, "api", ""),
    }
    assert {r.artifact_type for r in locked.referrers} == {SBOM}
    (layer,) = locked.referrers[0].layers
    assert layer.digest == of_index.blobs[1].digest
    assert locked.referrers[0].config is not None
    assert [r.subject for r in locked.referrers] == sorted(r.subject for r in locked.referrers)


@pytest.mark.parametrize("api", [True, False])
def test_by_the_fallback_tag(registry: FaultyRegistry, cache: BlobCache, api: bool) -> None:
    made = referrer(SBOM, b"bom", AMD)
    registry.content.put("app/web", fallback(made), fallback_tag(AMD.digest))
    registry.referrers_api = api
    # With an API it lists the same one, which is then not listed twice.
    assert found(resolve(registry, cache)) == {
        (AMD.digest, made.digest, "api" if api else "fallback-tag", "")
    }


@pytest.mark.parametrize("suffix", ["sig", "att", "sbom"])
@pytest.mark.parametrize("subject", [MULTI, AMD], ids=["index", "platform"])
def test_by_cosigns_tags(
    registry: FaultyRegistry, cache: BlobCache, suffix: str, subject: Artifact
) -> None:
    tag = cosign_tag(subject.digest, suffix)
    made = signature(suffix)
    registry.content.put("app/web", made, tag)
    assert found(resolve(registry, cache)) == {(subject.digest, made.digest, "cosign-tag", tag)}


def test_by_the_entries_of_buildkit_for_the_chosen_platform_only(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    built = with_provenance([AMD, ARM], "app/web")
    attestation = built.children[2]
    registry.content.put("app/web", built, "built")
    locked = resolve(registry, cache, "built")
    assert found(locked) == {(AMD.digest, attestation.digest, "index", "")}
    assert [m.digest for m in locked.manifests] == [AMD.digest]
    registry.content.put("app/web", with_provenance([ARM, AMD], "app/web"), "other")
    assert found(resolve(registry, cache, "other")) == set()


def test_referrers_of_referrers(registry: FaultyRegistry, cache: BlobCache) -> None:
    bom = referrer(SBOM, b"bom", AMD)
    signed = signature("of the bom")
    tag = cosign_tag(bom.digest, "sig")
    registry.content.put("app/web", bom)
    registry.content.put("app/web", signed, tag)
    assert found(resolve(registry, cache)) == {
        (AMD.digest, bom.digest, "api", ""),
        (bom.digest, signed.digest, "cosign-tag", tag),
    }


def test_a_chain_of_four_is_carried_and_one_of_five_refused(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    last = AMD
    for depth in range(4):
        last = referrer(SBOM, f"{depth}".encode(), last)
        registry.content.put("app/web", last)
    assert len(resolve(registry, cache).referrers) == 4
    registry.content.put("app/web", referrer(SBOM, b"5", last))
    with pytest.raises(FormatError, match="deeper than 4 levels"):
        resolve(registry, cache)


def test_one_signature_in_two_places_is_fetched_once(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    made = referrer(SBOM, b"bom", AMD)
    tag = cosign_tag(AMD.digest, "sbom")
    registry.content.put("app/web", made, tag)
    assert found(resolve(registry, cache)) == {
        (AMD.digest, made.digest, "api", ""),
        (AMD.digest, made.digest, "cosign-tag", tag),
    }


def test_a_referrer_that_is_an_index_comes_with_what_is_below(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    child = signature("inside")
    data = to_json(
        {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "artifactType": "application/x.set",
            "manifests": [child.descriptor],
            "subject": AMD.descriptor,
        }
    )
    made = Artifact(INDEX, data, children=(child,))
    registry.content.put("app/web", made)
    locked = resolve(registry, cache)
    assert found(locked) == {(AMD.digest, made.digest, "api", "")}
    assert locked.referrers[0].artifact_type == "application/x.set"
    assert [m.digest for m in locked.manifests] == [AMD.digest, child.digest]
    assert child.blobs[1].digest in {c.digest for c in artifact_contents(locked)}


def test_a_referrer_that_holds_too_much_is_refused(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    entry = signature("inside").descriptor
    body = {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [entry] * 257,
        "subject": AMD.descriptor,
    }
    registry.content.put("app/web", Artifact(INDEX, to_json(body), children=(signature("inside"),)))
    with pytest.raises(FormatError, match="more than 256"):
        resolve(registry, cache)


@pytest.mark.parametrize("status", [400, 403, 429, 500])
@pytest.mark.parametrize("where", ["/referrers/", "manifests/sha256-", ".sig", ".att", ".sbom"])
def test_a_place_that_cannot_be_asked_is_an_error(
    registry: FaultyRegistry, cache: BlobCache, where: str, status: int
) -> None:
    registry.fault(where, Fault(status=status))
    with pytest.raises(TransportError, match=str(status)):
        resolve(registry, cache)


def test_a_referrer_that_is_listed_and_gone_is_an_error(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    made = referrer(SBOM, b"bom", AMD)
    registry.content.put("app/web", fallback(made), fallback_tag(AMD.digest))
    registry.referrers_api = False
    del registry.content.media_types[made.digest]
    with pytest.raises(NotFoundError, match=made.digest):
        resolve(registry, cache)


def test_a_referrer_of_something_else_is_refused(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    other = referrer(SBOM, b"bom", ARM)
    registry.content.put("app/web", fallback(other), fallback_tag(AMD.digest))
    with pytest.raises(FormatError, match=f"expected a referrer of {AMD.digest}"):
        resolve(registry, cache)


def test_a_referrer_without_a_subject_is_refused(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    registry.content.put("app/web", fallback(signature("x")), fallback_tag(AMD.digest))
    with pytest.raises(FormatError, match="found one of nothing"):
        resolve(registry, cache)


def test_a_wrong_size_in_a_list_is_refused(registry: FaultyRegistry, cache: BlobCache) -> None:
    made = referrer(SBOM, b"bom", AMD)
    listed = index([made], [{**made.descriptor, "size": 3}])
    registry.content.put("app/web", listed, fallback_tag(AMD.digest))
    registry.referrers_api = False
    with pytest.raises(SizeMismatchError, match="expected 3 bytes"):
        resolve(registry, cache)


def test_something_else_under_the_fallback_tag_is_refused(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    registry.content.put("app/web", signature("x"), fallback_tag(AMD.digest))
    with pytest.raises(FormatError, match="expected a list of referrers"):
        resolve(registry, cache)


def test_an_image_under_its_own_signatures_tag_is_refused(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    registry.content.put("app/web", AMD, cosign_tag(AMD.digest, "sig"))
    with pytest.raises(FormatError, match="refers to itself"):
        resolve(registry, cache)


def test_two_that_sign_each_other_come_to_an_end(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    one, two = signature("one"), signature("two")
    registry.content.put("app/web", one, cosign_tag(AMD.digest, "sig"))
    registry.content.put("app/web", two, cosign_tag(one.digest, "sig"))
    registry.content.put("app/web", one, cosign_tag(two.digest, "sig"))
    assert len(resolve(registry, cache).referrers) == 3
