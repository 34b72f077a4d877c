"""Queries in publishers' addresses: which parts fetching needs, and which must not be stored.

A lock is kept in Git and shown to people; the address of a chart or a wheel may contain a token, or
a signature that grants access.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_plus

_LOGIN: Final = re.compile(r"//[^/]*@")
_LOGIN_IN_TEXT: Final = re.compile(r"//[^/\s?#]*@")
_QUERY_IN_TEXT: Final = re.compile(r"(://[^\s?]*)\?[^\s#]+")
_MAX_SHOWN: Final = 2048
_SIGNERS: Final = ("x-amz-", "x-goog-", "x-ms-", "x-oss-", "x-cos-", "x-obs-")
"""Of storage services; all the parameters that they sign with belong together."""

_COMPANIONS: Final = frozenset(
    {"awsaccesskeyid", "expires", "googleaccessid", "keypairid", "ossaccesskeyid", "policy",
     "se", "si", "sip", "ske", "skoid", "sks", "skt", "sktid", "skv", "sp", "spr", "sr", "st", "sv",
     "exp", "expiry"}
)  # fmt: skip
"""Parameters that mean nothing without the signature."""

_SECRET: Final = re.compile(
    r"token|signature|secret|passw|passphrase|credential|jwt|hmac|session|apikey|accesskey|"
    r"privatekey|authkey|auth(?!or)|bearer|login"
)
_SHORT: Final = frozenset({"hdnea", "hdnts", "pass", "pat", "pw", "pwd", "sas", "sig", "sign"})
_MAYBE: Final = frozenset({"code", "h", "k", "key", "s", "t", "user", "username", "verify"})
"""Ambiguous names; here the value decides."""

_CHOSEN: Final = re.compile(r"[0-9]*|[A-Za-z]{0,12}|.*[./ ].*")
"""Values that a person chose: a number, a word, a path or a version."""

_JWT: Final = re.compile(r"eyJ[A-Za-z0-9_-]+\.")
_OPAQUE: Final = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9+/=_~-]{32,}")
_HEX: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128}")
_DIGESTS: Final = re.compile(r"sha|md5|digest|checksum|hash|commit|ref|rev|etag|version|id")


def without_secrets(url: str) -> str:
    """Return an address without the query parameters that look like secrets."""
    plain, mark, query = url.partition("?")
    if not mark:
        return url
    parts = [part for part in re.split("[&;]", query) if part]
    secret = [part for part in parts if _is_secret(part)]
    if not secret:
        return url
    kept = [part for part in parts if part not in secret and not _goes_with(part)]
    return f"{plain}?{'&'.join(kept)}" if kept else plain


def shown_url(url: str) -> str:
    """Return an address for a message: without query, user name and password."""
    return _LOGIN.sub("//", url.partition("?")[0][:_MAX_SHOWN])


def concealed(text: str) -> str:
    """Return typed text for a message, with credentials in any address removed."""
    return _QUERY_IN_TEXT.sub(r"\1?...", _LOGIN_IN_TEXT.sub("//...@", text))


def beside(url: str, suffix: str) -> str:
    """Return the address of a neighboring file, whose name has a suffix appended."""
    plain, mark, query = url.partition("?")
    return f"{plain}{suffix}{mark}{query}"


def _is_secret(part: str) -> bool:
    name, _, value = (unquote_plus(side) for side in part.partition("="))
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    if name.lower().startswith(_SIGNERS) or plain in _SHORT or _SECRET.search(plain):
        return True
    if _JWT.match(value) or (plain in _MAYBE and not _CHOSEN.fullmatch(value)):
        return True
    if _HEX.fullmatch(value.lower()) and _DIGESTS.search(plain):
        return False
    # A bare word, or a value of any name, that no person chose.
    return bool(_OPAQUE.fullmatch(value or name))


def _goes_with(part: str) -> bool:
    name = unquote_plus(part.partition("=")[0])
    return re.sub(r"[^a-z0-9]", "", name.lower()) in _COMPANIONS
