"""What the attestations of a bundle say, once they are verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bundle.model.changes import Changes
from bundle.model.predicates import Reviewed
from bundle.model.provenance import Provenance


@dataclass(frozen=True, slots=True)
class ApprovalRecord:
    """Who approved, by which ticket, and when they say they did.

    Attributes:
        name: The approver, as the root names them.
        key_id: Of the approver's key.
        ticket: Where the decision was taken.
        time: By the approver's own clock.
        reviewed: What they were shown.
    """

    name: str
    key_id: str
    ticket: str
    time: datetime
    reviewed: Reviewed


@dataclass(frozen=True, slots=True)
class BuilderRecord:
    """What the build system says.

    Attributes:
        name: Its holder, as the root names it.
        key_id: Of its key.
        provenance: How the bundle was built.
        changes: What changed since the release before.
        statements: The digests of both statements, which approvers name.
    """

    name: str
    key_id: str
    provenance: Provenance
    changes: Changes
    statements: Reviewed


@dataclass(frozen=True, slots=True)
class Attestations:
    """The attestations of a verified bundle.

    Attributes:
        builder: What the build system says.
        approvals: One of each approver, sorted by name.
        files: The files, by path in the bundle.
    """

    builder: BuilderRecord
    approvals: tuple[ApprovalRecord, ...]
    files: Mapping[str, bytes] = field(repr=False)
