"""The depot's log: a client writes no line of it, and no part of its own line but the path."""

from __future__ import annotations

import logging
import logging.config
import re
import sys
from typing import Any

import pytest

from installer.serving.server import _ACCESS_FORMAT, _LOGGING

_SAID: dict[str, Any] = {
    "time": "2026-01-01 12:00:00 +0000",
    "addr": "10.0.0.9",
    "method": "GET",
    "status": 404,
    "dt_ms": 0.25,
}


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines that granian's and our loggers write, by the very settings of the server."""
    written: list[str] = []

    class Stream:
        def write(self, text: str) -> None:
            written.append(text)

        def flush(self) -> None:
            """Do nothing."""

    monkeypatch.setattr(sys, "stderr", Stream())
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False, **_LOGGING})
    return written


@pytest.mark.parametrize(
    "path",
    [
        '/v2/\n2026-01-01 12:00:00 +0000 10.0.0.1 "GET /v2/" 200 0.1 ms',
        '/v2/" 200 0.1 ms',
        "/\x1b]0;owned\x07\x9b2J\u202e\u2028",
        "/%0a%1b",
        "/\udc80",
    ],
)
def test_a_request_is_one_line_with_one_status(log: list[str], path: str) -> None:
    for logger in (logging.getLogger(), logging.getLogger("granian.access")):
        # Not to pytest's own log, whose report cannot carry what is no text.
        for handler in logger.handlers[:]:
            if "pytest" in type(handler).__module__:
                logger.removeHandler(handler)
    logging.getLogger("granian.access").info(_ACCESS_FORMAT, {**_SAID, "path": path})
    (line,) = "".join(log).splitlines()
    assert line.isascii()
    assert line.isprintable()
    found = re.fullmatch(r'\S+ \S+ \S+ 10\.0\.0\.9 "GET ([^" ]*)" 404 0\.2 ms', line)
    assert found, line


def test_an_ordinary_path_is_as_the_client_sent_it(log: list[str]) -> None:
    path = "/v2/library/redis/manifests/sha256:0123"
    logging.getLogger("granian.access").info(_ACCESS_FORMAT, {**_SAID, "path": path})
    assert f'"GET {path}" 404' in log[0]


@pytest.mark.parametrize("name", ["_granian", "isoward.depot"])
def test_what_a_library_logs_is_one_line(log: list[str], name: str) -> None:
    try:
        raise ValueError("gone\nisoward: all is well\x1b[2J")
    except ValueError:
        logging.getLogger(name).exception("TLS name %s", "a\nisoward: all is well\x1b[2J")
    first, *others = "".join(log).splitlines()
    assert first == "isoward: ERROR: TLS name a\\nisoward: all is well\\x1b[2J"
    assert others
    assert all(line.startswith("  | ") for line in others)
    assert "\x1b" not in "".join(log)
