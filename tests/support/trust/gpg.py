"""OpenPGP keys for tests, made by the real gpg in a home of their own."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.programs.needs import requires_tool


@dataclass(frozen=True)
class Gpg:
    """A home of gpg with some people's keys."""

    home: Path

    def run(self, *arguments: str, given: bytes = b"") -> bytes:
        """Run gpg, which must succeed, and return its standard output."""
        done = subprocess.run(
            ["gpg", "--batch", "--quiet", "--no-tty", "--pinentry-mode=loopback", *arguments],
            input=given,
            env={**os.environ, "GNUPGHOME": str(self.home), "LC_ALL": "C"},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def new_key(self, who: str, *, ends: str = "never", made: str = "") -> str:
        """Make a key that signs; return its fingerprint."""
        at = ["--faked-system-time", made] if made else []
        options = [*at, "--passphrase", ""]
        self.run(*options, "--quick-gen-key", f"{who} <{who}@example.org>", "ed25519", "sign", ends)
        listed = self.run("--with-colons", "--list-keys", f"{who}@example.org").decode()
        return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))

    def export(self, who: str, *, armour: bool = True) -> bytes:
        """Return somebody's public key."""
        return self.run(*(["--armor"] if armour else []), "--export", f"{who}@example.org")

    def export_secret(self, who: str, *, armour: bool = True) -> bytes:
        """Return somebody's private key."""
        options = ["--armor"] if armour else []
        return self.run(*options, "--passphrase", "", "--export-secret-keys", f"{who}@example.org")

    def clearsign(self, who: str, text: bytes, *options: str) -> bytes:
        """Sign a text as Helm signs a chart's provenance."""
        user = ["--local-user", f"{who}@example.org", "--passphrase", ""]
        return self.run(*user, *options, "--clearsign", given=text)

    def provenance(self, who: str, archive: str, digest: str, *options: str) -> bytes:
        """Return the provenance file of an archive."""
        text = f"name: x\nversion: 1.0.0\n\n...\nfiles:\n  {archive}: {digest}\n"
        return self.clearsign(who, text.encode(), *options)


@contextmanager
def gpg_home() -> Iterator[Gpg]:
    """Make an empty home; its agent is ended with it."""
    requires_tool("gpg", "gpgv")
    # An agent's socket has a short path, which pytest's own folders would exceed.
    with tempfile.TemporaryDirectory(prefix="gpg") as folder:
        made = Gpg(Path(folder))
        try:
            yield made
        finally:
            subprocess.run(
                ["gpgconf", "--kill", "all"],
                env={**os.environ, "GNUPGHOME": folder},
                check=False,
                capture_output=True,
            )
