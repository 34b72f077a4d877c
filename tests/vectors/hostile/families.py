"""All hostile bundles and states, by family."""

from __future__ import annotations

from tests.vectors.hostile import (
    attestations,
    content,
    disk,
    encoding,
    exceptions,
    metadata,
    names,
    roots,
    signatures,
    sizes,
    states,
    tuf_attacks,
    upstream,
)
from tests.vectors.hostile.base import Hostile

_SMALL = (
    signatures,
    roots,
    tuf_attacks,
    upstream,
    metadata,
    attestations,
    encoding,
    names,
    content,
    disk,
    states,
    exceptions,
)


def small_cases() -> list[Hostile]:
    """Return those that any reader survives."""
    return [found for family in _SMALL for found in family.case.cases]


def large_cases() -> list[Hostile]:
    """Return those that take the memory of a reader that does not count."""
    return list(sizes.case.cases)
