"""OCI documents from strangers: agreed, bounded, unambiguous, and no bytes from elsewhere."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.base.errors import FormatError
from bundle.base.limits import MAX_OCI_MANIFEST_BYTES
from bundle.base.oci import (
    ACCEPT,
    ARTIFACT_TYPES,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    MAX_LAYERS,
    OCI_INDEX,
    OCI_MANIFEST,
    OciIndex,
    OciManifest,
    parse_oci,
)
from tests.support.documents.right import digest


def _descriptor(**more: Any) -> dict[str, Any]:
    return {"mediaType": "application/octet-stream", "digest": digest("x"), "size": 3, **more}


def _manifest(**more: Any) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _descriptor(mediaType="application/vnd.oci.image.config.v1+json"),
        "layers": [_descriptor()],
        **more,
    }


def _index(**more: Any) -> dict[str, Any]:
    entry = _descriptor(mediaType=OCI_MANIFEST, platform={"os": "linux", "architecture": "amd64"})
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry], **more}


def _parse(document: Any, media_type: str) -> OciIndex | OciManifest:
    return parse_oci(json.dumps(document).encode(), media_type, "web")


@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_a_manifest(media_type: str) -> None:
    found = _parse(_manifest(mediaType=media_type), media_type)
    assert isinstance(found, OciManifest)
    assert found.layers[0].content.digest == digest("x")
    assert found.effective_artifact_type == "application/vnd.oci.image.config.v1+json"


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_an_index(media_type: str) -> None:
    found = _parse(_index(mediaType=media_type), media_type)
    assert isinstance(found, OciIndex)
    assert str(found.manifests[0].platform) == "linux/amd64"


def test_a_document_may_leave_its_media_type_to_its_descriptor() -> None:
    document = _manifest()
    del document["mediaType"]
    assert isinstance(_parse(document, OCI_MANIFEST), OciManifest)


def test_an_artefact_says_its_own_type_and_subject() -> None:
    found = _parse(
        _manifest(artifactType="application/spdx+json", subject=_descriptor()), OCI_MANIFEST
    )
    assert isinstance(found, OciManifest)
    assert found.effective_artifact_type == "application/spdx+json"
    assert found.subject is not None


def test_fields_that_nobody_here_knows_are_carried_not_refused() -> None:
    found = _parse(_manifest(somethingNew={"a": 1}), OCI_MANIFEST)
    assert found.schema_version == 2


@pytest.mark.parametrize(
    ("document", "media_type", "why"),
    [
        (_manifest(), OCI_INDEX, "expected mediaType 'application/vnd.oci.image.index"),
        (_index(), OCI_MANIFEST, "expected mediaType 'application/vnd.oci.image.manifest"),
        (_manifest(manifests=[]), OCI_MANIFEST, "found a list of manifests"),
        (_index(layers=[]), OCI_INDEX, "found layers"),
        (_index(config={}), OCI_INDEX, "found layers or a config"),
        (_manifest(schemaVersion=1), OCI_MANIFEST, "expected schemaVersion 2, found 1"),
        ({"layers": []}, OCI_MANIFEST, "schemaVersion 2, found 0"),
        (_manifest(mediaType="text/html"), "text/html", "is not an image, index or artifact"),
        (_manifest(config=None), OCI_MANIFEST, "config"),
        (_manifest(layers=[_descriptor(size=-1)]), OCI_MANIFEST, "size"),
        (_manifest(layers=[_descriptor(size=1.5)]), OCI_MANIFEST, "size"),
        (_manifest(layers=[_descriptor(size=2**53)]), OCI_MANIFEST, "size"),
        (_manifest(layers=[_descriptor(digest="md5:" + "0" * 32)]), OCI_MANIFEST, "digest"),
        (_manifest(layers=[_descriptor(digest="sha256:../../x")]), OCI_MANIFEST, "digest"),
        (_manifest(layers=[_descriptor(mediaType="a b")]), OCI_MANIFEST, "mediaType"),
        (_manifest(layers=[_descriptor()] * (MAX_LAYERS + 1)), OCI_MANIFEST, "layers"),
        (
            _manifest(layers=[_descriptor(urls=["http://evil"])]),
            OCI_MANIFEST,
            "outside the registry",
        ),
        (_manifest(config=_descriptor(urls=["http://evil"])), OCI_MANIFEST, "outside the registry"),
        (_index(manifests=[_descriptor(urls=["http://evil"])]), OCI_INDEX, "outside the registry"),
        ([], OCI_MANIFEST, "Expected `object`"),
        ("x", OCI_INDEX, "Expected `object`"),
    ],
)
def test_what_cannot_be_carried(document: Any, media_type: str, why: str) -> None:
    with pytest.raises(FormatError, match=f"^web: .*{why}"):
        _parse(document, media_type)


_DEEP = '{"a":' * 200 + "1" + "}" * 200
_LIKE_GO = {
    "null for lists and maps": '"layers": null, "annotations": null, "subject": null, "x": null',
    "a manifest with null manifests": '"manifests": null, "layers": []',
    "a key twice with one value": f'"mediaType": "{OCI_MANIFEST}", "layers": []',
    "an unknown key twice": '"x": 1, "x": 2, "layers": []',
    "an annotation twice": '"annotations": {"a": "1", "a": "1"}, "layers": []',
    "an annotation named like a field": '"annotations": {"Digest": "x", "SIZE": "1"}',
    "a null annotation": '"annotations": {"a": null}',
    "a number of any length": f'"x": {"9" * 5000}, "y": 1e999, "z": -0.0',
    "deep within what nobody reads": f'"x": {_DEEP}',
    "null for a config's fields": '"layers": [], "artifactType": null',
    "half a character": '"annotations": {"a": "\\ud800"}, "x": "\\udfff"',
    "a subject that nobody can carry": '"subject": {"digest": "md5:x"}',
}


@pytest.mark.parametrize("what", _LIKE_GO)
def test_what_go_reads_is_read(what: str) -> None:
    config = _descriptor(mediaType="application/vnd.oci.image.config.v1+json", urls=None)
    config |= {"annotations": None, "platform": None, "data": None, "artifactType": None}
    text = (
        f'{{"schemaVersion": 2, "mediaType": "{OCI_MANIFEST}", "config": {json.dumps(config)}, '
        f"{_LIKE_GO[what]}}}"
    )
    found = parse_oci(text.encode(), OCI_MANIFEST, "web")
    assert isinstance(found, OciManifest)
    assert found.config is not None
    assert (found.config.urls, found.layers, found.subject) == ((), (), None)
    json.dumps(dict(found.annotations or {}), ensure_ascii=False).encode()


@pytest.mark.parametrize("key", ["config", "schemaVersion", "mediaType", "layers", "subject", "x"])
def test_nested_almost_too_deep(key: str) -> None:
    for depth in range(100, 1001, 50):
        deep = '{"a":' * depth + "1" + "}" * depth
        for twice in ("", f', "{key}": {deep}'):
            data = f'{{"schemaVersion": 2, "{key}": {deep}{twice}}}'.encode()
            with suppress(FormatError):
                parse_oci(data, OCI_MANIFEST, "web")


def test_bytes_that_are_no_text_where_nobody_reads_them() -> None:
    data = json.dumps(_manifest(x="?")).encode().replace(b"?", b"\xff\xfe")
    assert isinstance(parse_oci(data, OCI_MANIFEST, "web"), OciManifest)


@pytest.mark.parametrize(
    "bad",
    [
        _descriptor(digest="sha512:" + "0" * 128),
        _descriptor(digest="md5:0"),
        _descriptor(size=-1),
        _descriptor(size=10**30),
        _descriptor(mediaType="a b"),
        _descriptor(urls=["https://elsewhere.example"]),
        _descriptor(annotations={"a": 1}),
        {"mediaType": OCI_MANIFEST},
        5,
    ],
)
def test_a_bad_entry_that_nobody_needs_beside_a_good_one(bad: Any) -> None:
    good = _index()["manifests"][0]
    found = _parse(_index(manifests=[bad, good]), OCI_INDEX)
    assert isinstance(found, OciIndex)
    assert [entry.media_type for entry in found.manifests] == [OCI_MANIFEST]
    assert len(found.unusable) == 1
    named = bad.get("digest") if isinstance(bad, dict) else None
    assert list(found.passed_over) == [named] * bool(named)
    assert "manifests[0]" in found.unusable[0]


@pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
def test_an_index_of_nothing(media_type: str) -> None:
    document = {"schemaVersion": 2, "manifests": None, "annotations": None, "layers": None}
    found = _parse(document, media_type)
    assert isinstance(found, OciIndex)
    assert found.manifests == ()


@pytest.mark.parametrize("media_type", ARTIFACT_TYPES)
def test_an_artifact_manifest_of_old(media_type: str) -> None:
    document = {
        "mediaType": media_type,
        "artifactType": "application/spdx+json",
        "blobs": [_descriptor()],
        "subject": _descriptor(),
    }
    found = _parse(document, media_type)
    assert isinstance(found, OciManifest)
    assert found.config is None
    assert [part.digest for part in found.parts] == [digest("x")]
    assert found.effective_artifact_type == "application/spdx+json"
    assert _parse({**document, "blobs": None}, media_type).subject is not None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('"config": {}, "config": {"size": 1}', "duplicate key 'config'"),
        ('"layers": [], "layers": [1]', "duplicate key 'layers'"),
        ('"Layers": []', "expected the key 'layers', found 'Layers'"),
        ('"layer\u017f": []', "expected the key 'layers'"),
        ('"layers": NaN', "it is not JSON"),
        ('"subject": "x"', "Expected `object`"),
        ('"annotations": {"a": "1", "a": "2"}', "duplicate key"),
    ],
)
def test_what_two_readers_would_read_in_two_ways(text: str, why: str) -> None:
    data = f'{{"schemaVersion": 2, {text}}}'.encode()
    with pytest.raises(FormatError, match=why):
        parse_oci(data, OCI_MANIFEST, "web")


def test_a_document_over_the_limit_is_not_even_parsed() -> None:
    with pytest.raises(FormatError, match="expected at most"):
        parse_oci(b" " * (MAX_OCI_MANIFEST_BYTES + 1), OCI_MANIFEST, "web")


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 50_000])
@pytest.mark.parametrize("media_type", ACCEPT)
def test_what_is_no_json(data: bytes, media_type: str) -> None:
    with pytest.raises(FormatError, match=r"^web: "):
        parse_oci(data, media_type, "web")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["config", "layers", "manifests", "digest", "size", "urls", "subject"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(_json, st.sampled_from(ACCEPT))
def test_any_json_gives_a_value_or_our_error(document: Any, media_type: str) -> None:
    if isinstance(document, dict):
        document["schemaVersion"] = 2
    with suppress(FormatError):
        _parse(document, media_type)
