"""Why a task failed, likely, and what to do: what is known of Kubespray's failures.

Each row of the table was read in Kubespray, Ansible, kubeadm, apt or containerd. A row says where
it may look: the words of the failed task, and if need be the task's own name. The first that fits
wins, so rows that say more stand before rows that say less.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from installer.ansible_run.events import Failure
from installer.ansible_run.known_failures import KNOWN, Known

_SHOWN: Final = 100


@dataclass(frozen=True, slots=True)
class Explanation:
    """A likely cause.

    Attributes:
        cause: What is wrong, likely.
        advice: What to do.
    """

    cause: str
    advice: str


def explain(failure: Failure) -> Explanation | None:
    """Return the likely cause of a failure; None when it is not a known one."""
    text = f"{failure.reason}\n{failure.words}"
    for known in KNOWN:
        if known.unreachable is not None and known.unreachable != failure.unreachable:
            continue
        if known.task and re.search(known.task, failure.where, re.IGNORECASE) is None:
            continue
        found = re.search(known.words, text, re.IGNORECASE)
        if found is not None:
            return _filled(known, failure, found)
    return None


def _filled(known: Known, failure: Failure, found: re.Match[str]) -> Explanation:
    """Put what was found into the words of a row: `{node}`, `{item}` and named groups."""
    groups = found.groupdict(default="")
    values = {key: " ".join(value.split())[:_SHOWN] for key, value in groups.items()}
    values |= {"node": failure.node, "item": failure.item or "the file"}
    return Explanation(_put(known.cause, values), _put(known.advice, values))


def _put(text: str, values: dict[str, str]) -> str:
    for key, value in values.items():
        text = text.replace(f"{{{key}}}", value)
    return text
