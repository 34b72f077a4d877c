"""The site's CA: certificates only, checked before they are put on any machine."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import Final

from bundle.base.errors import DefinitionError
from bundle.store.atomic import storage_errors

NODE_CA: Final = "/etc/containerd/isoward/ca.pem"
"""Where a node has the site's CA; the role containerd_depot puts it there."""

_MAX_BYTES: Final = 256 * 1024
_CERTIFICATE: Final = re.compile(
    r"-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+?-----END CERTIFICATE-----"
)
_ADVICE: Final = "The first `isoward serve` makes it; give another one with --ca."


def read_ca(path: Path) -> bytes:
    """Read CA certificates in PEM form; text around them is left out.

    Raises:
        DefinitionError: There is no certificate, or something that must not reach a node.
        StorageError: It cannot be read.
    """
    if not path.is_file():
        raise DefinitionError(f"{path}: expected the site's CA, found no such file", _ADVICE)
    with storage_errors(f"read {path}"), path.open("rb") as file:
        text = file.read(_MAX_BYTES).decode("ascii", errors="replace")
    if "PRIVATE KEY" in text:
        raise DefinitionError(
            f"{path}: expected certificates only, found a private key",
            "Nodes get this file: give one with the CA's certificate alone.",
        )
    found = _CERTIFICATE.findall(text)
    try:
        for certificate in found:
            ssl.create_default_context(cadata=certificate)
    except ssl.SSLError as error:
        raise DefinitionError(
            f"{path}: expected PEM certificates, found one that cannot be read ({error.reason})",
            _ADVICE,
        ) from error
    if not found:
        raise DefinitionError(f"{path}: expected PEM certificates, found none", _ADVICE)
    return "".join(f"{certificate}\n" for certificate in found).encode()
