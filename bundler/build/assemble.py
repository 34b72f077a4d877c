"""Build: from a lock to a bundle that is whole, or is not there.

The work is done in `<output>.building`, which becomes `<output>` in one rename when all is written
and synced; until then running again goes on from it.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final

from bundle.base.content import Content
from bundle.base.digest import digest_of
from bundle.base.errors import (
    FormatError,
    NoSpaceError,
    SizeMismatchError,
    UnsignedError,
    UsageError,
)
from bundle.base.limits import MIB
from bundle.checks.good_bundle import Subject, check_bundle
from bundle.kinds.artifacts import LockedArtifact, artifact_contents
from bundle.kinds.charts import LockedChart
from bundle.model.lock import Lock
from bundle.model.plan import Plan, plan_bundle
from bundle.store.atomic import (
    LOCK_NAME,
    directory_lock,
    fsync_directory,
    storage_errors,
    write_atomic,
)
from bundle.store.hashing import run_parallel, until
from bundle.store.layout import (
    ATTESTATION_DIRECTORY,
    BLOB_DIRECTORY,
    MANIFEST_NAME,
    TRUST_DIRECTORY,
    BundleDirectory,
)
from bundle.store.sums import write_sums
from bundle.trust.upstream.judgement import check_covered
from bundler.build.cache import READ_ONLY
from bundler.build.fetch import BlobFetcher
from bundler.build.origins import blames, origins
from bundler.build.place import BlobPlace
from bundler.model.chart import chart_artifact
from bundler.sources.charts.provenance import verify_provenance
from bundler.sources.common.blame import Blame, blaming
from bundler.sources.common.context import SourceContext
from bundler.sources.common.opener import Opener
from bundler.sources.images.on_disk import fill_local_image
from bundler.sources.python.wheels import check_wheels

FETCH_THREADS: Final = 8
"""Blobs at a time; the transport holds each host to fewer."""

_RESERVE_BYTES: Final = 64 * MIB
"""Room for metadata beside the blobs."""

_MADE_LATER: Final = (f"{TRUST_DIRECTORY}/", f"{ATTESTATION_DIRECTORY}/")
"""What trust and attestations are written into; they leave nothing there of an earlier build."""

WriteTrust = Callable[[Path, bytes], int]
"""Writes trust/ and attestations/ of these bundle.json bytes and returns the release number."""


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What a build did.

    Attributes:
        plan: The manifest and its bytes.
        release: The release number that the trust metadata gives it; None when it existed.
        fetched: How many blobs came from a source.
        cached: How many were in the cache already.
        existed: The bundle was there already, and whole.
    """

    plan: Plan
    release: int | None
    fetched: int
    cached: int
    existed: bool


def build(
    lock: Lock,
    output: Path,
    context: SourceContext,
    *,
    write_trust: WriteTrust,
    now: Callable[[], dt.datetime],
) -> BuildResult:
    """Fetch what `lock` names by digest and write the bundle `output`.

    Args:
        lock: Checked.
        output: Must not exist, or be the bundle of this very lock.
        context: What sources work with; other builds share its store, and its progress receives
            byte counts.
        write_trust: Given last, when everything else is written.
        now: The clock, UTC; waivers and certificates end.
    Returns:
        What was done.
    Raises:
        UsageError: `output` is something else.
        UnsignedError, PolicyError: An image is not signed as the lock's rules want.
        DefinitionError: A Python environment lacks what one of its packages needs.
        NoSpaceError: It will not fit; nothing was fetched.
        TransportError, IntegrityError, StorageError: Run again to go on.
    """
    plan = plan_bundle(lock)
    check_covered([image.reference for image in lock.images], lock.signatures, now(), "the lock")
    if _existing(output, plan):
        return BuildResult(plan, None, 0, len(plan.manifest.blobs), existed=True)
    building = output.with_name(f"{output.name}.building")
    with directory_lock(building):
        with storage_errors(f"create {building}"):
            (building / BLOB_DIRECTORY).mkdir(parents=True, exist_ok=True)
        place = BlobPlace(context.store, building)
        filled = _fill_local_images(lock, place, context)
        openers = origins(lock, context)
        fetched = _fetch_all(plan, place, openers, context, names=blames(lock))
        _make_charts(lock, building)
        _check_provenance(lock, building, context)
        _remove_strays(building, plan)
        check_wheels(BundleDirectory(building), plan.manifest)
        _write_layout(building, plan)
        _check(building, plan, now())
        release = write_trust(building, plan.manifest_bytes)
        write_sums(building, plan.manifest)
        with storage_errors(f"name {output}"):
            (building / LOCK_NAME).unlink()
            place.close()
            building.replace(output)
            fsync_directory(output.parent)
    fetched += filled
    return BuildResult(plan, release, fetched, len(plan.manifest.blobs) - fetched, existed=False)


def _existing(output: Path, plan: Plan) -> bool:
    """Return whether `output` is this bundle already.

    Raises:
        UsageError: It is something else, which is never overwritten.
    """
    if not output.exists():
        if not output.parent.is_dir():
            raise UsageError(
                f"{output.parent} is not a folder", "Create it, or choose another --output."
            )
        return False
    manifest = output / MANIFEST_NAME
    with storage_errors(f"read {manifest}"):
        same = manifest.is_file() and manifest.read_bytes() == plan.manifest_bytes
    if same:
        _check_whole(BundleDirectory(output), plan)
        return True
    raise UsageError(
        f"{output} exists and is not the bundle of this lock",
        "Choose another --output, or remove it yourself.",
    )


def _check_whole(bundle: BundleDirectory, plan: Plan) -> None:
    """Check by size that nothing was taken from a finished bundle; `verify` reads it all."""
    for blob in plan.manifest.blobs:
        with bundle.open_blob(blob.digest) as stream:
            found = stream.seek(0, 2)
        if found != blob.size:
            raise SizeMismatchError(
                f"{bundle.blob_name(blob.digest)}: expected {blob.size} bytes, found {found}",
                f"Remove {bundle.path} and run the command again.",
            )


def _fill_local_images(lock: Lock, place: BlobPlace, context: SourceContext) -> int:
    """Bring what is of local images and not in the cache into it; return how many blobs."""
    images: list[tuple[LockedArtifact, dict[str, int]]] = []
    for image in lock.images:
        contents = artifact_contents(image) if image.origin is not None else ()
        missing = {c.digest: c.size for c in contents if not (place.has(c) or place.in_cache(c))}
        if missing:
            images.append((image, missing))
    sizes = {digest: size for _, missing in images for digest, size in missing.items()}
    if images:
        context.progress.start("reading local images", sum(sizes.values()))
    try:
        for image, missing in images:
            fill_local_image(image, context)
            context.progress.advance(sum(missing.values()))
    finally:
        if images:
            context.progress.finish()
    return len(sizes)


def _fetch_all(
    plan: Plan,
    place: BlobPlace,
    openers: dict[str, Opener],
    context: SourceContext,
    *,
    names: Mapping[str, Blame],
) -> int:
    """Bring every blob into the bundle and return how many were fetched."""
    wanted = [blob for blob in plan.manifest.blobs if not place.has(blob)]
    missing = [blob for blob in wanted if not place.in_cache(blob) and blob.digest in openers]
    _check_space(place, missing)
    stopped = Event()
    advance = until(stopped, context.progress.advance)

    def pause(failures: int) -> None:
        context.sleep(min(2.0**failures, 30.0))

    def bring(blob: Content) -> None:
        if stopped.is_set():
            return
        if place.in_cache(blob):
            place.take_from_cache(blob, advance)
            return
        fetcher = BlobFetcher(blob, openers[blob.digest], advance, pause)
        with blaming(names.get(blob.digest)):
            fetcher.fetch(place.partial(blob.digest), place.final(blob.digest))
        place.take_fetched(blob)

    ready = sorted(
        (blob for blob in wanted if place.in_cache(blob) or blob.digest in openers),
        key=lambda blob: blob.size,
        reverse=True,
    )
    context.progress.start("fetching", sum(blob.size for blob in ready))
    try:
        run_parallel(bring, ready, FETCH_THREADS, stopped.set)
    finally:
        context.progress.finish()
    return len(missing)


def _check_space(place: BlobPlace, missing: list[Content]) -> None:
    need = sum(blob.size for blob in missing) + _RESERVE_BYTES
    with storage_errors(f"examine {place.directory}"):
        free = shutil.disk_usage(place.directory).free
    if free < need:
        raise NoSpaceError(
            f"{place.directory}: expected {need} bytes free, found {free}",
            "Free some space, or choose another --output or --cache.",
            {"need": need, "free": free},
        )


def _make_charts(lock: Lock, building: Path) -> None:
    """Write the OCI form of charts that come as archives; it follows from the archive."""
    bundle = BundleDirectory(building)
    for chart in lock.charts:
        if not chart.is_made:
            continue
        where = f"chart {chart.name} {chart.version}"
        archive = bundle.read_small(bundle.blob_name(chart.archive.digest), chart.archive.size)
        made = chart_artifact(archive, where, _provenance(bundle, chart))
        for content, data in zip(_made_contents(chart), (made.config, made.manifest), strict=True):
            if content.digest != digest_of(data):
                raise FormatError(
                    f"{where}: the lock expects {content.digest} to be made from the archive, "
                    f"found {digest_of(data)}",
                    "The lock was written by another version of isoward; run `isoward lock` again.",
                )
            write_atomic(bundle.blob_path(content.digest), data, READ_ONLY)


def _check_provenance(lock: Lock, building: Path, context: SourceContext) -> None:
    """Verify again what the lock says of provenance files, from the bundle's own bytes."""
    bundle = BundleDirectory(building)
    for chart in lock.charts:
        found = chart.provenance
        if found is None or found.keyring is None:
            continue
        where = f"chart {chart.name} {chart.version}"
        archive = (f"{chart.name}-{chart.version}.tgz", chart.archive.digest)
        document = _provenance(bundle, chart)
        signer = verify_provenance(document, found.keyring, archive, run=context.run, where=where)
        if signer != found.signer:
            raise UnsignedError(
                f"{where}: the lock says that {found.signer} signed it, found {signer}",
                "The lock was edited; run `isoward lock` again.",
            )


def _provenance(bundle: BundleDirectory, chart: LockedChart) -> bytes | None:
    found = chart.provenance
    if found is None:
        return None
    return bundle.read_small(bundle.blob_name(found.digest), found.size)


def _made_contents(chart: LockedChart) -> tuple[Content, Content]:
    (manifest,) = chart.artifact.manifests
    if manifest.config is None:
        raise FormatError(f"lock: chart {chart.name} has no config", "Run `isoward lock` again.")
    return manifest.config, manifest


def _remove_strays(building: Path, plan: Plan) -> None:
    """Remove what an interrupted build of another lock left in the same place."""
    bundle = BundleDirectory(building)
    wanted = {bundle.blob_name(blob.digest) for blob in plan.manifest.blobs}
    with storage_errors(f"clean {building}"):
        for name in bundle.files():
            if name not in wanted and name != LOCK_NAME and not name.startswith(_MADE_LATER):
                (building / name).unlink()


def _write_layout(building: Path, plan: Plan) -> None:
    """Write what is neither a blob nor trust; SHA256SUMS is written anew when trust is there."""
    for name, data in plan.layout.items():
        write_atomic(building / name, data)
    write_atomic(building / MANIFEST_NAME, plan.manifest_bytes)
    write_sums(building, plan.manifest)


def _check(building: Path, plan: Plan, now: dt.datetime) -> None:
    """Check that the bundle is a good one, before it gets a release number and a signature."""

    def read_blobs() -> int:
        # Each was hashed as it came in: nothing gets its name in the bundle or the cache before.
        return plan.manifest.content_bytes

    bundle = BundleDirectory(building)
    check_bundle(Subject(bundle, plan.manifest, now, read_blobs=read_blobs, besides={LOCK_NAME}))
