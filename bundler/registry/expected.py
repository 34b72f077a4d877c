"""What an answer of a registry or a web server must be to be used, and the error if it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bundle.base.digest import digest_of, is_digest
from bundle.base.errors import (
    AuthenticationError,
    DigestMismatchError,
    FormatError,
    NotFoundError,
    TransportError,
    TransportRefusedError,
)
from bundle.base.oci import OCI_INDEX, OciIndex, parse_oci
from bundle.base.reference import Reference
from bundler.registry.hosts import Url
from bundler.registry.response import Answer, Response

_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """A manifest or an index.

    Attributes:
        data: At most MAX_OCI_MANIFEST_BYTES, of this digest.
        media_type: From Content-Type, without parameters; the server's word only.
        digest: Computed from `data`.
    """

    data: bytes
    media_type: str
    digest: str


def checked(answer: Answer, reference: Reference) -> FetchedManifest:
    """Return a manifest whose bytes are those that its digest promises.

    Raises:
        DigestMismatchError: They are not.
    """
    found = digest_of(answer.data)
    said = answer.headers.get("Docker-Content-Digest", "")
    expected = reference.digest or (said if is_digest(said) else found)
    if found != expected:
        raise DigestMismatchError(
            f"{reference}: expected {expected}, found {found}",
            "The registry or something in between changed the manifest; do not use it.",
            {"reference": str(reference), "expected": expected, "found": found},
        )
    media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    return FetchedManifest(answer.data, media_type, found)


def referrer_list(answer: Answer, where: str) -> OciIndex:
    """Read one page of a list of referrers, whatever its Content-Type says.

    Raises:
        FormatError: It is no such list; the context has what it is.
    """
    try:
        listed = parse_oci(answer.data, OCI_INDEX, where)
    except FormatError as error:
        media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        what = f"with {media_type or 'no content type'}" if answer.data else "without content"
        said = f"{answer.status} {what}"
        raise FormatError(
            f"{error.message}; the registry answered {said}",
            "It has no referrers API, or a proxy in front of it answered; ask its operator.",
            {"answer": said},
        ) from error
    return listed if isinstance(listed, OciIndex) else OciIndex(schema_version=2)


def expect(answer: Answer | Response, host: str, *statuses: int) -> None:
    """Refuse an answer of another status, closing it.

    Raises:
        AuthenticationError: It says that we may not.
        TransportRefusedError: It says anything else.
    """
    status = answer.status
    if status in statuses:
        return
    answer.close()
    if status in {_UNAUTHORIZED, _FORBIDDEN}:
        raise AuthenticationError(
            f"{answer.url.shown}: the server forbids it (status {status})",
            f"Log in with `docker login {host}` as a user with pull permission.",
            {"host": host, "status": status},
        )
    raise TransportRefusedError(
        f"{answer.url.shown}: the server answered {status}",
        "Check the address; running again will not help.",
        {"host": host, "status": status},
    )


def no_file(url: Url) -> TransportError:
    """Return the error for a file that a server does not have."""
    return NotFoundError(
        f"{url.shown}: the server has no such file", "Check the address.", {"host": url.key}
    )
