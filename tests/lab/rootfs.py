"""The root file system of a lab node: made once with the host's own apt sources, then kept."""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

PACKAGES: Final = (
    "systemd-sysv", "openssh-server", "python3", "python3-apt", "iproute2", "iptables", "kmod",
    "ca-certificates", "udev", "ifupdown", "procps", "sudo", "dbus", "containerd", "runc",
)  # fmt: skip
# A machine as an installer leaves it that was asked for nothing: without Python, without openssl.
BARE_PACKAGES: Final = (
    "systemd-sysv", "openssh-server", "iproute2", "ifupdown", "procps", "dbus",
)  # fmt: skip
# Nobody reads manuals in a lab node; without them it unpacks faster.
_EXCLUDED: Final = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
# What the host's administrator set for apt and a debootstrap run has to follow.
_APT_SETTINGS: Final = (
    "Acquire::Check-Valid-Until", "Acquire::Check-Date", "Acquire::http::Proxy",
    "Acquire::https::Proxy",
)  # fmt: skip
# The kernel's modules are built in, so what modprobe would load is there already. The apt
# configuration is the host's, and of no use to a machine without a network.
_CUSTOMIZE: Final = (
    'ln -sf /bin/true "$1/usr/sbin/modprobe" && rm -rf "$1"/etc/apt/sources.list* '
    '"$1/etc/apt/apt.conf.d/99mmdebstrap" "$1"/etc/ssh/ssh_host_*'
)


class LabError(RuntimeError):
    """The lab cannot be brought up on this machine."""


def cache_directory() -> Path:
    """Return where the lab keeps what it makes."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "isoward" / "lab"


def rootfs_tarball(packages: Sequence[str] = PACKAGES) -> Path:
    """Return the tarball of a root file system, made now if there is none yet.

    Args:
        packages: What it has beside Debian's smallest set.
    Raises:
        LabError: It cannot be made; the message has the end of the tool's output.
    """
    release = debian_codename()
    described = "\n".join((release, platform.machine(), _CUSTOMIZE, *packages, *_EXCLUDED))
    return _made_once("rootfs", described, lambda target: _make(release, target, packages))


def packages_tarball(packages: Sequence[str]) -> Path:
    """Return a tarball of packages and what they depend on, unpacked and not set up.

    Raises:
        LabError: It cannot be made; the message has the end of the tool's output.
    """
    release = debian_codename()
    described = "\n".join((release, platform.machine(), "extract", *packages, *_EXCLUDED))
    return _made_once(
        "packages", described, lambda target: _run_mmdebstrap(release, target, packages, "extract")
    )


def machine_architecture() -> str:
    """Return this machine's architecture as Go and OCI name it.

    Raises:
        LabError: It is none that a lab has been seen on.
    """
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    if platform.machine() not in names:
        raise LabError(f"no lab on a machine of {platform.machine()}")
    return names[platform.machine()]


def _made_once(what: str, described: str, make: Callable[[Path], None]) -> Path:
    key = hashlib.sha256(described.encode()).hexdigest()[:16]
    directory = cache_directory()
    directory.mkdir(parents=True, exist_ok=True)
    tarball = directory / f"{what}-{key}.tar"
    with _exclusive(directory / "rootfs.lock"):
        if not tarball.exists():
            partial = directory / "rootfs.partial"
            make(partial)
            partial.rename(tarball)
    return tarball


def debian_codename() -> str:
    """Return the host's release name.

    Raises:
        LabError: The host is not Debian.
    """
    fields = platform.freedesktop_os_release()
    if fields.get("ID") != "debian" or not fields.get("VERSION_CODENAME"):
        raise LabError("a lab node is made from Debian's packages, and this is not Debian")
    return fields["VERSION_CODENAME"]


def host_sources(release: str, apt: Path = Path("/etc/apt")) -> list[str]:
    """Return the host's apt sources of `release`, as mmdebstrap takes them: files and lines.

    Sources of other vendors are left out: a lab node needs Debian's own packages only.
    """
    suite = re.compile(rf"(?<![\w-]){re.escape(release)}(?:-\w+)?/?\s")
    lists = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*.list"))]
    lines = [line.strip() for path in lists if path.exists() for line in _lines(path)]
    found = [line for line in lines if line.startswith("deb ") and suite.search(line)]
    found = [line for line in found if re.search(r"\smain(\s|$)", line)]
    for path in sorted((apt / "sources.list.d").glob("*.sources")):
        text = "\n".join(line for line in _lines(path) if not line.startswith("#")) + "\n"
        suites = re.search(r"(?mi)^Suites:(.*\n)", text)
        main = re.search(r"(?mi)^Components:.*\bmain\b", text)
        if suites and main and suite.search(suites.group(1)):
            found.append(str(path))
    if not found:
        raise LabError(f"found no apt source of {release} below {apt}")
    return found


def unpack(tarball: Path, target: Path) -> None:
    """Unpack the root file system into `target`, which must not exist."""
    target.mkdir(parents=True)
    run_tool("tar", "--extract", "--numeric-owner", f"--file={tarball}", f"--directory={target}")


def run_tool(*argv: str) -> str:
    """Run a program to its end and return its standard output.

    Raises:
        LabError: It failed; the message has what it said.
    """
    done = subprocess.run(argv, capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL)  # fmt: skip
    if done.returncode != 0:
        said = "\n".join(done.stderr.splitlines()[-15:])
        raise LabError(f"{argv[0]} ended with {done.returncode}:\n{said}")
    return done.stdout


def _make(release: str, target: Path, packages: Sequence[str]) -> None:
    _run_mmdebstrap(release, target, packages, "minbase", f"--customize-hook={_CUSTOMIZE}")


def _run_mmdebstrap(
    release: str, target: Path, packages: Sequence[str], variant: str, *options: str
) -> None:
    with TemporaryDirectory(prefix="isoward-lab-") as temporary:
        # In a file, since a proxy's address may hold a password.
        settings = Path(temporary) / "apt.conf"
        settings.write_text('APT::Install-Recommends "false";\n' + _host_apt_settings())
        settings.chmod(0o600)
        run_tool(
            "mmdebstrap", f"--variant={variant}", "--mode=root", "--format=tar",
            f"--include={','.join(packages)}", f"--aptopt={settings}", "--dpkgopt=force-unsafe-io",
            *(f"--dpkgopt=path-exclude={pattern}" for pattern in _EXCLUDED),
            *options, release, str(target), *host_sources(release),
        )  # fmt: skip


def _host_apt_settings() -> str:
    pairs = [part for i, key in enumerate(_APT_SETTINGS) for part in (f"V{i}", key)]
    dumped = run_tool("apt-config", "shell", *pairs)
    settings = []
    for line in dumped.splitlines():
        variable, _, value = line.partition("=")
        key = _APT_SETTINGS[int(variable.removeprefix("V"))]
        settings.append(f'{key} "{value.strip(chr(39))}";\n')
    return "".join(settings)


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Wait for the lock at `path`, so that two test processes do not make the same tarball."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
