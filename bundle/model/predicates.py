"""What an approver says in an attestation, and the ticket that each approval must name."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec

from bundle.base.digest import Digest
from bundle.base.documents import Document, line

MAX_TICKET_LENGTH: Final = 256
"""Characters of a ticket: one line on a page."""

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
ReleaseNumber = Annotated[int, msgspec.Meta(ge=1)]


class Reviewed(Document, frozen=True, kw_only=True):
    """What the approver was shown: the digests of the statements, without their signatures.

    By these the approvers vouch for what the build system said, so that whoever takes that over
    later cannot put another story in its place.
    """

    provenance: Digest
    changes: Digest


class Approval(Document, frozen=True, kw_only=True):
    """The predicate urn:isoward:approval:v1.

    Source: docs/FORMAT.md, "attestations/".
    """

    approver: Annotated[str, line(MAX_TICKET_LENGTH, 1)]
    ticket: Annotated[str, line(MAX_TICKET_LENGTH, 1)]
    time: Moment
    release: ReleaseNumber
    reviewed: Reviewed


def ticket_problem(ticket: str) -> str:
    """Say what is wrong with a ticket; an empty string if nothing is."""
    if not ticket.strip():
        return "it is empty"
    if len(ticket) > MAX_TICKET_LENGTH:
        return f"it has {len(ticket)} characters, and {MAX_TICKET_LENGTH} are allowed"
    if ticket != ticket.strip() or not ticket.isprintable():
        return "it has spaces around it, or characters that a terminal would not show"
    return ""
