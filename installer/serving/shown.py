"""The certificate that the depot shows: kept in memory, watched, and taken anew when asked to."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from bundle.base.errors import IsowardError
from installer.serving.content import logger
from installer.serving.tls.certificate import Clock, Identity
from installer.serving.tls.held import HeldPair

SOON: Final = dt.timedelta(days=30)
"""A certificate with less time than this is warned of every day."""
_LOOK_SECONDS: Final = 3600.0
_DAY: Final = dt.timedelta(days=1)
_HOW: Final = (
    "put the new one in its place, then send SIGHUP to `isoward serve` "
    "(systemctl reload isoward-depot)"
)

Source = Callable[[], tuple[Identity, HeldPair]]


@dataclass(frozen=True, slots=True)
class Expiry:
    """When a certificate ends, for whoever asks.

    Attributes:
        expires: The first end in the chain.
        days: Whole days that are left; negative after the end.
        state: In a word.
    """

    expires: dt.datetime
    days: int
    state: Literal["ok", "soon", "expired"]


def expiry_of(expires: dt.datetime, now: dt.datetime) -> Expiry:
    """Judge the end of a certificate."""
    left = expires - now
    state: Literal["ok", "soon", "expired"] = "ok"
    if left <= dt.timedelta(0):
        state = "expired"
    elif left < SOON:
        state = "soon"
    return Expiry(expires, left.days, state)


class ShownIdentity:
    """What workers show."""

    def __init__(self, source: Source, clock: Clock) -> None:
        """Take the first one.

        Args:
            source: Checks and returns the certificate that there is; raises an IsowardError.
            clock: UTC.
        """
        self._source = source
        self._clock = clock
        self._said: dt.datetime | None = None
        self.identity, self._pair = source()

    @property
    def certificate(self) -> Path:
        """Where a process of ours reads the chain."""
        return self._pair.certificate

    @property
    def key(self) -> Path:
        """Where a process of ours reads the key."""
        return self._pair.key

    def renew(self) -> tuple[Path, Path] | None:
        """Take the certificate that there is now, if it holds; return where it is."""
        try:
            found, pair = self._source()
        except IsowardError as error:
            logger.error("the certificate was not replaced: %s", error)
            return None
        # Workers that show the former one have read it by now.
        self._pair.close()
        self.identity, self._pair = found, pair
        self._said = None
        until = f"{found.expires:%Y-%m-%d %H:%M} UTC"
        logger.info("the certificate was replaced: sha256 %s until %s", found.leaf, until)
        return self.certificate, self.key

    def watch(self, reload: Callable[[], None]) -> None:
        """Say every day when the end is near, and ask for another if it is ours to make."""
        threading.Thread(target=self._watch, args=(reload, threading.Event()), daemon=True).start()

    def _watch(self, reload: Callable[[], None], never: threading.Event) -> None:
        while True:
            self.look(reload)
            never.wait(_LOOK_SECONDS)

    def look(self, reload: Callable[[], None]) -> None:
        """Look at the certificate once."""
        now = self._clock()
        expiry = expiry_of(self.identity.expires, now)
        if expiry.state == "ok" or (self._said is not None and now - self._said < _DAY):
            return
        self._said = now
        end = f"{expiry.expires:%Y-%m-%d %H:%M} UTC"
        if self.identity.ca is not None:
            logger.warning("the certificate ends on %s: making a new one", end)
            reload()
        elif expiry.state == "expired":
            logger.error("the certificate ended on %s: no node trusts the depot; %s", end, _HOW)
        else:
            logger.warning("the certificate ends on %s, in %d days; %s", end, expiry.days, _HOW)
