"""Keys in files: a private one as PKCS8 PEM, a public one as JSON with its holder's name.

A private key never leaves this module except inside a signer.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from securesystemslib.signer import Key, Signer, SSlibKey

from bundle.base.errors import KeyFileError
from bundle.model.people import name_problem
from bundle.store.atomic import fsync_directory, require_private, storage_errors
from bundle.trust.keys.schemes import (
    DEFAULT_KEY_TYPE,
    KEY_TYPES,
    FileSigner,
    KeyTypeName,
    derived_id,
    generate_signer,
    signer_of,
)
from bundle.trust.keys.terms import (
    MAX_KEY_FILE_BYTES,
    MAX_NAME_LENGTH,
    MIN_PASSPHRASE,
    NAME_FIELD,
)

SigningKey = Signer
"""A private key, ready to sign: in memory, or on a token that never exposes it."""

_ENCRYPTED: Final = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
_KEY_ID_FIELD: Final = "keyid"
_PRIVATE_SUFFIXES: Final = (".pem", ".hsm")


def check_name(name: str) -> str:
    """Return `name` if it can be a holder's name.

    Raises:
        KeyFileError: Empty, too long, with invisible characters, or with letters of two scripts in
            one word.
    """
    if problem := name_problem(name, MAX_NAME_LENGTH):
        raise KeyFileError(
            f"invalid holder's name {name[:MAX_NAME_LENGTH]!r}: {problem}",
            'Give the person\'s name, such as "Ada Example".',
        )
    return name


def holder(key: Key) -> str:
    """Return the name of a key's holder.

    Raises:
        KeyFileError: The key has no name, or an invalid one.
    """
    name = key.unrecognized_fields.get(NAME_FIELD)
    if not isinstance(name, str):
        raise KeyFileError(
            f"key {key.keyid[:16]}: missing holder's name ({NAME_FIELD})",
            "Make keys with `isoward keys new`.",
        )
    return check_name(name)


def generate_key(name: str, type_: KeyTypeName = DEFAULT_KEY_TYPE) -> FileSigner:
    """Make a key for `name`, from the operating system's randomness."""
    signer = generate_signer(type_)
    name_key(signer.public_key, name)
    return signer


def name_key(key: Key, name: str) -> None:
    """Write the holder's name into a newly made or imported public key.

    Raises:
        KeyFileError: The name is not valid.
    """
    key.unrecognized_fields[NAME_FIELD] = check_name(name)


def public_path(path: Path) -> Path:
    """Return the path of the public key for the private key at `path`: ada.pem -> ada.pub."""
    if path.suffix in _PRIVATE_SUFFIXES:
        return path.with_suffix(".pub")
    return path.with_name(path.name + ".pub")


def require_absent(path: Path) -> None:
    """Check that neither the private key at `path` nor its public key exists yet.

    Raises:
        KeyFileError: One exists.
    """
    for existing in (path, public_path(path)):
        if os.path.lexists(existing):
            raise KeyFileError(
                f"{existing}: already exists, and a key is never overwritten",
                "Choose another file name.",
            )


def write_key(key: FileSigner, path: Path, passphrase: bytes | None) -> Path:
    """Write a private key (mode 0600) and its public key next to it; neither may exist.

    Args:
        key: From `generate_key`.
        path: Of the private key.
        passphrase: None leaves the private key unencrypted, for a build system.
    Returns:
        The path of the public key.
    Raises:
        KeyFileError: A file exists already, or the passphrase is too short.
        StorageError: Writing failed, or the file system has no modes; neither file is left.
    """
    return write_pair(path, _private_bytes(key, passphrase), key.public_key)


def write_pair(path: Path, private: bytes, key: Key) -> Path:
    """Write what signs (mode 0600) and the public key next to it; neither may exist.

    Args:
        path: Of what signs.
        private: Its content: a private key, or where one is.
        key: The public key, with its holder's name.
    Returns:
        The path of the public key.
    Raises:
        KeyFileError: A file exists already.
        StorageError: Writing failed, or the file system has no modes; neither file is left.
    """
    require_absent(path)
    public = public_path(path)
    with storage_errors(f"write the key {path}"):
        _create(path, private, 0o600)
        try:
            _create(public, public_bytes(key), 0o644)
            fsync_directory(path.parent)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return public


def _private_bytes(key: FileSigner, passphrase: bytes | None) -> bytes:
    encryption: KeySerializationEncryption = NoEncryption()
    if passphrase is not None:
        if len(passphrase) < MIN_PASSPHRASE:
            raise KeyFileError(
                f"the passphrase is too short: expected at least {MIN_PASSPHRASE} characters",
                "Use several random words.",
            )
        encryption = BestAvailableEncryption(passphrase)
    private = load_pem_private_key(key.private_bytes, None)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def _create(path: Path, data: bytes, mode: int) -> None:
    """Write a file that must not exist; a partial file is removed on an error."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            require_private(path, file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def public_bytes(key: Key) -> bytes:
    """Return the content of a public key file: the TUF key and its id."""
    return json.dumps(public_fields(key), indent=2).encode() + b"\n"


def public_fields(key: Key) -> dict[str, Any]:
    """Return a public key as plain data: the TUF key and its id."""
    return {_KEY_ID_FIELD: key.keyid, **key.to_dict()}


def is_encrypted(path: Path) -> bool:
    """Return whether a private key file needs a passphrase.

    Raises:
        KeyFileError: It cannot be read.
    """
    return _ENCRYPTED in read_key_file(path)


def is_exposed(path: Path) -> bool:
    """Return whether others than the owner can read the file; the command warns about it."""
    with storage_errors(f"read the key {path}"):
        return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


def load_key(path: Path, passphrase: bytes | None = None) -> FileSigner:
    """Load a private key.

    Raises:
        KeyFileError: It cannot be read, the passphrase is wrong, or its type is not supported.
    """
    data = read_key_file(path)
    encrypted = _ENCRYPTED in data
    if encrypted and passphrase is None:
        raise KeyFileError(
            f"{path}: the key is encrypted, and no passphrase was given",
            "Run this on a terminal, or give --passphrase-fd.",
        )
    try:
        private = load_pem_private_key(data, passphrase if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if encrypted:
            raise KeyFileError(
                f"{path}: the passphrase is wrong, or the file is damaged", "Try again."
            ) from error
        raise _not_a_key(path) from error
    signer = signer_of(private)
    if signer is None:
        raise _not_a_key(path)
    return signer


def load_public_key(path: Path) -> SSlibKey:
    """Load a public key file.

    Raises:
        KeyFileError: It is not one, has no holder, or its id does not match its value.
    """
    try:
        fields: Any = json.loads(read_key_file(path))
    except (ValueError, RecursionError) as error:
        raise _not_a_public_key(path) from error
    return public_key_of(fields, str(path))


def public_key_of(fields: Any, where: str) -> SSlibKey:
    """Return the public key in a public key file's parsed content.

    Raises:
        KeyFileError: It is not a public key, has no holder, or its id does not match its value.
    """
    try:
        value = dict(fields)
        key_id = value.pop(_KEY_ID_FIELD)
        key = Key.from_dict(key_id, value)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _not_a_public_key(where) from error
    if not isinstance(key, SSlibKey):
        raise _not_a_public_key(where)
    if key.keyid != derived_id(key, where):
        raise KeyFileError(
            f"{where}: the key's id does not match its value", "Ask its holder for the file again."
        )
    holder(key)
    return key


def read_key_file(path: Path) -> bytes:
    """Read a key file, bounded.

    Raises:
        KeyFileError: It cannot be read, or is too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileError(
            f"{path}: cannot read the key: {error.strerror}", "Check the path and its permissions."
        ) from error
    if len(data) > MAX_KEY_FILE_BYTES:
        raise KeyFileError(
            f"{path}: expected a key of at most {MAX_KEY_FILE_BYTES} bytes, found more",
            "Is it the right file?",
        )
    return data


def _not_a_key(path: Path) -> KeyFileError:
    return KeyFileError(
        f"{path}: expected a private key (PKCS8 PEM) of type {', '.join(KEY_TYPES)}, "
        "found something else",
        "Give the file that `isoward keys new` wrote.",
    )


def _not_a_public_key(where: Path | str) -> KeyFileError:
    return KeyFileError(
        f"{where}: expected a public key file, found something else",
        "Give the .pub file that `isoward keys new` wrote.",
    )
