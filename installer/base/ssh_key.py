"""A private key's file as ssh itself reads it, which is stricter than the library that asks nodes.

Source: OpenSSH's PROTOCOL.key; each form below was refused by `ssh-keygen -y` of OpenSSH 9.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_NEW: Final = "Give the installer a key of its own: ssh-keygen -t ed25519 -N '' -f FILE."

_OPENSSH: Final = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_ENDS: Final = re.compile(rb"[^!-~]$")
"""What a copy by way of a page or a terminal leaves: spaces, tabs, spaces that do not break."""


def key_text_problem(data: bytes) -> tuple[str, str] | None:
    """Say why ssh would not take the file of a private key, though others would.

    Args:
        data: The file.
    Returns:
        What was found and what to do, or None where nothing is wrong with its form.
    """
    start = data.lstrip()[:64]
    wrong = next((form for form in _forms(data, start) if form[0]), None)
    return wrong[1:] if wrong is not None else None


def _forms(data: bytes, start: bytes) -> Iterator[tuple[bool, str, str]]:
    putty = start.startswith(b"PuTTY-User-Key-File")
    yield putty, "a key in PuTTY's form", "Convert it: puttygen KEY -O private-openssh -o NEW."
    public = start.startswith((b"ssh-", b"ecdsa-", b"---- BEGIN SSH2 PUBLIC"))
    yield public, "a public key", "Name the private one, without .pub."
    marked = data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"))
    yield marked, "a file that begins with a byte order mark", "Save it as text without one."
    yield (
        b"\r" in data,
        "a key with Windows line endings (CRLF), which ssh cannot read",
        "Convert it: sed -i 's/\\r$//' FILE.",
    )
    yield not start.startswith(b"-----BEGIN "), "a file that is no private key", _NEW
    opened = start.startswith(_OPENSSH)
    yield (
        opened and not data.endswith(b"\n"),
        "a key without a line break at its end, which ssh cannot read",
        "Add one: echo >> FILE.",
    )
    yield (
        not data.startswith(b"-----BEGIN "),
        "a key with a blank line or a space before it",
        "Take out what stands before its first line.",
    )
    yield (
        opened and any(_ENDS.search(line) for line in data.splitlines()),
        "a key with spaces at the ends of its lines, which ssh cannot read",
        "Take them out: LC_ALL=C sed -i 's/[^!-~]*$//' FILE.",
    )
    # OpenSSH before 9.6 has no Ed25519 keys in this form.
    yield (
        start.startswith(b"-----BEGIN PRIVATE KEY-----"),
        "a key in the form PKCS#8, which not every ssh can read",
        f"Convert it: ssh-keygen -p -P '' -N '' -f FILE. If that cannot read it either: {_NEW}",
    )
