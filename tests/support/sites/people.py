"""A site with keys of its own, and what its people sign."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bundle.base.digest import digest_of
from bundle.store.layout import BundleDirectory
from bundle.trust.site.authority import Authority, load_authority, make_authority
from bundle.trust.site.state import TrustState, find_state, load_states
from bundle.trust.site.statement import sign
from bundle.trust.site.waiver import KIND as WAIVER
from bundle.trust.site.waiver import GrantedWaiver, WaiverRequest, draft_waiver, grant_waiver
from bundle.trust.verify.verification import examine_expired
from installer.depot.importer import ImportOutcome, import_bundle
from installer.enrollment.first_trust import enroll, read_candidate
from installer.enrollment.recovery import KIND as RECOVERY
from installer.enrollment.recovery import RecoveryRequest, draft_recovery
from tests.support.trust.release_kit import (
    KeyFile,
    ReleaseKit,
    approve_all,
    make_bundle,
    make_key,
    make_release,
    now,
    release_bundle,
)

SITE = "north"
PEOPLE = ("Olga Operator", "Otto Officer", "Nora Nurse")
LONG_AGO = timedelta(days=100)
"""Longer than a timestamp lasts, shorter than the rest."""


@dataclass(frozen=True)
class SiteKit:
    """A depot that enrolled a vendor's root and named three people, of whom two decide."""

    depot: Path
    keys: tuple[KeyFile, ...]
    authority: Authority

    @property
    def trust(self) -> Path:
        return self.depot / "trust"


def make_site(base: Path, kit: ReleaseKit, name: str = SITE) -> SiteKit:
    """Enrol the kit's root at `base`/depot, with keys below `base`/people."""
    keys = tuple(make_key(base / "people", person) for person in PEOPLE)
    authority = make_authority([key.signer.public_key for key in keys], 2, name)
    enrol_site(base / "depot", kit, authority)
    return SiteKit(base / "depot", keys, authority)


def enrol_site(depot: Path, kit: ReleaseKit, authority: Authority) -> TrustState:
    """Enrol the kit's root with the site's keys."""
    candidate = read_candidate(kit.release, kit.fingerprint, now())
    return enroll(depot, candidate, now(), site=authority.site, authority=authority)[0]


def old_release(base: Path) -> ReleaseKit:
    """Make a vendor who held the ceremony long ago."""
    return make_release(base, now() - LONG_AGO)


def expired_bundle(path: Path, kit: ReleaseKit, version: str = "1.0.0") -> Path:
    """Make an approved bundle whose timestamp has expired."""
    at = now() - LONG_AGO
    make_bundle(path, f"content of {version}".encode(), version)
    release_bundle(path, kit, at)
    approve_all(path, kit, at)
    return path


def waiver_for(
    bundle: Path,
    site: SiteKit,
    file: Path,
    *,
    signers: int = 2,
    days: int = 7,
    at: datetime | None = None,
    authority: Authority | None = None,
) -> Path:
    """Write a waiver for an expired bundle, signed by the first people of the site."""
    directory, moment = BundleDirectory(bundle), now()
    expired = examine_expired(directory, find_state(directory, load_states(site.trust)), moment)
    data = draft_waiver(
        expired,
        authority or load_authority(site.trust),
        WaiverRequest("The vendor cannot be reached", "CHG-7", days),
        at or moment,
    )
    for key in site.keys[:signers]:
        data, _, _ = sign(data, WAIVER, key.signer, "waiver")
    file.write_bytes(data)
    return file


def recovery_for(
    site: SiteKit,
    kit: ReleaseKit,
    floor: int,
    *,
    signers: int = 2,
    source: Path | None = None,
) -> bytes:
    """Make a recovery, signed by the first people of the site."""
    data = draft_recovery(
        site.depot,
        RecoveryRequest(kit.fingerprint, floor=floor, reason="The disk failed"),
        now(),
        source,
    )
    for key in site.keys[:signers]:
        data, _, _ = sign(data, RECOVERY, key.signer, "recovery")
    return data


def import_waived(bundle: Path, site: SiteKit, waiver: Path) -> ImportOutcome:
    return import_bundle(bundle, site.depot, lambda: datetime.now(UTC), waiver=waiver)


def granted(bundle: Path, site: SiteKit, file: Path, at: datetime | None = None) -> GrantedWaiver:
    digest = digest_of((bundle / "bundle.json").read_bytes())
    authority = load_authority(site.trust)
    return grant_waiver(file.read_bytes(), authority, digest, at or now(), file.name)
