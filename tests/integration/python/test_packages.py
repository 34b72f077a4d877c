"""Python packages from an index to a machine: lock, build, verify, import, serve, and real pip."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bundle.base.errors import DefinitionError
from bundle.kinds.python_packages import MACHINES
from bundle.store.programs import run_program
from bundler.build.cache import BlobCache
from bundler.sources.python.resolution import resolve_python
from bundler.sources.python.simple_index import pip_index
from tests.support.documents.right import read_definition
from tests.support.documents.sources import context
from tests.support.packages.pip_client import PipClient, by_name
from tests.support.packages.python_index import Listed, python_index, requirements, wheel
from tests.support.programs.needs import requires_index
from tests.support.registries.connecting import client
from tests.support.registries.journey import (
    APPROVERS,
    Machine,
    ServedDepot,
    approve,
    build,
    make_keys,
    make_root,
    served,
)

HERE = f"3.{sys.version_info[1]}"
PYTHONS = sorted({"3.11", "3.12", "3.13", HERE}, key=lambda python: int(python[2:]))
PLATFORM = {machine: name for name, machine in MACHINES.items()}.get(
    platform.machine(), "linux/amd64"
)
MANY = f"manylinux_2_17_{MACHINES[PLATFORM]}.manylinux2014_{MACHINES[PLATFORM]}"
X86 = "x86_64"
ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Travelled:
    """What became of a definition.

    Attributes:
        machine: Where it was made.
        home: Its folder.
        depot: That imported the bundle.
        built: What the first and the second build said.
    """

    machine: Machine
    home: Path
    depot: Path
    built: tuple[dict[str, Any], dict[str, Any]]


def definition(
    *, index: str = "", pythons: Sequence[str] = PYTHONS, platform: str = PLATFORM
) -> str:
    address = f"\n    index: {index}" if index else ""
    return f"""\
apiVersion: isoward/v1
kind: BundleDefinition
metadata: {{name: tools, version: 1.0.0}}
platforms: [{platform}]
pythonPackages:
  - name: installer
    requirements: [tools.txt]
    pythons: [{", ".join(f'"{python}"' for python in pythons)}]
    glibc: "2.28"{address}
"""


def lock_and_build(home: Path, text: str, wanted: str) -> tuple[Machine, dict[str, Any]]:
    """Lock and build a definition as its vendor does."""
    machine = Machine(home)
    make_keys(home / "keys")
    make_root(machine, home / "keys", home / "release")
    (home / "definition.yaml").write_text(text)
    (home / "tools.txt").write_text(wanted)
    machine.run("lock", home / "definition.yaml")
    first = build(
        machine, home / "definition.lock.yaml", home / "bundle", home / "release", home / "keys"
    )
    return machine, first


def deliver(machine: Machine, first: dict[str, Any]) -> Travelled:
    """Build again from the cache, approve, enrol and import."""
    home = machine.home
    lock, release, keys = home / "definition.lock.yaml", home / "release", home / "keys"
    again = build(machine, lock, home / "again", release, keys)
    bundle = home / "bundle"
    assert (home / "again" / "bundle.json").read_bytes() == (bundle / "bundle.json").read_bytes()
    for name in APPROVERS[:2]:
        approve(machine, home / "again", keys, name)
    fingerprint = machine.result("inspect", home / "again")["digest"]
    assert fingerprint
    root = machine.result("root", "show", release)["fingerprint"]
    machine.run("enroll", home / "again", "--depot", home / "depot", "--fingerprint", root)
    machine.run("verify", home / "again", "--depot", home / "depot")
    machine.run("import", home / "again", "--depot", home / "depot")
    return Travelled(machine, home, home / "depot", (first, again))


@pytest.fixture(scope="module")
def travelled(tmp_path_factory: pytest.TempPathFactory) -> Travelled:
    """A set from a loopback index, which is gone before the second build."""
    home = tmp_path_factory.mktemp("python")
    with python_index() as index:
        words = "words-2.1-py3-none-any.whl"
        listed = [
            index.add(
                "greet_all-1.0-py3-none-any.whl",
                wheel(
                    "greet_all-1.0-py3-none-any.whl",
                    requires=("words>=2", "native", 'old; python_version < "3.11"'),
                ),
                requires_python=">=3.8",
            ),
            index.add(words, wheel(words, requires=("stable==3.0",))),
            index.add(f"stable-3.0-cp38-abi3-{MANY}.whl"),
            *(index.add(f"native-4.0-cp3{p[2:]}-cp3{p[2:]}-{MANY}.whl") for p in PYTHONS),
            index.add("newest-5.0-py3-none-any.whl"),
        ]
        newest = f'python_version >= "{PYTHONS[-1]}"'
        machine, first = lock_and_build(
            home, definition(index=index.url), requirements(*listed, markers={"newest": newest})
        )
    return deliver(machine, first)


@pytest.fixture(scope="module")
def depot(travelled: Travelled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDepot]:
    with served(travelled.machine, travelled.depot, tmp_path_factory.mktemp("serve")) as running:
        yield running


def test_the_second_build_asks_nobody(travelled: Travelled) -> None:
    first, again = travelled.built
    assert first["fetched"] == 4 + len(PYTHONS)
    assert again["fetched"] == 0


def test_the_bundle_says_what_it_has_and_no_address(travelled: Travelled) -> None:
    said = travelled.machine.result("inspect", travelled.home / "bundle")
    (found,) = said["pythonPackages"]
    assert [(e["name"], e["python"], e["platform"]) for e in found["environments"]] == [
        ("tools", python, PLATFORM) for python in PYTHONS
    ]
    assert len(found["files"]) == 4 + len(PYTHONS)
    assert all(host.startswith("127.0.0.1:") for host in said["sources"])
    assert b"http:" not in (travelled.home / "bundle" / "bundle.json").read_bytes()
    shown = travelled.machine.run("inspect", travelled.home / "bundle")
    assert "Python packages installer" in shown
    assert "greet_all-1.0-py3-none-any.whl" in shown


def test_pip_installs_from_the_depot_alone(
    travelled: Travelled, depot: ServedDepot, tmp_path: Path
) -> None:
    pip = PipClient.make(tmp_path / "venv", depot.ca)
    base = f"{by_name(depot.url)}/pypi/installer"
    done = pip.install(f"{base}/simple/", f"{base}/requirements.txt")
    assert done.returncode == 0, done.stdout + done.stderr
    expected = {"greet_all": "1.0", "words": "2.1", "stable": "3.0", "native": "4.0"}
    if PYTHONS[-1] == HERE:
        expected["newest"] = "5.0"
    found = {name.replace("-", "_"): version for name, version in pip.installed().items()}
    assert expected.items() <= found.items()
    assert ("newest" in found) is (PYTHONS[-1] == HERE)
    tag = HERE.replace(".", "")
    assert f"-cp{tag}-cp{tag}-" in pip.run("import native; print(native.NAME)")
    merged = pip.attempt(
        "download", "--no-deps", "--index-url", f"{by_name(depot.url)}/pypi/simple/", "words"
    )
    assert merged.returncode == 0, merged.stderr


def test_pip_refuses_a_hash_that_is_not_of_the_depot(depot: ServedDepot, tmp_path: Path) -> None:
    pip = PipClient.make(tmp_path / "venv", depot.ca)
    (tmp_path / "other.txt").write_text(f"words==2.1 --hash=sha256:{'0' * 64}\n")
    done = pip.install(f"{by_name(depot.url)}/pypi/installer/simple/", tmp_path / "other.txt")
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_real_pip_chooses_the_same_wheels(python: str, tmp_path: Path) -> None:
    with python_index() as index:
        for tag in ("cp310-cp310", "cp311-cp311", "cp312-cp312", "cp313-cp313", "cp38-abi3",
                    "cp312-abi3", "py3-none"):  # fmt: skip
            for system in (f"manylinux_2_17_{X86}.manylinux2014_{X86}", f"manylinux_2_28_{X86}",
                           f"manylinux_2_34_{X86}", f"manylinux1_{X86}", "musllinux_1_2_x86_64",
                           "manylinux_2_17_aarch64", "any"):  # fmt: skip
                index.add(f"every-1.0-{tag}-{system}.whl")
                if tag != "py3-none":
                    index.add(f"stable-1.0-{tag}-{system}.whl", requires_python=">=3.12")
        for system in (f"manylinux_2_5_{X86}", f"manylinux_2_27_{X86}", "any"):
            index.add(f"plain-1.0-py3-none-{system}.whl")
            index.add(
                f"plain-1.0-2-py3-none-{system}.whl", yanked="no" if system == "any" else None
            )
        files = {name: index.files[name] for name in ("every", "plain", "stable")}
        if python == "3.11":
            del files["stable"]
        asked = client(index.host)
        chosen = resolve_python(
            read_definition(definition(index=index.url, pythons=[python], platform="linux/amd64")),
            (),
            context(asked, BlobCache(tmp_path / "cache"), _pinned(tmp_path, files)),
        )
        by_pip = _chosen_by_pip(index.url, python, [f"{name}==1.0" for name in files], tmp_path)
    assert [file.name for file in chosen[0].files] == sorted(by_pip)


def _pinned(folder: Path, files: dict[str, list[Listed]]) -> Path:
    pins = requirements(*(listed for several in files.values() for listed in several))
    (folder / "tools.txt").write_text(pins)
    return folder


def _chosen_by_pip(index: str, python: str, wanted: list[str], folder: Path) -> list[str]:
    """Ask this machine's own pip what it would take on a machine with glibc 2.28."""
    systems = [f"manylinux_2_{minor}_{X86}" for minor in range(28, 4, -1)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--isolated", "install", "--dry-run", "--ignore-installed",
         "--quiet", "--no-cache-dir", "--no-deps", "--only-binary=:all:", "--report", "-",
         "--target", str(folder / "none"), "--index-url", index, "--implementation", "cp",
         "--python-version", python, *(f"--platform={system}" for system in systems), *wanted],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    installs = json.loads(done.stdout)["install"]
    return [one["download_info"]["url"].rpartition("/")[2] for one in installs]


def test_what_an_environment_lacks_is_found_by_the_build(tmp_path: Path) -> None:
    with python_index() as index:
        name = "greet_all-1.0-py3-none-any.whl"
        listed = index.add(name, wheel(name, requires=("words>=2",)))
        machine = Machine(tmp_path)
        make_keys(tmp_path / "keys")
        make_root(machine, tmp_path / "keys", tmp_path / "release")
        (tmp_path / "definition.yaml").write_text(definition(index=index.url))
        (tmp_path / "tools.txt").write_text(requirements(listed))
        machine.run("lock", "definition.yaml")
        refused = machine.attempt(
            "build", "definition.lock.yaml", "-o", "bundle", "--release", "release", "--key",
            "keys/build.pem",
        )  # fmt: skip
    assert refused.returncode == DefinitionError.exit_code
    assert "greet-all needs words>=2, found none" in refused.stderr
    assert not (tmp_path / "bundle").exists()


def test_a_private_index_is_logged_into_as_pip_does_and_the_login_stays(tmp_path: Path) -> None:
    with python_index() as index:
        index.login = "xenia:s3cret-word"
        listed = index.add("words-2.1-py3-none-any.whl")
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login xenia password s3cret-word\n")
        (tmp_path / ".netrc").chmod(0o600)
        _, said = lock_and_build(tmp_path, definition(index=index.url), requirements(listed))
    assert said["fetched"] == 1
    for path in (tmp_path / "definition.lock.yaml", tmp_path / "bundle" / "bundle.json"):
        assert b"s3cret" not in path.read_bytes()
        assert b"xenia" not in path.read_bytes()


def test_packages_of_the_machines_own_index(tmp_path: Path) -> None:
    """Compiled and pure wheels, by the lines that this project has for them."""
    requires_index(pip_index(run_program))
    text = (ROOT / "requirements" / "operator.txt").read_text(encoding="utf-8")
    entries = re.split(r"\n(?=\S)", text)
    wanted = "\n".join(
        entry for entry in entries if re.match(r"(pyyaml|cffi|pycparser|markupsafe)==", entry)
    )
    assert wanted.count("==") == 4
    machine, first = lock_and_build(tmp_path, definition(), f"{wanted}\n")
    found = deliver(machine, first)
    assert found.built[1]["fetched"] == 0
    with served(machine, found.depot, tmp_path) as depot:
        pip = PipClient.make(tmp_path / "venv", depot.ca)
        base = f"{by_name(depot.url)}/pypi/installer"
        done = pip.install(f"{base}/simple/", f"{base}/requirements.txt")
        assert done.returncode == 0, done.stdout + done.stderr
    said = pip.run(
        "import yaml, cffi, markupsafe, _cffi_backend; "
        "print(yaml.__with_libyaml__, cffi.FFI().sizeof('int'), markupsafe.escape('<'))"
    )
    assert said == "True 4 &lt;"
