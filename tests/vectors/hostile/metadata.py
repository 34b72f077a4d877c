"""Trust metadata in another form than the one: no JSON, other JSON, other types, other roles."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any

from tests.vectors.hostile.base import Family, Stage

case = Family("metadata")
_FILES = ("targets.json", "snapshot.json", "timestamp.json")


def _bytes(data: bytes) -> Callable[[Stage], None]:
    return lambda stage: stage.raw("trust/timestamp.json", lambda _: data)


for _label, _data in {
    "empty": b"",
    "nul": b"\0" * 100,
    "null": b"null",
    "a-list": b"[]",
    "a-number": b"1e400",
    "xml": b"<?xml version='1.0'?><timestamp/>",
    "yaml": b"signatures: []\nsigned: {_type: timestamp}\n",
    "python": b"{'signatures': [], 'signed': {}}",
    "utf-16": '{"signatures":[],"signed":{}}'.encode("utf-16"),
    "latin-1": b'{"signatures":[],"signed":{"_type":"\xe9"}}',
    "surrogate": b'{"signatures":[],"signed":{"_type":"\\ud800"}}',
    "nested": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "nested-lists": b"[" * 250_000,
    "brackets-in-text": b'{"signatures":[],"signed":"' + b"[" * 300_000 + b'"}',
    "an-open-text": b'{"signatures":"' + b"\\" * 300_001,
}.items():
    case.add(f"as-{_label}", _bytes(_data), "signature", "timestamp.json")


def _text(name: str, change: Callable[[bytes], bytes]) -> Callable[[Stage], None]:
    return lambda stage: stage.raw(f"trust/{name}", change)


for _file in _FILES:
    _short = _file.removesuffix(".json")
    case.add(f"{_short}-truncated", _text(_file, lambda d: d[:-1]), "signature", _file)
    case.add(f"{_short}-with-a-line-end", _text(_file, lambda d: d + b"\n"), "signature", _file)
    case.add(
        f"{_short}-with-a-byte-order-mark",
        _text(_file, lambda d: b"\xef\xbb\xbf" + d),
        "signature",
        _file,
    )
    case.add(
        f"{_short}-with-signed-twice",
        _text(_file, lambda d: d.replace(b'"signed":', b'"signed":{},"signed":', 1)),
        "signature",
        _file,
    )
    case.add(
        f"{_short}-with-a-version-twice",
        _text(_file, lambda d: d.replace(b'"version":', b'"version":99,"version":', 1)),
        "signature",
        _file,
    )
    case.add(
        f"{_short}-with-its-text-escaped",
        _text(_file, lambda d: d.replace(b'"signed"', b'"s\\u0069gned"', 1)),
        "signature",
        _file,
    )


def _signed(change: Callable[[dict[str, Any]], Any]) -> Callable[[Stage], None]:
    def make(stage: Stage) -> None:
        path = stage.trust / "timestamp.json"
        body = json.loads(path.read_bytes())
        change(body["signed"])
        path.write_text(json.dumps(body, separators=(",", ":"), sort_keys=True))

    return make


for _label, _change in {
    "version-zero": lambda s: s.update(version=0),
    "version-negative": lambda s: s.update(version=-1),
    "version-over-2-53": lambda s: s.update(version=2**53),
    "version-over-2-64": lambda s: s.update(version=2**64),
    "version-with-5000-digits": lambda s: s.update(version=10**4000),
    "version-a-float": lambda s: s.update(version=1.0),
    "version-not-a-number": lambda s: s.update(version=float("nan")),
    "version-infinite": lambda s: s.update(version=float("inf")),
    "version-text": lambda s: s.update(version="1"),
    "version-true": lambda s: s.update(version=True),
    "version-missing": lambda s: s.pop("version"),
    "type-missing": lambda s: s.pop("_type"),
    "type-unknown": lambda s: s.update(_type="mirrors"),
    "type-in-capitals": lambda s: s.update(_type="Timestamp"),
    "specification-of-another-major-version": lambda s: s.update(spec_version="2.0.0"),
    "specification-version-a-number": lambda s: s.update(spec_version=1),
    "expires-missing": lambda s: s.pop("expires"),
    "expires-no-date": lambda s: s.update(expires="tomorrow"),
    "expires-with-an-offset": lambda s: s.update(expires="2099-01-01T00:00:00+00:00"),
    "expires-in-the-year-10000": lambda s: s.update(expires="10000-01-01T00:00:00Z"),
    "length-negative": lambda s: s["meta"]["snapshot.json"].update(length=-1),
    "length-a-float": lambda s: s["meta"]["snapshot.json"].update(length=1.5),
    "digest-unknown": lambda s: s["meta"]["snapshot.json"].update(hashes={"md5": "0" * 32}),
    "digest-empty": lambda s: s["meta"]["snapshot.json"].update(hashes={}),
    "name-a-path": lambda s: s["meta"].update({"../../etc/passwd": {"version": 1}}),
    "meta-missing": lambda s: s.pop("meta"),
    "meta-a-list": lambda s: s.update(meta=[]),
}.items():
    # python-tuf reads some of these: then the signature is over other bytes.
    case.add(_label, _signed(_change), "signature", "timestamp.json")

for _file, _other in (
    ("timestamp.json", "snapshot.json"),
    ("snapshot.json", "timestamp.json"),
    ("targets.json", "1.root.json"),
    ("timestamp.json", "targets.json"),
):

    def _exchange(stage: Stage, name: str = _file, other: str = _other) -> None:
        shutil.copy(stage.trust / other, stage.trust / name)

    _label = f"{_other.removesuffix('.json')}-as-{_file.removesuffix('.json')}"
    case.add(_label, _exchange, "signature", _file)
