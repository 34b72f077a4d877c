"""Every error that Isoward raises, each with an exit code and a stable id.

A message names the thing, what was expected and what was found; the hint says what to do next.
docs/EXIT_CODES.md is generated from the classes in this file (and a test keeps it so).
"""

from __future__ import annotations

from collections.abc import Iterator

from bundle.base.root_error import MAX_MESSAGE as MAX_MESSAGE  # noqa: PLC0414 - said to be ours
from bundle.base.root_error import Advice as Advice  # noqa: PLC0414
from bundle.base.root_error import IsowardError as IsowardError  # noqa: PLC0414


class UsageError(IsowardError):
    """The command line asks for something that cannot be done as asked."""

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
    """The disk refused: full, read-only, or no permission."""

    exit_code = 12
    id = "storage"


class NoSpaceError(StorageError):
    """Not enough free space for what is to be written."""

    exit_code = 13
    id = "no-space"


class BusyError(StorageError):
    """Another Isoward process holds the lock of this directory."""

    exit_code = 14
    id = "busy"


class ProgramError(IsowardError):
    """A program of this machine that does a part of the work failed."""

    exit_code = 15
    id = "program"


class MissingProgramError(ProgramError):
    """A program that does a part of the work is not installed on this machine."""

    exit_code = 16
    id = "missing-program"


class ClosureError(IsowardError):
    """Something in the bundle wants an image that the bundle would not have."""

    exit_code = 17
    id = "closure"
    missing: bytes = b""
    """The document that says which images those are, for a file; empty when there is none."""


class IntegrityError(IsowardError):
    """Bytes are not the bytes that were promised."""

    exit_code = 20
    id = "integrity"


class DigestMismatchError(IntegrityError):
    """The right length, other bytes."""

    exit_code = 21
    id = "digest-mismatch"


class SizeMismatchError(IntegrityError):
    """Shorter or longer than promised."""

    exit_code = 22
    id = "size-mismatch"


class MissingBlobError(IntegrityError):
    """A file that the bundle must have is not there."""

    exit_code = 23
    id = "missing-blob"


class UnexpectedFileError(IntegrityError):
    """A file is there that nothing in the bundle vouches for."""

    exit_code = 24
    id = "unexpected-file"


class UnsafePathError(IntegrityError):
    """A path leaves its directory, or is a link or a device where a file must be."""

    exit_code = 25
    id = "unsafe-path"


class TrustError(IsowardError):
    """The bundle is not one that this site agreed to trust."""

    exit_code = 30
    id = "trust"


class SignatureError(TrustError):
    """A signature does not verify, or trust metadata is malformed."""

    exit_code = 31
    id = "signature"


class ThresholdError(TrustError):
    """Fewer valid signatures than the role demands."""

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
    """The build system signed for longer than it ever should."""

    exit_code = 30
    id = "lifetime"


class RollbackError(TrustError):
    """Older than something that this site has already seen."""

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
    """A key that an earlier root named for this role and a later one took away."""

    exit_code = 33
    id = "revoked-key"


class MixedMetadataError(RollbackError):
    """Trust metadata of different releases put together, or a second file under one version."""

    exit_code = 35
    id = "mixed-metadata"


class ClockError(CouldNotVerifyError):
    """This machine's clock is earlier than a time that was already seen."""

    exit_code = 36
    id = "clock"


class DamagedStateError(CouldNotVerifyError):
    """The site's record of what it has seen is damaged."""

    exit_code = 36
    id = "damaged-state"


class LostStateError(CouldNotVerifyError):
    """The site's record of what it has seen is gone, though it had one."""

    exit_code = 36
    id = "lost-state"


class DamagedAuthorityError(CouldNotVerifyError):
    """The record of the site's own keys is damaged or gone."""

    exit_code = 36
    id = "damaged-authority"


class WrongSiteError(NotEnrolledError):
    """The release is restricted to other sites."""

    exit_code = 37
    id = "wrong-site"


class WrongProductError(NotEnrolledError):
    """The bundle is not of the product that the root is for."""

    exit_code = 37
    id = "wrong-product"


class PolicyError(TrustError):
    """A rule of the release or of the site refuses it."""

    exit_code = 39
    id = "policy"


class UnsignedError(PolicyError):
    """An upstream image has no good signature, and no waiver allows that."""

    exit_code = 39
    id = "unsigned"


class RevokedReleaseError(TrustError):
    """The approvers took this release back."""

    exit_code = 39
    id = "revoked-release"


class WaiverError(TrustError):
    """A waiver is not valid for this bundle, site or day."""

    exit_code = 39
    id = "waiver"


class RecoveryError(TrustError):
    """A recovery is not signed by enough of the site's keys, or there is nothing to recover."""

    exit_code = 39
    id = "recovery"


class AttestationError(SignatureError):
    """An attestation is missing, is not about this bundle, or is not signed by whom it must be."""

    exit_code = 31
    id = "attestation"


class TransportError(IsowardError):
    """The network or the server failed; running again may succeed."""

    exit_code = 40
    id = "transport"


class TooSlowError(TransportError):
    """The server sends, but so slowly that it would never end; it is not asked again at once."""

    exit_code = 40
    id = "too-slow"


class TransportRefusedError(TransportError):
    """The server answered with a refusal; running again changes nothing."""

    exit_code = 41
    id = "transport-refused"


class HostNotAllowedError(TransportError):
    """A request would go to a host that is not on the allow-list."""

    exit_code = 42
    id = "host-not-allowed"


class NotFoundError(TransportError):
    """The server has no such thing."""

    exit_code = 43
    id = "not-found"


class AuthenticationError(TransportError):
    """The server did not accept the credentials, or there were none."""

    exit_code = 44
    id = "authentication"


class InstallError(IsowardError):
    """An installation did not come to its end."""

    exit_code = 50
    id = "install"


class PreflightError(InstallError):
    """A node does not meet what the installation needs."""

    exit_code = 51
    id = "preflight"


class StepError(InstallError):
    """A step of the installation failed on a node."""

    exit_code = 52
    id = "step"


class UnreachableError(InstallError):
    """A node could not be reached, or is not the node that was pinned."""

    exit_code = 53
    id = "unreachable"


class AuditError(IsowardError):
    """The record of what was done is broken."""

    exit_code = 60
    id = "audit"


class InterruptedByUserError(IsowardError):
    """Stopped by the user; running again goes on from here."""

    exit_code = 130
    id = "interrupted"


def all_errors() -> Iterator[type[IsowardError]]:
    """Yield every error class, the root first, parents before children."""
    pending: list[type[IsowardError]] = [IsowardError]
    while pending:
        cls = pending.pop(0)
        yield cls
        pending.extend(cls.__subclasses__())
