"""A small apt repository, signed by a key of its own: with dpkg-deb, apt-ftparchive and gpg."""

from __future__ import annotations

import gzip
import lzma
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bundle.base.digest import digest_of, hex_of
from tests.support.programs.needs import requires_tool

SUITE = "stable"
COMPONENT = "main"


@dataclass(frozen=True)
class Deb:
    """A package to make.

    Attributes:
        name: Of the package.
        version: Of the package.
        depends: As in its control file.
        more: Further lines of its control file.
        architecture: Of the package.
    """

    name: str
    version: str = "1.0"
    depends: str = ""
    more: str = ""
    architecture: str = "amd64"


BASE = Deb("base-system", "1:12.0~rc1", more="Essential: yes\nPriority: required\n")
LIBRARY = Deb("libthing1", "2.0+dfsg-1")
TOOL = Deb("thing-tool", "2.0-1", "libthing1 (>= 2.0), thing-data", "Recommends: thing-doc\n")
DATA = Deb("thing-data", "2.0", architecture="all")
DOC = Deb("thing-doc", "2.0", architecture="all")
DEBS = (BASE, LIBRARY, TOOL, DATA, DOC)


class SigningKey:
    """A key in a keyring of its own."""

    def __init__(self, folder: Path, expires: str = "never", *, now: str = "") -> None:
        """Make it.

        Args:
            folder: Its keyring, made by this.
            expires: As gpg reads it.
            now: gpg's clock while it is made and used, such as `20200101T000000`.
        """
        requires_tool("gpg", "gpgconf")
        folder.mkdir(mode=0o700, parents=True)
        self._home = folder
        # Frozen: a clock that runs makes a key of which the next call is too early to use it.
        self._clock = ["--faked-system-time", f"{now}!"] if now else []
        self._gpg("--passphrase", "", "--quick-generate-key", "T", "ed25519", "sign", expires)

    def public(self, *, armour: bool = False) -> bytes:
        """Return the public key."""
        return self._gpg(*(["--armor"] if armour else []), "--export")

    def clearsign(self, data: bytes) -> bytes:
        """Return `data` with its signature around it."""
        return self._gpg("--clearsign", data=data)

    def detached(self, data: bytes) -> bytes:
        """Return an armoured signature of `data`."""
        return self._gpg("--armor", "--detach-sign", data=data)

    def close(self) -> None:
        """End the agent that gpg started for this keyring."""
        self._run(["gpgconf", "--kill", "gpg-agent"], b"")

    def _gpg(self, *arguments: str, data: bytes = b"") -> bytes:
        return self._run(["gpg", "--batch", "--quiet", *self._clock, *arguments], data)

    def _run(self, command: list[str], data: bytes) -> bytes:
        environment = {**os.environ, "GNUPGHOME": str(self._home), "LC_ALL": "C.UTF-8"}
        done = subprocess.run(
            command, input=data, env=environment, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout


class AptRepository:
    """A repository in a folder, with one suite and one component."""

    def __init__(self, root: Path, key: SigningKey) -> None:
        """Work on the repository in `root`, which may be a copy of another."""
        requires_tool("dpkg-deb", "apt-ftparchive")
        self.root = root
        self.key = key
        self.suite = root / "dists" / SUITE

    def make(self, debs: tuple[Deb, ...] = DEBS) -> None:
        """Make packages, and sign the whole."""
        for deb in debs:
            self.add(deb)
        self.publish()

    @property
    def index(self) -> Path:
        """Its index of packages, uncompressed; apt needs its digest, though nobody fetches it."""
        return self.suite / COMPONENT / "binary-amd64" / "Packages"

    def add(self, deb: Deb) -> Path:
        """Make a package in the pool."""
        tree = self.root.parent / "trees" / f"{deb.name}_{deb.version}"
        (tree / "DEBIAN").mkdir(parents=True)
        share = tree / "usr" / "share" / deb.name
        share.mkdir(parents=True)
        (share / "about").write_text(f"{deb.name} {deb.version}\n" * 20)
        depends = f"Depends: {deb.depends}\n" if deb.depends else ""
        (tree / "DEBIAN" / "control").write_text(
            f"Package: {deb.name}\nVersion: {deb.version}\nArchitecture: {deb.architecture}\n"
            f"Maintainer: T <t@example.org>\n{depends}{deb.more}Description: made for a test\n"
        )
        pool = self.root / "pool" / deb.name
        pool.mkdir(parents=True, exist_ok=True)
        version = deb.version.rpartition(":")[2]
        path = pool / f"{deb.name}_{version}_{deb.architecture}.deb"
        command = ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(path)]
        subprocess.run(command, check=True, capture_output=True)
        return path

    def publish(self) -> None:
        """Write the index of what is in the pool, and sign it."""
        done = subprocess.run(
            ["apt-ftparchive", "packages", "pool"], cwd=self.root, check=True, capture_output=True
        )
        self.publish_index(done.stdout)

    def publish_index(self, data: bytes) -> None:
        """Write an index, whatever it says, and sign it."""
        self.index.parent.mkdir(parents=True, exist_ok=True)
        self.index.write_bytes(data)
        forms = {".xz": lzma.compress(data), ".gz": gzip.compress(data, mtime=0)}
        for form, packed in forms.items():
            self.index.with_name(f"Packages{form}").write_bytes(packed)
            hashed = self.index.parent / "by-hash" / "SHA256" / hex_of(digest_of(packed))
            hashed.parent.mkdir(parents=True, exist_ok=True)
            hashed.write_bytes(packed)
        self.sign()

    def sign(
        self, key: SigningKey | None = None, *, fields: Mapping[str, str] | None = None
    ) -> None:
        """Write the signed list of the indexes; an empty field is left out."""
        said = {
            "Origin": "Test",
            "Suite": SUITE,
            "Codename": "testing-machine",
            "Architectures": "all amd64",
            "Components": COMPONENT,
            "No-Support-for-Architecture-all": "Packages",
            "Acquire-By-Hash": "yes",
            "Date": "Sat, 01 Nov 2025 00:00:00 UTC",
            **(fields or {}),
        }
        lines = [f"{name}: {value}" for name, value in said.items() if value]
        lines.append("SHA256:")
        for path in sorted(self.index.parent.glob("Packages*")):
            data = path.read_bytes()
            name = path.relative_to(self.suite)
            lines.append(f" {hex_of(digest_of(data))} {len(data)} {name}")
        text = "\n".join([*lines, ""]).encode()
        (self.suite / "InRelease").write_bytes((key or self.key).clearsign(text))


def apt_definition(
    url: str, *, packages: str = "thing-tool", keyring: str = "keys.gpg", more: str = ""
) -> str:
    """Return the entry of a definition for a repository of the tests."""
    return f"""\
osPackages:
  - name: test-system
    release: debian-12
    repositories: [{{url: "{url}", name: test, suite: {SUITE}, components: [{COMPONENT}]}}]
    keyring: {keyring}
    packages: [{packages}]
{more}"""
