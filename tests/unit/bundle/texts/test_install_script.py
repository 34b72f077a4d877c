"""install.sh: what is filled in, and that a shell and a person can read it."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace

import pytest

from bundle.base.digest import digest_of, hex_of
from bundle.texts.install_script import Start, System, SystemRepository, install_script
from tests.support.programs.needs import requires_tool

_WHEEL, _PIP, _DEB = digest_of(b"wheel"), digest_of(b"pip"), digest_of(b"deb")
_START = Start(
    isoward="1.2.3",
    pythons=("3.11", "3.13"),
    machines=("aarch64", "x86_64"),
    wheels={"isoward-1.2.3-py3-none-any.whl": _WHEEL, "pip-25.0-py3-none-any.whl": _PIP},
    pip="pip-25.0-py3-none-any.whl",
    requirements=f"isoward[operator]==1.2.3 --hash={_WHEEL}\n",
)
_APT = System(
    release="debian-12",
    kind="apt",
    package="python3",
    repositories=(
        SystemRepository("debian", "bookworm", ("main", "contrib")),
        SystemRepository("security", "bookworm-security", ("main",)),
    ),
    keyring="keyring.gpg",
    files={"debian/pool/main/p/python3_3.11.2-1+b1_amd64.deb": _DEB, "keyring.gpg": _PIP},
)
_RPM = System(
    release="rocky-9",
    kind="rpm",
    package="python3.11",
    repositories=(SystemRepository("baseos", signed_index=True), SystemRepository("appstream")),
    keyring="keyring.asc",
    files={"baseos/repodata/repomd.xml": _DEB},
)
_FULL = replace(_START, systems=(_APT, _RPM))


@pytest.mark.parametrize("start", [_START, _FULL])
def test_no_shell_finds_fault_with_it(start: Start) -> None:
    requires_tool("shellcheck")
    done = subprocess.run(
        ["shellcheck", "--shell=sh", "--norc", "-"],
        input=install_script(start), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_everything_is_filled_in() -> None:
    text = install_script(_FULL)
    assert not re.search(r"@[A-Z]+@", text)
    assert "isoward='1.2.3'" in text
    assert "pythons='3.11 3.13'" in text
    assert "machines='aarch64 x86_64'" in text
    assert f"\n{hex_of(_WHEEL)} isoward-1.2.3-py3-none-any.whl\n" in text
    assert f"\nisoward[operator]==1.2.3 --hash={_WHEEL}\n" in text
    assert text.endswith('\nmain "$@"\n')


def test_a_line_fits_on_a_screen() -> None:
    text = install_script(_START)
    assert [line for line in text.split("# The wheels")[0].splitlines() if len(line) > 100] == []


def test_signatures_are_checked_with_the_keyring_of_the_medium() -> None:
    text = install_script(_FULL)
    options = "arch=$(dpkg --print-architecture) signed-by=$work/os/keyring.gpg"
    assert f"\ndeb [{options}] file:$work/os/debian bookworm main contrib\n" in text
    assert f"\ndeb [{options}] file:$work/os/security bookworm-security main\n" in text
    assert "AllowInsecureRepositories=false" in text
    assert "AllowUnauthenticated=false" in text
    baseos, appstream = text.split("[baseos]")[1].split("[appstream]")
    for part in (baseos, appstream):
        assert "\ngpgcheck=1\n" in part
        assert "\ngpgkey=file://$work/os/keyring.asc\n" in part
    assert "\nrepo_gpgcheck=1\n" in baseos
    assert "\nrepo_gpgcheck=0\n" in appstream


def test_the_tables_are_asked_for_by_system() -> None:
    def packages(release: str) -> str:
        script = install_script(_FULL).removesuffix('main "$@"\n') + f"packages {release}\n"
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
        return done.stdout

    assert packages("rocky-9") == f"{hex_of(_DEB)} baseos/repodata/repomd.xml\n"
    assert len(packages("debian-12").splitlines()) == 2
    assert packages("debian-11") == ""


@pytest.mark.parametrize(
    "changed",
    [
        replace(_START, isoward="1'; reboot; '"),
        replace(_START, pythons=("3.11\n",)),
        replace(_START, requirements="END\nreboot\n"),
        replace(_START, wheels={"a\nEND\nb": _WHEEL}),
        replace(_START, systems=(replace(_APT, package="python3 $(reboot)"),)),
        replace(_START, systems=(replace(_APT, keyring="`reboot`"),)),
        replace(_START, systems=(replace(_RPM, release="*"),)),
        replace(_START, systems=(replace(_RPM, repositories=(SystemRepository("$HOME"),)),)),
    ],
)
def test_what_means_something_to_a_shell_is_never_written(changed: Start) -> None:
    with pytest.raises(ValueError, match=r"install\.sh"):
        install_script(changed)
