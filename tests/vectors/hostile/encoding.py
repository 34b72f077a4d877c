"""Other spellings and impossible values in a bundle.json that was approved."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from bundle.base.canonical import canonical_json
from tests.vectors.hostile.base import Family, Stage

case = Family("manifest")
Body = dict[str, Any]


def _text(change: Callable[[bytes], bytes]) -> Callable[[Stage], None]:
    """Get other bytes approved as bundle.json."""
    return lambda stage: stage.release(change((stage.bundle / "bundle.json").read_bytes()))


def _body(change: Callable[[Body], Any]) -> Callable[[Stage], None]:
    return lambda stage: stage.manifest(change)


def _size(value: str) -> Callable[[Stage], None]:
    """Write another size of the first blob, as text that JSON may not even know."""

    def make(stage: Stage) -> None:
        body = json.loads((stage.bundle / "bundle.json").read_bytes())
        body["blobs"][0]["size"] = "@"
        stage.release(canonical_json(body).replace(b'"@"', value.encode(), 1))

    return make


for _label, _value in {
    "negative": "-1",
    "minus-zero": "-0",
    "2-to-the-53": str(2**53),
    "2-to-the-63": str(2**63),
    "2-to-the-64": str(2**64),
    "5000-digits": "9" * 5000,
    "a-float": "17.0",
    "an-exponent": "1e3",
    "a-huge-exponent": "1e400",
    "not-a-number": "NaN",
    "infinite": "Infinity",
    "text": '"17"',
    "true": "true",
    "null": "null",
    "a-list": "[17]",
    "hexadecimal": "0x11",
    "octal": "017",
    "with-a-plus": "+17",
}.items():
    case.add(f"size-{_label}", _size(_value), "format", "bundle.json")

for _label, _change in {
    "empty": lambda d: b"",
    "white-space": lambda d: b" " * 100,
    "indented": lambda d: json.dumps(json.loads(d), indent=1).encode(),
    "keys-in-another-order": lambda d: b'{"zz":1,' + d[1:],
    "a-line-end": lambda d: d + b"\n",
    "a-byte-order-mark": lambda d: b"\xef\xbb\xbf" + d,
    "utf-16": lambda d: d.decode().encode("utf-16-le"),
    "latin-1": lambda d: d.replace(b"hospital", b"h\xf4pital", 1),
    "a-surrogate": lambda d: d.replace(b"hospital-platform", b"\\ud800", 1),
    "an-escaped-letter": lambda d: d.replace(b'"kind"', b'"k\\u0069nd"', 1),
    "an-escaped-slash": lambda d: d.replace(b"isoward/v1", b"isoward\\/v1", 1),
    "a-nul": lambda d: d.replace(b"hospital", b"hospit\0l", 1),
    "a-comment": lambda d: b"/* x */" + d,
    "single-quotes": lambda d: d.replace(b'"', b"'"),
    "a-comma-too-many": lambda d: d[:-1] + b",}",
    "two-documents": lambda d: d + d,
    "cut-in-half": lambda d: d[: len(d) // 2],
    "a-list": lambda d: b"[" + d + b"]",
    "null": lambda d: b"null",
    "yaml-with-an-alias": lambda d: b"a: &a [1]\nb: *a\n",
    "yaml-with-a-tag": lambda d: b"!!python/object/apply:os.system [id]\n",
    "a-key-twice": lambda d: d.replace(b'"kind":', b'"kind":"Bundle","kind":', 1),
    "blobs-twice": lambda d: d.replace(b'"blobs":', b'"blobs":[],"blobs":', 1),
    "an-unknown-key": lambda d: d[:-1] + b',"zz":1}',
    "a-default-written-out": lambda d: d.replace(b'"kind":"Bundle"', b'"files":[],"kind":"Bundle"'),
    "another-kind": lambda d: d.replace(b'"kind":"Bundle"', b'"kind":"BundleLock"', 1),
    "another-version": lambda d: d.replace(b"isoward/v1", b"isoward/v2", 1),
    "nested-deep": lambda d: d[:-1] + b',"zz":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nested-deep-objects": lambda d: b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "an-open-bracket": lambda d: b"[" * 1_000_000,
}.items():
    case.add(f"with-{_label}", _text(_change), "format", "bundle.json")


def _two_sizes(body: Body) -> None:
    body["blobs"].insert(1, {**body["blobs"][0], "size": body["blobs"][0]["size"] + 1})


def _unlisted(body: Body) -> None:
    body["files"][0]["digest"] = "sha256:" + "0" * 64


for _label, _edit in {
    "one-blob-of-two-sizes": _two_sizes,
    "one-blob-twice": lambda b: b["blobs"].insert(0, b["blobs"][0]),
    "blobs-in-another-order": lambda b: b["blobs"].reverse(),
    "a-file-that-is-not-listed": _unlisted,
    "no-blobs": lambda b: b["blobs"].clear(),
    "an-image-without-manifests": lambda b: b["images"][0].update(manifests=[]),
    "a-signature-of-nothing": lambda b: b["images"][1]["referrers"][0].update(
        subject="sha256:" + "0" * 64
    ),
    "an-archive-that-is-not-listed": lambda b: b["charts"][0].update(archive="sha256:" + "0" * 64),
    "a-platform-that-is-a-path": lambda b: b.update(platforms=["../x"]),
    "a-text-as-blobs": lambda b: b.update(blobs="x"),
    "an-object-as-blobs": lambda b: b.update(blobs={}),
    "a-lock-that-is-no-digest": lambda b: b.update(lock="x"),
}.items():
    case.add(f"with-{_label}", _body(_edit), "format", "bundle.json")
