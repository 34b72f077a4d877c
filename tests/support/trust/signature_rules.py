"""Signature rules for content that nobody signed: waived, as a definition must say."""

from __future__ import annotations

from msgspec.structs import replace

from bundle.kinds.policy import SignatureRule, UnsignedRule, VerifiedBy
from bundle.model.lock import Lock

WAIVE_ALL_YAML = """\
signatures:
  - images: ["**"]
    unsigned:
      reason: made by the tests themselves
      approvedBy: Test Author
      ticket: TEST-1
      expires: "2099-12-31"
"""
"""Ends a definition."""

WAIVE_ALL = SignatureRule(
    images=("**",),
    unsigned=UnsignedRule(
        reason="made by the tests themselves",
        approved_by="Test Author",
        ticket="TEST-1",
        expires="2099-12-31",
    ),
)
WAIVED = VerifiedBy(
    rule=0, method="unsigned", signer="Test Author", ticket="TEST-1", expires="2099-12-31"
)


def waive_all(lock: Lock) -> Lock:
    """Return a lock whose images are waived, as if it had been resolved with that rule."""
    images = tuple(replace(image, verified=(WAIVED,)) for image in lock.images)
    return replace(lock, images=images, signatures=(WAIVE_ALL,))
