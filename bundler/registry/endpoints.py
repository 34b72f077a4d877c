"""Where a registry's content can be asked for: its mirrors, then itself."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from bundle.base.errors import IsowardError
from bundle.base.reference import Reference
from bundle.registry.hosts import host_key
from bundler.registry.hosts import Url, api_host, parse_url
from bundler.registry.transport import ATTEMPTS, Transport

_MIRROR_ATTEMPTS: Final = 2
_STRIKES: Final = 3


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place to ask for one repository.

    Attributes:
        root: Scheme and host, for instance `https://registry-1.docker.io`.
        host: The name under which the host's credentials are known.
        repository: As this host calls it.
        namespace: The registry that it stands in for, when it is a mirror.
        attempts: How often a request is tried.
    """

    root: str
    host: str
    repository: str
    namespace: str = ""
    attempts: int = ATTEMPTS

    @property
    def scope(self) -> str:
        """The scope of a token to pull."""
        return f"repository:{self.repository}:pull"

    def url(self, kind: str, name: str) -> Url:
        """Return the address of a manifest, a blob or a list of referrers.

        A mirror is told whom it stands in for by `?ns=`, as containerd does.
        """
        query = f"?ns={quote(self.namespace, safe='')}" if self.namespace else ""
        return parse_url(f"{self.root}/v2/{self.repository}/{kind}/{name}{query}")


class Mirrors:
    """Chooses endpoints, and gives up a mirror that keeps failing."""

    def __init__(self, transport: Transport, note: Callable[[str], None]) -> None:
        """Choose by the transport's source configuration; `note` is told of a mirror given up."""
        self._transport = transport
        self._note = note
        self._strikes: Counter[str] = Counter()
        self._lock = threading.Lock()

    def origin(self, reference: Reference) -> Endpoint:
        """Return the registry itself."""
        return Endpoint(
            self._root(api_host(reference.registry)), reference.registry, reference.repository
        )

    def of(self, reference: Reference, *, by_digest: bool) -> list[Endpoint]:
        """Return the mirrors to try first, in the order of the configuration.

        Args:
            reference: Of the origin.
            by_digest: Whether a digest will check the answer; if not, only mirrors that the
                configuration believes (`resolve: true`) are returned.
        """
        return [
            Endpoint(
                self._root(mirror.host),
                mirror.host,
                "/".join(part for part in (mirror.prefix, reference.repository) if part),
                reference.registry,
                _MIRROR_ATTEMPTS,
            )
            for mirror in self._transport.settings(host_key(reference.registry)).mirrors
            if (by_digest or mirror.resolve) and self._strikes[mirror.host] < _STRIKES
        ]

    def failed(self, endpoint: Endpoint, error: IsowardError) -> None:
        """Count a failure; a mirror that merely lacks something has not failed."""
        with self._lock:
            self._strikes[endpoint.host] += 1
            given_up = self._strikes[endpoint.host] == _STRIKES
        if given_up:
            self._note(f"mirror {endpoint.host} is skipped from now on: {error.message}")

    def _root(self, host: str) -> str:
        return f"{self._transport.scheme(host)}://{host}"
