"""`isoward inspect`: what a bundle claims to hold. Reads bundle.json alone, so it is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from bundle.base.canonical import decode_canonical
from bundle.base.digest import digest_of
from bundle.base.limits import MAX_MANIFEST_BYTES
from bundle.cli.auditor.inspect_page import page
from bundle.cli.given import Given
from bundle.cli.output import Output, output_options, pass_output
from bundle.kinds.registry import KINDS
from bundle.model.manifest import Manifest, check_manifest
from bundle.store.layout import MANIFEST_NAME, BundleDirectory


@click.command("inspect")
@click.argument("bundle", type=Given("bundle"))
@output_options
@pass_output
def command(output: Output, bundle: Path) -> None:
    """Show what the BUNDLE claims to hold.

    Nothing is verified; `isoward verify` does that.
    """
    directory = BundleDirectory(bundle)
    directory.require()
    data = directory.read_small(MANIFEST_NAME, MAX_MANIFEST_BYTES)
    manifest = decode_canonical(data, Manifest, MANIFEST_NAME)
    check_manifest(manifest)
    digest = digest_of(data)
    leftovers = directory.top_leftovers()
    facts = {**_as_json(manifest, digest), "passedOver": leftovers}
    output.result(facts, *page(manifest, digest, leftovers))


def _as_json(manifest: Manifest, digest: str) -> dict[str, Any]:
    return {
        "verified": False,
        "name": manifest.metadata.name,
        "version": manifest.metadata.version,
        "digest": digest,
        "lock": manifest.lock,
        "platforms": list(manifest.platforms),
        "blobs": len(manifest.blobs),
        "bytes": manifest.content_bytes,
        **{kind.key: kind.in_json(manifest) for kind in KINDS},
        "sources": list(manifest.sources),
    }
