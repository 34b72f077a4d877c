"""What a test needs of the machine: it is skipped with a reason, except in CI, where it fails."""

from __future__ import annotations

import os
import shutil
from http import HTTPStatus
from pathlib import Path
from typing import Final, NoReturn

import pytest
import urllib3

PACKAGE_OF: Final = {
    "apt-get": "apt",
    "bash": "bash",
    "dpkg-deb": "dpkg",
    "sha256sum": "coreutils",
    "unshare": "util-linux",
    "curl": "curl",
    "dnf": "dnf",
    "docker-registry": "docker-registry",
    "git": "git",
    "go": "golang-go",
    "gpgv": "gpgv",
    "ip": "iproute2",
    "iptables": "iptables",
    "modifyrepo_c": "createrepo-c",
    "openssl": "openssl",
    "podman": "podman",
    "rpm": "rpm",
    "rpmsign": "rpm",
    "shellcheck": "shellcheck",
    "etcd": "etcd-server",
    "etcdctl": "etcd-client",
    "skopeo": "skopeo",
    "umoci": "umoci",
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "nginx": "nginx-light",
    "busybox": "busybox-static",
    "softhsm2-util": "softhsm2",
    "createrepo_c": "createrepo-c",
    "rpmbuild": "rpm",
    "rpmkeys": "rpm",
    "gpg": "gnupg",
    "groff": "groff-base",
    "gpgconf": "gnupg",
    "apt-ftparchive": "apt-utils",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "ssh-keyscan": "openssh-client",
}
"""Debian's package by the program that a test runs."""

_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"))


def in_ci() -> bool:
    """Say whether nothing may be skipped."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def find_tool(name: str) -> str | None:
    """Return the path of a program, also from the folders that only root has in its PATH."""
    return shutil.which(name, path=_PATH)


def requires_tool(*names: str) -> None:
    """Skip the running test unless every program is there; in CI fail it instead."""
    missing = [name for name in names if find_tool(name) is None]
    if missing:
        packages = sorted({PACKAGE_OF.get(name, name) for name in missing})
        unmet(f"needs {', '.join(missing)} (Debian: apt-get install {' '.join(packages)})")


def how_to_get(error: FileNotFoundError) -> str | None:
    """Return what a test lacked that ran a program without asking for it first.

    Returns:
        None when it was no program that is known here, or one that is there.
    """
    name = Path(str(error.filename or "")).name
    if name not in PACKAGE_OF or find_tool(name) is not None:
        return None
    return f"needs {name} (Debian: apt-get install {PACKAGE_OF[name]})"


def requires_root() -> None:
    """Skip the running test unless it runs as root; in CI fail it instead."""
    if os.geteuid() != 0:
        unmet("needs root")


def requires_the_kernels_clock() -> None:
    """Skip the running test under faketime, which programs in Go do not hear."""
    if os.environ.get("FAKETIME"):
        unmet("needs the kernel's clock; a program in Go does not see the one of FAKETIME")


def requires_index(url: str) -> None:
    """Skip the running test unless this index of Python packages answers; in CI fail it instead."""
    try:
        answer = urllib3.request("HEAD", f"{url}/packaging/", timeout=10, retries=1)
    except urllib3.exceptions.HTTPError:
        unmet(f"needs the index of Python packages of pip's own configuration ({url})")
    if answer.status >= HTTPStatus.BAD_REQUEST:
        unmet(f"needs an index of Python packages at {url}, found status {answer.status}")


def requires_repository(variable: str) -> Path:
    """Return the Git repository that a variable of the environment names, else skip the test."""
    named = os.environ.get(variable, "")
    if not named:
        pytest.skip(f"{variable} names no Git repository")
    return Path(named)


def unmet(reason: str) -> NoReturn:
    """Skip the running test for a reason; in CI fail it instead."""
    if in_ci():
        pytest.fail(f"{reason}; with CI set this may not be skipped", pytrace=False)
    pytest.skip(reason)
