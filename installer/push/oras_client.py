"""The registry that is pushed to, by oras: its addresses and uploads are the library's.

What the library leaves open is decided in `do_request`, through which all of it passes: the login,
the authorities, redirects, limits, what an answer means, and that a blob's bytes are hashed as they
are sent. docs/adr/0039 says which part is whose. Used by one thread.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, BinaryIO, Final
from urllib.parse import urljoin, urlsplit

import requests
from oras.container import Container
from oras.provider import Registry
from requests.adapters import HTTPAdapter

from bundle.base.content import Content
from bundle.base.digest import PREFIX, digest_of
from bundle.base.errors import HostNotAllowedError, TransportError, TransportRefusedError
from bundle.base.limits import KIB, MAX_OCI_MANIFEST_BYTES, MIB
from bundle.base.oci import ACCEPT
from bundle.registry.credentials import Credentials
from bundle.store.hashing import check_content
from installer.push.login import Login
from installer.push.refusals import refusal, unreached
from installer.push.target import Target

PIECE_BYTES: Final = 16 * MIB
"""A blob goes up in pieces of this size, so that one is all that memory holds."""
_SECONDS: Final = (10.0, 300.0)
"""To connect, and between two bytes of an answer: storage far away takes minutes for a large blob.
"""
_PAUSES: Final = (1.0, 4.0)
"""Seconds before what may be asked again is."""
_CREATED: Final = 201
_UNAUTHORIZED: Final = 401
_NOT_FOUND: Final = 404
_ELSEWHERE: Final = 307
_GOOD: Final = range(200, 300)
_NAMES: Final = frozenset({"HEAD", "GET"})

Advance = Callable[[int], None]
Answered = tuple[requests.Response, bytes]


class _Sent:
    """The bytes of a blob on their way, hashed before each piece leaves."""

    def __init__(self, blob: Content, name: str, advance: Advance) -> None:
        self._blob, self._name, self._advance = blob, name, advance
        self._state = hashlib.sha256()
        self.size = self.told = 0

    def add(self, data: bytes, *, last: bool) -> None:
        self._state.update(data)
        self.size += len(data)
        if last or self.size > self._blob.size:
            found = PREFIX + self._state.hexdigest()
            check_content(
                self._name, self._blob.size, self._blob.digest, found_size=self.size, found=found
            )

    def advance(self, count: int) -> None:
        self.told += count
        self._advance(count)


class _Adapter(HTTPAdapter):
    """Trusts what a context trusts, and not the authorities that requests brings along."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:  # noqa: ARG002
        conn.cert_reqs = "CERT_REQUIRED"

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        where, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return where, {"cert_reqs": "CERT_REQUIRED", "ssl_context": self._context}


class SiteRegistry(Registry):  # type: ignore[misc]  # the library has no types
    """One registry; every error is ours, and names what was asked for."""

    def __init__(
        self,
        target: Target,
        context: ssl.SSLContext,
        credentials: Credentials,
        *,
        token_hosts: Collection[str] = (),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Speak to `target` with the authorities of `context`; nothing is sent yet."""
        super().__init__(hostname=target.host, insecure=target.plain)
        # No proxy, netrc or authorities of the environment: docker has none of these either.
        self.session.trust_env = False
        self.session.mount("https://", _Adapter(context))
        self._login = Login(target, credentials, self._ask_token_service, token_hosts)
        self._sleep = sleep
        self._scope = ""
        self._what = target.host
        self._sent: _Sent | None = None

    def has_blob(self, repository: str, digest: str) -> bool:
        """Say whether a repository has a blob."""
        container = self._about(repository, digest)
        return bool(self.blob_exists({"digest": digest}, container))

    def manifest_digest(self, repository: str, name: str) -> str | None:
        """Return the digest of what a tag or a digest names in a repository; None for nothing."""
        response, _ = self._manifest("HEAD", repository, name)
        if response.status_code == _NOT_FOUND:
            return None
        said = response.headers.get("Docker-Content-Digest", "")
        if said:
            return str(said)
        found = self.manifest(repository, name)
        return None if found is None else digest_of(found)

    def manifest(self, repository: str, name: str) -> bytes | None:
        """Return the bytes of a manifest, unchecked and of a bounded size; None for nothing."""
        response, data = self._manifest("GET", repository, name)
        return None if response.status_code == _NOT_FOUND else data

    def knows_referrers(self, repository: str, digest: str) -> bool:
        """Say whether the registry lists referrers by itself."""
        container = self._about(repository, "the referrers API")
        url = f"{self.prefix}://{container.registry}/v2/{container.api_prefix}/referrers/{digest}"
        try:
            response, data = self._ask(url, "GET", {"Accept": ACCEPT[0]})
        except TransportRefusedError:
            return False
        return response.status_code != _NOT_FOUND and b'"manifests"' in data

    def mount(self, repository: str, digest: str, origin: str) -> bool:
        """Let a repository have a blob of another one; False where the registry does not."""
        container = self._about(repository, digest)
        self._scope += f" repository:{origin}:pull"
        url = f"{self.prefix}://{container.upload_blob_url()}?mount={digest}&from={origin}"
        with suppress(TransportRefusedError):
            response, _ = self._ask(url, "POST", {})
            if response.status_code == _CREATED:
                return True
            # It began an upload instead, which nobody is going to use.
            self._about(repository, digest)
            self._ask(self._get_location(response, container), "DELETE", {})
        return False

    def upload(
        self, repository: str, blob: Content, file: BinaryIO, name: str, advance: Advance
    ) -> None:
        """Send a blob, and hash what is sent; the registry keeps nothing of one that is damaged.

        Args:
            repository: Where to.
            blob: What it must be.
            file: Open at its beginning.
            name: For messages.
            advance: Told of bytes; of negative ones when it begins again.
        Raises:
            IntegrityError: The file is not what it must be.
            TransportError: It could not be sent, or the registry refused it.
        """
        container = self._about(repository, name)
        size = os.fstat(file.fileno()).st_size
        check_content(name, blob.size, blob.digest, found_size=size, found=blob.digest)
        # The library opens files by path, and this is the one that is open.
        path = f"/proc/self/fd/{file.fileno()}"
        layer = {"digest": blob.digest, "size": blob.size}
        for pause in (*_PAUSES, None):
            self._sent = sent = _Sent(blob, name, advance)
            try:
                if blob.size <= PIECE_BYTES:
                    self.put_upload(path, container, layer)
                else:
                    self.chunked_upload(path, container, layer, chunk_size=PIECE_BYTES)
            except TransportError as error:
                if type(error) is not TransportError or pause is None:
                    raise
                advance(-sent.told)
                self._sleep(pause)
            else:
                return
            finally:
                self._sent = None

    def put_manifest(self, repository: str, name: str, data: bytes, media_type: str) -> None:
        """Put a manifest or an index under its digest or a tag.

        Raises:
            TransportError: It could not be put, or the registry made another one of it.
        """
        container = self._about(repository, name)
        url = f"{self.prefix}://{container.manifest_url(name)}"
        response, _ = self._ask(url, "PUT", {"Content-Type": media_type}, data)
        expected, found = digest_of(data), response.headers.get("Docker-Content-Digest")
        if found and found != expected:
            raise TransportRefusedError(
                f"{self._what}: expected the registry to keep {expected}, found {found[:80]}",
                "It changes what it is given, so that no signature holds: use another registry.",
            )

    # -- what the library calls -------------------------------------------------------------

    def do_request(
        self,
        url: str,
        method: str = "GET",
        data: Any = None,
        headers: dict[str, str] | None = None,
        **_more: Any,
    ) -> requests.Response:
        """Send a request of the library and return an answer that is no refusal.

        It is never asked for `json`, and what it streams is bounded here in any case.
        """
        body = data or b""
        sent = self._sent if method in {"PATCH", "PUT"} else None
        if sent is not None:
            sent.add(body, last=method == "PUT")
        response, _ = self._ask(url, method, headers or {}, body)
        if sent is not None:
            sent.advance(len(body))
        if method == "HEAD" and response.status_code == _ELSEWHERE:
            # The registry has it, in a storage of which it gives the address.
            response.status_code = 200
        return response

    def _get_location(self, r: requests.Response, container: Container) -> str:
        """Return where an upload goes on: on this registry, by the scheme and port that we use.

        Proxies forget to say to registries how they were reached.
        """
        own = f"{self.prefix}://{container.registry}"
        location = r.headers.get("Location", "")
        try:
            parts = urlsplit(urljoin(r.url, location))
            same = parts.hostname == urlsplit(own).hostname
        except ValueError:
            parts, same = urlsplit(""), False
        if not location or not same:
            raise HostNotAllowedError(
                f"{self._what}: the registry wants the upload at {str(parts.hostname)[:100]!r}",
                "Push to the registry's own address, as it knows it itself (its external URL).",
            )
        return f"{own}{parts.path}{f'?{parts.query}' if parts.query else ''}"

    # -- one request ------------------------------------------------------------------------

    def _about(self, repository: str, what: str) -> Container:
        """Note what the next requests are about."""
        container = Container("a/b", registry=self.hostname)
        # Set, for the library takes a first component with a dot for a registry.
        folder, _, name = repository.rpartition("/")
        container.registry, container.namespace, container.repository = self.hostname, folder, name
        self._scope = f"repository:{repository}:pull,push"
        joint = "@" if what.startswith(PREFIX) else ":" if "/" not in what else " "
        self._what = f"{self.hostname}/{repository}{joint}{what}"
        return container

    def _manifest(self, method: str, repository: str, name: str) -> Answered:
        container = self._about(repository, name)
        url = f"{self.prefix}://{container.manifest_url(name)}"
        return self._ask(url, method, {"Accept": ", ".join(ACCEPT)})

    def _ask(
        self, url: str, method: str, headers: Mapping[str, str], data: bytes = b""
    ) -> Answered:
        """Ask, and again where that does no harm and may help."""
        again = method in _NAMES or (method == "PUT" and self._sent is None)
        for pause in _PAUSES if again else ():
            try:
                return self._ask_once(url, method, headers, data)
            except TransportError as error:
                if type(error) is not TransportError:
                    raise
            self._sleep(pause)
        return self._ask_once(url, method, headers, data)

    def _ask_once(self, url: str, method: str, headers: Mapping[str, str], data: bytes) -> Answered:
        known = self._login.known(self._scope)
        response, found = self._send(url, method, headers, data=data, authorization=known)
        if response.status_code == _UNAUTHORIZED:
            demands = response.headers.get("WWW-Authenticate", "")
            made = self._login.answer(demands, self._scope, known)
            response, found = self._send(url, method, headers, data=data, authorization=made)
            if response.status_code == _UNAUTHORIZED:
                raise self._login.refusal()
        status = response.status_code
        missing = status == _NOT_FOUND and method in _NAMES
        elsewhere = status == _ELSEWHERE and method == "HEAD"
        if status in _GOOD or missing or elsewhere:
            return response, found
        raise refusal(status, found, self._what)

    def _send(
        self,
        url: str,
        method: str,
        headers: Mapping[str, str],
        data: bytes | str,
        authorization: str | None,
    ) -> Answered:
        own = {"User-Agent": "isoward", "Accept-Encoding": "identity", **headers}
        if authorization:
            own["Authorization"] = authorization
        try:
            with self.session.request(
                method, url, data=data or None, headers=own, stream=True,
                allow_redirects=False, timeout=_SECONDS,
            ) as response:  # fmt: skip
                found = b""
                for part in response.iter_content(64 * KIB):
                    found += part
                    if len(found) > MAX_OCI_MANIFEST_BYTES:
                        break
        except requests.RequestException as error:
            raise unreached(self._what, error) from error
        return response, found

    def _ask_token_service(
        self, method: str, url: str, headers: Mapping[str, str], body: str
    ) -> tuple[int, bytes]:
        response, found = self._send(url, method, headers, data=body, authorization=None)
        return response.status_code, found
