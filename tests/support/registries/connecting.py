"""Clients and transports that do not really sleep, and may ask just the hosts of a test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bundle.registry.credentials import Credential, Credentials
from bundler.registry.client import RegistryClient
from bundler.registry.config import HostSource, SourceConfig
from bundler.registry.hosts import AllowList
from bundler.registry.pace import Patience
from bundler.registry.transport import Transport, Waiting


@dataclass
class Naps:
    """Remembers how long it should have slept."""

    seconds: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@dataclass(frozen=True)
class Known:
    """Credentials by host."""

    by_host: Mapping[str, Credential]

    def find(self, host: str) -> Credential | None:
        return self.by_host.get(host)


def source_config(
    hosts: Mapping[str, HostSource] | None = None, allowed: tuple[str, ...] = ()
) -> SourceConfig:
    """Return a source configuration."""
    return SourceConfig(
        api_version="isoward/v1", kind="SourceConfig", hosts=hosts or {}, allowed_hosts=allowed
    )


def transport(
    *hosts: str, sources: SourceConfig | None = None, naps: Naps | None = None
) -> Transport:
    """Return a transport that may ask `hosts`."""
    config = sources or source_config()
    return Transport(
        config,
        AllowList(hosts, config),
        Waiting(sleep=naps if naps is not None else Naps(), chance=lambda: 1.0),
        Patience(connect_seconds=5, silence_seconds=5),
    )


def client(
    *hosts: str,
    sources: SourceConfig | None = None,
    credentials: Credentials | None = None,
    notes: list[str] | None = None,
) -> RegistryClient:
    """Return a client that may ask `hosts`."""
    said = notes if notes is not None else []
    return RegistryClient(transport(*hosts, sources=sources), credentials, said.append)
