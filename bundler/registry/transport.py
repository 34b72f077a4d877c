"""HTTP as Isoward speaks it: allowed hosts only, with patience, and never following blindly.

The one module that knows urllib3's connections. A request is answered by whatever status the server
gives in the end; statuses that mean "later" are waited out first.
"""

from __future__ import annotations

import email.utils
import random
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import urllib3

from bundle.base.errors import DefinitionError, TransportError, TransportRefusedError
from bundle.registry.hosts import host_key, is_loopback
from bundler.registry.config import HostSource, SourceConfig
from bundler.registry.encoding import plain_bytes
from bundler.registry.hosts import AllowList, Url, settings_key
from bundler.registry.pace import Pace, Patience, at_pace, paced_pool
from bundler.registry.response import Answer, Request, Response

R = TypeVar("R")
ATTEMPTS: Final = 5
MAX_REDIRECTS: Final = 5
_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 30.0
_LONGEST_RETRY_AFTER: Final = 300.0
_LATER: Final = frozenset({429, *range(500, 600)} - {501, 505})
"""Statuses that may be others when asked again: 501 and 505 say what a server never can."""

_OUT_OF_DATE: Final = frozenset({400, 401, 403, 410})
_FRESH_TRIES: Final = 2
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class _TryAgainError(Exception):
    """Something that may pass; `failure` is what to raise when it does not."""

    def __init__(self, failure: TransportError, wait: float | None = None) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Waiting:
    """How a transport waits until it tries again.

    Attributes:
        sleep: Waits so many seconds.
        chance: A number from 0 to 1, to spread retries.
        clock: Seconds, which only grow.
    """

    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic


class Transport:
    """Sends requests; safe to use from several threads."""

    def __init__(
        self,
        sources: SourceConfig,
        allowed: AllowList,
        waiting: Waiting | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Make a transport; nothing is sent.

        Args:
            sources: Checked; how each host is reached.
            allowed: The hosts that may be asked.
            waiting: How it waits between attempts.
            patience: How long and how much of one answer is waited for.
        """
        self.sources = sources
        self._settings = {host_key(host): value for host, value in sources.hosts.items()}
        self._allowed = allowed
        self._waiting = waiting or Waiting()
        self._patience = patience or Patience()
        self._timeout = urllib3.Timeout(
            connect=self._patience.connect_seconds, read=self._patience.silence_seconds
        )
        self._lock = threading.Lock()
        self._hosts: dict[str, tuple[urllib3.PoolManager, threading.Semaphore]] = {}

    def settings(self, key: str) -> HostSource:
        """Return how a host, in the form of `Url.key`, is reached."""
        return self._settings.get(settings_key(key)) or self._settings.get(key) or HostSource()

    def scheme(self, host: str) -> str:
        """Return the scheme for a registry that a reference names without one."""
        settings = self.settings(host_key(host))
        if settings.plain_http is not None:
            return "http" if settings.plain_http else "https"
        name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
        return "http" if is_loopback(name) and settings.ca is None else "https"

    def open(
        self, request: Request, *, authorization: str | None = None, attempts: int = ATTEMPTS
    ) -> Response:
        """Send a request and return its answer with the body unread; the caller closes it.

        Args:
            request: A GET or HEAD.
            authorization: That header's value; it is dropped when a redirect changes the host.
            attempts: How often it is tried.
        Raises:
            HostNotAllowedError: It, or a redirect, leads to a host that is not allowed.
            TransportRefusedError: A certificate is not trusted, or a redirect may not be followed.
            TransportError: No answer after all attempts.
        """
        return self._patiently(lambda: self._freshly(request, authorization), request.url, attempts)

    def fetch(
        self,
        request: Request,
        *,
        limit: int,
        authorization: str | None = None,
        attempts: int = ATTEMPTS,
    ) -> Answer:
        """Send a request and read its answer whole, again if it breaks on the way.

        Raises:
            FormatError: The answer has more than `limit` bytes.
            TransportError: And its subclasses, as `open`.
        """

        def once() -> Answer:
            with self._freshly(request, authorization) as response:
                try:
                    data = response.read(limit)
                except TransportError as failure:
                    if type(failure) is not TransportError:
                        raise
                    raise _TryAgainError(failure) from failure
                encoding = response.headers.get("Content-Encoding", "")
                plain = plain_bytes(data, encoding, limit, response.url.shown)
                return Answer(response.status, response.headers, response.url, plain)

        return self._patiently(once, request.url, attempts)

    def _patiently(self, once: Callable[[], R], url: Url, attempts: int) -> R:
        left = _LONGEST_RETRY_AFTER
        for attempt in range(1, attempts + 1):
            try:
                return once()
            except _TryAgainError as again:
                if attempt == attempts:
                    failure = again.failure
                    raise type(failure)(
                        f"{failure.message}, {attempts} times", failure.hint, failure.context
                    ) from again
                wait = self._wait(again, url, attempt, left)
                left -= again.wait or 0.0
                self._waiting.sleep(wait)
        raise AssertionError  # attempts is at least 1

    def _wait(self, again: _TryAgainError, url: Url, attempt: int, left: float) -> float:
        """Return the seconds to wait: the server's wish, else doubling with a random part.

        Raises:
            TransportError: The server wishes more than is left of our patience.
        """
        if again.wait is None:
            longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (attempt - 1))
            return longest * (0.5 + 0.5 * self._waiting.chance())
        if again.wait > left:
            raise TransportError(
                f"{url.key} asks to wait {again.wait:.0f} seconds",
                "Run the command again then; it resumes. "
                "Logging in often raises a registry's limits.",
                again.failure.context,
            ) from again
        return again.wait

    def _freshly(self, request: Request, authorization: str | None) -> Response:
        """Follow redirects, and again from the start when they led to an address out of date.

        Storage services say of a signed address that has ended what they say of a forbidden one,
        and what sends us there may have kept it for too long.
        """
        for _ in range(_FRESH_TRIES):
            response = self._follow(request, authorization)
            demands = "WWW-Authenticate" in response.headers
            if response.url == request.url or response.status not in _OUT_OF_DATE or demands:
                return response
            response.close()
            self._waiting.sleep(_FIRST_WAIT)
        return self._follow(request, authorization)

    def _follow(self, request: Request, authorization: str | None) -> Response:
        """Send one request and follow its redirects."""
        why, url = "first request", request.url
        origin = (url.scheme, url.key)
        for _ in range(MAX_REDIRECTS + 1):
            self._allowed.check(url, why)
            self._check_scheme(url)
            sent = dict(request.headers)
            if authorization is not None and (url.scheme, url.key) == origin:
                sent["Authorization"] = authorization
            response = self._exchange(replace(request, url=url, headers=sent))
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or location is None or request.body is not None:
                self._check_status(response)
                return response
            response.close()
            target = url.join(location)
            if url.scheme == "https" and target.scheme == "http":
                raise TransportRefusedError(
                    f"{url.shown} redirects from https to {target.shown}",
                    "Ask the operator of that server to redirect to https only.",
                    {"answer": f"sent on from https to http at {target.key}"},
                )
            why, url = f"redirected from {url.key}", target
        raise TransportRefusedError(
            f"{url.shown}: more than {MAX_REDIRECTS} redirects",
            "Check the address.",
            {"answer": f"more than {MAX_REDIRECTS} redirects"},
        )

    def _check_scheme(self, url: Url) -> None:
        if url.scheme == "https" or is_loopback(url.host) or self.settings(url.key).plain_http:
            return
        raise TransportRefusedError(
            f"{url.shown}: expected https, found http",
            f"Use https, or set plainHTTP: true for {url.key} under hosts: in the sources file.",
            {"answer": f"an address without TLS at {url.key}"},
        )

    def _check_status(self, response: Response) -> None:
        status = response.status
        if status not in _LATER:
            return
        wait = _retry_after(response.headers)
        response.close()
        raise _TryAgainError(
            TransportError(
                f"{response.url.shown}: the server answered {status}",
                "Run the command again later; it resumes.",
                {"status": status},
            ),
            wait,
        )

    def _exchange(self, request: Request) -> Response:
        url = request.url
        pool, slots = self._host(url)
        pace = Pace(self._patience, self._waiting.clock, url.shown)
        slots.acquire()
        try:
            with at_pace(pace, self._patience):
                raw = pool.connection_from_host(url.host, url.port, url.scheme).urlopen(
                    request.method,
                    url.target,
                    body=request.body,
                    headers=request.headers,
                    retries=False,
                    redirect=False,
                    preload_content=False,
                    decode_content=False,
                    timeout=self._timeout,
                )
            return Response(raw, url, slots.release, pace)
        except BaseException as error:
            slots.release()
            if isinstance(error, (urllib3.exceptions.HTTPError, OSError, ValueError)):
                raise _translate(error, url) from error
            raise

    def _host(self, url: Url) -> tuple[urllib3.PoolManager, threading.Semaphore]:
        """Return a host's connections and slots."""
        name = f"{url.scheme}://{url.key}"
        with self._lock:
            if name not in self._hosts:
                settings = self.settings(url.key)
                # Reading the system's authorities takes time, so only where they are needed.
                tls = _tls(settings.ca, url.key) if url.scheme == "https" else None
                pool = paced_pool(
                    urllib3.PoolManager(maxsize=settings.concurrency, ssl_context=tls)
                )
                self._hosts[name] = (pool, threading.Semaphore(settings.concurrency))
            return self._hosts[name]


def _tls(ca: str | None, key: str) -> ssl.SSLContext:
    """Make a context of the system's authorities and, if there is one, the host's own."""
    context = ssl.create_default_context()
    if ca is not None:
        try:
            context.load_verify_locations(cafile=ca)
        except OSError as error:
            raise DefinitionError(
                f"hosts.{key}.ca: {ca} cannot be used ({error.strerror or type(error).__name__})",
                "Name a readable PEM file of certificates.",
            ) from error
    return context


def _translate(error: Exception, url: Url) -> Exception:
    """Turn an error of the connection into ours, telling what may pass from what will not."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return TransportRefusedError(
                f"{url.key}: its certificate is not trusted ({cause.verify_message})",
                f"If it uses a private authority, set ca: for {url.key} under hosts: "
                "in the sources file.",
                {"host": url.key},
            )
        inner = next((arg for arg in cause.args if isinstance(arg, BaseException)), None)
        cause = inner or cause.__cause__ or cause.__context__
    if isinstance(error, urllib3.exceptions.LocationValueError):
        return TransportRefusedError(f"{url.shown}: the address is not usable", "Correct it.")
    return _TryAgainError(
        TransportError(
            f"{url.shown}: no answer ({_plain(error)})",
            "Check the network and the address, then run the command again.",
            {"host": url.key},
        )
    )


def _plain(error: Exception) -> str:
    """Name a failure in a few words, without the addresses that urllib3 puts in its own."""
    names: list[tuple[type[Exception], str]] = [
        (urllib3.exceptions.NameResolutionError, "its name cannot be resolved"),
        (urllib3.exceptions.NewConnectionError, "it does not accept connections"),
        (urllib3.exceptions.ConnectTimeoutError, "connecting took too long"),
        (urllib3.exceptions.ReadTimeoutError, "it stopped responding"),
        (urllib3.exceptions.SSLError, "TLS failed"),
        (urllib3.exceptions.ProtocolError, "the connection broke"),
    ]
    return next((text for kind, text in names if isinstance(error, kind)), type(error).__name__)


def _retry_after(headers: urllib3.HTTPHeaderDict) -> float | None:
    """Read Retry-After: seconds, or a date, which is measured by the server's own clock."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        then = email.utils.parsedate_to_datetime(value)
        now = email.utils.parsedate_to_datetime(headers.get("Date", ""))
        return max(0.0, (then - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
