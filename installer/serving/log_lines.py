"""The depot's log: a record is a line, whatever the client that it is about has sent."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from bundle.base.plain import visible

_OF_CLIENT: Final = ("method", "path", "query_string")
_SAFE: Final = "/:@!$&'()*+,;=~"
"""Of a path, besides letters and digits; a quote, a space or a per cent sign ends or fakes it."""


class LineFormatter(logging.Formatter):
    """Makes one line of a record, and marks the lines of a traceback as part of it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        first, *others = super().format(_one_line(record)).split("\n")
        return "\n".join([visible(first), *(f"  | {visible(line)}" for line in others)])


class AccessFormatter(LineFormatter):
    """Makes a line of a request; its path is as it stands in a URL, so that no part can be faked.

    Granian hands over what a request said as the record's one mapping.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        said = record.args
        if isinstance(said, Mapping):
            quoted = {
                key: quote(str(said[key]), safe=_SAFE, errors="surrogatepass")
                for key in _OF_CLIENT
                if key in said
            }
            record = _with_args(record, {**said, **quoted})
        return super().format(record)


def _one_line(record: logging.LogRecord) -> logging.LogRecord:
    copy = logging.makeLogRecord(record.__dict__)
    copy.msg, copy.args = visible(record.getMessage()), None
    return copy


def _with_args(record: logging.LogRecord, args: Mapping[str, Any]) -> logging.LogRecord:
    copy = logging.makeLogRecord(record.__dict__)
    copy.args = args
    return copy
