"""apt repositories in the shapes in which their publishers really have them."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.packages.apt_repository import SUITE, SigningKey

_FORMS: Final = {"": bytes, ".gz": lambda data: gzip.compress(data, mtime=0), ".xz": lzma.compress}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How a repository is published.

    Attributes:
        suite: As in sources.list; it ends in a slash for a flat repository.
        pool: Where packages lie, as the list has it.
        algorithms: Of the lists' digests.
        in_list: Of the packages' digests.
        listed: Forms of the index that Release names.
        sent: Those that the server has.
        detached: Whether the signature lies beside Release.
        fields: Of Release; an empty one is left out.
        by_hash: Whether there are hashed names.
        keyring: Of `armoured`, `two` (armoured, the right key second), `crlf` and `binary`.
        signers: How many sign it; only the last one is in the keyring.
        folder: Of the index, below its component.
        ending: Of the lines of what is signed.
    """

    suite: str = SUITE
    pool: str = "pool"
    algorithms: tuple[str, ...] = ("SHA256",)
    in_list: tuple[str, ...] = ("SHA256",)
    listed: tuple[str, ...] = ("", ".gz", ".xz")
    sent: tuple[str, ...] = ("", ".gz", ".xz")
    detached: bool = False
    fields: Mapping[str, str] | None = None
    by_hash: bool = False
    keyring: str = "binary"
    signers: int = 1
    folder: str = "binary-amd64"
    ending: str = "\n"

    @property
    def flat(self) -> bool:
        return self.suite.endswith("/")


_NAMELESS: Final = {"Suite": "", "Codename": ""}
SHAPES: Final = {
    # pkgs.k8s.io: flat, with its signature in the list.
    "flat-dot": Shape(suite="./", pool=".", fields=_NAMELESS, keyring="armoured"),
    # NVIDIA's CUDA: flat, with Release.gpg as well as the older digests.
    "flat-gpg": Shape(
        suite="/", pool=".", fields=_NAMELESS, detached=True, listed=("", ".gz"), sent=("", ".gz")
    ),
    "flat-below": Shape(suite="./amd64/", pool="amd64", fields=_NAMELESS, detached=True),
    "flat-512": Shape(suite="/", pool="./", algorithms=("SHA512",), in_list=("SHA512",)),
    "nameless": Shape(fields=_NAMELESS, keyring="crlf"),
    "detached": Shape(detached=True, keyring="two"),
    "sha512": Shape(algorithms=("SHA512",), in_list=("SHA512",), by_hash=True),
    "both": Shape(
        algorithms=("MD5Sum", "SHA1", "SHA256", "SHA512"),
        in_list=("SHA256", "SHA512"),
        by_hash=True,
        signers=2,
    ),
    "dot-pool": Shape(pool="./pool/"),
    "slashes": Shape(pool="pool//x"),
    "plain": Shape(listed=("", ".gz", ".xz"), sent=("",)),
    "only-gz": Shape(listed=(".gz", ""), sent=(".gz",)),
    "said-by-hash": Shape(fields={"Acquire-By-Hash": "yes"}),
    # Packages of no architecture alone, which are in no other index.
    "only-all": Shape(fields={"Architectures": "all"}, folder="binary-all"),
    "crlf": Shape(ending="\r\n"),
    "latin-1": Shape(fields={"Label": "M\xfcller"}, detached=True),
    "crlf-detached": Shape(ending="\r\n", detached=True),
    "codename": Shape(fields={"Suite": "oldest", "Codename": SUITE}),
}


class PublishedWorld:
    """Makes repositories of the same packages."""

    def __init__(self, debs: Path, keys: list[SigningKey]) -> None:
        """Use packages in a folder, and keys of which the first is the publisher's."""
        self.debs = debs
        self.keys = keys

    def make(self, root: Path, shape: Shape) -> None:
        """Make a repository in an empty folder."""
        pool = root / shape.pool
        pool.mkdir(parents=True, exist_ok=True)
        for deb in self.debs.rglob("*.deb"):
            shutil.copy(deb, pool / deb.name)
        lists = root / (shape.suite.lstrip("/") if shape.flat else f"dists/{shape.suite}")
        index = lists if shape.flat else lists / "main" / shape.folder
        index.mkdir(parents=True, exist_ok=True)
        data = self._packages(root, shape)
        forms = {form: _FORMS[form](data) for form in shape.listed}
        for form in shape.sent:
            (index / f"Packages{form}").write_bytes(forms[form])
            if shape.by_hash:
                self._by_hash(index, forms[form], shape)
        self._sign(lists, index, forms, shape)

    def keyring(self, shape: Shape) -> bytes:
        """Return the keyring that the publisher hands out."""
        right, other = self.keys[0], self.keys[1]
        if shape.keyring == "two":
            return other.public(armour=True) + b"\n" + right.public(armour=True)
        if shape.keyring == "crlf":
            return right.public(armour=True).replace(b"\n", b"\r\n")
        return right.public(armour=shape.keyring == "armoured")

    def _packages(self, root: Path, shape: Shape) -> bytes:
        command = ["apt-ftparchive", "packages", "--no-md5", "--no-sha1"]
        folder = "." if shape.flat else "pool"
        found = subprocess.run([*command, folder], cwd=root, check=True, capture_output=True)
        lines = []
        for line in found.stdout.decode().splitlines():
            name, _, value = line.partition(": ")
            if name in {"SHA256", "SHA512", "SHA1", "MD5sum"} and name not in shape.in_list:
                continue
            file = re.sub(r"^.*/", "", value)
            lines.append(f"Filename: {shape.pool}/{file}" if name == "Filename" else line)
        return "\n".join([*lines, ""]).encode()

    def _by_hash(self, index: Path, data: bytes, shape: Shape) -> None:
        for algorithm in shape.algorithms:
            digest = hashlib.new(algorithm.lower().removesuffix("sum"), data).hexdigest()
            path = index / "by-hash" / algorithm / digest
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def _sign(self, lists: Path, index: Path, forms: Mapping[str, bytes], shape: Shape) -> None:
        said = {
            "Origin": "Test",
            "Suite": SUITE,
            "Codename": "machine",
            **({} if shape.flat else {"Architectures": "amd64", "Components": "main"}),
            **({"Acquire-By-Hash": "yes"} if shape.by_hash else {}),
            "Date": "Sat, 01 Nov 2025 00:00:00 UTC",
            **(shape.fields or {}),
        }
        lines = [f"{name}: {value}" for name, value in said.items() if value]
        below = "" if shape.flat else f"{index.relative_to(lists)}/"
        for algorithm in shape.algorithms:
            lines.append(f"{algorithm}:")
            for form, data in forms.items():
                digest = hashlib.new(algorithm.lower().removesuffix("sum"), data).hexdigest()
                lines.append(f" {digest} {len(data)} {below}Packages{form}")
        text = shape.ending.join([*lines, ""]).encode("latin-1")
        if shape.detached:
            (lists / "Release").write_bytes(text)
            (lists / "Release.gpg").write_bytes(self.keys[0].detached(text))
            return
        signed = self.keys[0].clearsign(text)
        if shape.ending == "\r\n":
            signed = signed.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        if shape.signers > 1:
            signed = _with_both(signed, self.keys[1].clearsign(text))
        (lists / "InRelease").write_bytes(signed)


def _with_both(first: bytes, second: bytes) -> bytes:
    """Put the signatures of one text together, as Debian does: one block with both packets."""
    import base64

    def packets(signed: bytes) -> bytes:
        armour = signed.decode().partition("-----BEGIN PGP SIGNATURE-----\n\n")[2]
        body = armour.partition("\n-----END")[0].splitlines()
        return base64.b64decode("".join(line for line in body if not line.startswith("=")))

    text = first.decode().partition("-----BEGIN PGP SIGNATURE-----")[0]
    both = base64.encodebytes(packets(second) + packets(first)).decode()
    return (f"{text}-----BEGIN PGP SIGNATURE-----\n\n{both}-----END PGP SIGNATURE-----\n").encode()
