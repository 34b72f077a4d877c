"""What a person is about to sign, read from the exact bytes that are signed.

Pages for signers are made from these values, not from another parser's result, so that no signature
covers anything its signer was not shown. Unknown fields or forms cannot be shown completely, and
are not signed.

Source: TUF specification 1.0, section 4.3 "root.json" and 4.5 "targets.json".
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from securesystemslib.formats import encode_canonical

from bundle.base.digest import Hex64
from bundle.base.documents import Name, line
from bundle.base.errors import SignatureError
from bundle.base.patterns import formed, in_words
from bundle.base.plain import flaws_of_tree
from bundle.trust.keys.terms import NAME_FIELD, TARGET_NAME
from bundle.trust.metadata.restrictions import (
    PRODUCT_FIELD,
    REVOKED_FIELD,
    SITES_FIELD,
    RevokedRelease,
)

_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_Time = Annotated[
    str,
    formed(
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$(?!\n)",
        "a moment in UTC",
        "2027-01-31T12:00:00Z",
    ),
]
_Specification = Annotated[
    str, formed(r"^1\.0\.[0-9]{1,4}$(?!\n)", "a version 1.0 of TUF's specification", "1.0.31")
]
_Word = Annotated[
    str,
    formed(r"^[a-z0-9/-]{1,64}$(?!\n)", "lowercase letters, digits, '/' and '-'", "ed25519"),
]
_PublicValue = Annotated[
    str,
    formed(
        r"^[0-9A-Za-z+/= \n-]{1,8192}$(?!\n)", "a public key", "-----BEGIN PUBLIC KEY-----", "0a1b"
    ),
]
_Version = Annotated[int, msgspec.Meta(ge=1)]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A structure in which every field is known."""


class _Hashes(_Part, frozen=True):
    sha256: Hex64


class _Target(_Part, frozen=True):
    hashes: _Hashes
    length: Annotated[int, msgspec.Meta(ge=0)]


class _Targets(_Part, frozen=True, rename={"bundle": TARGET_NAME}):
    bundle: _Target


class SignedTargets(
    _Part,
    frozen=True,
    kw_only=True,
    rename={"type_": "_type", "sites": SITES_FIELD, "revoked": REVOKED_FIELD},
):
    """The signed part of targets.json: what an approver vouches for."""

    type_: Literal["targets"]
    spec_version: _Specification
    version: _Version
    expires: _Time
    targets: _Targets
    sites: tuple[Name, ...] = ()
    revoked: tuple[RevokedRelease, ...] = ()

    @property
    def ends(self) -> datetime:
        """When it expires, in UTC."""
        return _moment(self.expires)

    @property
    def digest(self) -> str:
        """Digest of bundle.json."""
        return f"sha256:{self.targets.bundle.hashes.sha256}"

    @property
    def length(self) -> int:
        """Size of bundle.json, in bytes."""
        return self.targets.bundle.length


class _Value(_Part, frozen=True):
    public: _PublicValue


class _Key(_Part, frozen=True, kw_only=True, rename={"name": NAME_FIELD}):
    keytype: _Word
    scheme: _Word
    keyval: _Value
    name: Annotated[str, line(512)]
    """Whose it is; `holder` says what a name may be."""


class _Role(_Part, frozen=True):
    keyids: tuple[Hex64, ...]
    threshold: Annotated[int, msgspec.Meta(ge=1)]


class _Roles(_Part, frozen=True):
    root: _Role
    snapshot: _Role
    targets: _Role
    timestamp: _Role


class SignedRoot(
    _Part, frozen=True, kw_only=True, rename={"type_": "_type", "product": PRODUCT_FIELD}
):
    """The signed part of a root: who may do what."""

    type_: Literal["root"]
    spec_version: _Specification
    version: _Version
    expires: _Time
    consistent_snapshot: bool
    keys: dict[Hex64, _Key]
    roles: _Roles
    product: Name | None = None


S = TypeVar("S", SignedTargets, SignedRoot)


def read_signed_targets(payload: bytes, where: str) -> SignedTargets:
    """Read the signed part of targets.json.

    Raises:
        SignatureError: It contains something that cannot be shown.
    """
    found = _read(payload, SignedTargets, where)
    _moment_of(found.expires, where)
    return found


def read_signed_root(payload: bytes, where: str) -> SignedRoot:
    """Read the signed part of a root.

    Raises:
        SignatureError: It contains something that cannot be shown.
    """
    found = _read(payload, SignedRoot, where)
    _moment_of(found.expires, where)
    return found


def _read(payload: bytes, kind: type[S], where: str) -> S:
    try:
        # TUF's canonical JSON has control characters in a text as they are, such as in a PEM.
        found = msgspec.convert(json.loads(payload, strict=False), kind, strict=True)
        again: Any = msgspec.to_builtins(found)
        whole = (encode_canonical(again) or "").encode() == payload
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _not_shown(where, in_words(str(error))) from error
    for place, flaw in flaws_of_tree(again):
        raise _not_shown(where, f"{place} contains {flaw}")
    if not whole:
        raise _not_shown(where, "it would be shown differently from how it is written")
    return found


def _moment(text: str) -> datetime:
    return datetime.strptime(text, _TIME).replace(tzinfo=UTC)


def _moment_of(text: str, where: str) -> None:
    try:
        _moment(text)
    except ValueError as error:
        raise _not_shown(where, f"{text} is not a valid time") from error


def _not_shown(where: str, why: str) -> SignatureError:
    return SignatureError(
        f"{where}: cannot show everything that would be signed: {why}",
        "Do not sign what cannot be shown. If a newer isoward built it, use that version.",
    )
