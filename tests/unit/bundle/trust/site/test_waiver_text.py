"""What a waiver may say, and that nothing of it can be changed."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bundle.base.canonical import canonical_json
from bundle.base.errors import (
    UsageError,
    WaiverError,
)
from bundle.model.attestation import PAYLOAD_TYPE
from bundle.trust.site.statement import sign
from bundle.trust.site.waiver import KIND
from tests.support.sites.people import (
    SiteKit,
    granted,
    import_waived,
    waiver_for,
)
from tests.support.trust.release_kit import (
    now,
)


@pytest.mark.parametrize("days", [0, 31, -1])
def test_thirty_days_at_the_most(tmp_path: Path, expired: Path, site: SiteKit, days: int) -> None:
    with pytest.raises(UsageError, match="--days"):
        waiver_for(expired, site, tmp_path / "w.json", days=days)


def rewritten(file: Path, people: SiteKit, **fields: Any) -> bytes:
    """Change what a waiver says, as both signers could with a program of their own."""
    envelope = json.loads(file.read_bytes())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    statement["predicate"] |= fields
    payload = base64.b64encode(canonical_json(statement)).decode()
    data = canonical_json({"payloadType": PAYLOAD_TYPE, "payload": payload, "signatures": []})
    for key in people.keys[:2]:
        data, _, _ = sign(data, KIND, key.signer, "w")
    return data


def say_and_grant(file: Path, expired: Path, site: SiteKit, fields: dict[str, Any]) -> Any:
    file.write_bytes(rewritten(file, site, **fields))
    return granted(expired, site, file).predicate


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"expires": "2099-01-01T00:00:00Z"}, "at most 30 days"),
        ({"expires": "2001-01-01T00:00:00Z"}, "at most 30 days"),
        ({"site": "south"}, "for the site 'south'"),
        ({"waives": "everything"}, "expected a waiver"),
        ({"reason": ""}, "expected a waiver"),
        ({"also": "rollback"}, "expected a waiver"),
    ],
)
def test_what_it_may_say_is_bounded(
    tmp_path: Path, expired: Path, site: SiteKit, fields: dict[str, Any], why: str
) -> None:
    file = waiver_for(expired, site, tmp_path / "w.json")
    with pytest.raises(WaiverError, match=why):
        say_and_grant(file, expired, site, fields)


def test_the_authority_s_threshold_counts(tmp_path: Path, expired: Path, site: SiteKit) -> None:
    """What the statement says of it is for its readers."""
    file = waiver_for(expired, site, tmp_path / "w.json")
    assert say_and_grant(file, expired, site, {"threshold": 1}).threshold == 1
    fields = json.loads(file.read_bytes())
    del fields["signatures"][1]
    file.write_bytes(canonical_json(fields))
    with pytest.raises(WaiverError, match="signed by 1 of 2 required people"):
        granted(expired, site, file)


def test_it_does_not_begin_in_the_future(tmp_path: Path, expired: Path, site: SiteKit) -> None:
    file = waiver_for(expired, site, tmp_path / "w.json", at=now() + timedelta(days=1))
    with pytest.raises(WaiverError, match="later than this machine's clock"):
        import_waived(expired, site, file)


def test_a_changed_byte_is_found(tmp_path: Path, expired: Path, site: SiteKit) -> None:
    file = waiver_for(expired, site, tmp_path / "w.json")
    data = file.read_bytes()
    for at in range(0, len(data), 41):
        file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(WaiverError):
            granted(expired, site, file)
