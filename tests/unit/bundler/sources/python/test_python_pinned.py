"""What some content wants of Python packages is pinned by real uv, for each Python apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle.base.errors import DefinitionError, ProgramError
from bundle.kinds.python_packages import LockedPythonSet
from bundler.build.cache import BlobCache
from bundler.model.definition import Definition
from bundler.sources.common.context import PythonWant
from bundler.sources.python.resolution import resolve_python
from tests.support.documents.right import read_definition
from tests.support.documents.sources import context
from tests.support.packages.python_index import PythonIndex, python_index, wheel
from tests.support.registries.connecting import client

WANT = PythonWant("app[fast]==1.0\nlib<3\n", "kubespray v1.2.3", "kubespray")


@pytest.fixture
def index() -> Iterator[PythonIndex]:
    with python_index() as made:
        yield made


def pure(index: PythonIndex, name: str, *requires: str, python: str = "", extra: str = "") -> None:
    file = f"{name}-py3-none-any.whl"
    extras = (extra,) if extra else ()
    index.add(file, wheel(file, requires=requires, extras=extras), requires_python=python)


def definition(index: PythonIndex, **changes: str) -> Definition:
    fields = {"kubespray": "true", "pythons": '["3.11", "3.13"]', "glibc": '"2.36"', **changes}
    asked = "".join(f"    {name}: {value}\n" for name, value in fields.items())
    return read_definition(
        "apiVersion: isoward/v1\nkind: BundleDefinition\nmetadata: {name: tools, version: 1.0.0}\n"
        f"platforms: [linux/amd64]\npythonPackages:\n  - name: installer\n{asked}"
        f"    index: {index.url}\n"
    )


def resolved(index: PythonIndex, folder: Path, *wants: PythonWant) -> LockedPythonSet:
    made = context(client(index.host), BlobCache(folder / "cache"), folder)
    (found,) = resolve_python(definition(index), wants, made)
    return found


def chosen(found: LockedPythonSet) -> dict[str, list[str]]:
    return {
        environment.python: [wheel.partition("-py3")[0] for wheel in environment.wheels]
        for environment in found.environments
    }


def seed(index: PythonIndex) -> None:
    pure(
        index,
        "app-1.0",
        "lib>=2",
        'backport; python_version < "3.12"',
        'speed; extra == "fast"',
        extra="fast",
    )
    pure(index, "app-2.0")
    for version in ("2.0", "2.1", "3.0"):
        pure(index, f"lib-{version}")
    pure(index, "lib-2.2", python=">=3.12")
    pure(index, "backport-1.0")
    index.add("speed-1.0-cp38-abi3-manylinux_2_36_x86_64.whl")
    index.add("speed-1.1-cp38-abi3-manylinux_2_39_x86_64.whl")
    index.add("speed-1.2.tar.gz", b"source")


def test_each_python_gets_what_fits_it(index: PythonIndex, tmp_path: Path) -> None:
    seed(index)
    found = resolved(index, tmp_path, WANT)
    speed = "speed-1.0-cp38-abi3-manylinux_2_36_x86_64.whl"
    assert chosen(found) == {
        "3.11": ["app-1.0", "backport-1.0", "lib-2.1", speed],
        "3.13": ["app-1.0", "lib-2.2", speed],
    }
    assert {environment.name for environment in found.environments} == {"kubespray"}
    digests = {listed.digest for files in index.files.values() for listed in files}
    assert {file.digest for file in found.files} <= digests


def test_the_users_own_settings_change_nothing(
    index: PythonIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(index)
    before = resolved(index, tmp_path, WANT)
    monkeypatch.setenv("UV_RESOLUTION", "lowest")
    monkeypatch.setenv("UV_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_EXCLUDE_NEWER", "2001-01-01")
    assert resolved(index, tmp_path, WANT) == before


def test_an_environment_of_its_own_beside_a_requirements_file(
    index: PythonIndex, tmp_path: Path
) -> None:
    seed(index)
    (tmp_path / "tools.txt").write_text(
        f"lib==3.0 --hash={index.files['lib'][2].digest}\n", encoding="utf-8"
    )
    asked = definition(index, requirements="[tools.txt]", pythons='["3.13"]')
    made = context(client(index.host), BlobCache(tmp_path / "cache"), tmp_path)
    (found,) = resolve_python(asked, [WANT], made)
    versions = {e.name: [w for w in e.wheels if w.startswith("lib")] for e in found.environments}
    assert versions == {
        "kubespray": ["lib-2.2-py3-none-any.whl"],
        "tools": ["lib-3.0-py3-none-any.whl"],
    }


def test_what_does_not_fit_together_is_said_in_uvs_words(
    index: PythonIndex, tmp_path: Path
) -> None:
    seed(index)
    want = PythonWant("app==1.0\nlib<2\n", "kubespray v1.2.3", "kubespray")
    with pytest.raises(ProgramError) as caught:
        resolved(index, tmp_path, want)
    assert "requirements of kubespray v1.2.3 for Python 3.11 on linux/amd64" in caught.value.message
    assert "lib>=2" in caught.value.message
    assert str(tmp_path) not in caught.value.message


def test_nothing_that_wants_packages_is_an_error(index: PythonIndex, tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="nothing in the definition needs Python packages"):
        resolved(index, tmp_path)
