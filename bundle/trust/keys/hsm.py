"""Private keys on a PKCS#11 token: a smart card, a USB token, a hardware security module.

The private key never leaves the token. A small reference file replaces the private key's file; it
holds no secret: the module's path, where the key is on the token, and the public key.

Source: PKCS#11 v2.40; securesystemslib's HSMSigner, which signs by ECDSA on P-256 and P-384.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from securesystemslib.exceptions import UnsupportedLibraryError, UnverifiedSignatureError
from securesystemslib.signer import HSMSigner, Signature, SSlibKey

from bundle.base.documents import API_VERSION, Document
from bundle.base.errors import KeyFileError, UsageError
from bundle.base.extras import TOKENS, how_to_install
from bundle.base.patterns import formed
from bundle.trust.keys.schemes import canonical_signature
from bundle.trust.keys.stored import (
    name_key,
    public_fields,
    public_key_of,
    read_key_file,
    write_pair,
)

_MODULE_VARIABLE: Final = "PYKCS11LIB"
"""Where securesystemslib reads the module's path from; it has no parameter for it."""
_URI: Final = r"^hsm:[0-9]{1,20}(\?label=[^\s]{1,200})?$(?!\n)"


class TokenReference(Document, frozen=True, kw_only=True):
    """Content of a reference file."""

    api_version: Literal["isoward/v1"]
    kind: Literal["TokenKey"]
    module: Annotated[
        str,
        formed(
            r"^/[^\x00\n]+$(?!\n)",
            "the absolute path of a PKCS#11 module",
            "/usr/lib/softhsm/libsofthsm2.so",
            max_length=4096,
        ),
    ]
    """The PKCS#11 module, absolute: it is loaded into the process that signs."""
    uri: Annotated[
        str,
        formed(
            _URI, "hsm: and the key's id, followed by the token's label", "hsm:1?label=approvals"
        ),
    ]
    """The key's id and the token's label, as securesystemslib writes them."""
    key: dict[str, Any]
    """The public key, with its holder's name."""


class TokenSigner(HSMSigner):
    """Signs on a token."""

    def __init__(self, reference: TokenReference, key: SSlibKey, pin: str) -> None:
        """Remember the token's key; the token is not accessed yet."""
        made = HSMSigner.from_priv_key_uri(reference.uri, key, lambda _: pin)
        super().__init__(made.hsm_keyid, key, made.pin_handler, made.token_label)
        self._module = reference.module

    def check(self) -> None:
        """Log in and find the key, so that a wrong PIN is noticed before the work and not after.

        Raises:
            KeyFileError: The token, the PIN or the key is wrong.
        """
        with _token(self._module):
            token = self._find_token(self.token_label)
            with token.open(user_pin=self.pin_handler(self.SECRETS_HANDLER_MSG)) as session:
                self._find_signing_key(session, self.hsm_keyid)

    def sign(self, payload: bytes) -> Signature:
        """Sign on the token, and check the signature against the public key of the reference.

        Raises:
            KeyFileError: The token refused, or has another key in that place.
        """
        with _token(self._module):
            signature = super().sign(payload)
        made = canonical_signature(self.public_key, signature)
        try:
            self.public_key.verify_signature(made, payload)
        except UnverifiedSignatureError as error:
            raise KeyFileError(
                "the token signed with a different key than the imported one",
                "Check that the right token is plugged in, or import the key again.",
            ) from error
        return made


def import_token_key(
    name: str, module: str, label: str, key_id: int, ask_pin: Callable[[], str]
) -> TokenReference:
    """Read a public key from a token.

    Args:
        name: Its holder's.
        module: Absolute path of the PKCS#11 module.
        label: Of the token.
        key_id: CKA_ID, as a number.
        ask_pin: Called only if the token shows its keys after login only.
    Raises:
        KeyFileError: There is no such token or key, or its type is not supported.
        UsageError: The module's path is relative.
    """
    if not Path(module).is_absolute():
        raise UsageError(
            f"--module {module}: expected an absolute path, found a relative one",
            "Give the full path, such as /usr/lib/softhsm/libsofthsm2.so.",
        )
    with _token(module):
        uri, key = HSMSigner.import_(key_id, label, lambda _: ask_pin())
    name_key(key, name)
    return TokenReference(
        api_version=API_VERSION, kind="TokenKey", module=module, uri=uri, key=public_fields(key)
    )


def write_reference(reference: TokenReference, path: Path) -> Path:
    """Write a reference file and the public key next to it; neither may exist.

    Returns:
        The path of the public key.
    Raises:
        KeyFileError: One of the files exists.
        StorageError: Writing failed; neither file is left.
    """
    data = msgspec.json.format(msgspec.json.encode(reference), indent=2) + b"\n"
    return write_pair(path, data, key_of(reference, str(path)))


def is_reference(path: Path) -> bool:
    """Return whether a file given as a private key is a reference to a key on a token.

    Raises:
        KeyFileError: It cannot be read.
    """
    return read_key_file(path).lstrip()[:1] == b"{"


def read_reference(path: Path) -> TokenReference:
    """Read a reference file.

    Raises:
        KeyFileError: It is not a reference file.
    """
    try:
        return msgspec.json.decode(read_key_file(path), type=TokenReference)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise KeyFileError(
            f"{path}: expected a private key or a reference to one on a token: {error}",
            "Give the file that `isoward keys new` or `isoward keys import-hsm` wrote.",
        ) from error


def load_token_key(path: Path, pin: bytes) -> TokenSigner:
    """Log in to the token that a reference file names, and return its signer.

    Raises:
        KeyFileError: The reference, the token, the PIN or the key is wrong.
    """
    reference = read_reference(path)
    try:
        text = pin.decode()
    except UnicodeDecodeError as error:
        raise KeyFileError(f"{path}: the PIN is not text", "Try again.") from error
    with _token(reference.module):
        signer = TokenSigner(reference, key_of(reference, str(path)), text)
    signer.check()
    return signer


def key_of(reference: TokenReference, where: str) -> SSlibKey:
    """Return the public key of a reference.

    Raises:
        KeyFileError: It is malformed, has no holder, or its id does not match its value.
    """
    return public_key_of(reference.key, where)


@contextmanager
def _token(module: str) -> Iterator[None]:
    """Use a module, and translate its errors into plain words."""
    before = os.environ.get(_MODULE_VARIABLE)
    os.environ[_MODULE_VARIABLE] = module
    try:
        yield
    except UnsupportedLibraryError as error:
        raise UsageError(
            "keys on a token need python-pkcs11, which is not installed here",
            how_to_install(TOKENS),
        ) from error
    except (ValueError, RuntimeError) as error:
        # pkcs11's own errors are RuntimeErrors; their names say more than their texts.
        raise KeyFileError(f"{module}: {_words(error)}", _advice(error)) from error
    finally:
        if before is None:
            del os.environ[_MODULE_VARIABLE]
        else:
            os.environ[_MODULE_VARIABLE] = before


def _words(error: Exception) -> str:
    name = type(error).__name__
    return _MEANINGS.get(name, (str(error) or name, ""))[0]


def _advice(error: Exception) -> str:
    default = "Check the module's path, the token's label and the key's id."
    return _MEANINGS.get(type(error).__name__, ("", default))[1]


_MEANINGS: Final = {
    "PinIncorrect": ("the PIN is wrong", "A token locks itself after a few wrong PINs."),
    "PinLenRange": ("the PIN is too short or too long", "Try again."),
    "PinInvalid": ("the PIN has characters that the token does not accept", "Try again."),
    "PinLocked": ("the token is locked: too many wrong PINs", "Unlock it with its SO PIN or PUK."),
    "PinExpired": ("the PIN has expired", "Set a new one with the token's own tool."),
    "TokenNotPresent": ("there is no token", "Plug it in."),
    "DeviceRemoved": ("the token was removed", "Plug it in and run the command again."),
}
