"""What could not be asked for referrers, or answered with something else, is kept in mind."""

from __future__ import annotations

from typing import Any

import pytest

from bundle.base.errors import TransportError
from bundle.base.progress import NO_PROGRESS
from bundle.kinds.images import ImageSource
from bundler.build.cache import BlobCache
from bundler.sources.common.manifests import ManifestSource
from bundler.sources.images.from_registry import resolve_image
from tests.support.documents.referred import (
    AMD,
    ARM,
    SBOM,
    fallback,
    fallback_tag,
    resolve,
    signature,
    unasked,
)
from tests.support.registries.connecting import client
from tests.support.registries.faulty_registry import Fault, FaultyRegistry
from tests.support.registries.oci import (
    INDEX,
    MANIFEST,
    index,
    to_json,
)
from tests.support.registries.referrers import cosign_tag, referrer

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
