"""A site's machine as docs/runbooks/apt.md sets it up: real apt, with a root of its own."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

RUNBOOK = Path(__file__).resolve().parents[3] / "docs" / "runbooks" / "apt.md"
SOURCES = "etc/apt/sources.list.d/isoward.sources"
SETTINGS = "etc/apt/apt.conf.d/90isoward"
AUTHORITY = "etc/ssl/isoward-depot.pem"
KEYRING = "etc/apt/keyrings/isoward-debian-12.gpg"
_EXAMPLE = "https://depot.example.org:5443"
_FILE = re.compile(r"^`/(\S+)`:\n\n```\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def runbook_files() -> dict[str, str]:
    """Return the files that the runbook says to write, by their path."""
    return dict(_FILE.findall(RUNBOOK.read_text(encoding="utf-8")))


def write_site_files(
    root: Path, seen_as: Path, url: str, path: str, suite: str, *, authority: bytes, keyring: bytes
) -> None:
    """Write the runbook's files for another depot, repository and suite.

    Args:
        root: The machine's root, from here.
        seen_as: The same, as apt will see it.
        url: Of the depot.
        path: Of the repository, such as `/os/debian-12/debian/`.
        suite: Of the repository.
        authority: PEM of the depot's certificate authority.
        keyring: The distribution's public keys.
    """
    host = url.removeprefix("https://").partition(":")[0]
    files = runbook_files()
    texts = {
        SOURCES: files[SOURCES]
        .replace(f"{_EXAMPLE}/os/debian-12/debian/", f"{url}{path}")
        .replace("Suites: bookworm\n", f"Suites: {suite}\n"),
        SETTINGS: files[SETTINGS].replace("depot.example.org", host),
    }
    assert url in texts[SOURCES]
    assert host in texts[SETTINGS]
    for name, text in texts.items():
        write(root / name, text.replace("/etc/", f"{seen_as}/etc/".replace("//", "/")).encode())
    write(root / AUTHORITY, authority)
    write(root / KEYRING, keyring)


def write(path: Path, data: bytes) -> None:
    """Write a file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@dataclass(frozen=True)
class SiteApt:
    """apt for a system in a folder, whose package database begins empty."""

    root: Path

    def prepare(self) -> None:
        """Make what apt and dpkg expect."""
        for name in (
            "etc/apt/preferences.d",
            "var/cache/apt/archives/partial",
            "var/lib/apt/lists/partial",
            "var/lib/dpkg/info",
            "var/lib/dpkg/updates",
            "var/log/apt",
        ):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "var/lib/dpkg/status").touch()
        settings = (
            f'Dir "{self.root}/";\nDir::Bin::methods "/usr/lib/apt/methods";\n'
            f'Dir::State::status "{self.root}/var/lib/dpkg/status";\n'
            'APT::Architecture "amd64";\nAPT::Architectures { "amd64"; };\n'
            'APT::Sandbox::User "root";\nDPkg::Options { "--force-not-root"; '
            f'"--root={self.root}"; "--log={self.root}/var/log/dpkg.log"; }};\n'
        )
        write(self.root / "private.conf", settings.encode())

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run apt-get."""
        environment = {
            **os.environ,
            "APT_CONFIG": str(self.root / "private.conf"),
            "LC_ALL": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
        }
        return subprocess.run(
            ["apt-get", "--yes", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def good(self, *arguments: str) -> str:
        """Run apt-get, which must succeed and have nothing to say against it."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not re.search("^[EW]:", done.stderr, re.MULTILINE), done.stderr
        return done.stdout

    def bad(self, *arguments: str) -> str:
        """Run apt-get, which must fail, and return what it said."""
        done = self.run(*arguments)
        assert done.returncode != 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def installed(self) -> dict[str, str]:
        """Return the versions of what is installed, by name."""
        status = (self.root / "var/lib/dpkg/status").read_text()
        found = {}
        for stanza in filter(None, status.split("\n\n")):
            fields = dict(line.partition(": ")[::2] for line in stanza.splitlines())
            if fields["Status"] == "install ok installed":
                found[fields["Package"]] = fields["Version"]
        return found
