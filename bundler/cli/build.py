"""`isoward build`: from a lock to a bundle that approvers can sign."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from bundle.base.digest import digest_of
from bundle.cli.given import Given
from bundle.cli.output import Output, output_options, pass_output
from bundle.cli.passphrase import load_signing_key, passphrase_option
from bundle.cli.progress_bar import readable_size
from bundle.model.lock import Lock
from bundle.model.plan import plan_bundle
from bundle.model.provenance import BuildRun, Source
from bundler.cli.connection import connection_options, open_cache, open_context
from bundler.lock.documents import load_lock

_FILE = click.Path(path_type=Path)


@click.command("build")
@click.argument("lock", type=Given("lock"))
@click.option("-o", "--output", "bundle", type=_FILE, required=True, help="The bundle's folder.")
@click.option(
    "--release",
    type=Given("release"),
    required=True,
    help="The release folder, from `isoward root new`.",
)
@click.option(
    "--key", type=Given("private-key"), required=True, metavar="PEM", help="The build system's key."
)
@click.option(
    "--site",
    "sites",
    multiple=True,
    metavar="NAME",
    help="A site that the release is for, as named by `isoward enroll --site`; repeatable.",
)
@passphrase_option
@connection_options
@output_options
@pass_output
def command(
    output: Output,
    *,
    lock: Path,
    bundle: Path,
    release: Path,
    key: Path,
    sites: tuple[str, ...],
    passphrase_fd: int | None,
    sources: Path | None,
    cache: Path | None,
) -> None:
    """Fetch what LOCK names, by digest only, into a bundle.

    If interrupted, run it again: it resumes and fetches nothing twice.
    """
    from bundler.build.assemble import build
    from bundler.build.work_tree import source_of
    from bundler.release.build_record import write_build_record
    from bundler.release.publish import Unreleased, check_builder, write_trust

    locked = load_lock(lock)
    builder = load_signing_key(output, key, passphrase_fd)
    # Before hours of fetching, not after.
    check_builder(release, builder, datetime.now(UTC))
    progress = output.progress

    begin, source = _now(), source_of(lock)

    def sign(folder: Path, manifest: bytes) -> int:
        number = write_trust(Unreleased(folder, manifest, sites), release, builder, _now())
        run = _run(locked, builder.public_key.keyid, source, begin)
        write_build_record(folder, release, number, run=run, builder=builder)
        return number

    hosts, store = plan_bundle(locked).manifest.sources, open_cache(cache)
    result = build(
        locked,
        bundle,
        open_context(sources, store, hosts, document=lock, progress=progress),
        write_trust=sign,
        now=lambda: datetime.now(UTC),
    )
    manifest = result.plan.manifest
    data: dict[str, Any] = {
        "bundle": str(bundle),
        "name": manifest.metadata.name,
        "version": manifest.metadata.version,
        "digest": digest_of(result.plan.manifest_bytes),
        "release": result.release,
        "blobs": len(manifest.blobs),
        "bytes": manifest.content_bytes,
        "fetched": result.fetched,
        "fromCache": result.cached,
        "existed": result.existed,
    }
    output.result(data, *_page(data))


def _run(lock: Lock, builder: str, source: Source, begin: datetime) -> BuildRun:
    return BuildRun(
        definition=lock.definition,
        builder=f"urn:isoward:builder:{builder}",
        version=version("isoward"),
        invocation=secrets.token_hex(16),
        source=source,
        started=begin,
        finished=_now(),
    )


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _page(data: dict[str, Any]) -> list[str]:
    if data["existed"]:
        return [f"{data['bundle']} is already the bundle of this lock; nothing to do"]
    size = readable_size(data["bytes"])
    return [
        f"built: {data['name']} {data['version']}, release {data['release']}",
        f"  in           {data['bundle']}",
        f"  bundle.json  {data['digest']}",
        f"  content      {data['blobs']} blobs with {size}, {data['fetched']} fetched",
        "Next, it needs approvals: isoward approve",
    ]
