"""What a registry's refusal means, in words for whoever pushes.

Source: OCI distribution-spec, "Error Codes"; the answers of Harbor, distribution and Artifactory.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import requests

from bundle.base.errors import AuthenticationError, TransportError, TransportRefusedError
from bundle.base.plain import visible

_SHOWN: Final = 300
"""Characters of a registry's own words."""
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_NOT_ALLOWED: Final = 405
_PRECONDITION: Final = 412
_TOO_LARGE: Final = 413
_UNSUPPORTED: Final = 415
_TOO_MANY: Final = 429
_SERVER: Final = 500
_BAD_REQUEST: Final = 400
_STORAGE: Final = 507
_MEDIA_CODES: Final = frozenset({"MANIFEST_INVALID", "UNSUPPORTED"})


KIND: Final = {"refused": "media-type"}
"""The context of an error that says: the registry takes no manifests of this kind."""


def said_by(data: bytes) -> tuple[frozenset[str], str]:
    """Read the codes and the words of a registry's answer, bounded and fit to be shown."""
    try:
        found: Any = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return frozenset(), ""
    errors = found.get("errors") if isinstance(found, dict) else None
    entries = [e for e in errors if isinstance(e, dict)] if isinstance(errors, list) else []
    codes = frozenset(str(entry.get("code", ""))[:60] for entry in entries)
    words = "; ".join(
        str(entry[name])
        for entry in entries[:3]
        for name in ("message", "detail")
        if isinstance(entry.get(name), str) and entry[name]
    )
    return codes, visible(words[:_SHOWN])


def refusal(status: int, data: bytes, what: str) -> TransportError:
    """Turn an answer that is no success into an error.

    Args:
        status: Of HTTP.
        data: Its body, bounded.
        what: What was to be pushed or asked, with the registry, for the message.
    """
    codes, words = said_by(data)
    message = f"{what}: the registry answered {status}{f' ({words})' if words else ''}"
    if status == _UNAUTHORIZED:
        return AuthenticationError(message, "Log in again with `docker login`.")
    if status == _STORAGE or (status >= _SERVER and "no space" in words.lower()):
        return TransportRefusedError(message, "The registry's disk is full; free some space there.")
    if status == _TOO_MANY or status >= _SERVER:
        return TransportError(message, "Run the same command again; it goes on where it was.")
    if status in {_UNSUPPORTED, _BAD_REQUEST} and (status == _UNSUPPORTED or codes & _MEDIA_CODES):
        return TransportRefusedError(message, "It takes no content of this kind.", KIND)
    return TransportRefusedError(message, _advice(status, codes, words.lower()))


def _advice(status: int, codes: frozenset[str], words: str) -> str:
    """Return what to do; what the words say goes before what the status does."""
    advice = (
        (
            "quota" in words or "exceed" in words,
            "The project's quota is used up; raise it or free some space there.",
        ),
        (
            status == _NOT_ALLOWED or "read only" in words or "read-only" in words,
            "The registry is read-only at the moment; its administrator can change that.",
        ),
        (
            status == _PRECONDITION or "immutable" in words,
            "A rule of the registry keeps this tag as it is; its administrator can change that.",
        ),
        (
            status == _TOO_LARGE,
            "A proxy before the registry limits uploads; let client_max_body_size be 0 there.",
        ),
        (
            status == _FORBIDDEN or "DENIED" in codes,
            "The user may not push there; ask the registry's administrator for the permission.",
        ),
        (
            status == _NOT_FOUND,
            "Is there such a project? In Harbor and Artifactory they are made by hand, first.",
        ),
    )
    found = (text for applies, text in advice if applies)
    return next(found, "Ask the registry's administrator, with the message.")


def unreached(what: str, error: requests.RequestException) -> TransportError:
    """Turn an error of the connection into one of ours.

    Args:
        what: What was to be pushed or asked, with the registry.
        error: Its words are a library's; what it is decides.
    """
    cause = next((e for e in _causes(error) if isinstance(e, ssl.SSLError)), None)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return TransportRefusedError(
            f"{what}: the registry's certificate is not trusted ({cause.verify_message})",
            "Put its CA where docker has it, /etc/docker/certs.d/<registry>/ca.crt, or give --ca.",
        )
    if isinstance(cause, ssl.SSLError) and "WRONG_VERSION" in (cause.reason or ""):
        return TransportRefusedError(
            f"{what}: what answers there does not speak TLS",
            "Is the port right? Plain HTTP is for a registry on this machine: --to http://...",
        )
    why = "it fell silent" if isinstance(error, requests.Timeout) else "the connection broke"
    if isinstance(error, requests.ConnectTimeout):
        why = "connecting took too long"
    elif any(isinstance(e, ConnectionRefusedError | socket.gaierror) for e in _causes(error)):
        why = "there is no such host, or nothing listens there"
    return TransportError(f"{what}: {why}", "Run the same command again to go on where it was.")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and what it wraps in whichever way."""
    seen: BaseException | None = error
    for _ in range(20):
        if seen is None:
            return
        yield seen
        inner = next((arg for arg in seen.args if isinstance(arg, BaseException)), None)
        reason = getattr(seen, "reason", None)
        inner = inner or (reason if isinstance(reason, BaseException) else None)
        seen = inner or seen.__cause__ or seen.__context__
