"""Which hosts requests may go to.

An allow-list makes an egress rule of a definition: what is not named in it, or in the source
configuration, is not asked. It is a check on surprises, not on content; digests check content.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urljoin

from bundle.base.errors import HostNotAllowedError, TransportRefusedError
from bundle.base.queries import shown_url
from bundle.base.reference import DOCKER_HUB, is_host
from bundle.registry.hosts import host_key, split_port
from bundler.registry.companions import COMPANIONS
from bundler.registry.config import SourceConfig
from bundler.registry.shared_hosts import shared_domain

_URL: Final = re.compile(r"(https?)://([^/?#@\\\s]+)([/?][^#]*)?(?:#.*)?", re.IGNORECASE)
_PORTS: Final = {"https": 443, "http": 80}
_MAX_PORT: Final = 65535

_API_HOSTS: Final = {DOCKER_HUB: "registry-1.docker.io"}
"""Registries whose API is served by a host of another name."""


@dataclass(frozen=True, slots=True)
class Url:
    """An http(s) address, taken apart once, so that the host checked is the host connected to.

    Attributes:
        scheme: `http` or `https`.
        host: Lower case, without port; an IPv6 address keeps its brackets.
        port: Always there.
        target: Path and query, starting with a slash.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def key(self) -> str:
        """The host as configurations name it: the port only when it is not the scheme's."""
        return self.host if self.port == _PORTS[self.scheme] else f"{self.host}:{self.port}"

    @property
    def shown(self) -> str:
        """The address without its query, which may hold a signature; for messages."""
        return f"{self.scheme}://{self.key}{self.target.partition('?')[0]}"

    def __str__(self) -> str:
        """Return the whole address."""
        return f"{self.scheme}://{self.key}{self.target}"

    def join(self, location: str) -> Url:
        """Resolve the Location or Link of an answer from this address.

        Raises:
            TransportRefusedError: It is not an http(s) address.
        """
        try:
            joined = urljoin(str(self), location)
        except ValueError:
            # Half of an IPv6 address; parse_url says it better.
            joined = location
        return parse_url(joined)


def parse_url(text: str) -> Url:
    """Take an http(s) address apart; user names in it are refused.

    Raises:
        TransportRefusedError: It is not such an address.
    """
    match = _URL.fullmatch(text)
    if match is None or not is_host(match[2]):
        raise TransportRefusedError(
            f"{shown_url(text)[:200]!r} is not a usable http(s) address",
            "Addresses must not contain a user name, or spaces in their host.",
            {"answer": "an address that cannot be asked"},
        )
    scheme = match[1].lower()
    host, port = split_port(match[2].lower())
    number = int(port) if port else _PORTS[scheme]
    if not 0 < number <= _MAX_PORT:
        raise TransportRefusedError(
            f"{shown_url(text)[:200]!r} has a port out of range",
            "Correct it.",
            {"answer": "an address that cannot be asked"},
        )
    target = match[3] or "/"
    return Url(scheme, host, number, target if target.startswith("/") else f"/{target}")


def api_host(registry: str) -> str:
    """Return the host that serves a registry's API."""
    return _API_HOSTS.get(registry, registry)


def settings_key(key: str) -> str:
    """Return the name under which the source configuration speaks of a host."""
    return next((name for name, host in _API_HOSTS.items() if host == key), key)


class AllowList:
    """The hosts that may be asked."""

    def __init__(self, hosts: Iterable[str], config: SourceConfig) -> None:
        """Allow `hosts`, what the configuration adds, and their companions.

        Args:
            hosts: Named by the definition or the lock, with their ports.
            config: A checked source configuration; a mirror is allowed when its host is asked for.
        """
        mirrors = {host_key(host): settings.mirrors for host, settings in config.hosts.items()}
        named = {host_key(host) for host in hosts}
        named |= {host_key(m.host) for name in set(named) for m in mirrors.get(name, ())}
        named |= {host_key(host) for host in config.allowed_hosts if "*" not in host}
        companions = set(_companions(named))
        whole = {host for host in companions if "/" not in host}
        self._hosts = frozenset({*named, *(host_key(host) for host in whole if "*" not in host)})
        self._parts = tuple(_compile_part(part) for part in sorted(companions - whole))
        patterns = [p for p in (*config.allowed_hosts, *sorted(whole)) if "*" in p]
        self._patterns = tuple(_compile(pattern) for pattern in patterns)

    def check(self, url: Url, why: str) -> None:
        """Refuse an address on a host that is not allowed.

        Args:
            url: Where a request is about to go.
            why: What led there, such as `redirected from x`, for the message.
        Raises:
            HostNotAllowedError: With the host, the line that allows it, and why it is needed.
        """
        key = url.key
        if key in self._hosts or any(pattern.fullmatch(key) for pattern in self._patterns):
            return
        if self._is_part(url):
            return
        shared = shared_domain(url.host)
        because = f" Anyone can have a host below {shared}, so list each one." if shared else ""
        raise HostNotAllowedError(
            f"{key} is not an allowed host ({why})",
            f"If you mean to fetch from it, give --sources a file with the line "
            f"`- {yaml_host(key)}` below `allowedHosts:`.{because}",
            {"host": key},
        )

    def _is_part(self, url: Url) -> bool:
        """Return whether an address is within a companion's part of a host that many share."""
        path = url.target.partition("?")[0]
        steps = unquote(path).split("/")
        if ".." in steps or "." in steps:
            return False
        return any(part.match(f"{url.key}{path}") for part in self._parts)


def yaml_host(key: str) -> str:
    """Return a host as it is written in a list in YAML, where brackets mean something else."""
    return f'"{key}"' if key.startswith("[") else key


def _companions(hosts: Iterable[str]) -> Iterator[str]:
    for host in hosts:
        yield from COMPANIONS.get(host, ())


def _compile(pattern: str) -> re.Pattern[str]:
    """Turn `*.example.org` into an expression: one or more labels; elsewhere part of one label."""
    rest = host_key(pattern)
    lead = ""
    if rest.startswith("*."):
        lead, rest = r"(?:[a-z0-9-]+\.)+", rest[2:]
    return re.compile(lead + "[a-z0-9-]*".join(re.escape(part) for part in rest.split("*")))


def _compile_part(part: str) -> re.Pattern[str]:
    """Turn the beginning of addresses into an expression; `*` is some of a host's labels."""
    return re.compile("[a-z0-9.-]+".join(re.escape(piece) for piece in part.split("*")))
