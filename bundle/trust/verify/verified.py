"""What a verified bundle is; only bundle.trust can make one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from datetime import datetime
from typing import Any, Final, Never

from bundle.model.manifest import Manifest
from bundle.trust.attestations.attested import Attestations
from bundle.trust.metadata.signer import Signer
from bundle.trust.site.waiver import GrantedWaiver

MAKER: Final = object()
"""Known to bundle.trust.verify.verification alone: without it there is no VerifiedBundle."""


@dataclass(frozen=True, kw_only=True)
class VerifiedBundle:
    """A bundle whose manifest is authenticated; its blobs are checked as they are used.

    Attributes:
        manifest: The decoded bundle.json.
        manifest_bytes: bundle.json, the very bytes that were verified.
        manifest_digest: Their digest.
        release: The version of targets.json; it only grows.
        root_fingerprint: Of the root that this site enrolled.
        root_version: Of the root in force.
        signers: Whose signatures verify, in the order root, targets, snapshot, timestamp.
        expires: The earliest expiry of the trust metadata, in UTC.
        trust_files: The trust metadata that was verified, by path in the bundle.
        attestations: What the build system and the approvers attest.
        sites: The sites that the release is restricted to; none means that it is for all.
        waiver: The site's waiver, where the trust metadata has expired.
    """

    manifest: Manifest
    manifest_bytes: bytes = field(repr=False)
    manifest_digest: str
    release: int
    root_fingerprint: str
    root_version: int
    signers: tuple[Signer, ...]
    expires: datetime
    trust_files: Mapping[str, bytes] = field(repr=False)
    attestations: Attestations
    maker: InitVar[object]
    sites: tuple[str, ...] = ()
    waiver: GrantedWaiver | None = None

    def __post_init__(self, maker: object) -> None:
        if maker is not MAKER:
            raise TypeError("a VerifiedBundle comes from bundle.trust.verify.verification only")

    def __init_subclass__(cls, **_: Any) -> Never:
        raise TypeError("a VerifiedBundle cannot be extended")

    def __reduce__(self) -> Never:
        raise TypeError("a VerifiedBundle cannot be stored; verify the bundle again")

    @property
    def approvers(self) -> tuple[str, ...]:
        """The names of those who approved."""
        return tuple(signer.name for signer in self.signers if signer.role == "targets")
