"""The source configuration: how a vendor's machine reaches the hosts that content comes from.

It says where, never what: a lock and a bundle are the same with and without it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

import msgspec

from bundle.base.documents import Document, Text
from bundle.base.errors import DefinitionError
from bundle.base.reference import is_host, is_repository
from bundler.registry.shared_hosts import shared_domain

DEFAULT_CONCURRENCY: Final = 6
"""Requests at a time to one host: browsers' number, which no public registry minds."""

_MAX_CONCURRENCY: Final = 64
_PATTERN_LABEL: Final = re.compile(r"[A-Za-z0-9*-]{1,63}")
_SECOND: Final = frozenset(
    {"ac", "co", "com", "edu", "go", "gob", "gov", "ne", "net", "nom", "or", "org"}
)
"""Labels before a country's own, below which domains are bought."""


class MirrorSource(Document, frozen=True, kw_only=True):
    """A registry that has copies of another one's content."""

    host: Text
    prefix: Text = ""
    """Put before the repository's name, as a proxy cache with several upstreams wants it."""
    resolve: bool = False
    """Whether it is also believed about tags and referrers, which no digest can check."""


class HostSource(Document, frozen=True, kw_only=True):
    """How one host is reached."""

    ca: Text | None = None
    """PEM file of a private certificate authority; the system's authorities stay accepted."""
    mirrors: tuple[MirrorSource, ...] = ()
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=_MAX_CONCURRENCY)] = DEFAULT_CONCURRENCY
    plain_http: bool | None = msgspec.field(default=None, name="plainHTTP")
    """Whether to speak http. Left out, only a loopback host without `ca` is asked that way."""


class SourceConfig(Document, frozen=True, kw_only=True):
    """A source configuration.

    Source: docs/FORMAT.md, "Source configuration".
    """

    api_version: Literal["isoward/v1"]
    kind: Literal["SourceConfig"]
    hosts: Mapping[Text, HostSource] = {}
    allowed_hosts: tuple[Text, ...] = ()
    """Further hosts that requests may go to: `cdn.example.org` or `*.example.org`."""


NO_SOURCES: Final = SourceConfig(api_version="isoward/v1", kind="SourceConfig")
"""What holds when there is no configuration."""


def check_source_config(config: SourceConfig) -> None:
    """Check what the type alone cannot express.

    Raises:
        DefinitionError: Something that must be a host is none, a mirror's prefix is malformed, or
            a pattern allows hosts that anybody can have.
    """
    for host, settings in config.hosts.items():
        _check_host(host, "hosts")
        if settings.plain_http and settings.ca is not None:
            raise DefinitionError(
                f"hosts.{host}: it has both ca and plainHTTP: true",
                "Remove plainHTTP, since a certificate authority applies to https.",
            )
        for i, mirror in enumerate(settings.mirrors):
            where = f"hosts.{host}.mirrors[{i}]"
            _check_host(mirror.host, f"{where}.host")
            if mirror.prefix and not is_repository(mirror.prefix):
                raise DefinitionError(
                    f"{where}.prefix: {mirror.prefix[:100]!r} is not a repository name",
                    "Write it as proxy/docker.io, without slashes at either end.",
                )
    for i, pattern in enumerate(config.allowed_hosts):
        if not is_host_pattern(pattern):
            raise DefinitionError(
                f"allowedHosts[{i}]: {pattern[:100]!r} is not a host or a pattern of hosts",
                "Write it as cdn.example.org or *.example.org.",
            )
        shared = shared_domain(pattern) if "*" in pattern else ""
        if shared:
            raise DefinitionError(
                f"allowedHosts[{i}]: {pattern!r} allows anyone's hosts below {shared}",
                f"Anyone can have a host below {shared}: list each wanted host, without a *.",
            )


def is_host_pattern(text: str) -> bool:
    """Return whether `text` is a host, or one whose labels hold `*` in at most all but two places.

    `*`, `*.org` and `*.co.uk` are refused: they would allow everything, or nearly so.
    """
    if is_host(text):
        return True
    name, _, port = text.partition(":")
    labels = name.split(".")
    if port and not port.isdigit():
        return False
    # What a domain is bought below has two labels in many countries.
    second = len(labels) > 1 and labels[-2] in _SECOND
    public = 2 if second and len(labels[-1]) == 2 else 1  # noqa: PLR2004 - a country's
    plain = len(labels) >= public + 2 and not any("*" in label for label in labels[-public - 1 :])
    return plain and all(_PATTERN_LABEL.fullmatch(label) for label in labels)


def _check_host(text: str, where: str) -> None:
    if not is_host(text):
        raise DefinitionError(
            f"{where}: {text[:100]!r} is not a host",
            "Write it as registry.example.org or registry.example.org:5000.",
        )
