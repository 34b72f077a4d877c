"""The keyring of a definition: the distribution's public keys, and nothing else.

Source: RFC 9580, sections 4.2 (packet headers) and 6.2 (ASCII armour).
"""

from __future__ import annotations

from typing import Final

from bundle.model.digest import digest_of
from bundle.model.errors import DefinitionError
from bundle.model.limits import MAX_KEYRING_BYTES
from bundle.model.os_packages import KEYRING_NAMES, LockedKeyring
from bundle.store.atomic import storage_errors
from bundler.sources.context import SourceContext
from bundler.sources.local_files import open_local

_ARMOUR: Final = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
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
        StorageError: It cannot be read.
    """
    with open_local(context.folder, source) as file, storage_errors(f"read {source}"):
        data = file.read(MAX_KEYRING_BYTES + 1)
    armoured = data.lstrip().startswith(_ARMOUR)
    if len(data) > MAX_KEYRING_BYTES or _PRIVATE in data or not (armoured or _is_public(data)):
        raise DefinitionError(
            f"keyring {source}: expected OpenPGP public keys of at most {MAX_KEYRING_BYTES} bytes",
            "Give the file that the distribution publishes, such as `gpg --export` makes it.",
        )
    digest = digest_of(data)
    context.store.put_bytes(digest, data)
    name = KEYRING_NAMES[0] if armoured else KEYRING_NAMES[1]
    return LockedKeyring(path=name, digest=digest, size=len(data), source=source)


def _is_public(data: bytes) -> bool:
    """Say whether the first packet is a public key; a secret one has another tag."""
    if not data or not data[0] & _PACKET:
        return False
    tag = data[0] & 0x3F if data[0] & _NEW_FORMAT else (data[0] & 0x3C) >> 2
    return tag == _PUBLIC_KEY
