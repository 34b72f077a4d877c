"""Queries of publishers' addresses: what is needed to fetch, and what must not be written down.

A lock is in Git and is shown to people; the address of a chart or a wheel may hold a signature
that lets its bearer in, or a token.
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
"""Of storage services; all that they sign with belongs together."""

_COMPANIONS: Final = frozenset(
    {"awsaccesskeyid", "expires", "googleaccessid", "keypairid", "ossaccesskeyid", "policy",
     "se", "si", "sip", "ske", "skoid", "sks", "skt", "sktid", "skv", "sp", "spr", "sr", "st", "sv",
     "exp", "expiry"}
)  # fmt: skip
"""What says nothing without the signature beside it."""

_SECRET: Final = re.compile(
    r"token|signature|secret|passw|passphrase|credential|jwt|hmac|session|apikey|accesskey|"
    r"privatekey|authkey|auth(?!or)|bearer|login"
)
_SHORT: Final = frozenset({"hdnea", "hdnts", "pass", "pat", "pw", "pwd", "sas", "sig", "sign"})
_MAYBE: Final = frozenset({"code", "h", "k", "key", "s", "t", "user", "username", "verify"})
"""Names of much else, too; then the value decides."""

_CHOSEN: Final = re.compile(r"[0-9]*|[A-Za-z]{0,12}|.*[./ ].*")
"""Values that a person chose: a number, a word, a path or a version."""

_JWT: Final = re.compile(r"eyJ[A-Za-z0-9_-]+\.")
_OPAQUE: Final = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9+/=_~-]{32,}")
_HEX: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128}")
_DIGESTS: Final = re.compile(r"sha|md5|digest|checksum|hash|commit|ref|rev|etag|version|id")


def without_secrets(url: str) -> str:
    """Return an address without those parts of its query that look like a secret."""
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
    """Return an address for a message: without its query and without a user and a password."""
    return _LOGIN.sub("//", url.partition("?")[0][:_MAX_SHOWN])


def concealed(text: str) -> str:
    """Return a text that somebody typed for a message: what in an address lets in is left out."""
    return _QUERY_IN_TEXT.sub(r"\1?...", _LOGIN_IN_TEXT.sub("//...@", text))


def beside(url: str, suffix: str) -> str:
    """Return the address of a file beside another one, which has a suffix to its name."""
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
    # A bare word, or one of any name, that nobody chose.
    return bool(_OPAQUE.fullmatch(value or name))


def _goes_with(part: str) -> bool:
    name = unquote_plus(part.partition("=")[0])
    return re.sub(r"[^a-z0-9]", "", name.lower()) in _COMPANIONS
