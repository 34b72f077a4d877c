"""Hostile names in a bundle.json that was approved: every field that becomes a path or a name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.vectors.hostile.base import Family, Stage

case = Family("name")
Body = dict[str, Any]
_PATHS = {
    "upwards": "../../../etc/passwd",
    "absolute": "/etc/passwd",
    "with-a-slash": "a/b",
    "with-a-backslash": "..\\..\\x",
    "with-nul": "a\0b",
    "with-a-line-end": "a\n",
    "with-an-escape": "\x1b[2Jx",
    "full-width": "\uff0e\uff0e\uff0fx",
    "decomposed": "cafe\u0301",
    "right-to-left": "\u202egnp.exe",
    "dots": "..",
    "dot": ".",
    "empty": "",
    "of-10000-characters": "a" * 10_000,
}


def _manifest(change: Callable[[Body], Any]) -> Callable[[Stage], None]:
    return lambda stage: stage.manifest(change)


def _layout(path: str) -> Callable[[Stage], None]:
    return _manifest(lambda body: body["layout"][0].update(path=path))


def _field(name: str, value: Any) -> Callable[[Body], Any]:
    """Set a field by its path, such as `charts.0.name`."""

    def change(body: Body) -> None:
        *folders, last = name.split(".")
        place: Any = body
        for part in folders:
            place = place[int(part)] if part.isdigit() else place[part]
        place[last] = value

    return change


for _label, _path in _PATHS.items():
    case.add(f"layout-{_label}", _layout(_path), "format", "bundle.json")
    for _where in ("charts.0.name", "charts.0.version", "metadata.name", "metadata.version"):
        # A bundle without a version to show has none; elsewhere dots alone are no version either.
        case.add(
            f"{_where.replace('.0', '').replace('.', '-')}-{_label}",
            _manifest(_field(_where, _path)),
            "format",
            "bundle.json",
        )
for _label, _path in {
    "bundle-json-in-capitals": "BUNDLE.JSON",
    "sums": "SHA256SUMS",
    "sums-in-small-letters": "sha256sums",
    "trust": "trust",
    "blobs": "Blobs",
    "attestations": "attestations",
    "hidden": ".profile",
    "an-option": "-rf",
}.items():
    case.add(f"layout-{_label}", _layout(_path), "format", "bundle.json")


@case("format", "duplicate layout path")
def layout_twice_but_for_case(stage: Stage) -> None:
    stage.manifest(lambda b: b["layout"].append({**b["layout"][0], "path": "readme.TXT"}))


_URLS = {
    "upwards": "https://h.example/../x",
    "upwards-in-the-middle": "https://h.example/a/../../x",
    "upwards-encoded": "https://h.example/%2e%2e/x",
    "upwards-by-an-encoded-slash": "https://h.example/a%2f..%2f..%2fx",
    "upwards-at-its-end": "https://h.example/a/..",
    "of-a-file": "file:///etc/passwd",
    "of-data": "data:text/plain,x",
    "absolute": "/etc/passwd",
    "with-a-user": "https://root:secret@h.example/x",
    "with-a-query": "https://h.example/x?token=secret",
    "with-a-fragment": "https://h.example/x#y",
    "with-nul": "https://h.example/a\0b",
    "with-nul-encoded": "https://h.example/a%00b",
    "with-a-line-end": "https://h.example/a\nb",
    "with-a-line-end-encoded": "https://h.example/a%0d%0aX: y",
    "with-a-backslash": "https://h.example/a\\b",
    "with-a-backslash-encoded": "https://h.example/%5c..%5cb",
    "with-a-space": "https://h.example/a b",
    "right-to-left": "https://h.example/%e2%80%aegnp.exe",
    "of-a-broken-host": "https://[::1/x",
    "of-no-host": "https:///x",
    "of-an-ipv6-address-that-is-none": "https://[:]/x",
    "of-a-host-that-is-a-path": "https://../x",
    "of-a-host-with-a-port-of-six-digits": "https://h.example:123456/x",
    "full-width": "https://h.example\uff0fx",
    "empty": "",
}
for _label, _url in _URLS.items():
    case.add(f"url-{_label}", _manifest(_field("files.0.url", _url)), "format", "bundle.json")
    case.add(
        f"repository-{_label}",
        _manifest(_field("charts.0.repository", _url)),
        "format",
        "bundle.json",
    )


def _second_file(first: str, second: str) -> Callable[[Stage], None]:
    def change(body: Body) -> None:
        digests = [blob["digest"] for blob in body["blobs"]]
        body["files"][0]["url"] = first
        other = next(d for d in digests if d != body["files"][0]["digest"])
        body["files"].append({"url": second, "digest": other})

    return _manifest(change)


for _label, _first, _second in (
    ("twice", "https://h.example/a", "https://h.example/a"),
    ("encoded-and-plain", "https://h.example/a", "https://h.example/%61"),
    ("by-the-case-of-its-host", "https://h.example/a", "https://H.EXAMPLE/a"),
    ("composed-and-decomposed", "https://h.example/caf%C3%A9", "https://h.example/cafe%CC%81"),
    ("full-width-and-plain", "https://h.example/a", "https://h.example/%EF%BD%81"),
    ("by-http-and-https", "https://h.example/a", "http://h.example/a"),
    ("by-slashes", "https://h.example/a", "https://h.example//a"),
    ("by-port-and-underscore", "https://h.example:1/a", "https://h.example%5f1/a"),
):
    case.add(f"collision-{_label}", _second_file(_first, _second), "format", "bundle.json")

_REFERENCES = {
    "upwards": "registry.example.org/../../etc/passwd:1",
    "upwards-in-the-host": "../registry/app:1",
    "absolute": "/etc/passwd:1",
    "empty": "",
    "a-tag-with-a-slash": "registry.example.org/app:1/../2",
    "a-tag-of-dots": "registry.example.org/app:..",
    "without-a-tag": "registry.example.org/app",
    "not-written-out": "busybox:1.36",
    "in-capitals": "registry.example.org/App:1",
    "with-nul": "registry.example.org/app\0:1",
    "with-an-escape": "registry.example.org/\x1b[31mapp:1",
    "full-width": "registry.example.org/\uff41pp:1",
    "decomposed": "registry.example.org/cafe\u0301:1",
    "with-a-scheme": "https://registry.example.org/app:1",
    "with-another-digest": "registry.example.org/app@md5:" + "0" * 32,
    "with-a-user": "root@registry.example.org/app:1",
    "of-10000-characters": "registry.example.org/" + "a" * 10_000 + ":1",
}
for _label, _reference in _REFERENCES.items():
    for _kind, _where in (
        ("image", "images.0.reference"),
        ("chart", "charts.0.artifact.reference"),
    ):
        case.add(
            f"{_kind}-reference-{_label}",
            _manifest(_field(_where, _reference)),
            "format",
            "bundle.json",
        )


@case("format", "means both")
def one_reference_for_two_images(stage: Stage) -> None:
    stage.manifest(lambda b: b["images"][0].update(reference=b["images"][1]["reference"]))


@case("format", "means both")
def a_chart_under_an_image_s_reference(stage: Stage) -> None:
    stage.manifest(
        lambda b: b["charts"][0]["artifact"].update(reference=b["images"][1]["reference"])
    )


for _label, _tag in {
    "upwards": "../../x",
    "a-slash": "a/b",
    "nul": "a\0",
    "capital": "\uff21",
}.items():
    case.add(
        f"referrer-tag-{_label}",
        _manifest(_field("images.1.referrers.0.tag", _tag)),
        "format",
        "bundle.json",
    )
for _label, _host in {
    "upwards": "../x",
    "an-escape": "\x1b]0;x\x07",
    "an-address": "https://x",
}.items():
    case.add(f"source-{_label}", _manifest(_field("sources", [_host])), "format", "bundle.json")
for _label, _type in {
    "a-line-end": "text/plain\r\nx: y",
    "none": "",
    "a-path": "../../x",
    "full-width": "text\uff0fplain",
}.items():
    case.add(
        f"media-type-{_label}",
        _manifest(_field("images.0.manifests.0.mediaType", _type)),
        "format",
        "bundle.json",
    )
for _label, _digest in {
    "upwards": "sha256:../../../../etc/passwd",
    "in-capitals": "sha256:" + "A" * 64,
    "too-short": "sha256:" + "a" * 63,
    "too-long": "sha256:" + "a" * 65,
    "with-a-line-end": "sha256:" + "a" * 64 + "\n",
    "of-another-kind": "sha512:" + "a" * 128,
    "full-width": "sha256:" + "\uff41" * 64,
    "absolute": "/etc/passwd",
}.items():
    case.add(
        f"digest-{_label}", _manifest(_field("blobs.0.digest", _digest)), "format", "bundle.json"
    )
