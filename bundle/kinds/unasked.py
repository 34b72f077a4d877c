"""Where a registry did not say whether there is something: neither what it has nor "not found".

A registry that answers 403, or with a page for a browser, has perhaps signatures of an image and
perhaps none. Where a rule demands one that is an error; elsewhere it is written down, so that
approvers see it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal

from bundle.base.documents import Document
from bundle.base.patterns import formed

Place = Literal["referrers", "fallback-tag", "sig", "att", "sbom", "referrer"]
Answer = Annotated[
    str,
    formed(
        r"^[A-Za-z0-9][A-Za-z0-9 :;,.+/_-]{0,199}$(?!\n)",
        "what a registry answered, in plain letters",
        "403",
        "200 with text/html",
        max_length=200,
    ),
]
_PLACES: Final[Mapping[Place, str]] = {
    "referrers": "the referrers API",
    "fallback-tag": "the tag of the list of referrers",
    "sig": "cosign's tag .sig",
    "att": "cosign's tag .att",
    "sbom": "cosign's tag .sbom",
    "referrer": "a listed referrer",
}

_SHOWN: Final = 6


class Unasked(Document, frozen=True, kw_only=True):
    """A place where signatures may be, and what the registry answered there."""

    place: Place
    answer: Answer
    """Such as `403`, `200 with text/html` or `sent on to login.example.org`."""


def describe_unasked(places: Sequence[Unasked]) -> str:
    """Say where could not be asked, and why, on one line."""
    said = [f"{_PLACES[place.place]} could not be asked: {place.answer}" for place in places]
    more = f"; and {len(said) - _SHOWN} more" if len(said) > _SHOWN else ""
    return "; ".join(said[:_SHOWN]) + more
