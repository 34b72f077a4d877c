"""The lock: every reference of a definition resolved to digests, for a person to review.

It names every byte that a build will fetch, so the manifest of a bundle follows from it alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from bundle.base.content import Content
from bundle.base.errors import DefinitionError, FormatError
from bundle.kinds.artifacts import (
    LockedArtifact,
    artifact_contents,
    check_locked_artifact,
    check_names,
)
from bundle.kinds.closure import check_closure
from bundle.kinds.policy import SignatureRule, check_rules
from bundle.kinds.registry import KINDS, LockContent


class Lock(LockContent, frozen=True, kw_only=True):
    """A lock file.

    Source: docs/FORMAT.md, "Lock".
    """

    signatures: tuple[SignatureRule, ...] = ()
    """The definition's rules, with the text of the files that they name."""


def locked_artifacts(lock: Lock) -> Iterator[LockedArtifact]:
    """Yield all that a lock has in OCI form, of every kind."""
    for kind in KINDS:
        for one in kind.locked(lock):
            yield from kind.locked_artifacts(one)


def lock_contents(lock: Lock) -> dict[str, int]:
    """Return the size of every blob of the bundle by its digest, sorted by digest.

    Raises:
        FormatError: One digest has two sizes.
    """
    sizes: dict[str, int] = {}
    for content in _all_contents(lock):
        known = sizes.setdefault(content.digest, content.size)
        if known != content.size:
            raise FormatError(
                f"lock: {content.digest} has two sizes, {known} and {content.size}",
                "The lock was edited or an upstream manifest is wrong; run `isoward lock` again.",
            )
    return dict(sorted(sizes.items()))


def _all_contents(lock: Lock) -> Iterator[Content]:
    for artifact in locked_artifacts(lock):
        yield from artifact_contents(artifact)
    for kind in KINDS:
        for one in kind.locked(lock):
            yield from kind.contents(one)


def check_lock(lock: Lock) -> None:
    """Check what the type alone cannot express: names are sane, references resolve.

    Raises:
        FormatError: The lock contradicts itself.
    """
    try:
        check_rules(lock.signatures)
        for artifact in locked_artifacts(lock):
            check_names(artifact)
        for kind in KINDS:
            kind.check_lock(lock)
        lock_contents(lock)
        for artifact in locked_artifacts(lock):
            check_locked_artifact(artifact)
        wants = (want for kind in KINDS for one in kind.locked(lock) for want in kind.wants(one))
        check_closure(wants, lock.images, "lock")
    except DefinitionError as error:
        raise FormatError(
            f"lock: {error.message}", "The lock was edited; run `isoward lock` again."
        ) from error
