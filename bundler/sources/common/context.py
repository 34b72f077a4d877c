"""What every kind of source is given to do its work with."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bundle.base.progress import Progress
from bundle.store.programs import Runner
from bundler.registry.client import RegistryClient


class Store(Protocol):
    """Where content is kept that was looked into, or that no server could send again."""

    @property
    def path(self) -> Path:
        """Its folder."""

    def has(self, digest: str, size: int) -> bool:
        """Return whether the whole blob is here."""

    def blob_path(self, digest: str) -> Path:
        """Return where the blob is, or would be."""

    def partial_path(self, digest: str) -> Path:
        """Return where the blob lies while it comes in."""

    def workspace(self, name: str) -> Path:
        """Return a folder for the use of one kind of source, made if it is not there."""

    def put_bytes(self, digest: str, data: bytes) -> None:
        """Keep a small blob."""

    def read_bytes(self, digest: str, size: int) -> bytes | None:
        """Return a small blob, checked again, or None when it is not here or damaged."""

    def find_bytes(self, digest: str, limit: int) -> bytes | None:
        """Return a blob of at most `limit` bytes, checked again, or None as `read_bytes`."""


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source works with; everything that reaches outside is injected.

    Attributes:
        client: Fetches from registries and web servers; it decides about hosts and credentials.
        store: The blob cache.
        folder: Relative paths are from here: the definition's folder, or the lock's at a build.
        progress: Told of what a person may want to know.
        now: UTC; waivers and certificates end.
        run: Runs the machine's programs.
        sleep: Waits so many seconds until something is tried again.
    """

    client: RegistryClient
    store: Store
    folder: Path
    progress: Progress
    now: dt.datetime
    run: Runner
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Want:
    """An image that some content needs, which its source found out.

    Attributes:
        reference: As it is written there; it is resolved as if the definition named it.
        by: Who wants it, such as `chart web 1.2.3` or `kubespray`.
    """

    reference: str
    by: str


@dataclass(frozen=True, slots=True)
class PythonWant:
    """Python packages that some content needs, which its source found out.

    Attributes:
        requirements: As in a requirements file; top-level packages are enough, without hashes.
        by: Who wants them, such as `kubespray v2.31.0`.
        environment: What they are served as, such as `kubespray`.
    """

    requirements: str
    by: str
    environment: str


@dataclass(frozen=True, slots=True)
class FileWant:
    """A file that some content needs, which its source found out.

    Attributes:
        url: Where it is.
        digest: What it must have.
        by: Who wants it, such as `kubespray etcd`.
    """

    url: str
    digest: str
    by: str


@dataclass(frozen=True, slots=True)
class OsWant:
    """OS packages that some content needs on the site's machines of one release.

    Attributes:
        release: As a definition has it, such as `rocky-9`.
        packages: Their names.
        by: Who wants them, such as `kubespray v2.31.0`.
    """

    release: str
    packages: tuple[str, ...]
    by: str
