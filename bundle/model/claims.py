"""Checks what a build system claims about a bundle against the bundle's own bundle.json.

The build system may be compromised. Claims that bundle.json covers too are recomputed by every
reader; what only the build system can know is shown as its own claim.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from bundle.kinds.protocol import Differences
from bundle.model.changes import (
    COMPARED,
    MAX_CHANGES,
    Changes,
    Earlier,
    compare_releases,
    contents,
    unasked_images,
    unsigned_images,
    waived_images,
)
from bundle.model.manifest import Manifest
from bundle.model.provenance import BuildRun, Provenance, make_provenance


def contradictions(
    manifest: Manifest, provenance: Provenance, changes: Changes, earlier: Earlier | None = None
) -> Iterator[str]:
    """Yield the claims of a build's two statements that bundle.json contradicts.

    Args:
        manifest: Of the bundle, authenticated.
        provenance: How it was built, as the build system claims.
        changes: What changed, as it claims.
        earlier: The previous release, if the reader has it: then the comparison is repeated.
    """
    yield from _of_provenance(manifest, provenance)
    if changes.previous is None or earlier is not None:
        yield from _of_comparison(manifest, changes, earlier)
    else:
        yield from _of_changes(manifest, changes)


def _of_provenance(manifest: Manifest, said: Provenance) -> Iterator[str]:
    own = make_provenance(manifest, _run_of(said)).build_definition
    found = said.build_definition
    parts = (
        ("the bundle", own.external_parameters.bundle, found.external_parameters.bundle),
        ("the lock", own.external_parameters.lock, found.external_parameters.lock),
        ("the hosts", own.internal_parameters.hosts, found.internal_parameters.hosts),
        ("the content", own.resolved_dependencies, found.resolved_dependencies),
        ("the document as a whole", own, found),
    )
    for what, expected, claimed in parts:
        if expected != claimed:
            yield f"provenance: {what} does not match bundle.json"
            return


def _run_of(said: Provenance) -> BuildRun:
    """Return what only the build system knows, as it claims."""
    run = said.run_details
    definition = said.build_definition.external_parameters.definition.digest.sha256
    return BuildRun(
        definition=f"sha256:{definition}",
        builder=run.builder.id,
        version=run.builder.version.isoward,
        invocation=run.metadata.invocation_id,
        source=said.source,
        started=run.metadata.started_on,
        finished=run.metadata.finished_on,
    )


def _of_comparison(manifest: Manifest, said: Changes, earlier: Earlier | None) -> Iterator[str]:
    own = compare_releases(said.release, manifest, earlier)
    # Scans are not in bundle.json.
    own = msgspec.structs.replace(own, vulnerabilities=said.vulnerabilities)
    for name in Changes.__struct_fields__:
        if getattr(own, name) != getattr(said, name):
            yield f"changes: `{name}` does not match a comparison of the two bundle.json files"
            return


def _of_changes(manifest: Manifest, said: Changes) -> Iterator[str]:
    """Check what can be checked without the release before: that nothing is claimed falsely."""
    unsigned = unsigned_images(manifest)
    counted = (unsigned[:MAX_CHANGES], max(0, len(unsigned) - MAX_CHANGES))
    if (said.unsigned, said.unsigned_left_out) != counted:
        yield "changes: the images without a signature do not match bundle.json"
    unasked = unasked_images(manifest)
    if (said.unasked, said.unasked_left_out) != (
        unasked[:MAX_CHANGES],
        max(0, len(unasked) - MAX_CHANGES),
    ):
        yield "changes: the images whose registry could not be queried do not match bundle.json"
    waived = waived_images(manifest)
    if not set(said.waivers.new) <= set(waived) or set(said.waivers.dropped) & set(waived):
        yield "changes: the waivers do not match bundle.json"
    if not set(said.platforms.added) <= set(manifest.platforms) or set(
        said.platforms.removed
    ) & set(manifest.platforms):
        yield "changes: the platforms do not match bundle.json"
    for kind in COMPARED:
        here = contents(manifest, kind).items()
        if not _fits(getattr(said, kind), here):
            yield f"changes: `{kind}` names content that bundle.json lacks"


def _fits(said: Differences, here: Collection[tuple[str, str]]) -> bool:
    names = {name for name, _ in here}
    came = {(item.name, item.digest) for item in said.added}
    came |= {(move.name, move.new) for move in said.moved}
    return came <= set(here) and not {item.name for item in said.removed} & names
