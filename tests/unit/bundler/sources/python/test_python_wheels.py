"""An environment that lacks what one of its wheels needs does not become a bundle."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from bundle.base.digest import digest_of
from bundle.base.errors import DefinitionError, FormatError
from bundle.kinds.python_packages import LockedPythonSet, LockedWheel, PythonEnvironment
from bundle.model.manifest import Manifest
from bundle.model.plan import plan_bundle
from bundle.store.layout import BundleDirectory
from bundler.sources.python.wheels import check_wheels, read_metadata
from tests.support.depot.imported import change_lock
from tests.support.documents.right import lock as sample_lock
from tests.support.packages.python_index import wheel


def stored(path: Path, wheels: dict[str, bytes]) -> tuple[BundleDirectory, Manifest]:
    """Store wheels as a bundle has them, all in one environment for Python 3.12."""
    blobs = path / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for data in wheels.values():
        (blobs / digest_of(data).removeprefix("sha256:")).write_bytes(data)
    files = tuple(
        LockedWheel(
            name=name, url=f"https://example.org/{name}", digest=digest_of(data), size=len(data)
        )
        for name, data in sorted(wheels.items())
    )
    environment = PythonEnvironment(
        name="tools", python="3.12", platform="linux/amd64", wheels=tuple(sorted(wheels))
    )
    found = LockedPythonSet(name="set", files=files, environments=(environment,))
    empty = change_lock(sample_lock(), images=(), charts=(), files=())
    manifest = plan_bundle(change_lock(empty, python_packages=(found,))).manifest
    return BundleDirectory(path), manifest


def pure(name: str, *requires: str, extras: tuple[str, ...] = ()) -> tuple[str, bytes]:
    file = f"{name}-py3-none-any.whl"
    return file, wheel(file, requires=requires, extras=extras)


def test_an_environment_that_is_complete(tmp_path: Path) -> None:
    wheels = dict(
        [
            pure(
                "app-1.0",
                "lib[fast]>=2,<3",
                'old; python_version < "3.12"',
                'winreg; sys_platform == "win32"',
                'docs; extra == "doc"',
                extras=("doc",),
            ),
            pure("lib-2.5rc1", 'engine==1.0; extra == "fast"', extras=("fast",)),
            pure("engine-1.0"),
        ]
    )
    check_wheels(*stored(tmp_path, wheels))


@pytest.mark.parametrize(
    ("requires", "said"),
    [
        ("absent>=1", "app needs absent>=1, found none"),
        ("lib>=3", "app needs lib>=3, found 2.5"),
        ("lib[fast]", "lib needs engine==1.0, found none"),
        ('absent; python_version >= "3.12"', "app needs absent, found none"),
        ('absent; python_full_version >= "3.12"', "app needs absent, found none"),
    ],
)
def test_an_environment_that_is_not(tmp_path: Path, requires: str, said: str) -> None:
    wheels = dict(
        [
            pure("app-1.0", requires),
            pure("lib-2.5", 'engine==1.0; extra == "fast"', extras=("fast",)),
        ]
    )
    with pytest.raises(DefinitionError) as caught:
        check_wheels(*stored(tmp_path, wheels))
    assert said in caught.value.message
    assert "tools for Python 3.12 on linux/amd64" in caught.value.message


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return made.getvalue()


METADATA = "app-1.0.dist-info/METADATA"
GOOD = b"Metadata-Version: 2.1\nName: app\nVersion: 1.0\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a zip",
        zipped({"app.py": b""}),
        zipped({METADATA: GOOD, "b.dist-info/METADATA": GOOD}),
        zipped({METADATA: GOOD + b"x: " + b"y" * (4 * 1024 * 1024)}),
        zipped({METADATA: GOOD.replace(b"1.0", b"1.1")}),
        zipped({METADATA: GOOD.replace(b"app", b"other")}),
        zipped({METADATA: GOOD.replace(b"1.0", b"one")}),
        zipped({METADATA: b""}),
        zipped({METADATA: b"\xff"}),
        zipped({METADATA: GOOD + b"Requires-Dist: ===\n"}),
        zipped({METADATA: GOOD + b"Requires-Dist: a; " + b"(" * 5000 + b"\n"}),
        zipped({METADATA: GOOD + b"Requires-Dist: a\n" * 2001}),
        zipped({METADATA: GOOD + b'Requires-Dist: a; os_name ~= "posix"\n'}),
        zipped({METADATA: GOOD}, zipfile.ZIP_LZMA),
        zipped({METADATA: GOOD})[:-30],
        zipped({METADATA: GOOD * 50}).replace(b"PK\x03\x04", b"PK\x03\x05"),
    ],
    ids=range(17),
)
def test_a_wheel_that_is_not_what_its_name_says(tmp_path: Path, data: bytes) -> None:
    bundle, manifest = stored(tmp_path, {"app-1.0-py3-none-any.whl": data})
    with pytest.raises(FormatError, match=r"^app.*: the wheel does not match its name"):
        check_wheels(bundle, manifest)


def test_a_wheel_for_another_python_whatever_the_index_says(tmp_path: Path) -> None:
    data = zipped({METADATA: GOOD + b"Requires-Python: >=3.13\n"})
    bundle, manifest = stored(tmp_path, {"app-1.0-py3-none-any.whl": data})
    with pytest.raises(DefinitionError, match=r"app 1\.0 is for Python >=3\.13"):
        check_wheels(bundle, manifest)


SHAPES = {
    "obsolete fields": (
        "Metadata-Version: 1.2\nName: {}\nVersion: 1.0\nRequires: os\nProvides: x\nObsoletes: y\n"
        "Requires-Dist: lib (>=1.0)\nRequires-External: libc\nPlatform: UNKNOWN\n\n"
    ),
    "several requirements": (
        "Metadata-Version: 2.1\nName: {}\nVersion: 1.0\nRequires-Dist: lib\n"
        'Requires-Dist: other[a,b]>=1,<2; extra == "fast"\nProvides-Extra: fast\n\n'
    ),
    "no line break at the end": (
        "Metadata-Version: 2.1\nName: {}\nVersion: 1.0\nRequires-Dist: lib"
    ),
    "carriage returns": (
        "Metadata-Version: 2.1\r\nName: {}\r\nVersion: 1.0\r\nRequires-Dist: lib\r\n\r\ntext"
    ),
    "the newest version": (
        "Metadata-Version: 2.4\nName: {}\nVersion: 1.0\nDynamic: license-file\n"
        "License-Expression: MIT\nLicense-File: LICENSE\nLicense-File: NOTICE\n"
        "Requires-Dist: lib\nDescription-Content-Type: text/markdown\n\nRequires-Dist: not-this\n"
    ),
    "letters of many": (
        "Metadata-Version: 2.1\nName: {}\nVersion: 1.0\nAuthor: J\u00f6rg \u674e\n"
        "Requires-Dist: lib\n\n\u2603\n"
    ),
    "a requires-python that is nonsense": (
        "Metadata-Version: 2.1\nName: {}\nVersion: 1.0\nRequires-Python: any\n"
        "Requires-Dist: lib\n\n"
    ),
    "names in other cases": (
        "metadata-version: 2.1\nNAME: {}\nversion: 1.0\nrequires-dist: lib\n\n"
    ),
    "a version in another form": (
        "Metadata-Version: 2.1\nName: {}\nVersion: v1.0.0\nRequires-Dist: lib\n\n"
    ),
}


def described(name: str, metadata: bytes, *, twice: bytes | None = None) -> bytes:
    """Make a wheel with this METADATA, and perhaps another one before it."""
    made = io.BytesIO()
    folder = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(made, "w") as zipped:
        zipped.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        zipped.writestr(f"{folder}/RECORD", "")
        if twice is not None:
            zipped.writestr(f"{folder}/METADATA", twice)
            with pytest.warns(UserWarning, match="Duplicate name"):
                zipped.writestr(f"{folder}/METADATA", metadata)
        else:
            zipped.writestr(f"{folder}/METADATA", metadata)
    return made.getvalue()


def test_metadata_is_read_as_pip_reads_it(tmp_path: Path) -> None:
    files = []
    for number, text in enumerate(SHAPES.values()):
        path = tmp_path / f"shape{number}-1.0-py3-none-any.whl"
        path.write_bytes(described(f"shape{number}", text.format(f"Shape{number}").encode()))
        files.append(path)
    report = subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps",
            "--no-index", "--quiet", "--report", "-", *map(str, files),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    found = {
        entry["metadata"]["name"].lower(): entry["metadata"]
        for entry in json.loads(report.stdout)["install"]
    }
    assert len(found) == len(SHAPES)
    for path in files:
        theirs, ours = found[path.name.partition("-")[0]], read_metadata(path, path.name)
        wanted = {str(Requirement(line.strip())) for line in theirs["requires_dist"]}
        assert {str(requirement) for requirement in ours.requires} == wanted
        assert ours.version == Version(theirs["version"])


@pytest.mark.parametrize(
    ("metadata", "twice"),
    [
        (
            b"Name: a\nVersion: 1.0\nRequires-Dist:\n lib>=1;\n  extra == 'x'\n",
            None,
        ),
        (b"Metadata-Version: 2.1\nVersion: 1.0\nRequires-Dist: lib>=1; extra == 'x'\n", None),
        (b"Name: a\nVersion: 1.0\nRequires-Dist: lib>=1; extra == 'x'\n", b"Name: b\nVersion: 9\n"),
    ],
    ids=["folded", "without a name", "twice"],
)
def test_metadata_that_a_newer_pip_takes_is_taken(
    metadata: bytes, twice: bytes | None, tmp_path: Path
) -> None:
    path = tmp_path / "a-1.0-py3-none-any.whl"
    path.write_bytes(described("a", metadata, twice=twice))
    (requirement,) = read_metadata(path, path.name).requires
    assert str(requirement) == 'lib>=1; extra == "x"'


def test_metadata_that_is_no_text_is_refused_as_by_pip(tmp_path: Path) -> None:
    path = tmp_path / "a-1.0-py3-none-any.whl"
    path.write_bytes(described("a", b"Name: a\nVersion: 1.0\nAuthor: J\xf6rg\n"))
    with pytest.raises(FormatError, match="the wheel does not match its name"):
        read_metadata(path, path.name)
