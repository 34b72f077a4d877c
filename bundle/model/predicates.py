"""What an approver attests, and the ticket that each approval must name."""

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

    With these the approvers vouch for the build system's statements, so that an attacker who
    takes it over later cannot replace them.
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
    """Describe what is wrong with a ticket; empty if nothing is."""
    if not ticket.strip():
        return "it is empty"
    if len(ticket) > MAX_TICKET_LENGTH:
        return f"it has {len(ticket)} characters; at most {MAX_TICKET_LENGTH} are allowed"
    if ticket != ticket.strip() or not ticket.isprintable():
        return "it has surrounding spaces or unprintable characters"
    return ""
