"""The root of trust: who may do what, and the chain of its versions.

Source: TUF specification 1.0, section 4.3 "root.json" and 5.3 "Update the root role".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from securesystemslib.signer import Key
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from bundle.base.errors import (
    IsowardError,
    KeyFileError,
    MissingBlobError,
    SignatureError,
    TrustError,
    UsageError,
)
from bundle.base.limits import MAX_TRUST_FILE_BYTES
from bundle.model.people import folded
from bundle.store.advice import CHANGED, NOT_THIS
from bundle.store.atomic import storage_errors
from bundle.store.layout import TRUST_DIRECTORY, BundleDirectory
from bundle.trust.keys.schemes import public_value
from bundle.trust.keys.stored import holder
from bundle.trust.keys.terms import MAX_ROOTS, MIN_APPROVALS
from bundle.trust.metadata.parse import check_signatures, keys_of, parse_metadata
from bundle.trust.metadata.restrictions import product_of

ROLES: Final = (Root.type, Targets.type, Snapshot.type, Timestamp.type)
_PERSONS: Final = (Root.type, Targets.type)
_MACHINE: Final = (Snapshot.type, Timestamp.type)
PREFIX: Final = f"{TRUST_DIRECTORY}/"
"""The folder of the trust metadata in a bundle."""
FIRST_ROOT: Final = "1.root.json"


def root_name(version: int) -> str:
    """Return the file name of a root version."""
    return f"{version}.root.json"


def read_roots(directory: BundleDirectory, prefix: str) -> dict[int, bytes]:
    """Read 1.root.json, 2.root.json and so on until one is missing.

    roots: By version, starting at any version, without gaps.
        directory: A bundle or a release folder.
        prefix: `trust/` in a bundle, empty in a release folder.
    Raises:
        MissingBlobError: Not even the first root is there.
        SignatureError: There are more than any vendor has.
    """
    roots: dict[int, bytes] = {}
    for version in range(1, MAX_ROOTS + 2):
        try:
            data = directory.read_small(prefix + root_name(version), MAX_TRUST_FILE_BYTES)
        except MissingBlobError:
            if not roots:
                raise
            return roots
        roots[version] = data
    raise SignatureError(
        f"{prefix}{root_name(MAX_ROOTS + 1)}: expected at most {MAX_ROOTS} roots, found more",
        NOT_THIS,
    )


def require_release(path: Path) -> None:
    """Check that a folder looks like a release folder, before writing to it.

    Raises:
        UsageError: It has no root.
    """
    if not (path / FIRST_ROOT).is_file():
        raise UsageError(
            f"{path}: expected a release folder with {FIRST_ROOT}, found none",
            "Make one with `isoward root new`.",
        )


def offered_roots(path: Path) -> tuple[dict[int, bytes], str]:
    """Read the roots of a release folder, a bundle or a single file.

    Returns:
        The roots by version, and the prefix of their names.
    Raises:
        IntegrityError: There is no root, or it is too large.
        SignatureError: The single file is not a root.
    """
    if path.is_dir():
        prefix = PREFIX if (path / PREFIX).is_dir() else ""
        return read_roots(BundleDirectory(path), prefix), prefix
    with storage_errors(f"read {path}"):
        real = path.resolve(strict=True)
    data = BundleDirectory(real.parent).read_small(real.name, MAX_TRUST_FILE_BYTES)
    return {parse_metadata(data, Root, path.name).signed.version: data}, ""


def check_policy(root: Root, where: str, error: type[IsowardError] = TrustError) -> None:
    """Check what TUF leaves open: who may hold which keys, and how many must sign.

    Raises:
        IsowardError: As `error`; one person or key would count twice, the build system could
            approve, or a threshold is too low or can never be reached.
    """
    hint = "Such a root is not safe; make another one with `isoward root new`."
    try:
        problem = next(_problems(root), "")
    except KeyFileError as cause:
        raise error(f"{where}: {cause.message}", hint) from cause
    if problem:
        raise error(f"{where}: {problem}", hint)


def _problems(root: Root) -> Iterator[str]:
    used = {key_id for role in root.roles.values() for key_id in role.keyids}
    if used != set(root.keys):
        yield "its roles do not use exactly the keys that it contains"
    values = [public_value(key, key_id) for key_id, key in root.keys.items()]
    if len(set(values)) != len(values):
        yield "one public key is listed twice, under two key ids"
    for name in ROLES:
        role = root.roles[name]
        names = {folded_name(key) for key in keys_of(root, name).values()}
        if len(names) != len(role.keyids):
            yield f"one holder is listed twice in the role {name}"
        if role.threshold > len(names):
            yield f"the role {name} requires {role.threshold} signatures but has {len(names)} keys"
    if root.roles[Targets.type].threshold < MIN_APPROVALS:
        yield f"expected a threshold of at least {MIN_APPROVALS} approvals, found fewer"
    yield from _machine_problems(root)
    try:
        product_of(root)
    except SignatureError as error:
        yield error.message
    if root.consistent_snapshot:
        yield "expected plain file names (consistent_snapshot false)"


def _machine_problems(root: Root) -> Iterator[str]:
    """Find build-system keys that belong, or seem to belong, to a person."""
    persons: set[str] = set()
    for role in _PERSONS:
        for key_id, key in keys_of(root, role).items():
            persons |= {key_id, folded_name(key)}
    for role in _MACHINE:
        for key_id, key in keys_of(root, role).items():
            if {key_id, folded_name(key)} & persons:
                yield f"the build system ({holder(key)}) must not be an approver or hold a root key"


def folded_name(key: Key) -> str:
    """Return the part of a holder's name by which people are compared."""
    return folded(holder(key))


def parse_root(data: bytes, where: str) -> Metadata[Root]:
    """Parse a root and check its policy, but not its signatures.

    Raises:
        TrustError: Malformed, or against the policy.
    """
    metadata = parse_metadata(data, Root, where)
    check_policy(metadata.signed, where)
    return metadata


def check_chain(roots: Mapping[int, bytes], prefix: str) -> tuple[Metadata[Root], ...]:
    """Check that each root is signed by its own keys and by those of its predecessor.

    roots: By version, starting at any version, without gaps.
        roots: By version, from 1 on or from any version on, without a gap.
        prefix: For messages.
    Raises:
        TrustError: One of these checks failed; the file is named.
    """
    chain: list[Metadata[Root]] = []
    for version, data in sorted(roots.items()):
        where = prefix + root_name(version)
        metadata = parse_root(data, where)
        if metadata.signed.version != version:
            raise SignatureError(
                f"{where}: expected version {version}, found {metadata.signed.version}",
                CHANGED,
            )
        previous = chain[-1].signed if chain else None
        keys = keys_of(metadata.signed, Root.type)
        if previous:
            keys = keys_of(previous, Root.type) | keys
        retired = {k: key for old in chain for k, key in keys_of(old.signed, Root.type).items()}
        check_signatures(metadata, keys, where, role=Root.type, retired=retired)
        result = metadata.signed.get_root_verification_result(
            previous, metadata.signed_bytes, metadata.signatures
        )
        if not result.verified:
            missing = max(result.first.missing, result.second.missing)
            raise SignatureError(
                f"{where}: the root is not valid: {missing} signature(s) of root keys are missing",
                "Its key holders must sign it with `isoward root sign`.",
            )
        chain.append(metadata)
    return tuple(chain)
