"""What signed times reveal about this machine's clock, checked before anything is recorded.

A clock can be years behind (a dead battery) or ahead (a mistyped year). Everything signed was
signed before it arrived here, so a clock behind that is wrong; one that was ahead is noticed once
it is corrected, and two people then lower the recorded time (`isoward recover`).

Source: docs/FORMAT.md, "Clocks".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Timestamp

from bundle.base.errors import ClockError
from bundle.trust.attestations.attested import Attestations
from bundle.trust.keys.terms import CLOCK_TOLERANCE, MAX_ROOT_LIFETIME_DAYS, TIMESTAMP_LIFETIME
from bundle.trust.metadata.release_chain import Documents, check_lifetimes
from bundle.trust.site.state import TrustState

SIGNED_TOLERANCE: Final = timedelta(days=1)
"""How far signers' clocks may be ahead: a laptop whose time zone is wrong is hours off."""

SET_CLOCK: Final = "Correct the clock (`date -u` shows it in UTC), then run the command again."


def signed_not_before(root: Root | None, timestamp: Timestamp | None) -> datetime:
    """Return the earliest moment at which a release can have been signed.

    Args:
        root: Its newest root, if that is known; its expiry is at most ten years after its signing.
        timestamp: Its timestamp metadata, which lives at most for `TIMESTAMP_LIFETIME`.
    Returns:
        In UTC; the beginning of time if neither is known.
    """
    moments = [datetime(1970, 1, 1, tzinfo=UTC)]
    if root is not None:
        moments.append(root.expires - timedelta(days=MAX_ROOT_LIFETIME_DAYS))
    if timestamp is not None:
        moments.append(timestamp.expires - TIMESTAMP_LIFETIME)
    return max(moments)


def check_signed(now: datetime, signed: datetime, what: str) -> None:
    """Check that the clock is not earlier than what was signed.

    Args:
        now: The clock, in UTC.
        signed: When `what` was signed, at the earliest.
        what: For the message, such as `the approval of release 3`.
    Raises:
        ClockError: It is.
    """
    if now < signed - SIGNED_TOLERANCE:
        raise ClockError(
            f"this machine's clock says {now:%Y-%m-%d %H:%M} UTC, but {what} was signed on "
            f"{signed:%Y-%m-%d} or later",
            SET_CLOCK,
        )


def latest_known(states: Iterable[TrustState]) -> datetime | None:
    """Return the latest moment that a site knows to be past; None if it has enrolled nothing.

    Args:
        states: What the site has seen.
    """
    moments = [max(state.last_seen, signed_time_of(state)) for state in states]
    return max(moments, default=None)


def signed_time_of(state: TrustState) -> datetime:
    """Return the moment after which the newest release that a site has seen was signed."""
    if not state.timestamp:
        return signed_not_before(None, None)
    try:
        metadata: Metadata[Any] = Metadata.from_bytes(state.timestamp.encode())
    except RepositoryError:
        return signed_not_before(None, None)
    return signed_not_before(None, metadata.signed)


def is_ahead(state: TrustState, now: datetime) -> bool:
    """Return whether a site has seen a clock that was later than `now`, beyond the tolerance."""
    return state.last_seen > now + CLOCK_TOLERANCE


def check_signed_times(
    documents: Documents, root: Root, attestations: Attestations, now: datetime
) -> None:
    """Check the clock against what was signed; of the approvers' clocks the earliest counts.

    Raises:
        ClockError: It is earlier.
        LifetimeError: It is not, and the build system signed for too long.
    """
    what = f"release {documents.targets.signed.version}"
    approved = min((given.time for given in attestations.approvals), default=now)
    check_signed(now, signed_not_before(root, None), what)
    check_signed(now, approved, f"the approval of {what}")
    # By a clock that people's signatures bear out, a date that is too far is the build system's.
    check_lifetimes(documents, now)
    check_signed(now, signed_not_before(root, documents.timestamp.signed), what)
