"""Which certificates of a registry are trusted: the system's authorities, and docker's for a host.

Source: docker, "Verify repository client with certificates"; containers-certs.d(5).
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bundle.base.errors import DefinitionError

CERTS_D: Final = (Path("/etc/docker/certs.d"), Path("/etc/containers/certs.d"))
"""Folders with a folder a host, by docker and by podman: CAs in *.crt, clients in *.cert, *.key."""


def tls_context(
    host: str, ca: Path | None = None, folders: Sequence[Path] = CERTS_D
) -> ssl.SSLContext:
    """Make the client's side of TLS for one registry.

    Args:
        host: With its port, as the folders are named.
        ca: A PEM file that is trusted as well.
        folders: Where docker and podman keep what is for one host.
    Raises:
        DefinitionError: A file cannot be read, or is no such file.
    """
    context = ssl.create_default_context()
    authorities = [] if ca is None else [ca]
    authorities += _files(host, folders, "*.crt")
    for path in authorities:
        try:
            context.load_verify_locations(cafile=path)
        except OSError as error:
            raise _unusable(path, error, "a PEM file of certificates") from error
    for path in _files(host, folders, "*.cert"):
        try:
            context.load_cert_chain(path, path.with_suffix(".key"))
        except OSError as error:
            raise _unusable(path, error, "a PEM certificate, with its key beside it") from error
    return context


def _files(host: str, folders: Sequence[Path], pattern: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((folder / host).glob(pattern))


def _unusable(path: Path, error: OSError, expected: str) -> DefinitionError:
    found = error.strerror or type(error).__name__
    return DefinitionError(f"{path}: expected {expected}, found {found}", "Correct it.")
