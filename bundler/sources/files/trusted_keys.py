"""The keyring of a definition: the distribution's public keys, and nothing else.

Source: RFC 9580, sections 4.2 (packet headers) and 6.2 (ASCII armour).
"""

from __future__ import annotations

from typing import Final

from bundle.base.digest import digest_of
from bundle.base.errors import DefinitionError, DigestMismatchError
from bundle.base.limits import MAX_KEYRING_BYTES
from bundle.kinds.openpgp import keyring_packets
from bundle.kinds.os_names import KEYRING_NAMES
from bundle.kinds.os_packages import LockedKeyring
from bundler.sources.common.context import SourceContext
from bundler.sources.common.opener import BlobStream, Opener, WholeBytes
from bundler.sources.files.local import read_local

_ARMOUR: Final = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
_END: Final = b"-----END PGP PUBLIC KEY BLOCK-----"
_KEYBOX: Final = b"KBXf"
_PRIVATE: Final = b"PRIVATE KEY"
_PUBLIC_KEY: Final = 6
_PACKET: Final = 0x80
_NEW_FORMAT: Final = 0x40


def keep_keyring(source: str, context: SourceContext) -> LockedKeyring:
    """Read a keyring into the store.

    Args:
        source: A checked inner path.
        context: Its folder is the definition's.
    Returns:
        It, named as apt wants it: by whether it is in ASCII armour.
    Raises:
        DefinitionError: There is no such file in the folder, or it is not public keys.
        StorageError: A blob cannot be read.
    """
    data, armoured = _read(source, context)
    digest = digest_of(data)
    context.store.put_bytes(digest, data)
    name = KEYRING_NAMES[0] if armoured else KEYRING_NAMES[1]
    return LockedKeyring(path=name, digest=digest, size=len(data), source=source)


def keyring_opener(locked: LockedKeyring, context: SourceContext) -> Opener:
    """Return how a build opens the keyring beside its lock, in the form that was locked."""

    def opener(offset: int, *, mirrors: bool) -> BlobStream:  # noqa: ARG001 - it is always whole
        data, _ = _read(locked.source, context)
        if digest_of(data) != locked.digest:
            raise DigestMismatchError(
                f"keyring {locked.source}: expected {locked.digest}, found {digest_of(data)}",
                "It was changed since the lock was made; run `isoward lock` again.",
                {"expected": locked.digest, "found": digest_of(data)},
            )
        return WholeBytes(data)

    return opener


def _read(source: str, context: SourceContext) -> tuple[bytes, bool]:
    """Read a keyring, in a form that every apt and rpm takes, and say whether that is armoured."""
    data = read_local(context.folder, source, MAX_KEYRING_BYTES)
    if data[8:12] == _KEYBOX:
        raise DefinitionError(
            f"keyring {source}: expected OpenPGP public keys, found a keybox, which is GnuPG's own",
            f"Export its keys with `gpg --no-default-keyring --keyring {source} --export`.",
        )
    armoured = _ARMOUR in data
    if len(data) > MAX_KEYRING_BYTES or _PRIVATE in data or not (armoured or _is_public(data)):
        raise DefinitionError(
            f"keyring {source}: expected OpenPGP public keys of at most {MAX_KEYRING_BYTES} bytes",
            "Give the distribution's published file, in the format of `gpg --export`.",
        )
    if armoured and not _is_plain(data):
        return keyring_packets(data.decode("ascii", "replace"), f"keyring {source}"), False
    return data, armoured


def _is_plain(data: bytes) -> bool:
    """Return whether an armored keyring is exactly one block: apt reads only one of several."""
    text = data.strip()
    alone = text.startswith(_ARMOUR) and text.endswith(_END) and data.count(_ARMOUR) == 1
    return alone and b"\r" not in data and b"\n\n" in data


def _is_public(data: bytes) -> bool:
    """Return whether the first packet is a public key; a secret one has another tag."""
    if not data or not data[0] & _PACKET:
        return False
    tag = data[0] & 0x3F if data[0] & _NEW_FORMAT else (data[0] & 0x3C) >> 2
    return tag == _PUBLIC_KEY
