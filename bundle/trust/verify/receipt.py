"""A receipt of a verification, for the auditor's file: signed by whoever verified.

Source: SLSA v1.0, "Verification Summary Attestation (VSA)".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bundle.base.digest import digest_of, hex_of
from bundle.model.attestation import VERIFICATION_SUMMARY, make_statement
from bundle.store.layout import MANIFEST_NAME
from bundle.trust.attestations.envelope import sign_statement
from bundle.trust.keys.stored import SigningKey
from bundle.trust.verify.verified import VerifiedBundle

LEVELS: Final = (
    "ISOWARD_APPROVALS",
    "ISOWARD_EVERY_BYTE",
    "ISOWARD_UPSTREAM_SIGNATURES",
    "SLSA_BUILD_LEVEL_UNEVALUATED",
)
"""What was found. How the build system is kept is for its auditor, so SLSA's own level is open."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A verification that passed.

    Attributes:
        verified: The bundle.
        not_checked: What was not checked, and why.
        version: Of isoward.
        time: Of the verification, in UTC.
    """

    verified: VerifiedBundle
    not_checked: Sequence[tuple[str, str]]
    version: str
    time: datetime


def make_receipt(receipt: Receipt, signer: SigningKey) -> bytes:
    """Return a signed verification summary about bundle.json: a DSSE envelope."""
    verified = receipt.verified
    metadata = verified.manifest.metadata
    root = hex_of(verified.root_fingerprint)
    approvals = [
        {"name": given.name, "ticket": given.ticket, "time": _moment(given.time)}
        for given in verified.attestations.approvals
    ]
    predicate: dict[str, Any] = {
        "verifier": {
            "id": f"urn:isoward:verifier:{signer.public_key.keyid}",
            "version": {"isoward": receipt.version},
        },
        "timeVerified": _moment(receipt.time),
        "resourceUri": f"urn:isoward:bundle:{metadata.name}:{metadata.version}",
        "policy": {"uri": f"urn:isoward:root:{root}", "digest": {"sha256": root}},
        "inputAttestations": [
            {"uri": name, "digest": {"sha256": hex_of(digest_of(data))}}
            for name, data in sorted(verified.attestations.files.items())
            if name.endswith(".dsse.json")
        ],
        "verificationResult": "PASSED",
        "verifiedLevels": list(LEVELS),
        "slsaVersion": "1.0",
        "x-isoward": {
            "release": verified.release,
            "approvals": approvals,
            "notChecked": [{"what": what, "why": why} for what, why in receipt.not_checked],
        },
    }
    statement = make_statement(
        MANIFEST_NAME, verified.manifest_digest, VERIFICATION_SUMMARY, predicate
    )
    return sign_statement(statement, signer)


def _moment(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
