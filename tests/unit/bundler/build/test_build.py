"""A build makes a bundle that is whole or not there, and fetches nothing twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace as replace_in
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from bundle.base.digest import hex_of
from bundle.base.errors import (
    BusyError,
    DigestMismatchError,
    FormatError,
    MissingBlobError,
    NoSpaceError,
    NotFoundError,
    PolicyError,
    TransportError,
    UnsignedError,
    UsageError,
)
from bundle.base.reference import Reference
from bundle.checks.blobs import check_blobs, check_layout
from bundle.model.lock import Lock
from bundle.model.plan import plan_bundle
from bundle.store.atomic import directory_lock, write_atomic
from bundle.store.layout import BundleDirectory
from bundler.build import assemble as build_module
from bundler.build.assemble import BuildResult, build
from bundler.build.cache import BlobCache
from bundler.registry.expected import FetchedManifest
from tests.support.documents.content import Maker, sample
from tests.support.documents.sources import context
from tests.support.trust.signature_rules import WAIVED


class Stream:
    start = 0

    def __init__(self, data: bytes) -> None:
        self._data = data

    def readinto(self, buffer: memoryview) -> int:
        count = min(len(buffer), len(self._data))
        buffer[:count] = self._data[:count]
        self._data = self._data[count:]
        return count

    def close(self) -> None:
        pass


class Client:
    """Answers from memory, counts what is asked for, and fails where told."""

    def __init__(self, blobs: dict[str, bytes], lock: Lock) -> None:
        self.blobs = dict(blobs)
        self.asked: Counter[str] = Counter()
        self.failing: set[str] = set()
        self._urls = {file.url: file.digest for file in lock.files}
        self._urls |= {chart.url: chart.archive.digest for chart in lock.charts if chart.url}

    def _get(self, digest: str) -> bytes:
        self.asked[digest] += 1
        if digest in self.failing:
            raise NotFoundError(f"no {digest}")
        return self.blobs[digest]

    def get_manifest(self, reference: Reference) -> FetchedManifest:
        return FetchedManifest(self._get(reference.digest), "", reference.digest)

    def open_blob(self, _: Reference, digest: str, offset: int, *, mirrors: bool) -> Stream:
        return Stream(self._get(digest)[0 * offset :])

    def open_url(self, url: str, offset: int) -> Stream:
        return Stream(self._get(self._urls[url])[0 * offset :])


class Bench:
    def __init__(self, tmp_path: Path) -> None:
        self.lock, self.blobs = sample()
        self.client = Client(self.blobs, self.lock)
        self.cache = BlobCache(tmp_path / "cache")
        self.output = tmp_path / "bundle"

    def build(
        self, output: Path | None = None, lock: Lock | None = None, now: datetime | None = None
    ) -> BuildResult:
        def write_trust(bundle: Path, _: bytes) -> int:
            (bundle / "trust").mkdir(exist_ok=True)
            write_atomic(bundle / "trust" / "targets.json", b"{}")
            return 7

        asked = context(self.client, self.cache)  # type: ignore[arg-type]  # all that a build uses
        return build(
            lock or self.lock,
            output or self.output,
            replace_in(asked, sleep=lambda _: None),
            write_trust=write_trust,
            now=lambda: now or datetime.now(UTC),
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def _tree(path: Path) -> dict[str, bytes]:
    return {name: (path / name).read_bytes() for name in BundleDirectory(path).files()}


def test_the_bundle_is_whole(bench: Bench) -> None:
    result = bench.build()
    bundle = BundleDirectory(bench.output)
    check_layout(bundle, result.plan.manifest)
    check_blobs(bundle, result.plan.manifest)
    assert (bench.output / "bundle.json").read_bytes() == result.plan.manifest_bytes
    assert result.release == 7
    # Two blobs make the archive an OCI artefact and are not fetched.
    assert result.fetched == len(result.plan.manifest.blobs) - 2
    assert not bench.output.with_name("bundle.building").exists()


def test_it_asks_once_for_each_blob(bench: Bench) -> None:
    bench.build()
    assert set(bench.client.asked.values()) == {1}


def test_again_does_nothing(bench: Bench) -> None:
    bench.build()
    before = _tree(bench.output)
    bench.client.asked.clear()
    assert bench.build().existed
    assert not bench.client.asked
    assert _tree(bench.output) == before


def test_another_output_comes_from_the_cache(bench: Bench, tmp_path: Path) -> None:
    bench.build()
    bench.client.asked.clear()
    result = bench.build(tmp_path / "other")
    assert result.fetched == 0
    assert not bench.client.asked
    assert _tree(tmp_path / "other") == _tree(bench.output)
    blob = bench.lock.files[0].digest
    inodes = {
        (folder / "blobs" / "sha256" / hex_of(blob)).stat().st_ino
        for folder in (bench.output, tmp_path / "other", bench.cache.path)
    }
    assert len(inodes) == 1


def test_a_cache_on_another_filesystem_is_copied_and_checked(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.build()
    monkeypatch.setattr("bundler.build.place._can_link", lambda *_: False)
    bench.client.asked.clear()
    bench.build(tmp_path / "other")
    assert not bench.client.asked
    assert _tree(tmp_path / "other") == _tree(bench.output)


def test_without_a_shared_cache_a_blob_is_written_into_the_bundle_alone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bundler.build.place._can_link", lambda *_: False)
    result = bench.build()
    check_layout(BundleDirectory(bench.output), result.plan.manifest)
    assert not bench.cache.has(bench.lock.files[0].digest, bench.lock.files[0].size)


def test_a_damaged_cache_on_another_filesystem_is_found(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.build()
    monkeypatch.setattr("bundler.build.place._can_link", lambda *_: False)
    file = bench.lock.files[0]
    cached = bench.cache.blob_path(file.digest)
    cached.unlink()
    cached.write_bytes(b"x" * file.size)
    with pytest.raises(DigestMismatchError):
        bench.build(tmp_path / "other")
    bench.build(tmp_path / "other")


def test_a_failure_leaves_no_bundle_and_the_next_run_goes_on(bench: Bench) -> None:
    missing = bench.lock.files[0].digest
    bench.client.failing.add(missing)
    with pytest.raises(NotFoundError):
        bench.build()
    assert not bench.output.exists()
    bench.client.failing.clear()
    bench.build()
    assert bench.client.asked[missing] == 2
    assert all(n == 1 for digest, n in bench.client.asked.items() if digest != missing)


def test_the_leftovers_of_another_lock_do_not_get_in(bench: Bench) -> None:
    make = Maker()
    other, blobs = sample(make, version="2.0.0")
    extra = make.file("https://example.org/extra")
    bench.client.blobs |= blobs
    bench.client.failing.add(bench.lock.files[0].digest)
    with pytest.raises(NotFoundError):
        bench.build()
    stray = bench.output.with_name("bundle.building") / "blobs" / "sha256" / hex_of(extra.digest)
    stray.write_bytes(blobs[extra.digest])
    bench.client.failing.clear()
    result = bench.build(lock=other)
    check_layout(BundleDirectory(bench.output), result.plan.manifest)


def test_an_output_that_is_something_else_is_not_touched(bench: Bench) -> None:
    bench.output.mkdir()
    (bench.output / "precious.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not the bundle of this lock"):
        bench.build()
    assert [path.name for path in bench.output.iterdir()] == ["precious.txt"]
    assert not bench.client.asked


def test_an_output_without_a_folder(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        bench.build(tmp_path / "no" / "bundle")


def test_a_finished_bundle_that_lost_a_blob(bench: Bench) -> None:
    bench.build()
    BundleDirectory(bench.output).blob_path(bench.lock.files[0].digest).unlink()
    with pytest.raises(MissingBlobError):
        bench.build()


def test_two_builds_of_one_output(bench: Bench) -> None:
    with directory_lock(bench.output.with_name("bundle.building")), pytest.raises(BusyError):
        bench.build()


def test_no_space_is_said_before_anything_is_fetched(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_module, "_RESERVE_BYTES", 1 << 62)
    with pytest.raises(NoSpaceError, match="bytes free"):
        bench.build()
    assert not bench.client.asked


def test_a_chart_that_another_version_made_otherwise(bench: Bench) -> None:
    archive = bench.lock.charts[0].archive.digest
    manifest = bench.lock.charts[0].artifact.manifests[0]
    import msgspec

    wrong = msgspec.structs.replace(manifest, digest=archive)
    chart = bench.lock.charts[0]
    artifact = msgspec.structs.replace(chart.artifact, digest=archive, manifests=(wrong,))
    lock = msgspec.structs.replace(
        bench.lock, charts=(msgspec.structs.replace(chart, artifact=artifact),)
    )
    with pytest.raises(FormatError):
        bench.build(lock=lock)


def test_a_broken_network_is_an_error_after_some_tries(bench: Bench) -> None:
    def broken(*_: object, **__: object) -> Stream:
        raise TransportError("connection refused")

    bench.client.open_blob = broken  # type: ignore[method-assign]
    with pytest.raises(TransportError, match="connection refused"):
        bench.build()


def test_the_same_lock_gives_the_same_bytes() -> None:
    first, second = sample()[0], sample()[0]
    assert plan_bundle(first).manifest_bytes == plan_bundle(second).manifest_bytes


def test_a_waiver_that_ended_since_the_lock_and_nothing_is_fetched(bench: Bench) -> None:
    with pytest.raises(PolicyError, match="TEST-1"):
        bench.build(now=datetime(2100, 1, 1, tzinfo=UTC))
    assert bench.client.asked == Counter()


def test_a_lock_that_claims_a_signature_that_is_not_there(bench: Bench) -> None:
    first, *others = bench.lock.images
    claimed = replace(WAIVED, method="cosign", signer="sha256:00")
    lock = replace(bench.lock, images=(replace(first, verified=(claimed,)), *others))
    with pytest.raises(PolicyError, match="says it was verified by sha256:00"):
        bench.build(lock=lock)
    assert not bench.output.exists()


def test_a_lock_without_rules_is_not_built(bench: Bench) -> None:
    with pytest.raises(UnsignedError, match="no rule in the signatures: of the lock"):
        bench.build(lock=replace(bench.lock, signatures=()))
    assert bench.client.asked == Counter()
