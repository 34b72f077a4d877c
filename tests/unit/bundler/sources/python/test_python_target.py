"""A target accepts what pip on such a machine accepts, in pip's order."""

from __future__ import annotations

import platform
import sys

import pytest
from packaging.markers import Marker
from packaging.tags import sys_tags

from bundle.kinds.python_packages import MACHINES
from bundler.sources.python.target import Target


def test_the_running_python_is_a_target_like_any_other() -> None:
    name, glibc = platform.libc_ver()
    here = next((key for key, value in MACHINES.items() if value == platform.machine()), None)
    if name != "glibc" or here is None:
        pytest.skip("not a machine that wheels are chosen for")
    target = Target(f"3.{sys.version_info[1]}", here, glibc)
    expected, found = list(sys_tags()), list(target.ranks)
    # Where linux_* stands differs between releases of the library; with us it is the last.
    assert set(found) == set(expected)
    assert [str(tag) for tag in found if "-linux_" not in str(tag)] == [
        str(tag) for tag in expected if "-linux_" not in str(tag)
    ]


@pytest.mark.parametrize(
    ("tag", "accepted"),
    [
        ("cp312-cp312-manylinux_2_28_aarch64", True),
        ("cp312-cp312-manylinux2014_aarch64", True),
        ("cp39-abi3-manylinux_2_17_aarch64", True),
        ("py2-none-any", False),
        ("py3-none-any", True),
        ("cp312-cp312-manylinux_2_29_aarch64", False),
        ("cp313-cp313-manylinux_2_28_aarch64", False),
        ("cp313-abi3-manylinux_2_28_aarch64", False),
        ("cp312-cp312t-manylinux_2_28_aarch64", False),
        ("cp312-cp312-manylinux_2_28_x86_64", False),
        ("cp312-cp312-musllinux_1_2_aarch64", False),
    ],
)
def test_what_another_machine_accepts(tag: str, accepted: bool) -> None:
    target = Target("3.12", "linux/arm64", "2.28")
    assert (tag in {str(known) for known in target.ranks}) is accepted


@pytest.mark.parametrize(
    ("marker", "python", "counts"),
    [
        ('python_version < "3.12"', "3.11", True),
        ('python_version < "3.12"', "3.12", False),
        ('python_version >= "3.9"', "3.13", True),
        ('sys_platform == "win32"', "3.13", False),
        ('platform_machine == "x86_64" and platform_system == "Linux"', "3.13", True),
        ('platform_python_implementation != "PyPy"', "3.13", True),
        ('extra == "dev"', "3.13", False),
    ],
)
def test_markers_are_judged_for_the_target(marker: str, python: str, counts: bool) -> None:
    assert Target(python, "linux/amd64", "2.28").wants(Marker(marker)) is counts


@pytest.mark.parametrize(
    ("requires", "accepted"),
    [("", True), (">=3.11", True), (">=3.12", False), (">=3.8,!=3.9.0", True), ("nonsense", True)],
)
def test_requires_python(requires: str, accepted: bool) -> None:
    assert Target("3.11", "linux/amd64", "2.28").accepts_python(requires) is accepted
