"""The lock: complete, free of contradictions, the same on every reading."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bundle.base.errors import FormatError
from bundle.base.limits import MAX_LOCK_BYTES
from bundle.base.yaml.strict import dump_yaml, load_yaml
from bundle.kinds.chart_source import LOCAL_CHARTS
from bundle.kinds.charts import LockedDependency, LockedFolder, LockedProvenance
from bundle.kinds.git import GitSource
from bundle.model.lock import Lock, check_lock, lock_contents
from tests.support.documents.right import content, digest, lock, locked_chart, locked_image


def _load(text: str) -> Lock:
    return load_yaml(text.encode(), Lock, where="a.lock", limit=MAX_LOCK_BYTES, error=FormatError)


def test_a_lock_reads_back_as_itself() -> None:
    assert _load(dump_yaml(lock())) == lock()
    check_lock(lock())


def test_the_blobs_of_a_lock_are_sorted_and_each_stands_once() -> None:
    contents = lock_contents(lock())
    assert list(contents) == sorted(contents)
    assert contents[digest("tool")] == 7
    shared = content("shared layer")
    twice = msgspec.structs.replace(lock(), images=(locked_image(), locked_image("r.example/b:1")))
    assert lock_contents(twice)[shared.digest] == shared.size
    # index, manifest, config, 2 layers; signature with 2, SBOM with 1; chart manifest with 2; file
    assert len(contents) == 5 + 3 + 2 + 3 + 1


def test_two_sizes_of_one_digest_are_a_contradiction() -> None:
    file = msgspec.structs.replace(lock().files[0], digest=content("shared layer").digest)
    with pytest.raises(FormatError, match="two sizes, 100 and 7"):
        check_lock(msgspec.structs.replace(lock(), files=(file,)))


def _image(**changes: Any) -> Lock:
    image = msgspec.structs.replace(locked_image(), **changes)
    return msgspec.structs.replace(lock(), images=(image,))


def _chart(**changes: Any) -> Lock:
    chart = msgspec.structs.replace(locked_chart(), **changes)
    return msgspec.structs.replace(lock(), charts=(chart,))


def _local(folder: LockedFolder, url: str | None = None) -> Lock:
    return _chart(repository=LOCAL_CHARTS, url=url, folder=folder)


def _dependency(**changes: Any) -> LockedDependency:
    made = LockedDependency(
        name="redis",
        version="17.2.0",
        repository="https://charts.example.org",
        digest=digest("redis"),
        size=7,
        url="https://charts.example.org/redis.tgz",
    )
    return msgspec.structs.replace(made, **changes)


def test_a_chart_of_a_folder_is_a_chart() -> None:
    folder = LockedFolder(path="charts/web", dependencies=(_dependency(),))
    local = _local(folder)
    check_lock(local)
    assert _load(dump_yaml(local)) == local
    # What the archive was made of is no blob of the bundle.
    assert lock_contents(local) == lock_contents(lock())


def _file(url: str) -> Lock:
    file = msgspec.structs.replace(lock().files[0], url=url)
    return msgspec.structs.replace(lock(), files=(file,))


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (_image(digest=digest("other")), "which it does not list"),
        (_image(digest=locked_image().referrers[0].digest), "which it does not list"),
        (_image(manifests=()), "which it does not list"),  # the SBOM's subject is gone
        (_image(reference="no/tag"), "neither a tag nor a digest"),
        (_image(reference="r.example/a:1\n"), "not a tag"),
        (_chart(archive=content("other archive")), "which it does not list"),
        (_chart(repository="https://[::1"), "not a host"),
        (_chart(repository="charts"), "not a host"),
        (_chart(provenance=LockedProvenance(digest=digest("p"), size=1)), "which it does not list"),
        (_chart(repository=LOCAL_CHARTS), "contradicts its folder"),
        (_chart(folder=LockedFolder(path="web")), "contradicts its folder"),
        (_local(LockedFolder(path="web"), url="https://e.org/web.tgz"), "contradicts its folder"),
        (_local(LockedFolder(path="../web")), "not a path below"),
        (_local(LockedFolder(git=GitSource(repository="/srv", commit="a" * 40))), "relative"),
        (_local(LockedFolder(dependencies=(_dependency(url="https://[e/t"),))), "not a host"),
        (_local(LockedFolder(dependencies=(_dependency(repository="oci://:1/c"),))), "not a host"),
        (_file("https://[e/t"), "not a host"),
        (_file("https://e.org/a/../../b"), "in its path"),
    ],
)
def test_a_lock_that_contradicts_itself_is_refused(broken: Lock, why: str) -> None:
    with pytest.raises(FormatError, match=f"^lock: .*{why}") as caught:
        check_lock(broken)
    assert "isoward lock" in caught.value.hint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("kind: BundleLock", "kind: Bundle"),
        ("size: 7", "size: -1"),
        ("size: 7", "size: '7'"),
        ("size: 7", f"size: {2**53}"),
        (digest("tool"), digest("tool")[:-1]),
        (digest("tool"), digest("tool").upper()),
        ("via: api", "via: magic"),
        ("linux/amd64", "linux"),
        ("application/vnd.oci.image.index.v1+json", "index"),
        ("mediaType:", "mediatype:"),
        ("https://files.example.org/tool-1.4.tar.gz", "file:///etc/passwd"),
    ],
)
def test_a_lock_that_was_edited_wrongly_is_refused(old: str, new: str) -> None:
    text = dump_yaml(lock())
    assert old in text
    with pytest.raises(FormatError, match=r"^a\.lock: ") as caught:
        _load(text.replace(old, new))
    assert caught.value.exit_code == 11
