"""Whatever refers to an image is found in every place where it may be, and carried."""

from __future__ import annotations

import json

import pytest

from bundle.base.errors import FormatError
from bundle.base.oci import ARTIFACT_TYPES
from bundle.base.progress import NO_PROGRESS
from bundle.kinds.artifacts import LockedArtifact, artifact_contents
from bundle.kinds.images import ImageSource
from bundler.build.cache import BlobCache
from bundler.sources.common.manifests import ManifestSource
from bundler.sources.images.from_registry import resolve_image
from tests.support.documents.referred import (
    AMD,
    ARM,
    MULTI,
    SBOM,
    fallback,
    fallback_tag,
    resolve,
    signature,
    unasked,
)
from tests.support.registries.connecting import client
from tests.support.registries.faulty_registry import FaultyRegistry
from tests.support.registries.oci import (
    INDEX,
    MANIFEST,
    Artifact,
    Blob,
    to_json,
)
from tests.support.registries.referrers import cosign_tag, referrer, with_provenance


def found(locked: LockedArtifact) -> set[tuple[str, str, str, str]]:
    return {(r.subject, r.digest, r.via, r.tag) for r in locked.referrers}


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
        (AMD.digest, made.digest, "api" if api else "fallback-tag", fallback_tag(AMD.digest))
    }


@pytest.mark.parametrize("api", [True, False])
def test_a_fallback_tag_keeps_its_name_for_all_that_it_lists(
    registry: FaultyRegistry, cache: BlobCache, api: bool
) -> None:
    made = [referrer(SBOM, f"bom {number}".encode(), AMD) for number in range(3)]
    registry.content.put("app/web", fallback(*made), fallback_tag(AMD.digest))
    registry.referrers_api = api
    locked = resolve(registry, cache)
    assert {r.digest for r in locked.referrers} == {each.digest for each in made}
    assert {r.tag for r in locked.referrers} == {fallback_tag(AMD.digest)}


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


def test_a_referrer_that_holds_too_much_is_left_out_and_kept_in_mind(
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
    locked = resolve(registry, cache)
    assert (locked.referrers, [m.digest for m in locked.manifests]) == ((), [AMD.digest])
    assert "something that cannot be read" in unasked(locked)["referrer"]


@pytest.mark.parametrize("media_type", ARTIFACT_TYPES)
def test_an_artifact_manifest_of_old_is_carried(
    registry: FaultyRegistry, cache: BlobCache, media_type: str
) -> None:
    blob = Blob("application/spdx+json", b"bom")
    data = to_json(
        {
            "mediaType": media_type,
            "artifactType": "application/spdx+json",
            "blobs": [blob.descriptor],
            "subject": AMD.descriptor,
        }
    )
    made = Artifact(media_type, data, (blob,))
    registry.content.put("app/web", made)
    (found_one,) = resolve(registry, cache).referrers
    assert (found_one.digest, found_one.media_type) == (made.digest, media_type)
    assert (found_one.config, [c.digest for c in found_one.layers]) == (None, [blob.digest])


def test_many_referrers_in_pages(registry: FaultyRegistry, cache: BlobCache) -> None:
    for i in range(20):
        registry.content.put("app/web", referrer(SBOM, f"{i}".encode(), AMD))
    registry.page = 7
    assert len(resolve(registry, cache).referrers) == 20


def test_600_signatures_of_one_image(registry: FaultyRegistry, cache: BlobCache) -> None:
    registry.content.put("app/one", AMD, "1")
    body = json.loads(signature("many").data)
    body["layers"] *= 600
    registry.content.put(
        "app/one", Artifact(MANIFEST, to_json(body)), cosign_tag(AMD.digest, "sig")
    )
    source = ManifestSource(client(registry.host), cache)
    asked = ImageSource(reference=f"{registry.host}/app/one:1")
    locked = resolve_image(asked, ("linux/amd64",), source, NO_PROGRESS)
    assert [len(r.layers) for r in locked.referrers] == [600]


@pytest.mark.parametrize("subject", [MULTI, AMD], ids=["index", "platform"])
@pytest.mark.parametrize("suffix", ["", ".sig"])
def test_a_registry_that_finds_the_image_itself_by_such_a_tag(
    registry: FaultyRegistry, cache: BlobCache, subject: Artifact, suffix: str
) -> None:
    registry.content.put("app/web", subject, fallback_tag(subject.digest) + suffix)
    locked = resolve(registry, cache)
    assert locked.referrers == ()
    assert unasked(locked) == {suffix[1:] or "fallback-tag": "the image itself"}
