"""A private key's file as ssh itself reads it, which is stricter than the library that asks nodes.

Source: OpenSSH's PROTOCOL.key; each form below was refused by `ssh-keygen -y` of OpenSSH 9.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_NEW: Final = "Give the installer a key of its own: ssh-keygen -t ed25519 -N '' -f FILE."


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
    marked = data.startswith(b"\xef\xbb\xbf")
    yield marked, "a file that begins with a byte order mark", "Save it as text without one."
    yield (
        b"\r" in data,
        "a key with Windows line endings (CRLF), which ssh cannot read",
        "Convert it: sed -i 's/\\r$//' FILE.",
    )
    yield not start.startswith(b"-----BEGIN "), "a file that is no private key", _NEW
    yield (
        not data.endswith(b"\n"),
        "a key without a line break at its end, which ssh cannot read",
        "Add one: echo >> FILE.",
    )
