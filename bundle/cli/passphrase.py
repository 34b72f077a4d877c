"""Passphrases of private keys: prompted for on the terminal, or read from a file descriptor.

Never from an argument or the environment, which other processes can see.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from bundle.base.errors import UsageError
from bundle.cli.output import Output
from bundle.cli.questions import ask_hidden
from bundle.trust.keys.hsm import is_reference, load_token_key, read_reference
from bundle.trust.keys.stored import SigningKey, is_encrypted, is_exposed, load_key

F = TypeVar("F", bound=Callable[..., Any])
_MAX_PASSPHRASE_BYTES: Final = 1024


def passphrase_option(function: F) -> F:
    """Add `--passphrase-fd` to a command, as `passphrase_fd`."""
    return click.option(
        "--passphrase-fd",
        type=click.IntRange(min=0),
        metavar="N",
        help="Read the passphrase from file descriptor N: one line per encrypted key or PIN.",
    )(function)


def new_passphrase(path: Path, descriptor: int | None) -> bytes:
    """Get the passphrase for a new key; a terminal user types it twice."""
    return _read_line(descriptor) if descriptor is not None else _ask(path, confirm=True)


def ask_secret(path: Path, descriptor: int | None, what: str = "Passphrase") -> bytes:
    """Get the passphrase or PIN of an existing key."""
    if descriptor is not None:
        return _read_line(descriptor)
    return _ask(path, confirm=False, what=what)


def load_signing_key(output: Output, path: Path, descriptor: int | None) -> SigningKey:
    """Load a private key, asking for its passphrase where it has one.

    A key on a token is found by its reference file; its PIN is prompted for and tried at once.

    Raises:
        KeyFileError: It cannot be loaded.
        UsageError: There is no terminal to ask on.
    """
    if is_reference(path):
        # A file that is not a reference, such as a public key, is reported before asking for a PIN.
        read_reference(path)
        return load_token_key(path, ask_secret(path, descriptor, "PIN"))
    passphrase = ask_secret(path, descriptor) if is_encrypted(path) else None
    key = load_key(path, passphrase)
    if is_exposed(path):
        output.warn(f"{path} is readable by others than its owner; run: chmod 600 {path}")
    return key


def _ask(path: Path, *, confirm: bool, what: str = "Passphrase") -> bytes:
    if not sys.stdin.isatty():
        raise UsageError(
            f"{path}: cannot ask for the passphrase or PIN without a terminal",
            "Give --passphrase-fd N, with the secret on that file descriptor.",
        )
    return ask_hidden(f"{what} of {path.name}", twice=confirm).encode()


def _read_line(descriptor: int) -> bytes:
    """Read one line, byte by byte, so that the next key finds its own line."""
    line = bytearray()
    try:
        while (byte := os.read(descriptor, 1)) not in {b"", b"\n"}:
            line += byte
            if len(line) > _MAX_PASSPHRASE_BYTES:
                raise UsageError(
                    f"--passphrase-fd {descriptor}: expected at most {_MAX_PASSPHRASE_BYTES} bytes "
                    "in a line, found more",
                    "Give only the passphrases, one line per key.",
                )
    except OSError as error:
        raise UsageError(
            f"--passphrase-fd {descriptor}: cannot read it: {error.strerror}",
            "Open it for the command, such as: 3< <(pass show isoward).",
        ) from error
    if not line:
        raise UsageError(
            f"--passphrase-fd {descriptor}: expected a line with a passphrase, found none",
            "Give one line per encrypted key, in the order of the options.",
        )
    return bytes(line).removesuffix(b"\r")
