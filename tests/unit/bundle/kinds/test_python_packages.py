"""Sets of Python packages in documents, and the requirements that they stand for."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from bundle.base.errors import DefinitionError, FormatError
from bundle.base.names import ServedNames
from bundle.kinds.python_packages import (
    LockedPythonSet,
    LockedWheel,
    PythonEnvironment,
    PythonSet,
    WheelEntry,
    WheelName,
    check_python_set,
    project_of,
    requirements_text,
    version_of,
)
from bundle.model.manifest import Manifest, check_manifest
from bundle.model.plan import plan_bundle
from tests.support.depot.imported import change_lock
from tests.support.documents.right import digest, read_definition
from tests.support.documents.right import lock as sample_lock

PYTHONS = ("3.11", "3.12")


def wheel(name: str) -> LockedWheel:
    return LockedWheel(
        name=name, url=f"https://files.example.org/{name}", digest=digest(name), size=10
    )


def locked(environments: dict[tuple[str, str, str], list[str]]) -> LockedPythonSet:
    names = sorted({name for wheels in environments.values() for name in wheels})
    return LockedPythonSet(
        name="installer",
        files=tuple(wheel(name) for name in names),
        environments=tuple(
            PythonEnvironment(name=name, python=python, platform=platform, wheels=tuple(wheels))
            for (name, python, platform), wheels in environments.items()
        ),
    )


def manifest_of(*sets: LockedPythonSet) -> Manifest:
    lock = change_lock(sample_lock(), python_packages=sets)
    return plan_bundle(lock).manifest


def entry(environments: dict[tuple[str, str, str], list[str]]) -> PythonSet:
    return manifest_of(locked(environments)).python_packages[0]


AMD, ARM = "linux/amd64", "linux/arm64"
PURE = "Pure_Name-1.0+local.1-py3-none-any.whl"


def native(python: str, machine: str = "x86_64") -> str:
    tag = python.replace(".", "")
    return f"native-2.0-cp{tag}-cp{tag}-manylinux_2_17_{machine}.whl"


def test_requirements_for_every_python_have_the_hash_of_each_wheel() -> None:
    found = entry({("tools", p, AMD): sorted([native(p), PURE]) for p in PYTHONS})
    hashes = sorted(digest(native(p))[7:] for p in PYTHONS)
    assert requirements_text(found, "tools") == (
        f"native==2.0 \\\n    --hash=sha256:{hashes[0]} \\\n    --hash=sha256:{hashes[1]}\n"
        f"pure-name==1.0+local.1 \\\n    --hash=sha256:{digest(PURE)[7:]}\n"
    )
    assert requirements_text(found, "other") == ""


def test_what_some_pythons_and_machines_do_not_need_has_a_marker() -> None:
    old = "old-1.0-py3-none-any.whl"
    one = "one-1.0-py3-none-any.whl"
    wheels = {("tools", p, a): [PURE] for p in PYTHONS for a in (AMD, ARM)}
    wheels["tools", "3.11", AMD] = [PURE, old, one]
    wheels["tools", "3.11", ARM] = [PURE, old]
    text = requirements_text(entry(wheels), "tools")
    assert 'old==1.0 ; python_version == "3.11" \\\n' in text
    assert 'one==1.0 ; (python_version == "3.11" and platform_machine == "x86_64") \\\n' in text
    assert "pure-name==1.0+local.1 \\\n" in text


def test_the_bundle_names_no_address_of_a_wheel() -> None:
    made = plan_bundle(
        change_lock(sample_lock(), python_packages=(locked({("tools", "3.11", AMD): [PURE]}),))
    )
    assert b"files.example.org/Pure" not in made.manifest_bytes
    assert "files.example.org" in made.manifest.sources
    assert digest(PURE) in {blob.digest for blob in made.manifest.blobs}


@pytest.mark.parametrize(
    ("name", "project", "version"),
    [
        ("Foo.Bar_baz-1.0-py3-none-any.whl", "foo-bar-baz", "1.0"),
        ("a-1!2.0.post1+x.y-1build-cp312-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
         "a", "1!2.0.post1+x.y"),
    ],
)  # fmt: skip
def test_the_names_of_wheels(name: str, project: str, version: str) -> None:
    assert msgspec.convert(name, WheelName) == name
    assert (project_of(name), version_of(name)) == (project, version)


@pytest.mark.parametrize(
    "name",
    [
        "../a-1.0-py3-none-any.whl",
        "a/b-1.0-py3-none-any.whl",
        ".-1.0-py3-none-any.whl",
        "a-1.0-py3-none-any.whl\n",
        "a-1.0-py3-none-any.zip",
        "a-1.0.whl",
        "a-1.0-py3-none-any\x00.whl",
        "ä-1.0-py3-none-any.whl",
        "a%2f-1.0-py3-none-any.whl",
    ],
)
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(name, WheelName)


SOURCE: dict[str, Any] = {
    "name": "installer",
    "requirements": ["tools.txt"],
    "pythons": ["3.11"],
    "glibc": "2.28",
}


def definition(*sources: dict[str, Any], platforms: str = AMD) -> str:
    return (
        "apiVersion: isoward/v1\nkind: BundleDefinition\n"
        f"metadata: {{name: tools, version: 1.0.0}}\nplatforms: [{platforms}]\n"
        f"pythonPackages: {msgspec.json.encode(sources).decode()}\n"
    )


def test_python_packages_alone_are_content() -> None:
    found = read_definition(definition({**SOURCE, "index": "https://example.org/simple"}))
    assert found.python_packages[0].pythons == ("3.11",)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "simple"},
        {"name": "Upper"},
        {"name": "../up"},
        {"requirements": []},
        {"requirements": ["tools.txt", "tools.txt"]},
        {"pythons": []},
        {"pythons": ["3.11", "3.11"]},
        {"pythons": ["2.7"]},
        {"pythons": ["3.11.4"]},
        {"pythons": ["3.011"]},
        {"glibc": "3.0"},
        {"glibc": "2"},
        {"index": "https://user:secret@example.org/simple"},
        {"index": "https://example.org/simple?token=secret"},
        {"index": "file:///srv/simple"},
        {"index": "https://example.org/../simple"},
        {"extra": 1},
    ],
)
def test_a_set_that_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError) as caught:
        read_definition(definition({**SOURCE, **change}))
    assert caught.value.hint


def test_two_sets_of_one_name_and_platforms_without_wheels_are_refused() -> None:
    with pytest.raises(DefinitionError, match="duplicate 'installer'"):
        read_definition(definition(SOURCE, SOURCE))
    with pytest.raises(DefinitionError, match="found platform linux/s390x"):
        read_definition(definition(SOURCE, platforms="linux/s390x"))


def _set(**changes: Any) -> PythonSet:
    return replace(entry({("tools", "3.11", AMD): [PURE]}), **changes)


OTHER = WheelEntry(name="other-1.0-py3-none-any.whl", digest=digest("other"))
TWIN = WheelEntry(name="pure.name-1.0+local.1-py3-none-any.whl", digest=digest("twin"))
ENVIRONMENT = PythonEnvironment(name="tools", python="3.11", platform=AMD, wheels=(PURE,))
FILE = WheelEntry(name=PURE, digest=digest(PURE))


@pytest.mark.parametrize(
    "wrong",
    [
        _set(name="simple"),
        _set(files=(FILE, OTHER)),
        _set(files=(OTHER,)),
        _set(files=(FILE, FILE)),
        _set(files=(FILE, TWIN)),
        _set(environments=()),
        _set(environments=(ENVIRONMENT, ENVIRONMENT)),
        _set(environments=(replace(ENVIRONMENT, platform="linux/s390x"),)),
        _set(environments=(replace(ENVIRONMENT, wheels=(PURE, PURE)),)),
        _set(environments=(replace(ENVIRONMENT, wheels=(PURE, TWIN.name)),), files=(FILE, TWIN)),
    ],
    ids=range(10),
)
def test_a_set_that_contradicts_itself(wrong: PythonSet) -> None:
    with pytest.raises((DefinitionError, FormatError)):
        check_python_set(wrong, ServedNames())
    with pytest.raises(FormatError):
        check_manifest(replace(manifest_of(), python_packages=(wrong,)))


def test_a_wheel_must_be_among_the_blobs_and_a_set_stands_once() -> None:
    good = manifest_of(locked({("tools", "3.11", AMD): [PURE]}))
    check_manifest(good)
    blobs = tuple(blob for blob in good.blobs if blob.digest != digest(PURE))
    with pytest.raises(FormatError, match="not among its blobs"):
        check_manifest(replace(good, blobs=blobs))
    with pytest.raises(FormatError, match="duplicate"):
        check_manifest(replace(good, python_packages=good.python_packages * 2))
