"""What the commands about a site's statements have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bundle.store.atomic import write_atomic
from bundle.trust.keys.stored import SigningKey
from bundle.trust.site.statement import (
    Kind,
    P,
    SitePredicate,
    look_at,
    read_statement,
    sign,
)

_MOMENT: Final = "%Y-%m-%d %H:%M:%S"


def signed_facts(file: Path, kind: Kind[P], signer: SigningKey) -> dict[str, Any]:
    """Add a signature to a statement's file; return what a command says then."""
    data, name, added = sign(read_statement(file), kind, signer, str(file))
    if added:
        write_atomic(file, data)
    predicate, _, signed = look_at(data, kind, str(file))
    return {
        "file": str(file),
        "signer": name,
        "added": added,
        "signatures": len(signed),
        "missing": max(0, predicate.threshold - len(signed)),
    }


def signed_lines(facts: dict[str, Any]) -> tuple[str, str]:
    """Say what `signed_facts` found."""
    first = (
        f"signed by {facts['signer']}: {facts['file']}"
        if facts["added"]
        else f"{facts['signer']} has already signed it; nothing to do: {facts['file']}"
    )
    missing = facts["missing"]
    needed = f"{missing} more signature(s) are needed"
    return first, needed if missing else "it has all required signatures"


def common_lines(predicate: SitePredicate, signed: Sequence[str]) -> list[str]:
    """Return the lines that every statement has, for a person; signatures are not verified."""
    names = {key.key_id: key.name for key in predicate.signers}
    who = ", ".join(names.get(key_id, f"an unknown key {key_id[:16]}") for key_id in signed)
    return [
        f"  site         {predicate.site}",
        f"  reason       {predicate.reason}",
        f"  made on      {predicate.created:{_MOMENT}} UTC",
        f"  ends on      {predicate.expires:{_MOMENT}} UTC",
        f"  may sign     {predicate.threshold} of {', '.join(names.values())}",
        *(f"               {key.name}: key {key.key_id}" for key in predicate.signers),
        f"  signed by    {who or 'nobody yet'}",
    ]


def common_facts(predicate: SitePredicate, signed: Sequence[str]) -> dict[str, Any]:
    """Return the same for `--json`."""
    return {
        "site": predicate.site,
        "reason": predicate.reason,
        "created": predicate.created.isoformat(),
        "expires": predicate.expires.isoformat(),
        "threshold": predicate.threshold,
        "signers": [{"name": key.name, "keyId": key.key_id} for key in predicate.signers],
        "signedBy": list(signed),
    }
