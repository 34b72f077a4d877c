from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bundle.base.errors import FormatError, TransportError
from bundle.base.oci import ARTIFACT_TYPES
from bundle.base.progress import NO_PROGRESS
from bundle.model.lock import LockedArtifact, artifact_contents
from bundler.build.cache import BlobCache
from bundler.model.definition import ImageSource
from bundler.sources.common.manifests import ManifestSource
from bundler.sources.images.published_images import resolve_image
from tests.support.registries.connecting import client
from tests.support.registries.content import RegistryContent
from tests.support.registries.faulty_registry import Fault, FaultyRegistry, faulty_registry
from tests.support.registries.oci import (
    CONFIG,
    INDEX,
    LAYER,
    MANIFEST,
    Artifact,
    Blob,
    index,
    manifest,
    to_json,
)
from tests.support.registries.referrers import cosign_tag, referrer, with_provenance

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


PLACES = {
    "/referrers/": "referrers",
    "manifests/sha256-": "fallback-tag",
    ".sig": "sig",
    ".att": "att",
    ".sbom": "sbom",
}
HTML = b"<!doctype html><title>Please log in</title>"
JSON = {"Content-Type": "application/json"}
NO_LIST = to_json({"schemaVersion": 2, "config": {}, "layers": []})
ANSWERS = [
    (Fault(status=400), "400"),
    (Fault(status=401), "401"),
    (Fault(status=403), "403"),
    (Fault(status=405), "405"),
    (Fault(status=406), "406"),
    (Fault(status=429), "429"),
    (Fault(status=500), "500"),
    (Fault(status=501), "501"),
    (Fault(redirect="https://login.example.org"), "sent on to login.example.org"),
    (Fault(redirect="javascript:"), "an address that cannot be asked"),
    (Fault(status=307, headers={"Location": "/referrers/x"}), "more than 5 redirects"),
    (Fault(status=302), "302"),
    (Fault(body=HTML), "200 with text/html"),
    (Fault(body=b"", headers=JSON), "200 without content"),
    (Fault(body=b"{}", headers=JSON), "200 with application/json"),
    (Fault(body=NO_LIST, headers={"Content-Type": INDEX}), f"200 with {INDEX}"),
    (Fault(body=b"null", headers={"Content-Type": "a\tb<" * 50}), "200 with a_b_a"),
]


def unasked(locked: LockedArtifact) -> dict[str, str]:
    return {place.place: place.answer for place in locked.unasked}


@pytest.mark.parametrize(("fault", "answer"), ANSWERS)
def test_an_answer_of_the_api_that_is_neither_a_list_nor_404_is_kept(
    registry: FaultyRegistry, cache: BlobCache, fault: Fault, answer: str
) -> None:
    registry.fault("/referrers/", fault)
    made = signature("sig")
    registry.content.put("app/web", made, cosign_tag(AMD.digest, "sig"))
    locked = resolve(registry, cache)
    # What is in other places is found all the same.
    assert [r.digest for r in locked.referrers] == [made.digest]
    assert list(unasked(locked)) == ["referrers"] * bool(answer)
    assert unasked(locked).get("referrers", "").startswith(answer)


@pytest.mark.parametrize("status", [400, 403, 429, 500, 501])
@pytest.mark.parametrize("where", PLACES)
def test_a_place_that_cannot_be_asked_is_kept(
    registry: FaultyRegistry, cache: BlobCache, where: str, status: int
) -> None:
    registry.fault(where, Fault(status=status))
    found = unasked(resolve(registry, cache))
    expected = {place: str(status) for part, place in PLACES.items() if part in where}
    if where == "manifests/sha256-":
        expected |= {place: str(status) for place in ("sig", "att", "sbom")}
    assert found == expected


def test_a_page_in_every_place(registry: FaultyRegistry, cache: BlobCache) -> None:
    for where in PLACES:
        registry.fault(where, Fault(body=HTML))
    expected = dict.fromkeys(PLACES.values(), "200 with text/html")
    assert unasked(resolve(registry, cache)) == expected


def test_a_server_that_fails_all_along_costs_less_patience(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    registry.fault("/referrers/", Fault(status=500))
    source = ManifestSource(client(registry.host), cache)
    asked = ImageSource(reference=f"{registry.host}/app/web:1")
    resolve_image(asked, ("linux/amd64",), source, NO_PROGRESS)
    registry.log.clear()
    resolve_image(asked, ("linux/amd64",), source, NO_PROGRESS)
    counts = [n for path, n in registry.log.count().items() if "/referrers/" in path]
    assert counts == [2, 2]


@pytest.mark.parametrize("times", [1, 3])
def test_a_place_that_answers_when_asked_again_is_not_kept(
    registry: FaultyRegistry, cache: BlobCache, times: int
) -> None:
    made = referrer(SBOM, b"bom", AMD)
    registry.content.put("app/web", made)
    registry.fault("/referrers/", Fault(status=503, times=times))
    locked = resolve(registry, cache)
    assert (len(locked.referrers), locked.unasked) == (1, ())


def test_404_with_a_page_is_no_referrers_and_null_is_an_empty_list(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    registry.fault("/referrers/" + AMD.digest, Fault(status=404, body=HTML))
    empty = to_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": None})
    registry.fault("/referrers/", Fault(body=empty, headers=JSON))
    locked = resolve(registry, cache)
    assert (locked.referrers, locked.unasked) == ((), ())


def test_no_answer_at_all_is_an_error(registry: FaultyRegistry, cache: BlobCache) -> None:
    registry.fault("/referrers/", Fault(cut_after=0))
    with pytest.raises(TransportError, match="5 times"):
        resolve(registry, cache)


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


def test_a_referrer_that_is_listed_and_gone_is_kept_beside_one_that_is_there(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    gone, made = referrer(SBOM, b"gone", AMD), referrer(SBOM, b"bom", AMD)
    registry.content.put("app/web", fallback(gone, made), fallback_tag(AMD.digest))
    registry.referrers_api = False
    del registry.content.media_types[gone.digest]
    locked = resolve(registry, cache)
    assert [r.digest for r in locked.referrers] == [made.digest]
    assert unasked(locked) == {"referrer": f"{gone.digest}: 404"}


@pytest.mark.parametrize(
    ("entry", "answer"),
    [
        (referrer(SBOM, b"bom", ARM).descriptor, f"it refers to {ARM.digest}"),
        (signature("x").descriptor, "it refers to nothing"),
        ({**referrer(SBOM, b"bom", AMD).descriptor, "size": 3}, "other bytes"),
        ({**signature("x").descriptor, "mediaType": "text/html"}, "text/html cannot be carried"),
        ({**signature("x").descriptor, "digest": "md5:0"}, "manifests_0_"),
    ],
)
def test_a_bad_entry_of_a_list_is_kept_beside_a_good_one(
    registry: FaultyRegistry, cache: BlobCache, entry: dict[str, Any], answer: str
) -> None:
    good = referrer(SBOM, b"good", AMD)
    others = (referrer(SBOM, b"bom", ARM), signature("x"), referrer(SBOM, b"bom", AMD))
    listed = index([good, *others], [entry, good.descriptor])
    registry.content.put("app/web", listed, fallback_tag(AMD.digest))
    registry.referrers_api = False
    locked = resolve(registry, cache)
    assert [r.digest for r in locked.referrers] == [good.digest]
    assert answer in unasked(locked)["referrer"]


def test_something_else_under_the_fallback_tag_is_kept(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    registry.content.put("app/web", signature("x"), fallback_tag(AMD.digest))
    assert unasked(resolve(registry, cache)) == {"fallback-tag": MANIFEST}


@pytest.mark.parametrize("subject", [MULTI, AMD], ids=["index", "platform"])
@pytest.mark.parametrize("suffix", ["", ".sig"])
def test_a_registry_that_finds_the_image_itself_by_such_a_tag(
    registry: FaultyRegistry, cache: BlobCache, subject: Artifact, suffix: str
) -> None:
    registry.content.put("app/web", subject, fallback_tag(subject.digest) + suffix)
    locked = resolve(registry, cache)
    assert locked.referrers == ()
    assert unasked(locked) == {suffix[1:] or "fallback-tag": "the image itself"}
