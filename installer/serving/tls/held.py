"""A certificate and its key in memory, so that what was checked is what is shown.

A site's files may be replaced one after the other, by somebody else, at any time; a worker that is
started again by then would find half of them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bundle.base.errors import DefinitionError, StorageError
from bundle.store.atomic import storage_errors

_MAX_PEM: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class HeldPair:
    """Two files that only this process and its children reach.

    Attributes:
        certificate_file: The descriptor of the chain, PEM.
        key_file: The descriptor of the key, PEM.
    """

    certificate_file: int
    key_file: int

    @property
    def certificate(self) -> Path:
        """Where a process of ours reads the chain."""
        return Path(f"/proc/self/fd/{self.certificate_file}")

    @property
    def key(self) -> Path:
        """Where a process of ours reads the key."""
        return Path(f"/proc/self/fd/{self.key_file}")

    def close(self) -> None:
        """Let go of both."""
        os.close(self.certificate_file)
        os.close(self.key_file)


def hold(certificate: Path, key: Path) -> HeldPair:
    """Copy a certificate and its key into memory.

    Raises:
        DefinitionError: One cannot be read.
    """
    read = [read_pem(path) for path in (certificate, key)]
    return HeldPair(*(_in_memory(data) for data in read))


def _in_memory(data: bytes) -> int:
    descriptor = os.memfd_create("isoward-tls")
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    return descriptor


def read_pem(path: Path) -> bytes:
    """Read a certificate or a key.

    Raises:
        DefinitionError: It cannot be read.
    """
    try:
        with storage_errors(f"read {path}"), path.open("rb") as file:
            return file.read(_MAX_PEM)
    except StorageError as error:
        raise DefinitionError(
            error.message, "Check the path and that this user may read the file."
        ) from error
