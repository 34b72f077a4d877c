"""PKCS#11 tokens by SoftHSM, one folder of them for each test process."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs.needs import find_tool, requires_tool

PIN = "123456"
SO_PIN = "12345678"
P256, P384, P521 = 1, 2, 3
"""Ids of the keys that a token has; the last is of a curve that does not count."""

_MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm2.so")
_CURVES = {P256: "secp256r1", P384: "secp384r1", P521: "secp521r1"}


@dataclass(frozen=True)
class Token:
    """A token with a key of each curve."""

    module: str
    label: str


@contextmanager
def soft_tokens(*labels: str) -> Iterator[tuple[Token, ...]]:
    """Make tokens; SoftHSM finds them by its environment until this ends.

    The running test is skipped where SoftHSM is missing; in CI it fails.
    """
    requires_tool("softhsm2-util")
    module = next(path for path in _MODULES if Path(path).is_file())
    before = os.environ.get("SOFTHSM2_CONF")
    with tempfile.TemporaryDirectory(prefix="isoward-tokens-") as name:
        configuration = Path(name) / "softhsm2.conf"
        (Path(name) / "tokens").mkdir()
        configuration.write_text(f"directories.tokendir = {name}/tokens\n")
        os.environ["SOFTHSM2_CONF"] = str(configuration)
        try:
            for label in labels:
                _init(label)
            tokens = tuple(Token(module, label) for label in labels)
            for token in tokens:
                _make_keys(token)
            yield tokens
        finally:
            if before is None:
                del os.environ["SOFTHSM2_CONF"]
            else:
                os.environ["SOFTHSM2_CONF"] = before


def _init(label: str) -> None:
    tool = find_tool("softhsm2-util")
    assert tool is not None
    arguments = ["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", SO_PIN]
    subprocess.run([tool, *arguments], check=True, capture_output=True)


def _make_keys(token: Token) -> None:
    import pkcs11
    from pkcs11.util.ec import encode_named_curve_parameters

    found = pkcs11.lib(token.module).get_token(token_label=token.label)
    with found.open(rw=True, user_pin=PIN) as session:
        for key_id, curve in _CURVES.items():
            parameters = session.create_domain_parameters(
                pkcs11.KeyType.EC,
                {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(curve)},
                local=True,
            )
            parameters.generate_keypair(store=True, id=bytes([key_id]), label=curve)
