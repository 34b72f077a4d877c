"""The secrets that a site may have, and what they are for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from installer.base.redact import LEAST

SUDO_PASSWORD: Final = "sudoPassword"  # noqa: S105 - its name
ENCRYPTION_KEY: Final = "encryptionKey"

NAMES: Final[dict[str, str]] = {
    SUDO_PASSWORD: "the password with which the site's user becomes root",
    ENCRYPTION_KEY: "32 letters and digits, with which Secrets are encrypted in etcd",
}
"""Each with what it is, for a person."""

_VARIABLES: Final = {
    SUDO_PASSWORD: "ansible_become_password",
    ENCRYPTION_KEY: "kube_encrypt_token",
}
_KEY: Final = re.compile(r"[A-Za-z0-9]{32}")


def problem_of(name: str, value: str) -> str:
    """Return what is wrong with a secret, without quoting it; empty when nothing is."""
    if name == ENCRYPTION_KEY and _KEY.fullmatch(value) is None:
        return f"expected {NAMES[name]}, found {len(value)} characters"
    if len(value) < LEAST:
        return f"expected at least {LEAST} characters, found {len(value)}"
    return ""


def secret_variables(secrets: Mapping[str, str]) -> dict[str, str]:
    """Return secrets as Ansible and Kubespray call them."""
    return {_VARIABLES[name]: value for name, value in secrets.items() if name in _VARIABLES}
