"""What changed from one release to the next, as data and in words."""

from __future__ import annotations

from typing import Any

import msgspec

from bundle.base.canonical import canonical_json, decode_canonical
from bundle.base.documents import Metadata
from bundle.kinds.artifacts import Artifact
from bundle.kinds.charts import ChartEntry
from bundle.kinds.files import FileEntry
from bundle.kinds.os_packages import os_entry
from bundle.kinds.policy import CosignRule, SignatureRule, UnsignedRule, VerifiedBy
from bundle.model.changes import (
    MAX_CHANGES,
    Changes,
    Earlier,
    Vulnerabilities,
    compare_releases,
)
from bundle.model.manifest import Manifest
from bundle.model.summary import MAX_LINES, changes_lines, unsigned_lines
from tests.support.documents.content import Maker
from tests.support.documents.right import digest

SIGNED = (VerifiedBy(rule=0, method="cosign", signer="sha256:key"),)
WAIVED = (VerifiedBy(rule=1, method="unsigned", signer="Ada", ticket="T-1", expires="2027-01-31"),)
WAIVER = UnsignedRule(reason="too old", approved_by="Ada", expires="2027-01-31", ticket="T-1")
RULES = (SignatureRule(images=("**",), cosign=CosignRule(key="key")),)


def image(name: str, content: str, verified: tuple[VerifiedBy, ...] = SIGNED) -> Artifact:
    return Artifact(reference=name, digest=digest(content), manifests=(), verified=verified)


def manifest(version: str = "1.0.0", **fields: Any) -> Manifest:
    return Manifest(
        api_version="isoward/v1",
        kind="Bundle",
        metadata=Metadata(name="hospital", version=version),
        lock=digest("lock"),
        platforms=fields.pop("platforms", ("linux/amd64",)),
        blobs=(),
        layout=(),
        signatures=fields.pop("signatures", RULES),
        **fields,
    )


def earlier(old: Manifest) -> Earlier:
    return Earlier(4, old, canonical_json(old))


def compare(old: Manifest, new: Manifest) -> Changes:
    return compare_releases(5, new, earlier(old))


def test_images_charts_and_files_are_compared_by_name() -> None:
    chart = ChartEntry(
        name="web",
        version="1.2.3",
        repository="https://charts.example.org",
        archive=digest("chart"),
        artifact=image("charts.example.org/web:1.2.3", "artifact"),
    )
    old = manifest(
        images=(image("a:1", "a"), image("b:1", "b"), image("same:1", "s")),
        files=(FileEntry(url="https://x.example.org/f", digest=digest("f")),),
    )
    new = manifest(
        "1.1.0",
        images=(image("a:1", "a2"), image("c:1", "c"), image("same:1", "s")),
        charts=(chart,),
    )
    found = compare(old, new)
    assert [m.name for m in found.images.moved] == ["a:1"]
    assert (found.images.moved[0].old, found.images.moved[0].new) == (digest("a"), digest("a2"))
    assert [i.name for i in found.images.added] == ["c:1"]
    assert [i.name for i in found.images.removed] == ["b:1"]
    assert [i.name for i in found.charts.added] == ["https://charts.example.org web 1.2.3"]
    assert [i.name for i in found.files.removed] == ["https://x.example.org/f"]
    assert found.previous is not None
    assert (found.previous.release, found.previous.version) == (4, "1.0.0")
    lines = changes_lines(found)
    assert lines[0] == "since release 4 (version 1.0.0):"
    assert f"~ image a:1: moved from {digest('a')[7:19]} to {digest('a2')[7:19]}" in lines
    assert any(line.startswith("+ chart https://charts.example.org web") for line in lines)
    assert any(line.startswith("- file https://x.example.org/f") for line in lines)


def test_os_packages_are_compared_by_version() -> None:
    packages = [os_entry(Maker().os_packages("debian-12", version)) for version in ("1.0", "1.1")]
    old, new = (manifest(os_packages=(entry,)) for entry in packages)
    found = compare(old, new).os_packages
    assert [i.name for i in found.added] == ["debian-12 socat 1.1 amd64"]
    assert [i.name for i in found.removed] == ["debian-12 socat 1.0 amd64"]
    lines = changes_lines(compare(old, new))
    assert any(line.startswith("+ OS package debian-12 socat 1.1 amd64: added") for line in lines)


def test_nothing_changed_is_said() -> None:
    found = compare(manifest(images=(image("a:1", "a"),)), manifest(images=(image("a:1", "a"),)))
    assert found.images.count == found.charts.count == found.files.count == 0
    assert "no content was added, removed or moved" in changes_lines(found)
    assert unsigned_lines(found.unsigned) == ["every image has an upstream signature"]


def test_platforms_are_compared() -> None:
    found = compare(manifest(), manifest(platforms=("linux/amd64", "linux/arm64")))
    assert found.platforms.added == ("linux/arm64",)
    assert "+ platform linux/arm64" in changes_lines(found)
    back = compare(manifest(platforms=("linux/amd64", "linux/arm64")), manifest())
    assert back.platforms.removed == ("linux/arm64",)
    assert "- platform linux/arm64" in changes_lines(back)


def test_waivers_new_and_dropped() -> None:
    rule = SignatureRule(images=("a",), unsigned=WAIVER)
    longer = SignatureRule(
        images=("a",), unsigned=msgspec.structs.replace(WAIVER, expires="2027-02-28")
    )
    signed = SignatureRule(images=("b",), cosign=CosignRule(key="key"))
    found = compare(manifest(signatures=(rule, signed)), manifest(signatures=(longer, signed)))
    assert [w.expires for w in found.waivers.new] == ["2027-02-28"]
    assert [w.expires for w in found.waivers.dropped] == ["2027-01-31"]
    line = "+ new waiver: a need not be signed until 2027-02-28: too old (Ada, T-1)"
    assert line in changes_lines(found)
    same = compare(manifest(signatures=(rule,)), manifest(signatures=(rule,)))
    assert same.waivers.new == same.waivers.dropped == ()


def test_images_without_a_signature_are_listed_every_time() -> None:
    old = manifest(images=(image("a:1", "a", WAIVED), image("b:1", "b")))
    found = compare(old, old)
    assert found.unsigned == ("a:1",)
    assert unsigned_lines(found.unsigned) == [
        "1 image without an upstream signature:",
        "  a:1",
    ]
    unknown = compare(manifest(), manifest(images=(image("a:1", "a", ()),)))
    assert unknown.unsigned == ("a:1",)


def test_not_scanned_is_not_nothing_found() -> None:
    found = compare(manifest(), manifest())
    said = "vulnerabilities: not scanned, so new and fixed ones are unknown"
    assert said in changes_lines(found)
    scanned = msgspec.structs.replace(
        found, vulnerabilities=Vulnerabilities(scanned=True, new=("CVE-1",), fixed=())
    )
    assert said not in changes_lines(scanned)
    assert "vulnerabilities: 1 new, 0 fixed" in changes_lines(scanned)
    assert "+ CVE-1" in changes_lines(scanned)


def test_the_fields_are_there_also_where_they_are_empty() -> None:
    data = canonical_json(compare(manifest(), manifest()))
    assert b'"vulnerabilities":{"fixed":[],"new":[],"scanned":false}' in data
    assert b'"images":{"added":[],"moved":[],"removed":[]}' in data
    assert decode_canonical(data, Changes, "changes") == compare(manifest(), manifest())


def test_long_lists_are_cut_and_counted() -> None:
    count = MAX_CHANGES + 7
    images = tuple(image(f"a{n:05}:1", "a", WAIVED) for n in range(count))
    found = compare_releases(1, manifest(images=images), None)
    assert (len(found.images.added), found.images.left_out) == (MAX_CHANGES, 7)
    assert (len(found.unsigned), found.unsigned_left_out) == (MAX_CHANGES, 7)
    lines = changes_lines(found)
    assert lines[0].startswith("first release")
    more = f"  and {count - MAX_LINES} more, in attestations/changes.dsse.json"
    assert lines.count(more) == 1
    assert len(unsigned_lines(found.unsigned)) == MAX_CHANGES + 1
    assert len(lines) < 3 * MAX_LINES


def test_a_signature_that_no_rule_demands_counts_for_nothing() -> None:
    """Whoever writes bundle.json can claim one; a site looks only for what a rule demands."""
    claimed = (image("a:1", "a"), image("b:1", "b", SIGNED + WAIVED))
    assert compare_releases(1, manifest(images=claimed, signatures=()), None).unsigned == (
        "a:1",
        "b:1",
    )
    waived = (SignatureRule(images=("a",), unsigned=WAIVER),)
    assert compare_releases(1, manifest(images=claimed, signatures=waived), None).unsigned == (
        "a:1",
        "b:1",
    )
