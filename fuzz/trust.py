"""Parsers of what trust hangs on: TUF metadata, attestations, states, keys, upstream signatures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgspec
from tuf.api.metadata import Metadata, Snapshot, Targets, Timestamp

from bundle.base.canonical import canonical_digest, canonical_json
from bundle.base.digest import digest_of, hex_of
from bundle.base.errors import IsowardError, KeyFileError
from bundle.base.oci import OCI_MANIFEST, OciDescriptor, OciManifest
from bundle.kinds.policy import KeylessRule, NotationRule
from bundle.model.attestation import (
    APPROVAL,
    CHANGES,
    PROVENANCE,
    parse_envelope,
    parse_statement,
)
from bundle.model.changes import Changes
from bundle.model.predicates import Approval
from bundle.model.provenance import Provenance
from bundle.trust.attestations.envelope import About, Opened, open_envelope, predicate_of
from bundle.trust.keys.stored import public_key_of
from bundle.trust.metadata.fingerprint import describe_root
from bundle.trust.metadata.parse import check_unexpired, parse_metadata
from bundle.trust.metadata.restrictions import revoked_of, sites_of
from bundle.trust.metadata.root import check_chain
from bundle.trust.site.state import check_clock, parse_state
from bundle.trust.site.statement import draft, look_at
from bundle.trust.site.waiver import KIND as WAIVER
from bundle.trust.upstream.chain import load_certificate
from bundle.trust.upstream.cosign import KeyVerifier, judge_layers
from bundle.trust.upstream.keyless import KeylessVerifier
from bundle.trust.upstream.notation import NotationVerifier
from bundle.trust.upstream.public_keys import load_upstream_key
from bundle.trust.upstream.sigstore_bundle import KeyBundleVerifier, judge_bundles
from bundle.trust.upstream.verdict import Good, NotGoodError, SignatureManifest, Subject
from fuzz.target import Target
from installer.enrollment.recovery import KIND as RECOVERY

FIXED = Path(__file__).parent / "fixed"
"""Keys of which nobody has the private part any more."""
_NOW = datetime(2026, 1, 1, tzinfo=UTC)


@cache
def _fixed(name: str) -> str:
    return (FIXED / name).read_text(encoding="ascii")


@cache
def _key() -> Any:
    return public_key_of(json.loads(_fixed("approver.json")), "approver.json")


def tuf_root(data: bytes) -> None:
    """Describe a root to a person, as it says that it is, and check a chain of it alone."""
    described = describe_root(data, "1.root.json")
    assert described.fingerprint == digest_of(data)
    check_chain({1: data}, "trust/")


def tuf_metadata(data: bytes) -> None:
    """Parse the three others; the first byte says which."""
    kinds: tuple[Any, ...] = (Targets, Snapshot, Timestamp)
    found: Metadata[Any] = parse_metadata(data[1:], kinds[data[0] % 3] if data else Targets, "x")
    assert found.to_bytes() == data[1:]
    if isinstance(found.signed, Targets):
        sites_of(found.signed)
        revoked_of(found.signed)
    check_unexpired(found.signed, "x", _NOW)


def envelope(data: bytes) -> None:
    """Open an attestation: the only one that may open is the one that was signed."""
    key = _key()
    opened = open_envelope(data, {key.keyid: key}, "x")
    assert [signer.keyid for signer in opened.signers] == [key.keyid]
    about = About("bundle.json", "sha256:" + "0" * 64)
    predicate_of(opened, about, APPROVAL, Approval, "x")
    assert digest_of(opened.payload) == _fixed("signed.txt").strip()


def _each(data: bytes, attempts: Iterable[Callable[[bytes], Any]]) -> None:
    """Give `data` to several parsers, of which at most one will take it."""
    for attempt in attempts:
        try:
            attempt(data)
        except IsowardError:
            continue


def statement(data: bytes) -> None:
    """Look at a waiver and a recovery, as a signer does, whoever signed it."""
    _each(data, [partial(look_at, kind=kind, where="x") for kind in _KINDS])
    parse_envelope(data, "x")


def predicates(data: bytes) -> None:
    """Read what was signed, as if somebody had signed it: this the envelope alone protects."""
    opened = Opened(parse_statement(data, "x"), data, (_key(),))
    about = About("bundle.json", "sha256:" + "0" * 64)
    wanted: tuple[tuple[str, type[Any]], ...] = (
        (APPROVAL, Approval),
        (PROVENANCE, Provenance),
        (CHANGES, Changes),
    )
    for type_, structure in wanted:
        try:
            predicate_of(opened, about, type_, structure, "x")
        except IsowardError:
            continue
    _each(draft(data), [partial(look_at, kind=kind, where="x") for kind in _KINDS])


_KINDS: tuple[Any, ...] = (WAIVER, RECOVERY)


def state(data: bytes) -> None:
    """Parse what a site has seen, with its checksum and name made right."""
    try:
        body = json.loads(data)
        made = canonical_json({"checksum": canonical_digest(body), "state": body})
        name = hex_of(body["fingerprint"])
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        name, made = "0" * 64, data
    found = parse_state(made, Path(f"{name}.json"))
    check_clock(found, found.last_seen)


def key(data: bytes) -> None:
    """Parse a public key of our form."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return
    public_key_of(fields, "x")


def material(data: bytes) -> None:
    """Parse what a rule carries: keys and certificates in PEM."""
    text = data.decode("utf-8", "replace")
    for load in (load_upstream_key, load_certificate):
        try:
            load(text)
        except NotGoodError:
            continue


_SUBJECT = Subject("sha256:" + "0" * 64, OCI_MANIFEST, b"{}", "linux/amd64")


def _manifest(media_type: str, data: bytes, annotations: dict[str, str]) -> SignatureManifest:
    layer = OciDescriptor(
        media_type=media_type, digest=digest_of(data), size=len(data), annotations=annotations
    )
    config = OciDescriptor(media_type="application/x", digest=digest_of(b""), size=0)
    body = OciManifest(schema_version=2, config=config, layers=(layer,))
    return SignatureManifest(digest_of(b""), body, lambda _: data)


def cosign(data: bytes) -> None:
    """Judge a layer of cosign's: by the first byte an envelope, or a payload and a signature."""
    verifier = KeyVerifier(load_upstream_key(_fixed("upstream.pem")))
    if data[:1] < b"\x80":
        made = _manifest("application/vnd.dsse.envelope.v1+json", data[1:], {})
    else:
        signature, _, payload = data[1:].partition(b"\n")
        annotations = {"dev.cosignproject.cosign/signature": signature.decode("latin-1")}
        made = _manifest("application/vnd.dev.cosign.simplesigning.v1+json", payload, annotations)
    assert not any(isinstance(found, Good) for found in judge_layers(made, _SUBJECT, verifier))


def sigstore_bundle(data: bytes) -> None:
    """Judge a bundle of Sigstore's, by a key."""
    verifier = KeyBundleVerifier(load_upstream_key(_fixed("upstream.pem")))
    made = _manifest("application/vnd.dev.sigstore.bundle.v0.3+json", data, {})
    assert not any(isinstance(found, Good) for found in judge_bundles(made, _SUBJECT, verifier))


@cache
def _keyless() -> KeylessVerifier:
    rule = KeylessRule(
        identity="dev@example.org",
        issuer="https://issuer.example.org",
        trusted_root=_fixed("trusted_root.json"),
    )
    return KeylessVerifier(rule)


def keyless_bundle(data: bytes) -> None:
    """Judge a bundle of Sigstore's, by an identity."""
    made = _manifest("application/vnd.dev.sigstore.bundle.v0.3+json", data, {})
    assert not any(isinstance(found, Good) for found in judge_bundles(made, _SUBJECT, _keyless()))


def keyless_annotations(data: bytes) -> None:
    """Judge cosign's older form: an object of annotations."""
    try:
        annotations = msgspec.json.decode(data, type=dict[str, str])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return
    made = _manifest("application/vnd.dev.cosign.simplesigning.v1+json", b"{}", annotations)
    assert not any(isinstance(found, Good) for found in judge_layers(made, _SUBJECT, _keyless()))


@cache
def _notation() -> NotationVerifier:
    return NotationVerifier(NotationRule(certificate=_fixed("notation.pem")), _NOW)


def notation(data: bytes) -> None:
    """Judge an envelope of Notation's."""
    made = _manifest("application/jose+json", data, {})
    assert not any(isinstance(found, Good) for found in _notation().judge(made, _SUBJECT))


def keys_in_pem(data: bytes) -> None:
    """Read a public key whose value is in PEM."""
    fields = {"keyid": "0" * 64, "keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256"}
    try:
        public_key_of(
            {**fields, "keyval": {"public": data.decode("utf-8", "replace")}, "x": 1}, "x"
        )
    except KeyFileError:
        return


TARGETS = (
    Target("tuf-root", tuf_root, "json", 8192),
    Target("tuf-metadata", tuf_metadata, "json"),
    Target("envelope", envelope, "json"),
    Target("statement", statement, "json"),
    Target("predicates", predicates, "json", 16_384),
    Target("state", state, "json", 16_384),
    Target("key", key, "json"),
    Target("key-pem", keys_in_pem),
    Target("material", material),
    Target("cosign", cosign, "json"),
    Target("sigstore-bundle", sigstore_bundle, "json"),
    Target("notation", notation, "json", 8192),
    Target("keyless-bundle", keyless_bundle, "json", 8192),
    Target("keyless-annotations", keyless_annotations, "json", 8192),
)
