"""Where each blob of a lock is fetched from."""

from __future__ import annotations

from bundle.model.lock import Lock
from bundler.sources.common.blame import BY_LOCK, Blame
from bundler.sources.common.context import SourceContext
from bundler.sources.common.opener import Opener
from bundler.sources.known import SOURCES


def origins(lock: Lock, context: SourceContext) -> dict[str, Opener]:
    """Return how to open each blob that is fetched, by digest.

    Those of local images are absent, for they are put into the cache before, and what the build
    makes itself.
    """
    found: dict[str, Opener] = {}
    for source in SOURCES:
        for locked in source.kind.locked(lock):
            for digest, opener in source.openers(locked, context):
                found.setdefault(digest, opener)
    return found


def blames(lock: Lock) -> dict[str, Blame]:
    """Return what each blob that is fetched is, by digest; the first that wants it counts."""
    found: dict[str, Blame] = {}
    for source in SOURCES:
        for locked in source.kind.locked(lock):
            if source.blames is not None:
                said = source.blames(locked)
            else:
                own = Blame(source.kind.title, BY_LOCK)
                said = [(content.digest, own) for content in source.kind.contents(locked)]
            for digest, blame in said:
                found.setdefault(digest, blame)
    return found
