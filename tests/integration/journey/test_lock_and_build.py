"""Locking and building again: nothing changes, nothing is fetched, and every machine agrees."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from bundle.base.errors import DigestMismatchError, ThresholdError
from tests.support.packages.debian_images import TAG
from tests.support.registries.definition import definition_yaml
from tests.support.registries.journey import APPROVERS, Journey, Machine, approve, build
from tests.support.registries.push import pusher
from tests.support.registries.seeded import Upstream


def test_a_second_lock_says_that_nothing_changed(journey: Journey) -> None:
    before = journey.lock.read_bytes()
    said = journey.machine.result("lock", journey.definition, "-o", journey.lock)
    assert said["changes"] == []
    assert journey.lock.read_bytes() == before


def test_a_lock_made_elsewhere_is_the_same_file(
    journey: Journey, upstream: Upstream, tmp_path: Path
) -> None:
    other = Machine(tmp_path)
    definition = tmp_path / "definition.yaml"
    definition.write_text(definition_yaml(upstream), encoding="utf-8")
    other.run("lock", definition, "-o", tmp_path / "lock.yaml")
    assert (tmp_path / "lock.yaml").read_bytes() == journey.lock.read_bytes()


def test_a_moved_tag_is_said(upstream: Upstream, tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    definition, lock = tmp_path / "definition.yaml", tmp_path / "lock.yaml"
    moving = f"{upstream.registry.host}/debian/netbase:moved-1"
    text = definition_yaml(upstream, images=upstream.seeded.images[:1])
    text = text.replace(upstream.seeded.images[0].reference, moving)
    definition.write_text(text, encoding="utf-8")
    first, second = upstream.seeded.image("netbase"), upstream.seeded.image("media-types")
    with pusher(upstream.registry.url) as push:
        push.move_tag("debian/netbase", "moved-1", TAG)
        assert machine.result("lock", definition, "-o", lock)["new"]
        data, media_type = push.manifest("debian/media-types", TAG)
        push.mount("debian/netbase", "debian/media-types", data)
        push.put_manifest("debian/netbase", "moved-1", data, media_type)
    said = machine.run("lock", definition, "-o", lock)
    assert moving in said
    assert first.digest[:19] in said
    assert second.digest[:19] in said
    assert second.digest in lock.read_text()


def test_a_cached_build_fetches_nothing_and_is_the_same(
    journey: Journey, upstream: Upstream, tmp_path: Path
) -> None:
    blobs, files = upstream.registry.blob_fetches(), upstream.site.log.count("GET")
    assert blobs, "the first build fetched from this registry"
    bundle = tmp_path / "bundle"
    said = build(journey.machine, journey.lock, bundle, journey.release, journey.keys)
    assert said["fetched"] == 0
    assert upstream.registry.blob_fetches() == blobs
    assert upstream.site.log.count("GET") == files
    assert (bundle / "bundle.json").read_bytes() == (journey.bundle / "bundle.json").read_bytes()


def test_a_first_lock_and_build_fetch_every_blob_once(
    journey: Journey, upstream: Upstream, tmp_path: Path
) -> None:
    machine = Machine(tmp_path / "other")
    blobs, files = upstream.registry.blob_fetches(), upstream.site.log.count("GET")
    machine.run("lock", journey.definition, "-o", tmp_path / "lock.yaml")
    build(machine, tmp_path / "lock.yaml", tmp_path / "bundle", journey.release, journey.keys)
    fetched = upstream.registry.blob_fetches() - blobs
    assert set(fetched.values()) == {1}
    named = {blob["digest"] for blob in journey.manifest()["blobs"]}
    assert len(fetched) >= 30
    assert set(fetched) <= named
    asked = upstream.site.log.count("GET") - files
    assert {urlsplit(file.url).path: 1 for file in upstream.seeded.files}.items() <= asked.items()
    assert set(asked.values()) == {1}


def test_another_machine_builds_the_same_bytes_and_they_need_approval(
    journey: Journey, tmp_path: Path
) -> None:
    other = Machine(tmp_path / "other")
    bundle = tmp_path / "elsewhere" / "bundle"
    bundle.parent.mkdir()
    build(other, journey.lock, bundle, journey.release, journey.keys)
    assert (bundle / "bundle.json").read_bytes() == (journey.bundle / "bundle.json").read_bytes()
    assert _blobs(bundle) == _blobs(journey.bundle)
    verify = ("verify", bundle, "--fingerprint", journey.fingerprint)
    assert other.attempt(*verify).returncode == ThresholdError.exit_code
    approve(other, bundle, journey.keys, APPROVERS[1])
    assert other.attempt(*verify).returncode == ThresholdError.exit_code
    approve(other, bundle, journey.keys, APPROVERS[2])
    assert set(other.result(*verify)["approvers"]) == set(APPROVERS[1:])


def test_one_bit_is_found_and_named(journey: Journey, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    build(journey.machine, journey.lock, bundle, journey.release, journey.keys)
    for name in APPROVERS[:2]:
        approve(journey.machine, bundle, journey.keys, name)
    verify = ("verify", bundle, "--depot", journey.depot)
    journey.machine.run(*verify)
    blob = max((bundle / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 0x10
    # A new file, since the old one is a hard link into the cache.
    blob.unlink()
    blob.write_bytes(data)
    refused = journey.machine.attempt(*verify)
    assert refused.returncode == DigestMismatchError.exit_code
    assert blob.name in refused.stderr


def _blobs(bundle: Path) -> list[str]:
    return sorted(path.name for path in (bundle / "blobs" / "sha256").iterdir())
