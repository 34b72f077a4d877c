"""The distribution's keys, and what they signed: repomd.xml by gpgv, packages by rpmkeys.

Both work in a folder of their own, with the definition's keyring and nothing of this machine's.

Source: gpgv(1); GnuPG, doc/DETAILS, "Format of the --status-fd output"; rpmkeys(8).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

from bundle.base.errors import DefinitionError, SignatureError
from bundle.base.limits import MAX_REASON
from bundle.store.atomic import storage_errors
from bundle.store.programs import Finished, Runner, require_success

T = TypeVar("T")
_FINGERPRINT: Final = re.compile(rb"(?m)^fpr:{9}([0-9A-F]{40,64}):")
_SHA2: Final = frozenset({"8", "9", "10"})
"""SHA-256, 384 and 512 by the numbers of OpenPGP (RFC 9580, section 9.5)."""

_SIGNED: Final = re.compile(
    r"^\s+Header .*\b(?:RSA|DSA|ECDSA|EdDSA)/SHA(?:256|384|512) Signature, .*: OK$",
    re.IGNORECASE | re.MULTILINE,
)
_PAYLOAD: Final = re.compile(r"^\s+Payload SHA(?:256|384|512) (?:ALT )?digest: OK$", re.MULTILINE)
_AT_ONCE: Final = 100
"""Packages in one run of rpmkeys: far below any limit of a command line."""

_REASONS: Final = {
    "BADSIG": "the signature does not match these bytes",
    "NO_PUBKEY": "a signature's key is not in the keyring",
    "EXPSIG": "a signature has expired",
    "EXPKEYSIG": "a signature's key has expired",
    "REVKEYSIG": "a signature's key was revoked",
    "NODATA": "it contains no signature",
    "ERRSIG": "a signature cannot be checked",
}


class RpmKeys:
    """A keyring, as the two programs want it.

    Args:
        data: The keys as the distribution publishes them, armoured or not.
        folder: Private and empty; it must outlive this.
        run: Runs the machine's programs.
        where: The keyring, for messages.
    """

    def __init__(self, data: bytes, folder: Path, run: Runner, where: str) -> None:
        """Read the keys.

        Raises:
            DefinitionError: There is no key among them.
            ProgramError: A program is missing or failed.
            StorageError: The disk refused.
        """
        self._run = run
        self._home = folder / "gnupg"
        self._database = folder / "rpmdb"
        self._ring = folder / "keys.gpg"
        given = folder / "keys.in"
        with storage_errors(f"write {folder}"):
            self._home.mkdir(mode=0o700)
            self._database.mkdir()
            given.write_bytes(data)
        imported = self._gpg("--import", given)
        found = _FINGERPRINT.findall(self._gpg("--with-colons", "--list-keys").output)
        if imported.code != 0 or not found:
            raise DefinitionError(
                f"{where}: expected OpenPGP public keys, found no usable ones",
                "Name the distribution's own file, such as RPM-GPG-KEY-Rocky-9.",
            )
        what = f"gpg --export for {where}"
        ring = require_success(self._gpg("--export"), what, "Check the keyring with gpg.")
        with storage_errors(f"write {folder}"):
            self._ring.write_bytes(ring)
        for number, fingerprint in enumerate(found):
            # rpm takes one key a file, armoured only.
            done = self._gpg("--armor", "--export", fingerprint.decode())
            path = folder / f"key-{number}.asc"
            with storage_errors(f"write {path}"):
                path.write_bytes(require_success(done, what, "Check the keyring with gpg."))
            done = self._rpm("rpmkeys", "--import", str(path))
            require_success(done, f"rpmkeys --import for {where}", "Does rpm support this type?")

    def check_repomd(self, document: Path, signature: Path, where: str) -> None:
        """Check the detached signature of a repository's metadata.

        Raises:
            SignatureError: Not by one of the keys, by one that has ended, or over a weak digest.
            ProgramError: gpgv is missing.
        """
        home, ring = str(self._home), str(self._ring)
        done = self._run(
            [
                *("gpgv", "--homedir", home, "--keyring", ring, "--weak-digest", "SHA1"),
                *("--status-fd", "1", str(signature), str(document)),
            ],
            environment=self._environment,
        )
        # One good signature is enough, as for dnf: a publisher that changes keys signs with both.
        good, said = _judge(done.output)
        if not good:
            reasons = sorted(said & _REASONS.keys())
            why = ", ".join(_REASONS[name] for name in reasons) or "no valid one found"
            raise SignatureError(
                f"{where}: expected a signature by a key of the keyring over SHA-2; {why}",
                "Is it the keyring of this distribution? If it is, do not use the repository.",
            )

    def check_packages(self, packages: Mapping[str, Path]) -> None:
        """Check the signature and the digests within each package.

        Args:
            packages: Files by the address that they are from, for messages.
        Raises:
            SignatureError: One is not signed by one of the keys over SHA-2, or was changed.
            ProgramError: rpmkeys is missing.
        """
        for batch in _batches(packages.items()):
            command = ["rpmkeys", "--checksig", "--verbose"]
            done = self._rpm(*command, *(str(path) for _, path in batch))
            said = _sections(done.output.decode("utf-8", "replace"), [path for _, path in batch])
            bad = [address for address, path in batch if not _is_good(said.get(str(path), ""))]
            if bad or done.code != 0:
                address, path = next((b for b in batch if b[0] in bad), batch[0])
                raise SignatureError(
                    f"{address}: expected a package signed by a key of the keyring over SHA-2; "
                    f"rpmkeys says: {_short(said.get(str(path), done.errors.decode()))}",
                    "Is it the keyring of this distribution? If it is, do not use the package.",
                    {"packages": len(bad)},
                )

    def names_of(self, paths: Sequence[Path]) -> list[str]:
        """Return what each checked package says that it is: `name-epoch:version-release.arch`."""
        form = "%{NAME}-%{EPOCHNUM}:%{VERSION}-%{RELEASE}.%{ARCH}\\n"
        query = ("rpm", "--query", "--nosignature", "--queryformat", form, "--package")
        names: list[str] = []
        for batch in _batches(paths):
            done = self._rpm(*query, *map(str, batch))
            output = require_success(done, "rpm --query", "The package may be damaged.")
            names += output.decode("utf-8", "replace").splitlines()
        return names

    @property
    def _environment(self) -> dict[str, str]:
        return {"HOME": str(self._home), "GNUPGHOME": str(self._home)}

    def _gpg(self, *arguments: str | Path) -> Finished:
        options = ["--homedir", str(self._home), "--batch", "--no-tty", "--no-autostart"]
        return self._run(["gpg", *options, *map(str, arguments)], environment=self._environment)

    def _rpm(self, program: str, *arguments: str) -> Finished:
        # The level and the flags could be lowered by this machine's own macros.
        defined = {
            "_dbpath": str(self._database),
            "_pkgverify_level": "all",
            "_pkgverify_flags": "0x0",
        }
        options = [word for item in defined.items() for word in ("--define", " ".join(item))]
        return self._run([program, *options, *arguments], environment=self._environment)


def _judge(output: bytes) -> tuple[bool, set[str]]:
    """Return whether one signature counts and none is of other bytes, and all that gpgv said."""
    signatures: list[dict[str, list[str]]] = [{}]
    for line in output.decode("utf-8", "replace").splitlines():
        if not line.startswith("[GNUPG:] "):
            continue
        word, *rest = line.removeprefix("[GNUPG:] ").split(" ")
        if word == "NEWSIG":
            signatures.append({})
        signatures[-1][word] = rest
    said = {word for signature in signatures for word in signature}
    return any(map(_counts, signatures)) and "BADSIG" not in said, said


def _counts(signature: Mapping[str, list[str]]) -> bool:
    valid = signature.get("VALIDSIG", [])
    # Its field 7 is the digest's number.
    return "GOODSIG" in signature and len(valid) > 7 and valid[7] in _SHA2  # noqa: PLR2004


def _is_good(said: str) -> bool:
    lines = [line for line in said.splitlines() if not line.endswith(": OK")]
    return not lines and bool(_SIGNED.search(said)) and bool(_PAYLOAD.search(said))


def _sections(output: str, paths: Sequence[Path]) -> dict[str, str]:
    """Divide what rpmkeys said by the file that it is about."""
    starts = {f"{path}:": str(path) for path in paths}
    found: dict[str, str] = {}
    current = ""
    for line in output.splitlines():
        if line in starts:
            current = starts[line]
            found[current] = ""
        elif current:
            found[current] += line + "\n"
    return found


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    remaining = iter(items)
    while batch := list(islice(remaining, _AT_ONCE)):
        yield batch


def _short(said: str) -> str:
    """Return what rpmkeys found wrong, in one line."""
    lines = [line.strip() for line in said.splitlines()]
    wrong = [line for line in lines if not line.endswith((": OK", ": NOTFOUND"))]
    return "; ".join(wrong or lines or ["nothing"])[:MAX_REASON]
