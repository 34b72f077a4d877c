"""OpenPGP public keys as text: how a definition's keyring is stored in a lock.

Nothing is verified here, and no key is interpreted: gpgv does that. Only packet headers are read,
to refuse private keys and to write the text in one canonical form.

Source: RFC 9580, sections 4.2 and 6.2.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final

from bundle.base.errors import DefinitionError

_BEGIN: Final = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
_END: Final = "-----END PGP PUBLIC KEY BLOCK-----"
_BLOCK: Final = re.compile(
    rf"{_BEGIN}[ \t]*\r?\n(?:[!-9;-~]+: [^\n]*\n)*[ \t]*\r?\n([A-Za-z0-9+/=\s]*?)"
    rf"(?:\n=[A-Za-z0-9+/]{{4}}[ \t]*)?\r?\n{_END}"
)
_LINE: Final = 64
_PUBLIC_KEY: Final = 6
_ALLOWED: Final = frozenset({2, 6, 12, 13, 14, 17, 21})
"""Signatures, public keys and subkeys, trust, users' names and pictures, padding."""


def armoured_keyring(data: bytes, where: str) -> str:
    """Return public keys as armored text, in canonical form.

    Args:
        data: As `gpg --export` writes it, with or without `--armor`.
        where: The file, for messages.
    Raises:
        DefinitionError: It is not public keys, or has a private one.
    """
    return _armour(_checked(data, where))


def separate_keys(data: bytes, where: str) -> tuple[str, ...]:
    """Return each public key as separate armored text, with the checksum that rpm requires.

    Args:
        data: As `gpg --export` writes it, with or without `--armor`.
        where: The file, for messages.
    Raises:
        DefinitionError: It is not public keys, or has a private one.
    """
    keys: list[bytes] = []
    for tag, packet in _packets(_checked(data, where)):
        if tag == _PUBLIC_KEY:
            keys.append(packet)
        else:
            keys[-1] += packet
    return tuple(_armour(key, checksum=True) for key in keys)


def keyring_packets(text: str, where: str) -> bytes:
    """Return the packets of an armored keyring, for gpgv.

    Raises:
        DefinitionError: It is not public keys.
    """
    packets = _unarmoured(text.encode(), where)
    _check_packets(packets, where)
    return packets


def crc24(data: bytes) -> int:
    """Return the checksum of an armor; RFC 9580, section 6.1.1."""
    crc = 0xB704CE
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return crc


def _armour(packets: bytes, *, checksum: bool = False) -> str:
    text = base64.b64encode(packets).decode("ascii")
    lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
    if checksum:
        lines.append("=" + base64.b64encode(crc24(packets).to_bytes(3, "big")).decode("ascii"))
    return "\n".join([_BEGIN, "", *lines, _END, ""])


def _checked(data: bytes, where: str) -> bytes:
    """Return the packets of keys in either form."""
    packets = _unarmoured(data, where) if data.lstrip()[:5] == b"-----" else data
    _check_packets(packets, where)
    return packets


def _unarmoured(data: bytes, where: str) -> bytes:
    text = data.decode("ascii", "replace")
    if "PRIVATE KEY" in text:
        raise _refuse(where, "a private key")
    blocks: list[str] = _BLOCK.findall(text)
    if not blocks or len(blocks) != text.count("-----BEGIN"):
        raise _refuse(where, "something else")
    try:
        return b"".join(base64.b64decode("".join(block.split()), validate=True) for block in blocks)
    except binascii.Error as error:
        raise _refuse(where, "damaged text") from error


def _check_packets(data: bytes, where: str) -> None:
    tags = []
    try:
        tags = [tag for tag, _ in _packets(data)]
    except (IndexError, ValueError) as error:
        raise _refuse(where, "something else, or an incomplete key") from error
    if 5 in tags or 7 in tags:  # noqa: PLR2004 - the tags of secret keys
        raise _refuse(where, "a private key")
    if not tags or tags[0] != _PUBLIC_KEY or not _ALLOWED.issuperset(tags):
        raise _refuse(where, "something else")


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each packet's tag and the whole packet.

    Raises:
        IndexError, ValueError: The data ends within a packet, or is none.
    """
    at = 0
    while at < len(data):
        start, head = at, data[at]
        if not head & 0x80:
            raise ValueError
        if head & 0x40:
            tag, (at, size) = head & 0x3F, _new_length(data, at + 1)
        else:
            width = 1 << (head & 3)
            if width > 4:  # noqa: PLR2004 - no length at all, which keys never have
                raise ValueError
            tag, size = (head >> 2) & 0xF, int.from_bytes(_part(data, at + 1, width), "big")
            at += 1 + width
        _part(data, at, size)
        at += size
        yield tag, data[start:at]


def _new_length(data: bytes, at: int) -> tuple[int, int]:
    first = data[at]
    if first < 192:  # noqa: PLR2004 - section 4.2.1
        return at + 1, first
    if first < 224:  # noqa: PLR2004 - section 4.2.1
        return at + 2, ((first - 192) << 8) + data[at + 1] + 192
    if first < 255:  # noqa: PLR2004 - a partial length, which keys never have
        raise ValueError
    return at + 5, int.from_bytes(_part(data, at + 1, 4), "big")


def _part(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise IndexError
    return data[at : at + size]


def _refuse(where: str, found: str) -> DefinitionError:
    return DefinitionError(
        f"{where}: expected OpenPGP public keys, found {found}",
        "Export it with `gpg --export --armor <who>`.",
    )
