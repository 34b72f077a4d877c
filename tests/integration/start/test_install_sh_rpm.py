"""install.sh where a Python comes as an rpm package: real dnf, on packages made for the test.

No Rocky machine is to be had, so this machine's own dnf and rpm run above a copy-on-write view of
this machine's files, under the name of Rocky 9.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundle.base.digest import digest_of, hex_of
from bundle.texts.install_script import System, SystemRepository
from tests.support.packages.rpm_world import (
    Rpm,
    RpmWorld,
    Signer,
    build_rpms,
    end_signer,
    new_signer,
)
from tests.support.programs.needs import requires_root, requires_tool
from tests.support.sites.start_medium import VERSION, Medium, bare_path, make_medium

_PYTHON = f"python3.{sys.version_info[1]}"
_RELEASE = 'ID="rocky"\nVERSION_ID="9.4"\n'
# Everything but the folders that hold this test's own files is seen through an overlay.
_VIEW = """\
set -e
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" none "$1/root"
mount --rbind /proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mkdir -p "$1/root$3"
mount --bind "$3" "$1/root$3"
rm -f "$1/root/etc/os-release"
cp "$2" "$1/root/etc/os-release"
exec chroot "$1/root" env PATH="$4" sh "$3/medium/install.sh" --prefix /opt/isoward-test
"""


@dataclass(frozen=True)
class _Program(Rpm):
    """A package with one program in /usr/sbin: the Python that runs this."""

    @property
    def spec(self) -> str:
        path = f"%{{buildroot}}/usr/sbin/{self.name}"
        script = f'#!/bin/sh\\nexec {sys.executable} "$@"\\n'
        made = f"mkdir -p $(dirname {path})\nprintf '{script}' > {path}\nchmod 0755 {path}\n"
        return super().spec.replace("%files\n", f"{made}%files\n/usr/sbin/{self.name}\n")


@dataclass(frozen=True)
class World:
    """A medium with a signed repository, and how it is used.

    Attributes:
        folder: Of all that the machine sees of this test.
        medium: In it.
        key: The distribution's.
        stranger: Nobody trusts it.
        package: The package with a Python.
    """

    folder: Path
    medium: Medium
    key: Signer
    stranger: Signer
    package: Path

    def carry(self, keyring: Path) -> None:
        """Put the repository on the medium, with a keyring that vouches for it."""
        repository = RpmWorld(self.folder, self.package.parent, self.key, self.stranger).repository(
            self.folder / "appstream", [self.package]
        )
        found = {
            f"appstream/{p.relative_to(repository)}": p.read_bytes()
            for p in repository.rglob("*") if p.is_file()
        }  # fmt: skip
        found["keyring.asc"] = keyring.read_bytes()
        for data in found.values():
            (self.medium.path / "blobs/sha256" / hex_of(digest_of(data))).write_bytes(data)
        system = System(
            release="rocky-9",
            kind="rpm",
            package=_PYTHON,
            repositories=(SystemRepository("appstream", signed_index=True),),
            keyring="keyring.asc",
            files={path: digest_of(data) for path, data in found.items()},
        )
        self.medium.with_start(systems=(system,))

    def install(self, tmp_path: Path) -> subprocess.CompletedProcess[str]:
        """Run install.sh as root on a machine without a Python in its PATH."""
        view = tmp_path / "view"
        view.mkdir()
        (self.folder / "os-release").write_text(_RELEASE)
        path = bare_path(self.folder / "bin")
        for name in ("dnf", "rpm", "gpg", "gpg-agent", "gpgconf", "bash", "rpmkeys"):
            found = shutil.which(name)
            assert found
            (self.folder / "bin" / name).symlink_to(found)
        return subprocess.run(
            ["unshare", "--mount", "--net", "sh", "-c", _VIEW, "sh", view,
             self.folder / "os-release", self.folder, path],
            capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    requires_root()
    requires_tool("dnf", "rpm", "rpmbuild", "createrepo_c", "gpg", "unshare")
    folder = tmp_path_factory.mktemp("rocky")
    key, stranger = new_signer(folder / "key"), new_signer(folder / "stranger")
    package = _Program(_PYTHON, "3.99-1.el9")
    build_rpms(folder / "build", [package], folder / "rpms")
    made = folder / "rpms" / package.file_name
    try:
        yield World(folder, make_medium(folder / "medium"), key, stranger, made)
    finally:
        end_signer(key)
        end_signer(stranger)


def test_dnf_brings_a_python_whose_signature_it_checked(world: World, tmp_path: Path) -> None:
    world.key.sign_packages([world.package])
    world.carry(world.key.keyring)
    done = world.install(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "installing Python for rocky-9 from the medium" in done.stdout
    assert f"\nisoward {VERSION}\n" in done.stdout
    assert not Path("/opt/isoward-test").exists()


def test_dnf_refuses_a_package_of_a_stranger(world: World, tmp_path: Path) -> None:
    world.stranger.sign_packages([world.package])
    world.carry(world.key.keyring)
    done = world.install(tmp_path)
    assert done.returncode == 15, done.stdout + done.stderr
    assert "rocky-9 could not install Python from the medium" in done.stderr
    assert "GPG check FAILED" in done.stderr


def test_dnf_refuses_an_index_of_a_stranger(world: World, tmp_path: Path) -> None:
    world.key.sign_packages([world.package])
    world.carry(world.stranger.keyring)
    done = world.install(tmp_path)
    assert done.returncode == 15, done.stdout + done.stderr
    assert "rocky-9 could not install Python from the medium" in done.stderr
    assert "repomd.xml GPG signature verification error: Bad GPG signature" in done.stderr
