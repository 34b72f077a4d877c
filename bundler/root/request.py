"""Signing requests: a root and the one before it in one small file, to a holder and back.

The holder's machine needs nothing else, and no network. What comes back is the same file with one
signature more; the release folder takes nothing of it but signatures, and checks each of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

from securesystemslib.signer import Signature

from bundle.base.canonical import canonical_json, decode_canonical
from bundle.base.documents import API_VERSION, Document, line
from bundle.base.errors import MixedMetadataError, SignatureError, TrustError, UnknownKeyError
from bundle.base.limits import MAX_TRUST_FILE_BYTES
from bundle.store.atomic import storage_errors
from bundle.store.layout import BundleDirectory
from bundle.trust.keys.stored import holder
from bundle.trust.metadata.parse import check_unexpired
from bundle.trust.metadata.restrictions import PRODUCT_FIELD
from bundle.trust.metadata.root import check_chain, parse_root, root_name
from bundler.root.draft import (
    Pending,
    locked,
    make_pending,
    newest_as_pending,
    read_pending,
    settle,
    with_signatures,
)

_MAX_REQUEST_BYTES: Final = 4 * MAX_TRUST_FILE_BYTES
"""Two roots, with JSON's escapes."""
_KNOWN_FIELDS: Final = frozenset({PRODUCT_FIELD})
_RootText = Annotated[str, line(MAX_TRUST_FILE_BYTES)]


class SigningRequest(Document, frozen=True, kw_only=True):
    """Content of a signing request."""

    api_version: Literal["isoward/v1"]
    kind: Literal["SigningRequest"]
    draft: _RootText
    """The root to sign, with the signatures so far."""
    present: _RootText = ""
    """The root before it; empty for the first."""


def write_request(pending: Pending) -> bytes:
    """Return the file for a root that waits for signatures."""
    return canonical_json(
        SigningRequest(
            api_version=API_VERSION,
            kind="SigningRequest",
            draft=pending.data.decode("ascii"),
            present=pending.previous_data.decode("ascii"),
        )
    )


def read_request(path: Path) -> Pending:
    """Read a signing request on a holder's machine, where nothing is known but what it says.

    Raises:
        FormatError: Not a signing request.
        TrustError: A root in it is damaged or unsafe, does not follow from the other, has a
            signature that does not verify, or says more than we can explain.
        IntegrityError, StorageError: It cannot be read.
    """
    draft, present = _parts(path)
    where = f"{path}: the draft"
    metadata = parse_root(draft, where)
    version = metadata.signed.version
    if present:
        before = parse_root(present, f"{path}: the present root").signed.version
        check_chain({before: present}, f"{path}: the present root: ")
    else:
        before = 0
    if version != before + 1:
        raise MixedMetadataError(
            f"{where} is version {version}, but the present root is version {before or 'none'}",
            "Ask for the file again: `isoward root request`.",
        )
    unknown = set(metadata.signed.unrecognized_fields) - _KNOWN_FIELDS
    if unknown:
        raise SignatureError(
            f"{where} has fields that this isoward cannot explain: {', '.join(sorted(unknown))}",
            "Do not sign what cannot be shown; a newer isoward may know them.",
        )
    return make_pending(metadata, present, where)


def check_unexpired_draft(pending: Pending, now: datetime) -> None:
    """Check that it makes sense to sign a root at all.

    Raises:
        ExpiredError: It is expired, by this machine's clock.
    """
    check_unexpired(pending.draft.signed, root_name(pending.version), now)


def _parts(path: Path) -> tuple[bytes, bytes]:
    with storage_errors(f"read {path}"):
        real = path.resolve(strict=True)
    data = BundleDirectory(real.parent).read_small(real.name, _MAX_REQUEST_BYTES)
    request = decode_canonical(data, SigningRequest, str(path))
    return request.draft.encode(), request.present.encode()


@dataclass(frozen=True, slots=True)
class Collected:
    """What came of collecting.

    Attributes:
        pending: The root as it is now.
        taken: Names of the holders whose signatures are new.
    """

    pending: Pending
    taken: tuple[str, ...]


def collect(release: Path, paths: tuple[Path, ...]) -> Collected:
    """Take signatures into the draft; complete, it becomes the newest root.

    All files are checked before anything is taken of one. Collected again, they change nothing.

    Raises:
        MixedMetadataError: A file is about another root than the one that waits here.
        UnknownKeyError: A signature is by nobody who may sign it.
        SignatureError: A signature does not verify, or a file was altered.
        FormatError: Not a signing request.
        StorageError: The disk refused; run again.
    """
    with locked(release):
        waiting = read_pending(release)
        pending = waiting or newest_as_pending(release)
        found: dict[str, Signature] = {}
        for path in paths:
            found |= _signatures(path, pending)
        new = found.keys() - pending.draft.signatures.keys()
        if waiting is not None:
            pending = _enough(waiting, {key_id: found[key_id] for key_id in sorted(new)})
            settle(release, pending)
        taken = new & pending.draft.signatures.keys() if waiting is not None else set()
    return Collected(pending, tuple(sorted(holder(pending.signers[k]) for k in taken)))


def _enough(pending: Pending, signatures: Mapping[str, Signature]) -> Pending:
    """Add signatures until the root is complete; more would only change a fingerprint later."""
    for key_id, signature in signatures.items():
        if pending.complete:
            break
        pending = with_signatures(pending, {key_id: signature})
    return pending


def _signatures(path: Path, pending: Pending) -> dict[str, Signature]:
    """Check a response against the root that waits, and return its signatures."""
    draft, present = _parts(path)
    metadata = parse_root(draft, str(path))
    if metadata.signed_bytes != pending.draft.signed_bytes:
        raise _another(path, draft, present, pending)
    if present != pending.previous_data:
        raise MixedMetadataError(
            f"{path}: its signer was shown a different present root than the release folder's",
            "Nothing was collected; send that holder the request again.",
        )
    try:
        make_pending(metadata, pending.previous_data, str(path))
    except UnknownKeyError as error:
        raise UnknownKeyError(
            error.message, "Only root key holders may sign; nothing was collected."
        ) from error
    except SignatureError as error:
        raise SignatureError(
            error.message, "The file was damaged or altered in transit; nothing was collected."
        ) from error
    return dict(metadata.signatures)


def _another(path: Path, draft: bytes, present: bytes, pending: Pending) -> TrustError:
    """Tell a draft that was altered after it was signed from another one."""
    metadata = parse_root(draft, str(path))
    try:
        make_pending(metadata, present, str(path))
    except TrustError:
        return SignatureError(
            f"{path}: its draft differs from the one waiting here, and its signatures do not "
            "cover it: it was altered",
            "Nothing was collected; ask that holder what they were shown.",
        )
    return MixedMetadataError(
        f"{path}: it is for another draft, version {metadata.signed.version}; the one waiting here "
        f"is version {pending.version}",
        "Nothing was collected; the draft may have changed since. Send the request again.",
    )
