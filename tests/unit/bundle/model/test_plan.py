"""From a lock to a manifest: pure, complete, the same bytes on every machine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bundle.base.canonical import canonical_digest, decode_canonical
from bundle.base.digest import digest_of
from bundle.base.errors import FormatError
from bundle.kinds.charts import ProvenanceEntry
from bundle.kinds.git import GitSource
from bundle.model.lock import Lock, lock_contents
from bundle.model.manifest import Manifest, check_manifest
from bundle.model.plan import REF_NAME, plan_bundle
from tests.support.documents.right import digest, lock, locked_chart, locked_image

ROOT = Path(__file__).resolve().parents[4]


def test_the_manifest_names_every_blob_of_the_lock() -> None:
    plan = plan_bundle(lock())
    assert check_manifest(plan.manifest) == lock_contents(lock())
    assert plan.manifest.content_bytes == sum(lock_contents(lock()).values())
    assert plan.manifest.lock == canonical_digest(lock())
    assert decode_canonical(plan.manifest_bytes, Manifest, "bundle.json") == plan.manifest


def test_the_layout_files_are_named_by_digest_and_size() -> None:
    plan = plan_bundle(lock())
    assert set(plan.layout) == {"README.txt", "VERIFY.txt", "index.json", "oci-layout"}
    for entry in plan.manifest.layout:
        data = plan.layout[entry.path]
        assert (entry.digest, entry.size) == (digest_of(data), len(data))
    assert json.loads(plan.layout["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}


def test_the_index_gives_each_reference_to_stock_tools() -> None:
    index = json.loads(plan_bundle(lock()).layout["index.json"])
    names = {
        entry["annotations"][REF_NAME]: entry["digest"]
        for entry in index["manifests"]
        if "annotations" in entry
    }
    image = locked_image()
    assert names[image.reference] == image.digest
    assert names[locked_chart().artifact.reference] == locked_chart().artifact.digest
    signature = image.referrers[0]
    assert names[f"registry.example.org/app/web:{signature.tag}"] == signature.digest
    unnamed = {entry["digest"] for entry in index["manifests"] if "annotations" not in entry}
    assert unnamed == {image.referrers[1].digest}
    sizes = lock_contents(lock())
    assert all(entry["size"] == sizes[entry["digest"]] for entry in index["manifests"])


def test_where_content_came_from_is_said_once() -> None:
    assert plan_bundle(lock()).manifest.sources == (
        "charts.example.org",
        "files.example.org",
        "registry.example.org",
    )


def test_the_same_lock_gives_the_same_bytes_in_another_process() -> None:
    code = (
        "import sys\nfrom bundle.model.plan import plan_bundle\n"
        "from tests.support.documents.right import lock\n"
        "sys.stdout.buffer.write(plan_bundle(lock()).manifest_bytes)"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "LC_ALL": "C", "TZ": "Asia/Kathmandu"},
            capture_output=True,
            check=True,
        )
        assert done.stdout == plan_bundle(lock()).manifest_bytes


def test_a_lock_that_contradicts_itself_has_no_plan() -> None:
    file = msgspec.structs.replace(lock().files[0], digest=locked_image().digest)
    with pytest.raises(FormatError, match="two sizes"):
        plan_bundle(msgspec.structs.replace(lock(), files=(file,)))


def test_the_texts_for_a_person_name_the_bundle_and_are_plain() -> None:
    layout = plan_bundle(lock()).layout
    for name in ("README.txt", "VERIFY.txt"):
        text = layout[name].decode("ascii")
        title, underline = (line.removeprefix("# ") for line in text.splitlines()[:2])
        assert "hospital-platform 1.0.0" in title
        assert underline == "=" * len(title)
        assert max(map(len, text.splitlines())) <= 100
        assert not {"{name}", "{version}", "{line}"} & set(re.findall(r"\{[a-z]+\}", text))


def _broken(plan: Manifest) -> list[tuple[str, Manifest]]:
    blobs = plan.blobs
    image, chart, file = plan.images[0], plan.charts[0], plan.files[0]
    replace = msgspec.structs.replace
    gone = digest("nowhere")
    return [
        ("not sorted", replace(plan, blobs=blobs[::-1])),
        ("duplicate", replace(plan, blobs=(*blobs, blobs[-1]))),
        ("file https", replace(plan, files=(replace(file, digest=gone),))),
        ("chart web", replace(plan, charts=(replace(chart, archive=gone),))),
        ("chart web", replace(plan, charts=(
            replace(chart, provenance=ProvenanceEntry(digest=gone)),))),
        ("not a path below", replace(plan, charts=(replace(chart, path="../web"),))),
        ("relative folder", replace(plan, charts=(replace(chart, git=GitSource(
            repository="/srv/charts", commit="a" * 40)),))),
        ("app/web", replace(plan, images=(replace(image, digest=gone),))),
        ("app/web", replace(plan, images=(replace(image, manifests=(
            replace(image.manifests[0], digest=gone),)),))),
        ("app/web", replace(plan, images=(replace(image, referrers=(
            replace(image.referrers[0], subject=gone),)),))),
        ("layout path", replace(plan, layout=(*plan.layout, plan.layout[0]))),
        ("layout path", replace(plan, layout=(replace(plan.layout[0], path="bundle.json"),))),
        ("layout path", replace(plan, layout=(
            *plan.layout, replace(plan.layout[0], path="readme.TXT")))),
    ]  # fmt: skip


@pytest.mark.parametrize(("why", "manifest"), _broken(plan_bundle(lock()).manifest))
def test_a_manifest_that_contradicts_itself_is_refused(why: str, manifest: Manifest) -> None:
    with pytest.raises(FormatError, match=why):
        check_manifest(manifest)


@pytest.mark.parametrize(
    "path", ["../x", "a/b", "/x", "", ".", "..", ".hidden", "a b", "a\\b", "README.txt\n", "x" * 65]
)
def test_a_layout_path_cannot_leave_the_bundle(path: str) -> None:
    plan = plan_bundle(lock())
    first = msgspec.structs.replace(plan.manifest.layout[0], path=path)
    data = msgspec.json.encode(
        msgspec.structs.replace(plan.manifest, layout=(first,)), order="sorted"
    )
    with pytest.raises(FormatError, match="layout"):
        decode_canonical(data, Manifest, "bundle.json")


def test_an_empty_lock_is_still_a_plan() -> None:
    empty = Lock(
        api_version="isoward/v1",
        kind="BundleLock",
        metadata=lock().metadata,
        definition=digest("definition"),
        platforms=("linux/amd64",),
    )
    assert plan_bundle(empty).manifest.blobs == ()
