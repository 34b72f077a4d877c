"""What a server answered when it gave neither the thing nor "not found", in a few words."""

from __future__ import annotations

import re
from typing import Final

from bundle.base.errors import (
    FormatError,
    HostNotAllowedError,
    IntegrityError,
    IsowardError,
    NotFoundError,
)

_OTHER: Final = re.compile(r"[^A-Za-z0-9 :;,.+/_-]+")
_LONGEST: Final = 199


def answer_of(error: IsowardError) -> str | None:
    """Return the answer behind an error, as a lock records it: its words are part of the format.

    Returns:
        None when there was no answer at all: that may be another one a minute later, so it is an
        error everywhere.
    """
    said = error.context.get("answer", error.context.get("status"))
    if said is not None:
        return plain_answer(str(said))
    if isinstance(error, NotFoundError):
        return "404"
    if isinstance(error, HostNotAllowedError):
        return plain_answer(f"sent on to {error.context.get('host', 'another host')}")
    if isinstance(error, FormatError):
        return "something that cannot be read"
    if isinstance(error, IntegrityError):
        return "other bytes than were promised"
    return None


def plain_answer(text: str) -> str:
    """Return some text of a server without anything that could pass for more than one."""
    return _OTHER.sub("_", text[:_LONGEST]).lstrip(" :;,.+/_-") or "something"
