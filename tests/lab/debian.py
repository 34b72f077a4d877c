"""Debian's own packages, from where this machine has them, as a definition asks for them."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tests.lab.rootfs import LabError, host_sources

KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_LINE: Final = re.compile(r"deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s")

KUBESPRAY_12: Final = (
    "apparmor", "apt-transport-https", "bash-completion", "conntrack", "curl", "e2fsprogs",
    "ebtables", "gnupg", "iproute2", "iptables", "ipvsadm", "libseccomp2", "mergerfs", "openssl",
    "python3-apt", "rsync", "socat", "software-properties-common", "tar", "unzip", "xfsprogs",
)  # fmt: skip
"""What Kubespray installs on a node of Debian 12."""
KUBESPRAY_13: Final = tuple(
    name for name in KUBESPRAY_12 if name not in {"gnupg", "mergerfs", "software-properties-common"}
)
"""And on one of Debian 13."""


@dataclass(frozen=True)
class Mirror:
    """Where this machine has Debian's packages from.

    Attributes:
        url: Of the repository.
    """

    url: str

    def entry(self, name: str, release: str, suite: str, packages: tuple[str, ...]) -> str:
        """Return an entry of `osPackages`."""
        return f"""\
  - name: {name}
    release: {release}
    repositories: [{{url: "{self.url}", name: debian, suite: {suite}, components: [main]}}]
    keyring: debian.gpg
    packages: [{", ".join(packages)}]
"""


def host_mirror(codename: str) -> Mirror:
    """Return the mirror of the release `codename`, by this machine's own sources.

    Raises:
        LabError: It has none.
    """
    for source in host_sources(codename):
        if source.endswith(".sources"):
            text = Path(source).read_text(encoding="utf-8")
            for stanza in text.split("\n\n"):
                fields = dict(re.findall(r"(?m)^([A-Za-z-]+):[ \t]*(.*)$", stanza))
                if codename in fields.get("Suites", "").split():
                    return Mirror(fields["URIs"].split()[0])
        else:
            found = _LINE.match(source + " ")
            if found is not None and found[2] == codename:
                return Mirror(found[1])
    raise LabError(f"no source of {codename} itself is named on this machine")


def vendor_home(folder: Path, mirror: Mirror) -> None:
    """Put Debian's keyring beside a definition, and let a mirror that speaks http do so.

    Raises:
        LabError: This machine has no keyring of Debian's.
    """
    if not KEYRING.is_file():
        raise LabError(f"{KEYRING} is not there (Debian: apt-get install debian-archive-keyring)")
    shutil.copyfile(KEYRING, folder / "debian.gpg")
    address = urlsplit(mirror.url)
    sources = folder / ".config" / "isoward" / "sources.yaml"
    sources.parent.mkdir(parents=True)
    plain = "true" if address.scheme == "http" else "false"
    sources.write_text(
        "apiVersion: isoward/v1\nkind: SourceConfig\n"
        f'hosts: {{"{address.netloc}": {{plainHTTP: {plain}}}}}\n',
        encoding="utf-8",
    )
