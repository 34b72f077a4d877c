"""Names under which content is served: well-formed, and each means one thing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from bundle.base.errors import DefinitionError, FormatError
from bundle.base.names import ServedNames, chart_folder, file_path
from bundle.base.reference import check_url
from bundle.kinds.files import FileEntry
from bundle.kinds.protocol import LayoutFile
from bundle.model.manifest import Manifest, check_manifest
from bundle.model.plan import plan_bundle
from tests.support.documents.content import sample


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return plan_bundle(sample()[0]).manifest


@pytest.mark.parametrize(
    "url",
    [
        "https://h.example/../x",
        "https://h.example/%2e%2e/x",
        "https://h.example/a%2f..%2f..%2fx",
        "https://h.example/a%00b",
        "https://h.example/a%0ab",
        "https://h.example/a%5c..%5cb",
        "https://h.example/%e2%80%aegnp.exe",
        "https://h_.example/x",
        "https://[::1/x",
        "https://[:]/x",
        "https://[::12345]/x",
    ],
)
def test_an_address_with_a_hostile_path_is_refused(url: str) -> None:
    with pytest.raises(DefinitionError):
        check_url(url, "files[0].url")


def test_paths_below_the_depot_follow_from_addresses() -> None:
    assert file_path("https://Example.org:8443/a%20b/c%252e") == "example.org_8443/a b/c%2e"
    assert chart_folder("https://charts.example.org/stable/") == "charts.example.org/stable"


@pytest.mark.parametrize(
    ("one", "other"), [("a", "a"), ("caf\u00e9", "cafe\u0301"), ("a", "\uff41")]
)
def test_a_name_means_one_thing(one: str, other: str) -> None:
    names = ServedNames()
    names.add(one, "sha256:1")
    names.add(one, "sha256:1")
    with pytest.raises(FormatError, match="means both"):
        names.add(other, "sha256:2")


def _files(*urls: str) -> Callable[[Manifest], Manifest]:
    def change(manifest: Manifest) -> Manifest:
        digests = [blob.digest for blob in manifest.blobs]
        entries = tuple(FileEntry(url=u, digest=d) for u, d in zip(urls, digests, strict=False))
        return replace(manifest, files=entries)

    return change


def _layout(path: str) -> Callable[[Manifest], Manifest]:
    digest = "sha256:" + "0" * 64
    return lambda m: replace(m, layout=(LayoutFile(path=path, digest=digest, size=1),))


def _image(**change: Any) -> Callable[[Manifest], Manifest]:
    return lambda m: replace(m, images=(replace(m.images[0], **change), *m.images[1:]))


def _tag(manifest: Manifest) -> Manifest:
    first, second = manifest.images
    referrers = (replace(second.referrers[0], tag="../x"),)
    return replace(manifest, images=(first, replace(second, referrers=referrers)))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_files("https://h.example/a", "https://h.example/%61"), "means both"),
        (_files("https://h.example/a", "https://H.example/a"), "means both"),
        (_files("https://h.example/../a"), "'..'"),
        (_layout("Bundle.JSON"), "layout path"),
        (_layout("SHA256SUMS"), "layout path"),
        (_layout("Trust"), "layout path"),
        (_image(reference="busybox:1.36"), "not a full reference"),
        (_image(reference="../../x:1"), "not a reference"),
        (_image(manifests=()), "does not list"),
        (_image(reference="registry.example.org/app/web:2.1"), "means both"),
        (lambda m: replace(m, sources=("\x1b[31m",)), "not a host"),
        (_tag, "not a tag"),
    ],
)  # fmt: skip
def test_a_manifest_with_a_hostile_name_is_refused(
    manifest: Manifest, change: Callable[[Manifest], Manifest], says: str
) -> None:
    check_manifest(manifest)
    with pytest.raises(FormatError, match=says):
        check_manifest(change(manifest))
