"""A step's context for tests: a site, a folder, and a way to its nodes; no bundle is read."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bundle.base.digest import digest_of
from bundle.base.documents import Metadata
from bundle.base.progress import NO_PROGRESS
from installer.core.step import Connect, Context
from installer.depot.accepted import AcceptedContent
from installer.depot.directory import DepotDirectory, ImportRecord, RecordedSigner
from installer.preflight.shell import LocalShell, Shell
from installer.site.document import Node, Site
from tests.support.sites.clusters import kubespray_manifest

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SIGNER = "Vera Vendor"


def on_this_machine(_: Node) -> AbstractContextManager[Shell]:
    """Take this machine for every node."""
    return nullcontext(LocalShell())


def bare_context(
    site: Site,
    folder: Path,
    connect: Connect = on_this_machine,
    *,
    images: Sequence[str] = (),
) -> Context:
    """Return a context whose state and run are folders below `folder`.

    Args:
        site: With a cluster.
        folder: For the state and the run's own folder.
        connect: Opens a node.
        images: References that the bundle has besides those of Kubespray.
    """
    state, run = folder / "state", folder / "run"
    for path in (state, run):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    manifest = kubespray_manifest("calico")
    more = (msgspec.structs.replace(manifest.images[0], reference=image) for image in images)
    manifest = msgspec.structs.replace(manifest, images=(*manifest.images, *more))
    record = ImportRecord(
        api_version="isoward/v1",
        kind="Import",
        sequence=1,
        when="2026-01-02T00:00:00Z",
        metadata=Metadata(name=manifest.metadata.name, version=manifest.metadata.version),
        digest=digest_of(b"bundle.json"),
        release=1,
        root=digest_of(b"root"),
        root_version=1,
        signers=(RecordedSigner(name=SIGNER, key_id="ab" * 32, role="targets"),),
        blobs=2,
        size=10,
        new_blobs=2,
        new_size=10,
    )
    return Context(
        site=site,
        site_path=folder / "site.yaml",
        ssh_key=folder / "id_ed25519",
        depot=DepotDirectory(folder),
        bundle=AcceptedContent(record, manifest, {}),
        ca=b"",
        state=state,
        run=run,
        overrides={},
        secrets={},
        connect=connect,
        now=lambda: WHEN,
        progress=NO_PROGRESS,
    )
