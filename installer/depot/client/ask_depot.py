"""Asking a depot for all that an installation will fetch, side by side, before a node does."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from bundle.base.errors import StepError, UnreachableError
from installer.depot.client.expected_content import Wanted
from installer.kubespray.inventory import url_of
from installer.site.document import DepotAddress

SECONDS: Final = 10.0
"""Longest wait for one answer: a depot of the same site answers in milliseconds."""

_SIDE_BY_SIDE: Final = 8
_DIGEST_HEADER: Final = "docker-content-digest"
"""The depot says it of whatever it has by digest, not of images alone."""


@dataclass(frozen=True, slots=True)
class Lack:
    """Something that a depot does not have as it must be.

    Attributes:
        wanted: What was asked for.
        found: What came instead, for a person.
    """

    wanted: Wanted
    found: str


def check_depot(depot: DepotAddress, ca: bytes, wanted: Sequence[Wanted]) -> int:
    """Ask a depot for everything; only headers come back.

    Args:
        depot: Where nodes reach it.
        ca: The site's CA, PEM; nothing else is trusted.
        wanted: What it must have.
    Returns:
        How many questions it answered well.
    Raises:
        UnreachableError: It does not answer, or not with a certificate by the site's CA.
        StepError: It lacks something; the error names the first, and says how many there are.
    """
    url = url_of(depot)
    trust = ssl.create_default_context(cadata=ca.decode("ascii"))
    _probe(depot, url, trust)
    parts = [wanted[start::_SIDE_BY_SIDE] for start in range(_SIDE_BY_SIDE)]
    with ThreadPoolExecutor(max_workers=_SIDE_BY_SIDE) as pool:
        asked = [pool.submit(_ask_all, depot, trust, part) for part in parts if part]
        try:
            lacks = {lack.wanted: lack for part in asked for lack in part.result()}
        except (OSError, http.client.HTTPException) as error:
            raise _silent(url, error) from error
    # In the order in which things are wanted, so that the same lack is always named first.
    missing = [lacks[item] for item in wanted if item in lacks]
    if missing:
        first = missing[0]
        raise StepError(
            f"{url}: expected {first.wanted.what} with {first.wanted.digest or 'any content'}, "
            f"found {first.found}; the depot lacks {len(missing)} of {len(wanted)}",
            f"Import the bundle there: isoward import MEDIUM. Asked for: {first.wanted.path}",
            {"depot": url, "path": first.wanted.path, "missing": len(missing)},
        )
    return len(wanted)


def answers(depot: DepotAddress, ca: bytes) -> bool:
    """Say whether a depot answers with a certificate by this CA."""
    try:
        _probe(depot, url_of(depot), ssl.create_default_context(cadata=ca.decode("ascii")))
    except UnreachableError:
        return False
    return True


def _probe(depot: DepotAddress, url: str, trust: ssl.SSLContext) -> None:
    try:
        lacks = _ask_all(depot, trust, [Wanted("the registry", "/v2/")])
    except (OSError, http.client.HTTPException) as error:
        raise _silent(url, error) from error
    if lacks:
        raise UnreachableError(
            f"{url}: expected a depot, found a server that answers {lacks[0].found}",
            "Check depot: in the site file.",
            {"depot": url},
        )


def _ask_all(depot: DepotAddress, trust: ssl.SSLContext, wanted: Sequence[Wanted]) -> list[Lack]:
    """Ask over one connection; raises what that raises."""
    connection = http.client.HTTPSConnection(
        depot.address, depot.port, timeout=SECONDS, context=trust
    )
    lacks: list[Lack] = []
    try:
        for item in wanted:
            found = _ask(connection, item)
            if found:
                lacks.append(Lack(item, found))
    finally:
        connection.close()
    return lacks


def _ask(connection: http.client.HTTPSConnection, wanted: Wanted) -> str:
    """Ask one question; return what was found instead of it, or nothing."""
    connection.request("HEAD", wanted.path)
    reply = connection.getresponse()
    reply.read()
    if reply.status != HTTPStatus.OK:
        return f"HTTP status {reply.status}"
    digest, size = reply.headers[_DIGEST_HEADER], reply.headers["content-length"]
    if wanted.digest and digest != wanted.digest:
        # A newer bundle of the depot may give the name to something else.
        return f"{(digest or 'no digest')[:80]}"
    if wanted.size is not None and size != str(wanted.size):
        return f"{(size or 'no')[:20]} bytes where {wanted.size} belong"
    return ""


def _silent(url: str, error: Exception) -> UnreachableError:
    if isinstance(error, ssl.SSLError):
        why = getattr(error, "verify_message", "") or error.reason or str(error)
        return UnreachableError(
            f"{url}: expected a certificate by the site's CA, found another ({why})",
            "Is depot: in the site file the name that the certificate has (isoward serve --name), "
            "and is --ca the CA of this depot?",
            {"depot": url},
        )
    return UnreachableError(
        f"{url}: nothing answers as a depot ({getattr(error, 'strerror', None) or error})",
        "Run `isoward serve` on that machine, and check the address and port.",
        {"depot": url},
    )
