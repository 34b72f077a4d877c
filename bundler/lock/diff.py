"""What changed between two locks, for a person who decides whether to accept it."""

from __future__ import annotations

from bundle.base.digest import short
from bundle.model.lock import Lock
from bundler.sources.common.source import Change, changed
from bundler.sources.known import SOURCES


def changes(old: Lock, new: Lock) -> list[Change]:
    """Compare two locks; equal locks, and only they, have no changes."""
    if old == new:
        return []
    found = [
        *changed("name", old.metadata.name, new.metadata.name),
        *changed("version", old.metadata.version, new.metadata.version),
        *changed("platforms", ", ".join(old.platforms), ", ".join(new.platforms)),
    ]
    for source in SOURCES:
        found += source.compare(source.kind.locked(old), source.kind.locked(new))
    if not found:
        # Something that has no line of its own, such as a digest added to a tag.
        found = list(changed("definition", short(old.definition), short(new.definition)))
    return found or [Change("changed", "details of the lock", "one form", "another")]
