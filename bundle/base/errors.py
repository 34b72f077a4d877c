"""Every error that Isoward raises, with its exit code and a stable id.

A message names the thing, what was expected and what was found; the hint gives the next step.
docs/EXIT_CODES.md is generated from the classes in this file; a test keeps it current.
"""

from __future__ import annotations

from collections.abc import Iterator

from bundle.base.root_error import MAX_MESSAGE as MAX_MESSAGE  # noqa: PLC0414 - said to be ours
from bundle.base.root_error import Advice as Advice  # noqa: PLC0414
from bundle.base.root_error import IsowardError as IsowardError  # noqa: PLC0414


class UsageError(IsowardError):
    """The command line is wrong, or asks for something that is not possible."""

    exit_code = 2
    id = "usage"


class DefinitionError(IsowardError):
    """A document written by a person (definition, site, configuration) is wrong."""

    exit_code = 10
    id = "definition"


class FormatError(IsowardError):
    """A document written by a machine (lock, bundle.json, OCI manifest) is malformed."""

    exit_code = 11
    id = "format"


class StorageError(IsowardError):
    """A disk operation failed: disk full, read-only, or permission denied."""

    exit_code = 12
    id = "storage"


class NoSpaceError(StorageError):
    """Not enough free space."""

    exit_code = 13
    id = "no-space"


class BusyError(StorageError):
    """Another Isoward process holds the lock of this directory."""

    exit_code = 14
    id = "busy"


class ProgramError(IsowardError):
    """An external program failed."""

    exit_code = 15
    id = "program"


class MissingProgramError(ProgramError):
    """A required external program is not installed on this machine."""

    exit_code = 16
    id = "missing-program"


class ClosureError(IsowardError):
    """Something in the bundle needs an image that the bundle does not have."""

    exit_code = 17
    id = "closure"
    missing: bytes = b""
    """The document that lists those images, to be written to a file; empty if there is none."""


class IntegrityError(IsowardError):
    """Content is not what was promised."""

    exit_code = 20
    id = "integrity"


class DigestMismatchError(IntegrityError):
    """The length is right, but the bytes differ."""

    exit_code = 21
    id = "digest-mismatch"


class SizeMismatchError(IntegrityError):
    """Shorter or longer than promised."""

    exit_code = 22
    id = "size-mismatch"


class MissingBlobError(IntegrityError):
    """A file that belongs to the bundle is missing."""

    exit_code = 23
    id = "missing-blob"


class UnexpectedFileError(IntegrityError):
    """The bundle's folder contains a file that does not belong to it."""

    exit_code = 24
    id = "unexpected-file"


class UnsafePathError(IntegrityError):
    """A path leaves its directory, or is a link or device where a regular file is required."""

    exit_code = 25
    id = "unsafe-path"


class TrustError(IsowardError):
    """This site does not trust the bundle."""

    exit_code = 30
    id = "trust"


class SignatureError(TrustError):
    """A signature does not verify, or trust metadata is malformed."""

    exit_code = 31
    id = "signature"


class ThresholdError(TrustError):
    """Fewer valid signatures than the role requires."""

    exit_code = 32
    id = "threshold"


class UnknownKeyError(TrustError):
    """A key that the root does not name for this role."""

    exit_code = 33
    id = "unknown-key"


class ExpiredError(TrustError):
    """Trust metadata is past its expiry."""

    exit_code = 34
    id = "expired"


class LifetimeError(TrustError):
    """Build-system metadata is valid for longer than allowed."""

    exit_code = 30
    id = "lifetime"


class RollbackError(TrustError):
    """Older than something this site has already seen."""

    exit_code = 35
    id = "rollback"


class CouldNotVerifyError(TrustError):
    """Verification could not be carried out, so nothing is trusted."""

    exit_code = 36
    id = "could-not-verify"


class NotEnrolledError(TrustError):
    """No enrolled root matches the bundle."""

    exit_code = 37
    id = "not-enrolled"


class KeyFileError(TrustError):
    """A private or public key cannot be read."""

    exit_code = 38
    id = "key-file"


class RevokedKeyError(UnknownKeyError):
    """A key that an earlier root named for this role and a later root revoked."""

    exit_code = 33
    id = "revoked-key"


class MixedMetadataError(RollbackError):
    """Trust metadata of different releases is mixed, or one version has two different files."""

    exit_code = 35
    id = "mixed-metadata"


class ClockError(CouldNotVerifyError):
    """This machine's clock is behind a time that was already seen."""

    exit_code = 36
    id = "clock"


class DamagedStateError(CouldNotVerifyError):
    """The site's record of what it has seen is damaged."""

    exit_code = 36
    id = "damaged-state"


class LostStateError(CouldNotVerifyError):
    """The site's record of what it has seen is missing, although there was one."""

    exit_code = 36
    id = "lost-state"


class DamagedAuthorityError(CouldNotVerifyError):
    """The record of the site's own keys is damaged or missing."""

    exit_code = 36
    id = "damaged-authority"


class WrongSiteError(NotEnrolledError):
    """The release is restricted to other sites."""

    exit_code = 37
    id = "wrong-site"


class WrongProductError(NotEnrolledError):
    """The bundle belongs to a different product than the root."""

    exit_code = 37
    id = "wrong-product"


class PolicyError(TrustError):
    """A rule of the release or of the site rejects the bundle."""

    exit_code = 39
    id = "policy"


class UnsignedError(PolicyError):
    """An upstream image has no valid signature, and no waiver covers it."""

    exit_code = 39
    id = "unsigned"


class RevokedReleaseError(TrustError):
    """The approvers revoked this release."""

    exit_code = 39
    id = "revoked-release"


class WaiverError(TrustError):
    """A waiver is not valid for this bundle, site or day."""

    exit_code = 39
    id = "waiver"


class RecoveryError(TrustError):
    """Too few of the site's keys signed a recovery, or there is nothing to recover."""

    exit_code = 39
    id = "recovery"


class AttestationError(SignatureError):
    """An attestation is missing, is not about this bundle, or lacks a required signature."""

    exit_code = 31
    id = "attestation"


class TransportError(IsowardError):
    """The network or a server failed; a retry may succeed."""

    exit_code = 40
    id = "transport"


class TooSlowError(TransportError):
    """The server sends too slowly to ever finish; it is not retried right away."""

    exit_code = 40
    id = "too-slow"


class TransportRefusedError(TransportError):
    """The server refused the request; a retry will not help."""

    exit_code = 41
    id = "transport-refused"


class HostNotAllowedError(TransportError):
    """A request would go to a host that is not on the allow-list."""

    exit_code = 42
    id = "host-not-allowed"


class NotFoundError(TransportError):
    """The server does not have the requested resource."""

    exit_code = 43
    id = "not-found"


class AuthenticationError(TransportError):
    """The server rejected the credentials, or none were given."""

    exit_code = 44
    id = "authentication"


class InstallError(IsowardError):
    """An installation did not finish."""

    exit_code = 50
    id = "install"


class PreflightError(InstallError):
    """A node does not meet the requirements of the installation."""

    exit_code = 51
    id = "preflight"


class StepError(InstallError):
    """A step of the installation failed on a node."""

    exit_code = 52
    id = "step"


class UnreachableError(InstallError):
    """A node is unreachable, or its host key is not the pinned one."""

    exit_code = 53
    id = "unreachable"


class AuditError(IsowardError):
    """The record of what was done is damaged."""

    exit_code = 60
    id = "audit"


class InterruptedByUserError(IsowardError):
    """Stopped by the user; run the command again to resume."""

    exit_code = 130
    id = "interrupted"


def all_errors() -> Iterator[type[IsowardError]]:
    """Yield every error class, the root first, parents before children."""
    pending: list[type[IsowardError]] = [IsowardError]
    while pending:
        cls = pending.pop(0)
        yield cls
        pending.extend(cls.__subclasses__())
