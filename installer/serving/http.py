"""Requests and replies as values, and the parts of RFC 9110 that serving content needs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

MAX_TARGET_CHARS: Final = 8192
"""Path and query of a request; the longest that a client needs is near 1,000."""

MAX_QUERY_FIELDS: Final = 32
"""Fields of a query; none of ours takes more than three."""

_RANGE: Final = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})")
_HOST: Final = re.compile(
    r"(?:[A-Za-z0-9._~!$&'()*+;=%-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?"
)
_OLD_HTTP: Final = ("1", "1.0")
_SECURITY: Final = (
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'; sandbox"),
    ("referrer-policy", "no-referrer"),
)


class Headers(Protocol):
    """A request's headers; names in lower case."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return a header's value, or `default`."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request; all of it is untrusted.

    Attributes:
        method: As sent.
        path: Percent-decoded once.
        query: As sent.
        headers: By lower-case name.
    """

    method: str
    path: str
    query: str
    headers: Headers

    def header(self, name: str) -> str:
        """Return a header's value, or an empty string."""
        return str(self.headers.get(name) or "")

    def fields(self) -> dict[str, str]:
        """Return the query's fields; the first of a name counts.

        Raises:
            ValueError: There are too many.
        """
        fields: dict[str, str] = {}
        pairs = parse_qsl(self.query, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
        for name, value in pairs:
            fields.setdefault(name, value)
        return fields


@dataclass(frozen=True, slots=True)
class FileBody:
    """A part of a file, sent by the server without passing through Python.

    Attributes:
        path: On disk.
        start: First byte.
        end: One past the last byte.
        whole: Whether that is all of it.
    """

    path: Path
    start: int
    end: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back: `file`, else `body`. For HEAD neither is sent."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    file: FileBody | None = None

    def header(self, name: str) -> str:
        """Return a header's value, or an empty string."""
        return next((value for key, value in self.headers if key == name), "")


def reply(
    status: int, body: bytes, content_type: str, extra: Mapping[str, str] | None = None
) -> Reply:
    """Make a reply from bytes in memory."""
    headers = {
        "content-type": content_type,
        "content-length": str(len(body)),
        **dict(_SECURITY),
        **(extra or {}),
    }
    return Reply(status, tuple(headers.items()), body)


def json_reply(status: int, value: Any, extra: Mapping[str, str] | None = None) -> Reply:
    """Make a JSON reply."""
    return reply(status, _dump(value), "application/json", extra)


def text_reply(status: int, text: str, extra: Mapping[str, str] | None = None) -> Reply:
    """Make a reply of plain text."""
    return reply(status, text.encode(), "text/plain; charset=utf-8", extra)


def names_its_host(hosts: Sequence[str], version: str) -> bool:
    """Say whether a request names the host that it is for, as it must.

    A proxy in between may have read another Host of two than we would.

    Args:
        hosts: Every Host header.
        version: Of HTTP, in the request.
    Source: RFC 9112, section 3.2.
    """
    if not hosts:
        return version in _OLD_HTTP
    return len(hosts) == 1 and _HOST.fullmatch(hosts[0]) is not None


def file_reply(
    request: Request, path: Path, size: int, digest: str, headers: Mapping[str, str]
) -> Reply:
    """Make a reply of content on disk: conditional, or a range, or whole.

    Args:
        request: Its If-None-Match, If-Range and Range count.
        path: Of the blob; the caller has checked that it is there.
        size: Of the blob, in bytes.
        digest: Of the blob; it is also the entity tag.
        headers: Content-Type and whatever else belongs to the content.
    Source: RFC 9110, sections 13.1.2, 13.1.5 and 14.
    """
    tag = f'"{digest}"'
    common = {
        **dict(_SECURITY),
        "etag": tag,
        "accept-ranges": "bytes",
        "docker-content-digest": digest,
        **headers,
    }
    unchanged = not_modified(request, digest, common)
    if unchanged is not None:
        return unchanged
    wanted = _wanted_range(request, size, tag)
    if wanted is None:
        common["content-length"] = str(size)
        return Reply(200, tuple(common.items()), file=FileBody(path, 0, size, whole=True))
    start, end = wanted
    if start >= end:
        extra = {"content-range": f"bytes */{size}", "accept-ranges": "bytes"}
        return text_reply(416, f"the content has {size} bytes\n", extra)
    common["content-length"] = str(end - start)
    common["content-range"] = f"bytes {start}-{end - 1}/{size}"
    return Reply(206, tuple(common.items()), file=FileBody(path, start, end, whole=False))


def not_modified(request: Request, digest: str, headers: Mapping[str, str]) -> Reply | None:
    """Make a 304 if the client has this content already; the comparison is the weak one."""
    offered = (part.strip() for part in request.header("if-none-match").split(","))
    if not any(part.removeprefix("W/") in {f'"{digest}"', "*"} for part in offered):
        return None
    kept = {name: value for name, value in headers.items() if name != "content-type"}
    return Reply(304, tuple(kept.items()))


def _wanted_range(request: Request, size: int, tag: str) -> tuple[int, int] | None:
    """Return [start, end) of a single range, an empty one if unsatisfiable, None for all of it.

    A malformed or multiple range is ignored, which RFC 9110 section 14.2 allows, as is any range
    of another method than GET.
    """
    match = _RANGE.fullmatch(request.header("range").strip())
    condition = request.header("if-range").strip()
    if match is None or request.method != "GET" or (condition and condition != tag):
        return None
    first, last = match.groups()
    if not first:
        # The last N bytes; of none there is nothing to send.
        return (max(0, size - int(last)), size) if last else None
    start = int(first)
    if last and int(last) < start:
        return None
    return start, min(int(last) + 1, size) if last else size


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
