"""Verifying a bundle's trust: the only place where a VerifiedBundle is made.

The rules, in their order:

1. Read every file below trust/ once, bounded, following no link; a file too many is refused.
2. The bundle's roots form a chain; those that the site knows are the same, byte for byte.
3. Every signature in every file verifies and is by a key of its role. Thresholds are met.
4. The files belong together: timestamp names snapshot by digest, snapshot names targets by version.
5. The release was not taken back, and is for this site. Nothing has expired; the clock did not go
   back; nothing is another file under a version seen.
6. python-tuf's client, beginning with what the site has seen, comes to the same files.
7. bundle.json has the length and digest of the one target, and only then is decoded; it is of the
   product that the root is for.
8. attestations/ is complete: the build's, and one of each approval; nothing else is there.
9. The clock is not earlier than what was signed, and the build system did not sign for too long.

Steps 1 to 5 only refuse: they find what TUF passes over, and name the file. Step 6 decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import msgspec
from tuf.api.metadata import Metadata, Root

from bundle.base.digest import digest_of
from bundle.base.errors import (
    CouldNotVerifyError,
    ExpiredError,
    MixedMetadataError,
    NotEnrolledError,
    RollbackError,
    SignatureError,
    UsageError,
)
from bundle.store.layout import BundleDirectory
from bundle.trust.attestations.attested import Attestations
from bundle.trust.attestations.checked import Release, check_attestations, read_attestations
from bundle.trust.keys.stored import holder
from bundle.trust.keys.terms import TARGET_NAME
from bundle.trust.metadata.parse import parse_metadata
from bundle.trust.metadata.release_chain import (
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    Documents,
    ManifestFile,
    TrustFiles,
    check_documents,
    check_fresh,
    earliest_expiry,
    parse_documents,
    read_manifest,
    read_trust_files,
)
from bundle.trust.metadata.restrictions import (
    check_not_revoked,
    check_product,
    check_site_name,
    merge_revoked,
    revoked_of,
    sites_of,
)
from bundle.trust.metadata.root import PREFIX, check_chain, root_name
from bundle.trust.metadata.signer import Signer
from bundle.trust.site.state import AcceptedBundle, TrustState, check_clock
from bundle.trust.site.waiver import ExpiredRelease, GrantedWaiver, check_holds
from bundle.trust.verify.clock import check_signed_times
from bundle.trust.verify.tuf_client import run_client
from bundle.trust.verify.verified import MAKER, VerifiedBundle

_Excuse = Callable[[str, datetime], None]
"""Raises an error unless the expiry of a bundle.json, given by digest, is excused now."""

_BEFORE: Final = timedelta(seconds=1)
_SWAPPED: Final = "Two files claim the same version; do not use this bundle, and tell the vendor."


def verify_trust(
    bundle: BundleDirectory,
    state: TrustState,
    now: datetime | None = None,
    *,
    at_site: bool = True,
    waiver: GrantedWaiver | None = None,
) -> tuple[VerifiedBundle, TrustState]:
    """Verify a bundle's trust against what the site has seen.

    Args:
        bundle: Untrusted.
        state: Of the root that the bundle belongs to; see `find_state`.
        now: The clock, in UTC; the system's if None. python-tuf looks at the system's as well.
        at_site: Whether this is where the bundle is to be used. An auditor elsewhere is no site, so
            a restriction to sites is only reported to them.
        waiver: The site's, for expired metadata of this very bundle; unused where nothing expired.
    Returns:
        The verified bundle, and the state to save once the bundle is put to use.
    Raises:
        TrustError: It is not to be trusted.
        IntegrityError: A file is missing, damaged, a link or one too many.
        FormatError: bundle.json was approved and is malformed all the same.
    """
    moment = (now or datetime.now(UTC)).replace(microsecond=0)
    excuse = partial(check_holds, waiver) if waiver is not None else None
    verified, seen, expired = _verify(bundle, state, moment, at_site=at_site, excuse=excuse)
    if expired:
        verified = replace(verified, waiver=waiver, maker=MAKER)
    return verified, seen


def examine_expired(bundle: BundleDirectory, state: TrustState, now: datetime) -> ExpiredRelease:
    """Describe a release whose metadata has expired and that is otherwise valid.

    This is what a waiver is made for; it gives no VerifiedBundle.

    Raises:
        UsageError: Nothing has expired.
        TrustError, IntegrityError: As `verify_trust`, but for the expiry.
    """
    moment = now.replace(microsecond=0)
    verified, _, expired = _verify(bundle, state, moment, at_site=True, excuse=lambda *_: None)
    if not expired:
        raise UsageError(
            f"{bundle.path}: none of its trust metadata has expired",
            "It needs no waiver; import it directly.",
        )
    return ExpiredRelease(
        name=verified.manifest.metadata.name,
        version=verified.manifest.metadata.version,
        release=verified.release,
        digest=verified.manifest_digest,
        root=state.fingerprint,
        files=tuple(_expired_files(verified, moment)),
    )


def _expired_files(verified: VerifiedBundle, now: datetime) -> Iterator[tuple[str, datetime]]:
    newest = PREFIX + root_name(verified.root_version)
    for name, data in verified.trust_files.items():
        metadata: Metadata[Any] = Metadata.from_bytes(data)
        if metadata.signed.is_expired(now) and (
            metadata.signed.type != Root.type or name == newest
        ):
            yield name, metadata.signed.expires


def _verify(
    bundle: BundleDirectory,
    state: TrustState,
    moment: datetime,
    *,
    at_site: bool,
    excuse: _Excuse | None,
) -> tuple[VerifiedBundle, TrustState, bool]:
    """Verify; the third value says whether something has expired and was excused."""
    check_clock(state, moment)
    files = read_trust_files(bundle)
    site = _site_roots(state)
    root, earlier = _newest_root(files, site)
    documents = parse_documents(files)
    signers = check_documents(documents, files, root.signed, earlier=earlier)
    _check_for_us(documents, state, at_site=at_site)
    expired = _is_expired(documents, root.signed, moment, excuse)
    _check_not_older(documents, state)
    clock = earliest_expiry(documents, root.signed) - _BEFORE if expired else None
    run_client(files.by_name(), state, site[0].signed.version, clock)
    manifest = read_manifest(bundle, documents.targets.signed)
    check_product(root.signed, manifest.manifest.metadata.name)
    attestations = _check_attestations(bundle, documents, root.signed, manifest)
    check_signed_times(documents, root.signed, attestations, moment)
    checked = _Checked(files, documents, root, signers, attestations)
    verified = _make(checked, manifest, state.fingerprint)
    known = msgspec.structs.replace(
        state, revoked=merge_revoked(state.revoked, revoked_of(documents.targets.signed))
    )
    return verified, _advance(known, site, files, verified=verified, now=moment), expired


def verify_accepted(bundle: BundleDirectory, state: TrustState) -> VerifiedBundle:
    """Verify again a bundle that this site accepted before, such as one in its depot.

    Expiry and rollback were judged by `verify_trust` when it was accepted, which the state records;
    a bundle that is in use does not stop being good when its timestamp expires.

    Args:
        bundle: Untrusted: bundle.json, trust/ and attestations/ suffice.
        state: Of the root that the bundle belongs to.
    Raises:
        CouldNotVerifyError: The state does not record this bundle.
        TrustError: A signature does not verify.
        IntegrityError: A file is missing, damaged, a link or one too many.
    """
    files = read_trust_files(bundle)
    site = _site_roots(state)
    _newest_root(files, site)
    documents = parse_documents(files)
    manifest = read_manifest(bundle, documents.targets.signed)
    release = documents.targets.signed.version
    record = _record_of(state, digest_of(manifest.data), release)
    root = next((r for r in site if record and r.signed.version == record.root_version), None)
    if root is None:
        raise CouldNotVerifyError(
            f"{bundle.path}: this site has no record of having accepted release {release}",
            "Bring the bundle in with `isoward import`.",
        )
    signers = check_documents(documents, files, root.signed)
    attestations = _check_attestations(bundle, documents, root.signed, manifest)
    checked = _Checked(files, documents, root, signers, attestations)
    return _make(checked, manifest, state.fingerprint)


def _check_attestations(
    bundle: BundleDirectory, documents: Documents, root: Root, content: ManifestFile
) -> Attestations:
    targets = documents.targets
    release = Release(content.manifest, content.data, targets.signed.version, root)
    return check_attestations(read_attestations(bundle), release, tuple(targets.signatures))


def _record_of(state: TrustState, digest: str, release: int) -> AcceptedBundle | None:
    matching = [e for e in state.accepted if e.digest == digest and e.release == release]
    return matching[-1] if matching else None


def _site_roots(state: TrustState) -> tuple[Metadata[Root], ...]:
    """Check and return the chain that the site knows, from the enrolled root on."""
    first = parse_metadata(state.roots[0].encode(), Root, "the enrolled root").signed.version
    roots = {first + i: root.encode() for i, root in enumerate(state.roots)}
    return check_chain(roots, "the site's record of ")


def _newest_root(
    files: TrustFiles, site: Sequence[Metadata[Root]]
) -> tuple[Metadata[Root], list[Root]]:
    """Check the bundle's chain and that it is the site's.

    Returns:
        The newest root of both, and those before it.
    """
    chain = check_chain(files.roots, PREFIX)
    known = {root.signed.version: root for root in site}
    common = [root for root in chain if root.signed.version in known]
    if not common:
        raise NotEnrolledError(
            "the bundle's roots do not belong to the enrolled root",
            "Run `isoward enroll` first, with the fingerprint from the vendor.",
        )
    for root in common:
        version = root.signed.version
        if files.roots[version] != known[version].to_bytes():
            raise SignatureError(
                f"{PREFIX}{root_name(version)}: not the root this site enrolled",
                "The bundle belongs to another vendor, or is damaged or changed; do not use it.",
            )
    newest = max((chain[-1], site[-1]), key=lambda root: root.signed.version)
    earlier = [r.signed for r in (*chain, *site) if r.signed.version < newest.signed.version]
    return newest, earlier


def _check_for_us(documents: Documents, state: TrustState, *, at_site: bool) -> None:
    """Refuse revoked releases and those for other sites, before comparing anything."""
    targets = documents.targets.signed
    revoked = merge_revoked(state.revoked, revoked_of(targets))
    check_not_revoked(_digest_of_target(documents), revoked)
    if at_site:
        check_site_name(targets, state.site)


def _is_expired(documents: Documents, root: Root, now: datetime, excuse: _Excuse | None) -> bool:
    """Check that nothing has expired, or that `excuse` permits it; return whether it did."""
    try:
        check_fresh(documents, root, PREFIX + root_name(root.version), now)
    except ExpiredError:
        if excuse is None:
            raise
        excuse(_digest_of_target(documents), now)
        return True
    return False


def _digest_of_target(documents: Documents) -> str:
    target = documents.targets.signed.targets.get(TARGET_NAME)
    return f"sha256:{target.hashes.get('sha256', '')}" if target is not None else ""


def _check_not_older(documents: Documents, state: TrustState) -> None:
    """Refuse older releases, and different content under a version already seen."""
    release = documents.targets.signed.version
    if release < state.floor:
        raise RollbackError(
            f"{PREFIX}{TARGETS}: release {release} is older than release {state.floor}, the oldest "
            "that this site accepts since its records were recovered",
            "Use that release or a newer one.",
            {"expected": state.floor, "found": release},
        )
    pairs: tuple[tuple[str, str, Metadata[Any]], ...] = (
        (TIMESTAMP, state.timestamp, documents.timestamp),
        (SNAPSHOT, state.snapshot, documents.snapshot),
        (TARGETS, state.targets, documents.targets),
    )
    for name, text, found in pairs:
        if not text:
            continue
        seen: Metadata[Any] = Metadata.from_bytes(text.encode())
        if seen.signed.version == found.signed.version and seen.signed_bytes != found.signed_bytes:
            raise MixedMetadataError(
                f"{PREFIX}{name}: not the file this site has seen as version {seen.signed.version}",
                _SWAPPED,
            )
        if name == TARGETS and found.signed.version < seen.signed.version:
            raise RollbackError(
                f"{PREFIX}{name}: release {found.signed.version} is older than release "
                f"{seen.signed.version}, which this site has seen",
                "Use the newest release that was imported here, or a newer one.",
                {"expected": seen.signed.version, "found": found.signed.version},
            )


@dataclass(frozen=True, slots=True)
class _Checked:
    """Metadata that passed, and who signed it."""

    files: TrustFiles
    documents: Documents
    root: Metadata[Root]
    signers: tuple[Signer, ...]
    attestations: Attestations


def _make(checked: _Checked, content: ManifestFile, fingerprint: str) -> VerifiedBundle:
    root = checked.root
    role = root.signed.roles[Root.type]
    of_root = tuple(
        Signer(holder(root.signed.keys[key_id]), key_id, Root.type)
        for key_id in root.signatures
        if key_id in role.keyids
    )
    names = checked.files.by_name()
    return VerifiedBundle(
        manifest=content.manifest,
        manifest_bytes=content.data,
        manifest_digest=digest_of(content.data),
        release=checked.documents.targets.signed.version,
        root_fingerprint=fingerprint,
        root_version=root.signed.version,
        signers=of_root + checked.signers,
        expires=earliest_expiry(checked.documents, root.signed),
        trust_files=MappingProxyType({PREFIX + name: data for name, data in names.items()}),
        attestations=checked.attestations,
        sites=sites_of(checked.documents.targets.signed),
        maker=MAKER,
    )


def _advance(
    state: TrustState,
    site: Sequence[Metadata[Root]],
    files: TrustFiles,
    verified: VerifiedBundle,
    now: datetime,
) -> TrustState:
    """Record what was seen: new roots, the newest metadata, this bundle and the time."""
    newest = site[-1].signed.version
    later = [data.decode() for version, data in sorted(files.roots.items()) if version > newest]
    entry = AcceptedBundle(
        digest=verified.manifest_digest,
        release=verified.release,
        root_version=verified.root_version,
        at=now,
    )
    known = _record_of(state, entry.digest, entry.release)
    same = known is not None and known.root_version == entry.root_version
    return msgspec.structs.replace(
        state,
        last_seen=max(state.last_seen, now),
        roots=(*state.roots, *later),
        timestamp=files.timestamp.decode(),
        snapshot=files.snapshot.decode(),
        targets=files.targets.decode(),
        accepted=state.accepted if same else (*state.accepted, entry),
    )
