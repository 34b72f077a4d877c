"""Provenance files of charts: fetched where they are, verified by gpgv where that is demanded.

A provenance file is Chart.yaml and the digest of the archive, signed as clear text.

Source: Helm, "Helm Provenance and Integrity"; GnuPG, doc/DETAILS, "Format of the --status-fd
output".
"""

from __future__ import annotations

import base64
import binascii
import tempfile
from pathlib import Path
from typing import Final

from bundle.base.errors import (
    AuthenticationError,
    DefinitionError,
    FormatError,
    NotFoundError,
    UnsignedError,
)
from bundle.base.limits import MAX_PROVENANCE_BYTES
from bundle.base.queries import beside, shown_url
from bundle.kinds.openpgp import crc24, keyring_packets
from bundle.store.atomic import storage_errors
from bundle.store.programs import Runner
from bundler.model.chart import chart_mapping
from bundler.registry.client import RegistryClient
from bundler.sources.common.download import read_whole

_BEGIN: Final = b"-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE: Final = b"-----BEGIN PGP SIGNATURE-----"
_END: Final = b"-----END PGP SIGNATURE-----"
_SHA2: Final = frozenset({"8", "9", "10"})
"""SHA-256, 384 and 512 by the numbers of OpenPGP (RFC 9580, section 9.5)."""

_HASH, _CLASS, _PRIMARY, _FIELDS = 8, 9, 10, 11
"""Fields of VALIDSIG, and how many there are."""

_TEXT: Final = "01"
"""The class of a signature over a canonical text."""

_REASONS: Final = {
    "BADSIG": "the signature does not match this text",
    "NO_PUBKEY": "its key is not in the keyring",
    "EXPSIG": "the signature has expired",
    "EXPKEYSIG": "the key has expired",
    "REVKEYSIG": "the key was revoked",
    "ERRSIG": "the signature cannot be checked",
}


def fetch_provenance(client: RegistryClient, url: str, *, demanded: bool) -> bytes | None:
    """Fetch the provenance file of an archive from a web server.

    Args:
        client: Fetches.
        url: Of the archive.
        demanded: Whether the definition wants one.
    Returns:
        None when there is none. Where none is demanded that is also the answer of a server that
        forbids it: storage services say so of what they do not have.
    Raises:
        FormatError: It is far too large.
        TransportError: And its subclasses, when it cannot be had.
    """
    where = beside(url, ".prov")
    shown = shown_url(where)
    try:
        return read_whole(lambda: client.open_url(where), MAX_PROVENANCE_BYTES, shown)
    except NotFoundError:
        return None
    except AuthenticationError:
        if demanded:
            raise
        return None


def verify_provenance(
    document: bytes | None, keyring: str, archive: tuple[str, str], run: Runner, where: str
) -> str:
    """Verify a provenance file.

    Args:
        document: Untrusted; None when there is none.
        keyring: OpenPGP public keys, armoured.
        archive: The name and the digest that the signed text must give to each other.
        run: Runs gpgv.
        where: The chart, for messages.
    Returns:
        The fingerprint of the signer's primary key.
    Raises:
        UnsignedError: There is none, no key of the keyring signed it as it must be, or it is about
            another archive.
        MissingProgramError: There is no gpgv.
        StorageError: The disk refused.
    """
    if document is None:
        raise _unsigned(where, "it has no provenance file")
    plain = document.strip()
    marks = [plain.count(mark) for mark in (_BEGIN, _SIGNATURE, _END)]
    if marks != [1, 1, 1] or not plain.startswith(_BEGIN) or not plain.endswith(_END):
        raise _unsigned(where, "its provenance file is not a single signed text")
    given = _with_checksum(plain, where)
    with storage_errors("check a signature"), tempfile.TemporaryDirectory() as temporary:
        text, signer = _verified(given, keyring, Path(temporary), run=run, where=where)
    name, digest = archive
    said = _files(text, where).get(name)
    if said != digest:
        raise _unsigned(
            where,
            f"the signed text says that {name} is {str(said)[:100] if said else 'nothing'}, "
            f"found {digest}",
        )
    return signer


def _with_checksum(document: bytes, where: str) -> bytes:
    """Write the signature's armour with a checksum, without which GnuPG 2.2 reads none of it.

    Helm 4 leaves it out, as RFC 9580 (section 6.1) wishes. The text stays as it is.
    """
    text, _, rest = document.partition(_SIGNATURE)
    lines = [line.strip() for line in rest.removesuffix(_END).split(b"\n")[1:]]
    start = lines.index(b"") + 1 if b"" in lines else 0
    body = b"".join(line for line in lines[start:] if not line.startswith(b"="))
    try:
        packets = base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise _unsigned(where, "its signature is damaged") from error
    checksum = base64.b64encode(crc24(packets).to_bytes(3, "big"))
    made = [_SIGNATURE, b"", base64.encodebytes(packets).rstrip(b"\n"), b"=" + checksum, _END, b""]
    return text + b"\n".join(made)


def _verified(
    document: bytes, keyring: str, folder: Path, run: Runner, where: str
) -> tuple[bytes, str]:
    """Return the text that was signed, and by whom."""
    try:
        ring = keyring_packets(keyring, f"{where}: keyring")
    except DefinitionError as error:
        raise _unsigned(where, error.message) from error
    (folder / "ring.gpg").write_bytes(ring)
    (folder / "given").write_bytes(document)
    command = ["gpgv", "--homedir", str(folder), "--keyring", str(folder / "ring.gpg")]
    command += ["--weak-digest", "SHA1", "--status-fd", "1", "--output", str(folder / "signed")]
    done = run(
        [*command, str(folder / "given")],
        environment={"GNUPGHOME": str(folder), "HOME": str(folder)},
    )
    status = [
        line.removeprefix("[GNUPG:] ").split(" ")
        for line in done.output.decode("utf-8", "replace").splitlines()
        if line.startswith("[GNUPG:] ")
    ]
    valid = [fields for fields in status if fields[0] == "VALIDSIG" and len(fields) == _FIELDS]
    words = [fields[0] for fields in status]
    good = done.code == 0 and words.count("GOODSIG") == words.count("NEWSIG") == len(valid) == 1
    if not good or _REASONS.keys() & set(words):
        reasons = [reason for word, reason in _REASONS.items() if word in words]
        raise _unsigned(where, ", ".join(reasons) or "gpgv finds no valid signature")
    if valid[0][_CLASS] != _TEXT or valid[0][_HASH] not in _SHA2:
        raise _unsigned(where, "its signature is not over a text, or not by SHA-2")
    return (folder / "signed").read_bytes(), valid[0][_PRIMARY]


def _files(text: bytes, where: str) -> dict[str, object]:
    """Return the digests that a signed text gives to files; Chart.yaml stands before them."""
    parts = text.replace(b"\r\n", b"\n").split(b"\n...\n")
    try:
        files = chart_mapping(parts[1], "provenance", where).get("files") if parts[1:] else None
    except FormatError as error:
        raise _unsigned(where, error.message) from error
    return files if isinstance(files, dict) else {}


def _unsigned(where: str, why: str) -> UnsignedError:
    return UnsignedError(
        f"{where}: expected a provenance file that a key of its keyring signed: {why}",
        "Is it the publisher's keyring? If it is, do not use the chart until you know why.",
        {"chart": where},
    )
