"""A client of OCI registries and of plain web servers, pulling only.

Manifests are checked against their digest here. Blobs and files are not: their callers hash them
while writing.

Source: OCI distribution-spec v1.1, "Pull" and "Listing Referrers".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from bundle.base.errors import (
    FormatError,
    HostNotAllowedError,
    IsowardError,
    NotFoundError,
    TransportError,
)
from bundle.base.limits import MAX_OCI_MANIFEST_BYTES, MAX_REFERRERS
from bundle.base.oci import ACCEPT, OCI_INDEX, OciDescriptor
from bundle.base.reference import Reference
from bundle.registry.credentials import Credentials, NoCredentials
from bundler.registry.auth import Authenticator, refusal
from bundler.registry.config import SourceConfig
from bundler.registry.endpoints import Endpoint, Mirrors
from bundler.registry.expected import FetchedManifest, checked, expect, no_file, referrer_list
from bundler.registry.hosts import AllowList, Url, parse_url
from bundler.registry.links import next_link
from bundler.registry.response import Answer, Request, Response
from bundler.registry.stream import BytesStream, ContentStream
from bundler.registry.transport import ATTEMPTS, Transport

A = TypeVar("A", Answer, Response)
R = TypeVar("R")
_MAX_DIGITS: Final = 19
_FEW_ATTEMPTS: Final = 2
_OK: Final = 200
_PARTIAL: Final = 206
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_BAD_RANGE: Final = 416
_MAX_PAGES: Final = 100
_IDENTITY: Final = {"Accept-Encoding": "identity"}
_MANIFEST_HEADERS: Final = {"Accept": ", ".join(ACCEPT), **_IDENTITY}


def _say_nothing(_: str) -> None:
    return


@dataclass(frozen=True, slots=True)
class _Place:
    """Whose credentials are for an address, and how often it is asked."""

    host: str
    scope: str = ""
    attempts: int = ATTEMPTS

    @classmethod
    def of(cls, endpoint: Endpoint) -> _Place:
        return cls(endpoint.host, endpoint.scope, endpoint.attempts)


class RegistryClient:
    """Pulls from registries; safe to use from several threads."""

    def __init__(
        self,
        transport: Transport,
        credentials: Credentials | None = None,
        note: Callable[[str], None] = _say_nothing,
    ) -> None:
        """Pull through `transport`.

        Args:
            transport: Which hosts, and how.
            credentials: For servers that demand them; none means always anonymous.
            note: Told of what a person may want to know, such as a mirror given up.
        """
        self._transport = transport
        self._auth = Authenticator(transport, credentials or NoCredentials())
        self._mirrors = Mirrors(transport, note)
        self._failing: set[str] = set()

    def get_manifest(self, reference: Reference) -> FetchedManifest:
        """Fetch a manifest by its digest, else by its tag.

        Raises:
            NotFoundError: The registry has no such manifest.
            DigestMismatchError: Its bytes are not of the digest.
            FormatError: It is larger than any manifest may be.
            TransportError: And its other subclasses, when it cannot be had.
        """
        found = self.try_get_manifest(reference)
        if found is None:
            raise NotFoundError(
                f"{reference}: the registry has no such manifest",
                "Check the repository's name and the tag.",
                {"reference": str(reference)},
            )
        return found

    def try_get_manifest(self, reference: Reference) -> FetchedManifest | None:
        """Fetch a manifest, or return None when the registry says 404; all else is an error."""

        def ask(endpoint: Endpoint) -> FetchedManifest | None:
            url = endpoint.url("manifests", reference.target)
            answer = self._fetch(url, endpoint, _MANIFEST_HEADERS)
            if answer.status == _NOT_FOUND:
                return None
            expect(answer, endpoint.host, _OK)
            return checked(answer, reference)

        return self._anywhere(reference, ask, by_digest=bool(reference.digest))

    def open_manifest(self, reference: Reference, digest: str) -> BytesStream:
        """Fetch another manifest of the same repository, for callers who want a stream.

        Raises:
            NotFoundError: And the other errors of `get_manifest`.
        """
        found = self.get_manifest(by_digest(reference, digest))
        return BytesStream(found.data, reference.registry)

    def referrers(
        self,
        reference: Reference,
        digest: str,
        pass_over: Callable[[str], None] = _say_nothing,
    ) -> list[OciDescriptor] | None:
        """List what refers to a manifest, by the referrers API.

        Args:
            reference: Names the registry and the repository.
            digest: Of the subject.
            pass_over: Told why entries name nothing that could be asked for.
        Returns:
            Descriptors as the registry lists them, unchecked; None when it has no such API (404).
        Raises:
            FormatError: The list is malformed or endless.
            TransportError: Any failure, for "could not ask" is never "there are none".
        """

        def ask(endpoint: Endpoint) -> list[OciDescriptor] | None:
            return self._list_referrers(endpoint, digest, pass_over)

        return self._anywhere(reference, ask, by_digest=False)

    def open_blob(
        self, reference: Reference, digest: str, offset: int = 0, *, mirrors: bool = True
    ) -> ContentStream:
        """Open a blob for reading; its digest is not checked here, the caller must.

        Args:
            reference: Names the registry and the repository.
            digest: Of the blob.
            offset: Where to begin; see `ContentStream.start` for where it did begin.
            mirrors: Whether mirrors may answer; say no after one of them sent other bytes. Then
                also a compression for the way is undone, of which layers are full by mistake.
        Raises:
            NotFoundError: No such blob.
            TransportError: And its other subclasses, when it cannot be had.
        """

        def ask(endpoint: Endpoint) -> ContentStream | None:
            url = endpoint.url("blobs", digest)
            return self._open(url, _Place.of(endpoint), offset, undo=not mirrors)

        found = self._anywhere(reference, ask, by_digest=True, mirrors=mirrors)
        if found is None:
            raise NotFoundError(
                f"{reference.name}: the registry has no blob {digest}",
                "The image was deleted upstream, or pushed only partially.",
                {"reference": reference.name, "digest": digest},
            )
        return found

    def open_url(self, url: str, offset: int = 0, *, undo: bool = True) -> ContentStream:
        """Open a file or a chart on a web server; nothing about it is checked here.

        Args:
            url: Where it is.
            offset: Where to begin; see `ContentStream.start` for where it did begin.
            undo: Whether a compression for the way is undone, which nobody asked for; say no
                after that gave other bytes than were promised.
        Raises:
            NotFoundError: No such file.
            TransportError: And its other subclasses, when it cannot be had.
        """
        address = parse_url(url)
        path = address.target.partition("?")[0]
        found = self._open(address, _Place(address.key), offset, undo=undo, path=path)
        if found is None:
            raise no_file(address)
        return found

    def get_page(self, url: str, accept: str, limit: int) -> Answer | None:
        """Fetch a small document in one of the forms that `accept` names, or None for a 404.

        Raises:
            FormatError: It has more than `limit` bytes.
            TransportError: And its subclasses, when it cannot be had.
        """
        address = parse_url(url)
        answer = self._authorized(
            address,
            address.key,
            "",
            lambda header: self._transport.fetch(
                Request("GET", address, {"Accept": accept, **_IDENTITY}),
                limit=limit,
                authorization=header,
            ),
        )
        if answer.status == _NOT_FOUND:
            return None
        expect(answer, address.key, _OK)
        return answer

    def url_size(self, url: str) -> int | None:
        """Ask for a file's size by HEAD; in bytes.

        Returns:
            None when the server does not say, or does not answer HEAD: many answer GET alone.
        Raises:
            NotFoundError: No such file.
            HostNotAllowedError: It is on a host that is not allowed.
        """
        address = parse_url(url)
        try:
            size = self._size_by_head(address)
        except HostNotAllowedError:
            raise
        except NotFoundError:
            with self.open_url(url) as stream:
                return stream.size
        except TransportError:
            return None
        return size

    def _size_by_head(self, address: Url) -> int | None:
        with self._authorized(
            address,
            address.key,
            "",
            lambda header: self._transport.open(
                Request("HEAD", address, _IDENTITY), authorization=header, attempts=_FEW_ATTEMPTS
            ),
        ) as response:
            if response.status == _NOT_FOUND:
                raise no_file(address)
            length = response.headers.get("Content-Length", "")
            encoding = response.headers.get("Content-Encoding", "identity")
            known = response.status == _OK and encoding == "identity" and length.isdecimal()
            # Python itself refuses numbers of thousands of digits, and some say 0 of everything.
            return int(length) or None if known and len(length) <= _MAX_DIGITS else None

    def _list_referrers(
        self, endpoint: Endpoint, digest: str, pass_over: Callable[[str], None]
    ) -> list[OciDescriptor] | None:
        first = endpoint.url("referrers", digest)
        page: Url | None = first
        found: list[OciDescriptor] = []
        for _ in range(_MAX_PAGES):
            if page is None:
                return found
            answer = self._ask_for_referrers(page, endpoint)
            if answer.status == _NOT_FOUND and page == first:
                return None
            expect(answer, endpoint.host, _OK)
            listed = referrer_list(answer, f"referrers of {digest} at {endpoint.host}")
            found += listed.manifests
            for reason in listed.unusable:
                pass_over(reason)
            if len(found) > MAX_REFERRERS:
                break
            page = next_link(answer, first)
        raise FormatError(
            f"{first.shown}: expected at most {MAX_REFERRERS} referrers, found more",
            "The registry is broken or hostile; ask its operator.",
            {"answer": f"more than {MAX_REFERRERS} referrers"},
        )

    def _ask_for_referrers(self, page: Url, endpoint: Endpoint) -> Answer:
        """Ask for a list, with less patience where a server has failed at one all along."""
        failing = endpoint.host in self._failing
        asked = replace(endpoint, attempts=_FEW_ATTEMPTS) if failing else endpoint
        try:
            answer = self._fetch(page, asked, {"Accept": OCI_INDEX, **_IDENTITY})
        except TransportError:
            self._failing.add(endpoint.host)
            raise
        self._failing.discard(endpoint.host)
        return answer

    def _anywhere(
        self,
        reference: Reference,
        ask: Callable[[Endpoint], R | None],
        *,
        by_digest: bool,
        mirrors: bool = True,
    ) -> R | None:
        """Ask the mirrors, then the origin; only the origin's failure counts."""
        for endpoint in self._mirrors.of(reference, by_digest=by_digest) if mirrors else ():
            try:
                found = ask(endpoint)
            except IsowardError as error:
                self._mirrors.failed(endpoint, error)
            else:
                if found is not None:
                    return found
        return ask(self._mirrors.origin(reference))

    def _fetch(self, url: Url, endpoint: Endpoint, headers: Mapping[str, str]) -> Answer:
        return self._authorized(
            url,
            endpoint.host,
            endpoint.scope,
            lambda header: self._transport.fetch(
                Request("GET", url, headers),
                limit=MAX_OCI_MANIFEST_BYTES,
                authorization=header,
                attempts=endpoint.attempts,
            ),
        )

    def _open(
        self, url: Url, endpoint: _Place, offset: int, *, undo: bool, path: str | None = None
    ) -> ContentStream | None:
        """Open some content; None when it is not there."""
        headers = {**_IDENTITY, "Range": f"bytes={offset}-"} if offset else _IDENTITY
        response = self._authorized(
            url,
            endpoint.host,
            endpoint.scope,
            lambda header: self._transport.open(
                Request("GET", url, headers), authorization=header, attempts=endpoint.attempts
            ),
        )
        place = response.content_range()
        bad_part = response.status == _PARTIAL and (place is None or place[0] != offset)
        # A part of what was compressed for the way is no part of the content.
        coded = response.status == _PARTIAL and undo and response.is_coded
        if offset and (bad_part or coded or response.status == _BAD_RANGE):
            # Its Range is not to be relied on, or what we have is longer than the content.
            response.close()
            return self._open(url, endpoint, 0, undo=undo, path=path)
        if response.status == _NOT_FOUND:
            response.close()
            return None
        all_of_it = (
            not offset and place is not None and place[0] == 0 and response.length == place[1]
        )
        expect(response, endpoint.host, *((_OK, _PARTIAL) if offset or all_of_it else (_OK,)))
        return ContentStream(response, undo=undo, path=path)

    def _authorized(self, url: Url, host: str, scope: str, send: Callable[[str | None], A]) -> A:
        """Send a request, and again once with what a 401 demanded."""
        header = self._auth.known(host, scope)
        answer = send(header)
        if answer.status != _UNAUTHORIZED:
            return answer
        answer.close()
        if answer.url.key != url.key:
            # A host that we were sent to has no claim on the credentials of the one that sent us.
            raise refusal(answer.url, answer.url.key)
        demands = answer.headers.getlist("WWW-Authenticate")
        again = send(self._auth.answer(answer.url, host, scope, demands=demands, refused=header))
        if again.status == _UNAUTHORIZED:
            again.close()
            raise refusal(again.url, host)
        return again


def connect(
    sources: SourceConfig,
    hosts: Iterable[str],
    credentials: Credentials,
    note: Callable[[str], None] = _say_nothing,
) -> RegistryClient:
    """Return a client that may ask `hosts`, their mirrors and companions, and no others."""
    return RegistryClient(Transport(sources, AllowList(hosts, sources)), credentials, note)


def by_digest(reference: Reference, digest: str) -> Reference:
    """Return a reference to another manifest of the same repository."""
    return replace(reference, tag="", digest=digest)


def by_tag(reference: Reference, tag: str) -> Reference:
    """Return a reference to another tag of the same repository."""
    return replace(reference, tag=tag, digest="")
