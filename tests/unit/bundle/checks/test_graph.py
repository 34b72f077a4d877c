"""OCI manifests of a bundle name what bundle.json lists, and index.json what it names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bundle.base.canonical import canonical_json
from bundle.base.content import Content
from bundle.base.digest import digest_of, hex_of
from bundle.base.errors import DigestMismatchError, FormatError
from bundle.base.oci import OCI_INDEX, OCI_MANIFEST
from bundle.checks.graph import check_graph, check_index
from bundle.kinds.artifacts import ManifestEntry
from bundle.kinds.charts import ProvenanceEntry
from bundle.model.manifest import Manifest
from bundle.store.layout import BundleDirectory
from tests.support.documents.bundles import write_bundle
from tests.support.documents.content import sample

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def good(tmp_path: Path) -> tuple[BundleDirectory, Manifest]:
    plan = write_bundle(tmp_path / "bundle", *sample())
    return BundleDirectory(tmp_path / "bundle"), plan.manifest


def _with_image(
    bundle: BundleDirectory, manifest: Manifest, change: Change, media_type: str = OCI_MANIFEST
) -> Manifest:
    """Replace the first image by a changed one, in the bundle and in its manifest."""
    image = manifest.images[0]
    body = json.loads(bundle.blob_path(image.digest).read_bytes())
    change(body)
    data = canonical_json(body)
    made = Content(digest=digest_of(data), size=len(data))
    (bundle.path / "blobs/sha256" / hex_of(made.digest)).write_bytes(data)
    blobs = [*(b for b in manifest.blobs if b.digest != image.digest), made]
    entry = ManifestEntry(digest=made.digest, media_type=media_type)
    changed = replace(image, digest=made.digest, manifests=(entry,))
    return replace(
        manifest,
        blobs=tuple(sorted(blobs, key=lambda blob: blob.digest)),
        images=(changed, *manifest.images[1:]),
    )


def test_a_good_bundle_is_in_order(good: tuple[BundleDirectory, Manifest]) -> None:
    check_graph(*good)
    check_index(*good)


def _outside(body: dict[str, Any]) -> None:
    body["layers"][0]["digest"] = "sha256:" + "0" * 64


def _other_size(body: dict[str, Any]) -> None:
    body["config"]["size"] += 1


def _foreign(body: dict[str, Any]) -> None:
    body["layers"][0]["urls"] = ["https://elsewhere.example/layer"]


def _hidden(body: dict[str, Any]) -> None:
    body["Layers"] = body["layers"]


def _no_layers(body: dict[str, Any]) -> None:
    body["layers"] = []


@pytest.mark.parametrize(
    ("change", "media_type", "says"),
    [
        (_outside, OCI_MANIFEST, "not in the bundle"),
        (_other_size, OCI_MANIFEST, "bytes to it"),
        (_foreign, OCI_MANIFEST, "outside the registry"),
        (_hidden, OCI_MANIFEST, "duplicate key"),
        (_no_layers, OCI_MANIFEST, "which nothing refers to"),
        (lambda body: None, OCI_INDEX, "mediaType"),
        (lambda body: body.pop("mediaType"), OCI_INDEX, "found layers"),
    ],
)
def test_a_hostile_manifest_is_refused(
    good: tuple[BundleDirectory, Manifest], change: Change, media_type: str, says: str
) -> None:
    bundle, manifest = good
    with pytest.raises(FormatError, match=says):
        check_graph(bundle, _with_image(bundle, manifest, change, media_type))


def test_a_key_twice_is_two_documents(good: tuple[BundleDirectory, Manifest]) -> None:
    bundle, manifest = good
    path = bundle.blob_path(manifest.images[0].digest)
    data = path.read_bytes().replace(b'"layers":', b'"layers":[],"layers":', 1)
    made = Content(digest=digest_of(data), size=len(data))
    bundle.blob_path(made.digest).write_bytes(data)
    blobs = [*(b for b in manifest.blobs if b.digest != manifest.images[0].digest), made]
    entry = ManifestEntry(digest=made.digest, media_type=OCI_MANIFEST)
    image = replace(manifest.images[0], digest=made.digest, manifests=(entry,))
    with pytest.raises(FormatError, match="duplicate"):
        check_graph(
            bundle,
            replace(manifest, blobs=tuple(blobs), images=(image, *manifest.images[1:])),
        )


def test_an_index_may_not_disagree_with_the_bundle(
    good: tuple[BundleDirectory, Manifest],
) -> None:
    bundle, manifest = good
    image = manifest.images[1]
    entries = tuple(
        replace(entry, media_type="application/vnd.docker.distribution.manifest.v2+json")
        if entry.platform
        else entry
        for entry in image.manifests
    )
    changed = replace(manifest, images=(manifest.images[0], replace(image, manifests=entries)))
    with pytest.raises(FormatError, match=r"to bundle\.json"):
        check_graph(bundle, changed)


def test_an_index_may_not_have_what_one_reader_passes_over_and_another_follows(
    good: tuple[BundleDirectory, Manifest],
) -> None:
    bundle, manifest = good
    image = manifest.images[1]
    body = json.loads(bundle.blob_path(image.digest).read_bytes())
    body["manifests"].append({**body["manifests"][0], "urls": ["https://elsewhere.example/x"]})
    data = canonical_json(body)
    made = Content(digest=digest_of(data), size=len(data))
    bundle.blob_path(made.digest).write_bytes(data)
    entries = tuple(
        replace(entry, digest=made.digest) if entry.digest == image.digest else entry
        for entry in image.manifests
    )
    changed = replace(image, digest=made.digest, manifests=entries)
    blobs = (*(b for b in manifest.blobs if b.digest != image.digest), made)
    with pytest.raises(FormatError, match="is stored outside the registry"):
        check_graph(bundle, replace(manifest, blobs=blobs, images=(manifest.images[0], changed)))


def test_a_manifest_that_is_damaged_on_the_medium_is_named(
    good: tuple[BundleDirectory, Manifest],
) -> None:
    bundle, manifest = good
    path = bundle.blob_path(manifest.images[0].digest)
    path.write_bytes(path.read_bytes().replace(b"layers", b"lajers"))
    with pytest.raises(DigestMismatchError, match="blobs/sha256/"):
        check_graph(bundle, manifest)


def test_a_manifest_of_many_bytes_is_not_read(good: tuple[BundleDirectory, Manifest]) -> None:
    bundle, manifest = good
    digest = manifest.images[0].digest
    blobs = tuple(
        replace(blob, size=1 << 40) if blob.digest == digest else blob for blob in manifest.blobs
    )
    with pytest.raises(FormatError, match="too many for an OCI manifest"):
        check_graph(bundle, replace(manifest, blobs=blobs))


def test_a_chart_must_hold_its_provenance(good: tuple[BundleDirectory, Manifest]) -> None:
    bundle, manifest = good
    elsewhere = ProvenanceEntry(digest=manifest.files[0].digest)
    charts = tuple(replace(chart, provenance=elsewhere) for chart in manifest.charts)
    with pytest.raises(FormatError, match="does not contain its provenance"):
        check_graph(bundle, replace(manifest, charts=charts))


def test_a_chart_must_hold_its_archive(good: tuple[BundleDirectory, Manifest]) -> None:
    bundle, manifest = good
    (chart,) = manifest.charts
    other = replace(chart, archive=manifest.files[0].digest)
    with pytest.raises(FormatError, match="does not contain its archive"):
        check_graph(bundle, replace(manifest, charts=(other,)))


def _name_of(entry: dict[str, Any]) -> str:
    return str(entry.get("annotations", {}).get("org.opencontainers.image.ref.name", ""))


def _swap(entries: list[dict[str, Any]]) -> None:
    entries[0]["digest"], entries[1]["digest"] = entries[1]["digest"], entries[0]["digest"]


def _drop(entries: list[dict[str, Any]]) -> None:
    entries.pop(0)


def _add(entries: list[dict[str, Any]]) -> None:
    name = {"org.opencontainers.image.ref.name": "registry.example.org/app/other:1"}
    entries.append({**entries[0], "annotations": name})


def _resize(entries: list[dict[str, Any]]) -> None:
    entries[0]["size"] += 1


def _twice(entries: list[dict[str, Any]]) -> None:
    entries.append(entries[0])


@pytest.mark.parametrize("change", [_swap, _drop, _add, _resize, _twice])
def test_index_json_names_what_bundle_json_names(
    good: tuple[BundleDirectory, Manifest], change: Callable[[list[dict[str, Any]]], None]
) -> None:
    bundle, manifest = good
    path = bundle.path / "index.json"
    index = json.loads(path.read_bytes())
    index["manifests"].sort(key=lambda entry: ":" not in _name_of(entry))
    change(index["manifests"])
    path.write_bytes(canonical_json(index))
    with pytest.raises(FormatError, match=r"index\.json"):
        check_index(bundle, manifest)


def test_a_bundle_may_have_no_index(good: tuple[BundleDirectory, Manifest]) -> None:
    bundle, manifest = good
    (bundle.path / "index.json").unlink()
    check_index(bundle, replace(manifest, layout=()))
