"""The key with which Secrets lie in etcd: an installation sets it once, and never changes it.

Kubespray keeps the key that it finds on a control plane, unless one is given over all variables,
as the site's is. Another key in its place would leave every Secret of the cluster unreadable.

Source: Kubespray v2.31.0, roles/kubernetes/control-plane/tasks/encrypt-at-rest.yml.
"""

from __future__ import annotations

import base64
import hmac
import re
from typing import Final

from bundle.base.errors import StepError
from installer.core.step import Context
from installer.kube.kubectl import machine_of
from installer.site.document import Node
from installer.site.secrets import ENCRYPTION_KEY

KEY_FILE: Final = "/etc/kubernetes/ssl/secrets_encryption.yaml"
_NONE: Final = "none"
_READ: Final = f'[ -e "$1" ] || {{ echo {_NONE}; exit 0; }}; exec cat "$1"'
_KEY: Final = re.compile(r"(?m)^\s*secret:\s*(\S+)\s*$")


def require_same_key(context: Context, path: str = KEY_FILE) -> None:
    """Refuse a key for Secrets that is not the one that a control plane has already.

    Args:
        context: With the site's secrets; without a key of its own nothing is asked.
        path: Where a control plane has it.
    Raises:
        UnreachableError: A control plane does not answer.
        StepError: It has another key, or does not say which.
    """
    key = context.secrets.get(ENCRYPTION_KEY)
    if not key:
        return
    wanted = base64.b64encode(key.encode()).decode()
    for node in context.site.nodes_with("control-plane"):
        with context.connect(node) as shell:
            done = machine_of(shell).run_as_root("sh", "-c", _READ, "sh", path)
        if done.code != 0:
            raise StepError(
                f"{node.name}: expected to read {path} as root, found {done.said}",
                "Check the file on the node; nothing was changed.",
                {"node": node.name},
            )
        _compare(node, path, done.out, wanted)


def _compare(node: Node, path: str, text: str, wanted: str) -> None:
    if text.strip() == _NONE:
        return
    found = _KEY.findall(text)
    if found and all(hmac.compare_digest(one.encode(), wanted.encode()) for one in found):
        return
    raise StepError(
        f"{node.name}: expected the key in {path} to be {ENCRYPTION_KEY} of the secrets file, "
        "found another one; nothing was changed",
        f"With another key no Secret of the cluster could be read again. Put the old "
        f"{ENCRYPTION_KEY} back, or take it out of the secrets file if there was none.",
        {"node": node.name},
    )
