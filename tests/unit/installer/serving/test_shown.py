"""When the depot's certificate ends, and who hears of it."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import logging
from pathlib import Path

import pytest

from bundle.base.errors import DefinitionError
from installer.serving.app import answer
from installer.serving.http import Request
from installer.serving.shown import ShownIdentity, expiry_of
from installer.serving.tls.certificate import Identity, made_identity
from installer.serving.tls.held import HeldPair, hold
from tests.support.sites.depot_site import Site

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


class _Clock:
    def __init__(self, now: dt.datetime) -> None:
        self.now = now

    def __call__(self) -> dt.datetime:
        return self.now


class _Source:
    """A certificate in a folder; of a site if there is no CA."""

    def __init__(self, folder: Path, *, ours: bool) -> None:
        self._made = made_identity(folder, ["depot.example"], lambda: NOW)
        self._ours = ours
        self.fails = False

    def __call__(self) -> tuple[Identity, HeldPair]:
        if self.fails:
            raise DefinitionError("site.pem: does not hold", "Give another.")
        made = self._made
        ca = made.ca if self._ours else None
        found = Identity(made.certificate, made.key, ca, made.fingerprint, made.leaf, made.expires)
        return found, hold(made.certificate, made.key)


@pytest.mark.parametrize(
    ("left", "days", "state"),
    [
        (400 * DAY, 400, "ok"),
        (30 * DAY, 30, "ok"),
        (30 * DAY - DAY / 24, 29, "soon"),
        (DAY / 24, 0, "soon"),
        (0 * DAY, 0, "expired"),
        (-DAY / 24, -1, "expired"),
    ],
)
def test_the_end_is_judged(left: dt.timedelta, days: int, state: str) -> None:
    found = expiry_of(NOW + left, NOW)
    assert (found.days, found.state) == (days, state)


@pytest.mark.parametrize(
    ("left", "status", "state"),
    [(100 * DAY, "ok", "ok"), (10 * DAY, "ok", "soon"), (-DAY, "degraded", "expired")],
)
def test_health_says_it(site: Site, left: dt.timedelta, status: str, state: str) -> None:
    request = Request("GET", "/healthz", "", {})
    made = asyncio.run(answer(site.live, request, expiry_of(NOW + left, NOW)))
    said = json.loads(made.body)
    assert said["status"] == status
    assert said["certificate"]["state"] == state
    assert said["certificate"]["days"] == left.days


def test_a_sites_certificate_is_warned_of_once_a_day(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, asked = _Clock(NOW), []
    shown = ShownIdentity(_Source(tmp_path, ours=False), clock)
    end = shown.identity.expires
    for moment, lines in [
        (end - 31 * DAY, 0),
        (end - 29 * DAY, 1),
        (end - 29 * DAY + DAY / 24, 1),
        (end - 28 * DAY, 2),
        (end + DAY, 3),
    ]:
        clock.now = moment
        shown.look(lambda: asked.append(1))
        assert len(caplog.records) == lines, moment
    assert not asked
    assert "in 29 days" in caplog.text
    assert caplog.records[-1].levelno == logging.ERROR
    assert "no node trusts the depot" in caplog.text


def test_our_own_certificate_is_made_anew_in_time(tmp_path: Path) -> None:
    clock, asked = _Clock(NOW), []
    shown = ShownIdentity(_Source(tmp_path, ours=True), clock)
    shown.look(lambda: asked.append(1))
    assert not asked
    clock.now = shown.identity.expires - 20 * DAY
    shown.look(lambda: asked.append(1))
    assert asked == [1]


def test_one_that_does_not_hold_leaves_the_former(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = _Source(tmp_path, ours=False)
    shown = ShownIdentity(source, _Clock(NOW))
    before = shown.certificate.read_bytes()
    source.fails = True
    assert shown.renew() is None
    assert "was not replaced: site.pem" in caplog.text
    source.fails = False
    found = shown.renew()
    assert found is not None
    assert found[0].read_bytes() == before
