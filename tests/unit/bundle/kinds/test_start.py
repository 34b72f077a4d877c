"""The start of a bare machine in documents: what must be there, and install.sh that follows."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from bundle.base.digest import digest_of
from bundle.base.errors import DefinitionError, FormatError
from bundle.kinds.os_packages import LockedOs
from bundle.kinds.python_packages import LockedPythonSet, LockedWheel, PythonEnvironment
from bundle.kinds.start import LockedOwnWheel, LockedStart
from bundle.model.lock import Lock, check_lock, lock_contents
from bundle.model.manifest import check_manifest
from bundle.model.plan import plan_bundle
from bundler.lock.diff import changes
from tests.support.depot.imported import change_lock
from tests.support.documents.content import Maker
from tests.support.documents.right import DEFINITION, digest, lock, read_definition

OWN = "isoward-1.2.3-py3-none-any.whl"
PIP = "pip-25.0-py3-none-any.whl"
CLICK = "click-8.1-py3-none-any.whl"
SETS = """\
pythonPackages:
  - {name: installer, requirements: [start.txt], pythons: ["3.11"], glibc: "2.28"}
osPackages:
  - name: debian-12
    release: debian-12
    repositories: [{url: "https://mirror.example.org/debian", suite: bookworm, components: [main]}]
    keyring: debian.gpg
    packages: [python3]
"""


def _set(*wheels: str, pythons: tuple[str, ...] = ("3.11", "3.12")) -> LockedPythonSet:
    return LockedPythonSet(
        name="installer",
        files=tuple(
            LockedWheel(name=n, url=f"https://example.org/{n}", digest=digest(n), size=10)
            for n in sorted(wheels)
        ),
        environments=tuple(
            PythonEnvironment(
                name="start", python=python, platform="linux/amd64", wheels=tuple(sorted(wheels))
            )
            for python in pythons
        ),
    )


def _system(package: str = "python3", name: str = "debian-12") -> LockedOs:
    made = Maker().os_packages(name, "1.0")
    return replace(made, packages=(replace(made.packages[0], name=package),))


def _start(**changed: Any) -> LockedStart:
    wheel = LockedOwnWheel(name=OWN, digest=digest(OWN), size=20)
    made = LockedStart(
        wheel=wheel, python_packages="installer", environment="start", os_packages=("debian-12",)
    )
    return replace(made, **changed)


def _lock(**changed: Any) -> Lock:
    fields = {
        "python_packages": (_set(CLICK, PIP),),
        "os_packages": (_system(),),
        "start": _start(),
        **changed,
    }
    return change_lock(lock(), **fields)


def test_a_definition_names_sets_of_its_own() -> None:
    text = f"{DEFINITION}{SETS}start: {{pythonPackages: installer, osPackages: [debian-12]}}\n"
    start = read_definition(text).start
    assert start is not None
    assert (start.python_packages, start.environment, start.wheel) == ("installer", None, None)


@pytest.mark.parametrize(
    ("start", "why"),
    [
        ("pythonPackages: other", "'other' is not the name of a set under pythonPackages"),
        ("pythonPackages: installer, osPackages: [rocky-9]", "'rocky-9' is not the name of a set"),
        ("osPackages: [debian-12]", "pythonPackages"),
        ("pythonPackages: installer, wheel: /home/me/x.whl", "start.wheel"),
        ("pythonPackages: installer, wheel: ../x.whl", "start.wheel"),
    ],
)
def test_a_definition_that_cannot_be_meant_is_refused(start: str, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        read_definition(f"{DEFINITION}{SETS}start: {{{start}}}\n")


def test_the_medium_gets_an_install_sh_that_bundle_json_names() -> None:
    made = plan_bundle(_lock())
    script = made.layout["install.sh"].decode()
    named = {file.path: file.digest for file in made.manifest.layout}
    assert named["install.sh"] == digest_of(made.layout["install.sh"])
    assert "isoward='1.2.3'" in script
    assert "pythons='3.11 3.12'" in script
    assert "machines='x86_64'" in script
    assert f"isoward[operator]==1.2.3 --hash={digest(OWN)}" in script
    assert f"click==8.1 \\\n    --hash={digest(CLICK)}" in script
    assert "\ndebian-12)\n" in script
    assert digest(OWN) in lock_contents(_lock())
    assert digest(OWN) in {blob.digest for blob in made.manifest.blobs}


def test_without_a_start_there_is_no_install_sh() -> None:
    assert "install.sh" not in plan_bundle(_lock(start=None)).layout


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"python_packages": ()}, "'installer' is not the name"),
        ({"start": _start(environment="other")}, "has no environment 'other'"),
        ({"python_packages": (_set(CLICK),)}, "expected pip in the environment"),
        ({"os_packages": ()}, "'debian-12' is not the name"),
        ({"os_packages": (_system("socat"),)}, "'debian-12' has no package python3"),
        (
            {"python_packages": (_set(CLICK, PIP, pythons=("3.12",)),)},
            "provides Python 3.11, found wheels for 3.12 only",
        ),
        (
            {
                "os_packages": (_system(), _system(name="other")),
                "start": _start(os_packages=("debian-12", "other")),
            },
            "duplicate debian-12",
        ),
        (
            {"start": _start(wheel=replace(_start().wheel, path="../isoward.whl"))},
            "is not a path below a folder",
        ),
    ],
)
def test_a_lock_with_which_no_machine_could_start_is_refused(
    changed: dict[str, Any], why: str
) -> None:
    with pytest.raises(FormatError, match=why):
        check_lock(_lock(**changed))


def test_a_manifest_has_install_sh_and_start_together_or_neither() -> None:
    manifest = plan_bundle(_lock()).manifest
    for wrong in (
        replace(manifest, start=None),
        replace(manifest, layout=tuple(f for f in manifest.layout if f.path != "install.sh")),
    ):
        with pytest.raises(FormatError, match="require each other"):
            check_manifest(wrong)


def test_another_isoward_is_a_change_that_a_reviewer_sees() -> None:
    wheel = replace(_start().wheel, digest=digest("another"))
    lines = [c.line for c in changes(_lock(), _lock(start=_start(wheel=wheel)))]
    assert any(OWN in line and "moved" in line for line in lines)
    added = [c.line for c in changes(_lock(start=None), _lock())]
    assert any("start with installer start debian-12: added" in line for line in added)
