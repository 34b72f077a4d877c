"""What a good signature is about: cosign's simple signing, and in-toto statements.

Source: "Simple Signing" as cosign's SIGNATURE_SPEC has it; in-toto Attestation Framework v1.
"""

from __future__ import annotations

from typing import Final

from bundle.base.digest import hex_of
from bundle.base.plain import carried
from bundle.model.attestation import PAYLOAD_TYPE, STATEMENT_TYPE
from bundle.trust.upstream.strict_json import strict_object, text_at
from bundle.trust.upstream.verdict import MAX_SIGNER, Good, NotGoodError, Subject

SIMPLE_SIGNING: Final = "application/vnd.dev.cosign.simplesigning.v1+json"
_SIMPLE_TYPE: Final = "cosign container image signature"
_OLD_STATEMENT: Final = "https://in-toto.io/Statement/v0.1"

SIGNING_PREDICATES: Final = frozenset(
    {
        "https://sigstore.dev/cosign/sign/v1",
        "https://slsa.dev/provenance/v1",
        "https://slsa.dev/provenance/v0.2",
    }
)
"""Statements that say "this image is mine": cosign 3's signature, and who built it.

An SBOM or a scan by the same signer is about the image, but does not say that it is to be used.
"""


def check_simple_signing(payload: bytes, subject: Subject) -> None:
    """Check that a simple signing payload is about the subject; its signature was verified.

    Raises:
        NotGoodError: It is about another image, or not such a payload.
    """
    claims = strict_object(payload, "payload")
    kind = text_at(claims, "critical", "type")
    if kind != _SIMPLE_TYPE:
        raise NotGoodError(f"its payload is of type {kind[:100]!r}, not {_SIMPLE_TYPE!r}")
    digest = text_at(claims, "critical", "image", "docker-manifest-digest")
    if digest != subject.digest:
        raise NotGoodError(f"it signs {digest[:100] or 'nothing'}")


def judge_statement(payload_type: str, payload: bytes, subject: Subject, signer: str) -> Good:
    """Check that an in-toto statement is about the subject; its signature was verified.

    Raises:
        NotGoodError: It is about another image, or not such a statement.
    """
    if payload_type != PAYLOAD_TYPE:
        raise NotGoodError(f"its payload type is {payload_type[:100]!r}, not {PAYLOAD_TYPE!r}")
    statement = strict_object(payload, "statement", any_keys=True)
    if text_at(statement, "_type") not in {STATEMENT_TYPE, _OLD_STATEMENT}:
        raise NotGoodError("its payload is not an in-toto statement")
    subjects = statement.get("subject")
    about = [text_at(s, "digest", "sha256") for s in subjects] if isinstance(subjects, list) else []
    if hex_of(subject.digest) not in about:
        named = f"sha256:{about[0][:64]}" if about else "nothing"
        raise NotGoodError(f"it is a statement about {named}")
    predicate = text_at(statement, "predicateType")
    if not predicate:
        raise NotGoodError("its statement has no predicateType")
    return Good(signer, carried(predicate, MAX_SIGNER), counts=predicate in SIGNING_PREDICATES)
