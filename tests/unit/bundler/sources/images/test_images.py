from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bundle.base.errors import (
    DefinitionError,
    DigestMismatchError,
    FormatError,
    NotFoundError,
    SizeMismatchError,
)
from bundle.base.progress import NO_PROGRESS
from bundle.kinds.artifacts import LockedArtifact
from bundle.kinds.images import ImageSource
from bundler.build.cache import BlobCache
from bundler.sources.common.manifests import ManifestSource
from bundler.sources.images.from_registry import resolve_image
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
    sha256,
    to_json,
)

AMD64, ARM64 = "linux/amd64", "linux/arm64"
SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"


def image(platform: str, text: str = "layer") -> Artifact:
    system, architecture = platform.split("/")
    config = Blob(CONFIG, to_json({"os": system, "architecture": architecture}))
    return manifest(config, [Blob(LAYER, f"{text} {platform}".encode())], platform=platform)


AMD, ARM, S390 = image(AMD64), image(ARM64), image("linux/s390x")
MULTI = index([AMD, ARM, S390])


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    content = RegistryContent()
    content.put("app/web", MULTI, "1")
    content.put("app/one", AMD, "1")
    with faulty_registry(content) as made:
        yield made


@pytest.fixture
def cache(tmp_path: Path) -> BlobCache:
    return BlobCache(tmp_path / "cache")


def resolve(
    registry: FaultyRegistry,
    cache: BlobCache,
    name: str = "app/web:1",
    platforms: tuple[str, ...] = (AMD64,),
) -> LockedArtifact:
    source = ManifestSource(client(registry.host), cache)
    return resolve_image(
        ImageSource(reference=f"{registry.host}/{name}"), platforms, source, NO_PROGRESS
    )


def test_an_index_is_kept_whole_with_the_chosen_platforms(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    locked = resolve(registry, cache, platforms=(ARM64, AMD64))
    assert locked.reference == f"{registry.host}/app/web:1"
    assert locked.digest == MULTI.digest
    assert [(i.digest, i.size, i.media_type) for i in locked.indexes] == [
        (MULTI.digest, len(MULTI.data), INDEX)
    ]
    assert [(m.platform, m.digest) for m in locked.manifests] == [
        (AMD64, AMD.digest),
        (ARM64, ARM.digest),
    ]
    config, layer = AMD.blobs
    assert locked.manifests[0].config is not None
    assert locked.manifests[0].config.digest == config.digest
    assert [(c.digest, c.size) for c in locked.manifests[0].layers] == [
        (layer.digest, len(layer.data))
    ]
    assert locked.referrers == ()


def test_manifests_are_kept_for_the_build_and_not_fetched_again(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    first = resolve(registry, cache)
    assert cache.read_bytes(AMD.digest, len(AMD.data)) == AMD.data
    assert cache.read_bytes(MULTI.digest, len(MULTI.data)) == MULTI.data
    assert registry.log.count()[f"/v2/app/web/manifests/{AMD.digest}"] == 1
    assert resolve(registry, cache) == first
    assert registry.log.count()[f"/v2/app/web/manifests/{AMD.digest}"] == 1
    assert ARM.digest not in "".join(registry.log.count())


def test_a_platform_that_is_not_offered_is_named_with_those_that_are(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    with pytest.raises(DefinitionError) as caught:
        resolve(registry, cache, platforms=("linux/ppc64le",))
    assert "linux/ppc64le, found linux/amd64, linux/arm64, linux/s390x" in caught.value.message


def test_an_image_without_an_index_has_the_platform_of_its_config(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    locked = resolve(registry, cache, "app/one:1")
    assert locked.indexes == ()
    assert [m.platform for m in locked.manifests] == [AMD64]
    with pytest.raises(DefinitionError, match="expected an image for linux/arm64, found linux/amd"):
        resolve(registry, cache, "app/one:1", (AMD64, ARM64))


def test_a_config_without_an_os_is_of_whoever_asks(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    config = Blob(CONFIG, b'{"os": null, "architecture": "amd64"}')
    registry.content.put("app/old", manifest(config, []), "1")
    assert [m.platform for m in resolve(registry, cache, "app/old:1").manifests] == [AMD64]


def test_the_own_platforms_of_an_image_go_before_the_definitions(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    source = ManifestSource(client(registry.host), cache)
    asked = ImageSource(reference=f"{registry.host}/app/web:1", platforms=("linux/s390x",))
    locked = resolve_image(asked, (AMD64,), source, NO_PROGRESS)
    assert [m.platform for m in locked.manifests] == ["linux/s390x"]


def test_arm64_is_one_platform_with_and_without_its_variant(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    entry = {
        **ARM.descriptor,
        "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"},
    }
    registry.content.put("app/v8", index([ARM], [entry]), "1")
    locked = resolve(registry, cache, "app/v8:1", (ARM64,))
    assert [m.platform for m in locked.manifests] == ["linux/arm64/v8"]


@pytest.mark.parametrize(
    ("platform", "locked"),
    [
        ({"os": "linux", "architecture": "amd64", "variant": "v1"}, "linux/amd64/v1"),
        ({"os": "linux", "architecture": "amd64", "variant": None}, AMD64),
        ({"os": "Linux", "architecture": "x86_64"}, AMD64),
        ({"architecture": "amd64"}, AMD64),
        ({"os": "", "architecture": "amd64", "variant": ""}, AMD64),
        (None, AMD64),
    ],
)
def test_amd64_by_whatever_name_containerd_knows_it(
    registry: FaultyRegistry, cache: BlobCache, platform: Any, locked: str
) -> None:
    attestation = {**S390.descriptor, "platform": {"os": "unknown", "architecture": "unknown"}}
    entries = [attestation, {**AMD.descriptor, "platform": platform}, ARM.descriptor]
    registry.content.put("app/named", index([AMD, ARM, S390], entries), "1")
    found = resolve(registry, cache, "app/named:1")
    assert [(m.platform, m.digest) for m in found.manifests] == [(locked, AMD.digest)]


def test_an_entry_without_a_platform_counts_only_where_no_other_one_does(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    other = image(AMD64, "other")
    entry = {**AMD.descriptor, "platform": {"os": "linux", "architecture": "amd64"}}
    registry.content.put("app/two", index([other, AMD], [other.descriptor, entry]), "1")
    assert [m.digest for m in resolve(registry, cache, "app/two:1").manifests] == [AMD.digest]
    assert other.digest not in "".join(registry.log.count())


def test_a_bad_entry_beside_the_wanted_one_is_passed_over_and_said_if_it_is_missed(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    good = {**AMD.descriptor, "platform": {"os": "linux", "architecture": "amd64"}}
    bad = {**ARM.descriptor, "digest": "sha512:" + "0" * 128, "platform": None}
    gone = {**ARM.descriptor, "digest": sha256(b"gone")}
    registry.content.put("app/half", index([AMD], [bad, gone, good]), "1")
    assert [m.digest for m in resolve(registry, cache, "app/half:1").manifests] == [AMD.digest]
    with pytest.raises(DefinitionError, match=r"cannot be used: manifests\[0\]"):
        resolve(registry, cache, "app/half:1", (ARM64,))


def test_nested_indexes_are_all_kept(registry: FaultyRegistry, cache: BlobCache) -> None:
    outer = index([MULTI], [MULTI.descriptor])
    registry.content.put("app/nested", outer, "1")
    locked = resolve(registry, cache, "app/nested:1")
    assert {i.digest for i in locked.indexes} == {outer.digest, MULTI.digest}
    assert [m.digest for m in locked.manifests] == [AMD.digest]


def test_a_nested_index_that_is_gone_is_passed_over_where_nobody_needs_it(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    gone = index([S390])
    entries = [{**AMD.descriptor, "platform": {"os": "linux", "architecture": "amd64"}}]
    registry.content.put("app/part", index([AMD], [gone.descriptor, *entries]), "1")
    assert [m.digest for m in resolve(registry, cache, "app/part:1").manifests] == [AMD.digest]
    with pytest.raises(DefinitionError, match=f"cannot be used: .*{gone.digest}"):
        resolve(registry, cache, "app/part:1", ("linux/s390x",))


def test_indexes_nested_too_deep_are_refused(registry: FaultyRegistry, cache: BlobCache) -> None:
    outer = MULTI
    for _ in range(3):
        outer = index([outer], [outer.descriptor])
    registry.content.put("app/deep", outer, "1")
    with pytest.raises(FormatError, match="more than 3 levels"):
        resolve(registry, cache, "app/deep:1")


def test_an_artefact_that_is_no_image_has_no_platform(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    made = manifest(Blob("application/x.config", b"{}"), [Blob("application/x.data", b"data")])
    registry.content.put("app/data", made, "1")
    assert [m.platform for m in resolve(registry, cache, "app/data:1").manifests] == [None]


def test_a_digest_goes_before_the_tag_and_a_moved_tag_is_noted(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    class Notes:
        def __init__(self) -> None:
            self.lines: list[str] = []

        def start(self, title: str, total: int, unit: str = "B") -> None: ...
        def advance(self, amount: int) -> None: ...
        def finish(self) -> None: ...
        def note(self, text: str) -> None:
            self.lines.append(text)

    registry.content.put("app/web", image(AMD64, "newer"), "1")
    source = ManifestSource(client(registry.host), cache)
    for tag, said in (("1", "the tag is now sha256:"), ("gone", "the tag no longer exists")):
        notes = Notes()
        asked = ImageSource(reference=f"{registry.host}/app/web:{tag}@{MULTI.digest}")
        locked = resolve_image(asked, (AMD64,), source, notes)
        assert locked.digest == MULTI.digest
        assert locked.reference == asked.reference
        assert [said in line for line in notes.lines] == [True]


def test_a_tag_that_is_not_there(registry: FaultyRegistry, cache: BlobCache) -> None:
    with pytest.raises(NotFoundError, match="app/web:2"):
        resolve(registry, cache, "app/web:2")


def test_a_manifest_that_the_index_names_and_nobody_has(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    del registry.content.media_types[AMD.digest]
    with pytest.raises(NotFoundError, match=AMD.digest):
        resolve(registry, cache)


def test_a_changed_manifest_is_refused_and_not_kept(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    registry.fault(AMD.digest, Fault(flip=True))
    with pytest.raises(DigestMismatchError, match=AMD.digest):
        resolve(registry, cache)
    assert not cache.has(AMD.digest, len(AMD.data))


def test_a_wrong_size_in_the_index_is_refused(registry: FaultyRegistry, cache: BlobCache) -> None:
    entry = {
        **AMD.descriptor,
        "size": len(AMD.data) + 1,
        "platform": {"os": "linux", "architecture": "amd64"},
    }
    registry.content.put("app/size", index([AMD], [entry]), "1")
    with pytest.raises(SizeMismatchError, match="expected"):
        resolve(registry, cache, "app/size:1")


def test_a_media_type_that_the_server_does_not_know_is_taken_from_the_manifest(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    registry.content.media_types[MULTI.digest] = "application/json"
    assert resolve(registry, cache).indexes[0].media_type == INDEX


def _body(**change: Any) -> bytes:
    body = json.loads(AMD.data) | change
    return to_json({name: value for name, value in body.items() if value is not None})


OUTSIDE = {**AMD.blobs[1].descriptor, "urls": ["https://evil.example.org/layer"]}
HOSTILE = {
    "schema 1": (SCHEMA_1, to_json({"schemaVersion": 1, "name": "x", "fsLayers": []})),
    "no JSON": (MANIFEST, b"<html>"),
    "both kinds": (MANIFEST, _body(manifests=[AMD.descriptor])),
    "an index with layers": (INDEX, to_json({**json.loads(MULTI.data), "layers": []})),
    "another type inside": (MANIFEST, _body(mediaType=INDEX)),
    "a layer elsewhere": (MANIFEST, _body(layers=[OUTSIDE])),
    "a digest that is a path": (
        MANIFEST,
        _body(layers=[{**AMD.blobs[1].descriptor, "digest": "sha256:../../etc/passwd"}]),
    ),
    "another algorithm": (
        MANIFEST,
        _body(layers=[{**AMD.blobs[1].descriptor, "digest": "sha512:" + "a" * 128}]),
    ),
    "a negative size": (MANIFEST, _body(layers=[{**AMD.blobs[1].descriptor, "size": -1}])),
    "no config": (MANIFEST, _body(config=None)),
    "a type of nobody": ("text/html", _body(mediaType="application/x.unknown")),
    "deeply nested": (MANIFEST, b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_manifest_is_refused(
    registry: FaultyRegistry, cache: BlobCache, what: str
) -> None:
    media_type, data = HOSTILE[what]
    digest = sha256(data)
    registry.content.blobs[digest] = data
    registry.content.media_types[digest] = media_type
    registry.content.tags["app/web"]["bad"] = digest
    with pytest.raises(FormatError, match="unsupported OCI manifest"):
        resolve(registry, cache, "app/web:bad")


@pytest.mark.parametrize("data", [b"[]", b"{", b'{"os": 5}'])
def test_a_hostile_config_is_refused(
    registry: FaultyRegistry, cache: BlobCache, data: bytes
) -> None:
    registry.content.put("app/bad", manifest(Blob(CONFIG, data), []), "1")
    with pytest.raises(FormatError, match="its config is malformed"):
        resolve(registry, cache, "app/bad:1")


def test_a_config_of_other_bytes_is_refused(registry: FaultyRegistry, cache: BlobCache) -> None:
    registry.fault("/blobs/", Fault(flip=True))
    with pytest.raises(DigestMismatchError, match=AMD.blobs[0].digest):
        resolve(registry, cache, "app/one:1")


def test_a_config_that_breaks_on_the_way_is_read_again(
    registry: FaultyRegistry, cache: BlobCache
) -> None:
    registry.fault("/blobs/", Fault(times=2, cut_after=5))
    assert resolve(registry, cache, "app/one:1").digest == AMD.digest
