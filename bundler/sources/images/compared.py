"""What changed in images from one lock to the next, and in what else has the form of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bundle.base.digest import short
from bundle.kinds.artifacts import LockedArtifact, LockedReferrer, describe_unasked
from bundle.kinds.policy import describe_verified
from bundler.sources.common.source import Change, changed, compare_digests


def image_changes(old: Sequence[LockedArtifact], new: Sequence[LockedArtifact]) -> Iterator[Change]:
    """Compare images: their digests, where they are from, and what hangs below them."""
    before, after = ({f"image {image.reference}": image for image in all_} for all_ in (old, new))
    yield from compare_digests(
        {k: v.digest for k, v in before.items()}, {k: v.digest for k, v in after.items()}
    )
    for name in sorted(before.keys() & after.keys()):
        yield from compare_inside(name, before[name], after[name])


def compare_inside(name: str, old: LockedArtifact, new: LockedArtifact) -> Iterator[Change]:
    """Compare origin, platforms and referrers of one artifact."""
    yield from changed(f"{name}: origin", _origin(old), _origin(new))
    if old.digest == new.digest:
        platforms = {f"{name}: platform {m.platform}": m.digest for m in new.manifests}
        before = {f"{name}: platform {m.platform}": m.digest for m in old.manifests}
        yield from compare_digests(before, platforms)
    yield from changed(f"{name}: signer", _signers(old), _signers(new))
    yield from changed(f"{name}: not queried", _unasked(old), _unasked(new))
    yield from compare_digests(_referrers(name, old), _referrers(name, new))


def _origin(artifact: LockedArtifact) -> str:
    return artifact.origin.said if artifact.origin else "its registry"


def _signers(artifact: LockedArtifact) -> str:
    """Say by whom an artifact is signed, or by what it is waived."""
    said = {
        describe_verified(entry) if entry.method == "unsigned" else f"{entry.method} {entry.signer}"
        for entry in artifact.verified
    }
    return ", ".join(sorted(said)) or "nobody"


def _unasked(artifact: LockedArtifact) -> str:
    return describe_unasked(artifact.unasked) or "nothing"


def _referrers(name: str, artifact: LockedArtifact) -> dict[str, str]:
    return {
        f"{name}: referrer {_kind(r)} of {short(r.subject)} ({_by(r)})": r.digest
        for r in artifact.referrers
    }


def _by(referrer: LockedReferrer) -> str:
    """Return what tells one referrer from another: a tag of its own, else its digest."""
    return referrer.tag if referrer.via == "cosign-tag" else short(referrer.digest)


def _kind(referrer: LockedReferrer) -> str:
    return referrer.artifact_type or referrer.media_type
