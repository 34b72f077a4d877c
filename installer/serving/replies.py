"""Replies that say what is wrong, as the registry's specification has them."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any, Final

from installer.serving.http import Reply, json_reply

API_HEADERS: Final = {"docker-distribution-api-version": "registry/2.0"}
_OF_THE_MOMENT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_AGAIN_SECONDS: Final = 5


def error_reply(
    status: int, code: str, message: str, detail: Any = None, extra: Mapping[str, str] | None = None
) -> Reply:
    """Make an error reply."""
    error: dict[str, Any] = {"code": code, "message": message}
    if detail is not None:
        error["detail"] = detail
    return json_reply(status, {"errors": [error]}, {**API_HEADERS, **(extra or {})})


def broken_reply(digest: str) -> Reply:
    """Say that the depot has a blob and cannot give it."""
    message = (
        "the depot's copy is damaged or cannot be read; its log says how, and an import restores it"
    )
    return error_reply(500, "UNKNOWN", message, {"digest": digest})


def unopened_reply(digest: str, error: OSError) -> Reply:
    """Say that a blob could not be opened, and whether that may be better in a moment."""
    if error.errno not in _OF_THE_MOMENT:
        return broken_reply(digest)
    extra = {"retry-after": str(_AGAIN_SECONDS)}
    message = "the depot has too many files open; try again"
    return error_reply(503, "UNAVAILABLE", message, detail={"digest": digest}, extra=extra)
