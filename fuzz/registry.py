"""All targets by name, and what may come out of one."""

from __future__ import annotations

from pathlib import Path

from bundle.base.errors import MAX_MESSAGE, IsowardError
from fuzz import archives, documents, network, packages, sites, trust
from fuzz.target import Target

CORPUS = Path(__file__).parent / "corpus"
TARGETS: dict[str, Target] = {
    target.name: target
    for part in (archives, documents, trust, network, packages, sites)
    for target in part.TARGETS
}


def check(target: Target, data: bytes) -> bool:
    """Give `data` to a target and say whether it was accepted.

    Anything but an error of ours is a bug, and comes out.
    """
    try:
        target.parse(data)
    except IsowardError as error:
        refused = error
    else:
        return True
    assert type(refused) is not IsowardError
    assert refused.message
    assert len(refused.message) <= MAX_MESSAGE + 3
    return False
