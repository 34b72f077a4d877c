"""pip on a bare Debian node without a way out installs from the depot, with hashes required."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundle.store.programs import run_program
from bundler.sources.python.simple_index import pip_index
from tests.lab.node import LabNode, lab, prove_no_way_out
from tests.support.programs.needs import requires_index
from tests.support.programs.processes import running
from tests.support.registries.journey import (
    APPROVERS,
    REPOSITORY_ROOT,
    Machine,
    approve,
    build,
    make_keys,
    make_root,
)

pytestmark = [pytest.mark.e2e, pytest.mark.lab]

_DEFINITION = """\
apiVersion: isoward/v1
kind: BundleDefinition
metadata: {name: installer, version: 1.0.0}
platforms: [linux/amd64]
pythonPackages:
  - name: installer
    requirements: [installer.txt, pip.txt]
    pythons: ["3.11", "3.12", "3.13"]
    glibc: "2.34"
"""
# A bare Debian has Python and no pip: pip's own wheel runs as it is, once its hash was compared.
_FETCH_PIP = """\
import hashlib, re, ssl, sys, urllib.request
base, ca, target = sys.argv[1:]
tls = ssl.create_default_context(cafile=ca)
def get(path):
    return urllib.request.urlopen(base + path, context=tls, timeout=30).read()
pins = get("/requirements/pip.txt").decode()
link = re.search(r'href="(/pypi/installer/files/[^"#]+)', get("/simple/pip/").decode())[1]
data = get(link.removeprefix("/pypi/installer"))
assert hashlib.sha256(data).hexdigest() in pins
open(target, "wb").write(data)
"""


@dataclass(frozen=True)
class World:
    """A node, and the depot that is being served to it.

    Attributes:
        node: Of Debian, with Python 3.11 and without pip.
        base: Where the depot has the set.
    """

    node: LabNode
    base: str

    def pip(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        return self.node.run(
            "python3", "/root/pip.whl/pip", "--isolated", "--no-cache-dir", "--no-input",
            "--disable-pip-version-check", "--cert", "/root/ca.pem", *arguments,
            timeout=240, check=check,
        )  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    requires_index(pip_index(run_program))
    work = tmp_path_factory.mktemp("python-lab")
    depot, ready = _depot(work), work / "ready.json"
    machine = Machine(work)
    with lab() as site:
        (node,) = site.nodes
        argv = machine.argv(
            "serve", "--depot", depot, "--address", site.host_address, "--port", "0",
            "--ready-file", ready,
        )  # fmt: skip
        with running("isoward serve", argv, work / "serve.log", ready=ready.exists):
            said = json.loads(ready.read_text())
            base = f"{said['url']}/pypi/installer"
            authority = Path(said["ca"]).read_bytes()
            node.run("sh", "-c", "cat > /root/ca.pem", stdin=authority)
            node.run("python3", "-c", _FETCH_PIP, base, "/root/ca.pem", "/root/pip.whl")
            yield World(node, base)


def _depot(work: Path) -> Path:
    """Lock, build, approve and import what the installer needs, and pip."""
    machine = Machine(work)
    keys, release, bundle, depot = (work / n for n in ("keys", "release", "bundle", "depot"))
    (work / "definition.yaml").write_text(_DEFINITION)
    ours = REPOSITORY_ROOT / "requirements" / "operator.txt"
    (work / "installer.txt").write_bytes(ours.read_bytes())
    pinned = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "compile", "-", "--quiet", "--universal",
         "--generate-hashes", "--no-header", "--no-emit-index-url", "--no-emit-find-links",
         "--default-index", pip_index(run_program), "--native-tls"],
        input=b"pip>=25", capture_output=True, check=True, cwd=work,
    )  # fmt: skip
    (work / "pip.txt").write_bytes(pinned.stdout)
    make_keys(keys)
    fingerprint = make_root(machine, keys, release)
    machine.run("lock", work / "definition.yaml")
    build(machine, work / "definition.lock.yaml", bundle, release, keys)
    for name in APPROVERS[:2]:
        approve(machine, bundle, keys, name)
    machine.run("enroll", bundle, "--depot", depot, "--fingerprint", fingerprint)
    machine.run("import", bundle, "--depot", depot)
    return depot


def test_1_the_installers_packages_come_from_the_depot_alone(world: World) -> None:
    assert "Network is unreachable" in prove_no_way_out(world.node)
    world.pip(
        "install", "--no-deps", "--require-hashes", "--target", "/root/installer",
        "--index-url", f"{world.base}/simple/", "-r", f"{world.base}/requirements/installer.txt",
    )  # fmt: skip
    said = world.node.run(
        "env", "PYTHONPATH=/root/installer", "python3", "-c",
        "import ansible_runner, cryptography, granian, msgspec, nacl.secret, sigstore, tuf, yaml;"
        "from ansible.release import __version__; print(__version__, yaml.__with_libyaml__)",
    ).stdout.decode()  # fmt: skip
    assert said.startswith("2.18.")
    assert said.endswith("True\n")


def test_2_what_the_depot_does_not_have_is_not_found_elsewhere(world: World) -> None:
    done = world.pip(
        "download", "--no-deps", "--index-url", f"{world.base}/simple/", "django", check=False
    )
    assert done.returncode != 0
    assert b"No matching distribution found for django" in done.stderr


def test_3_another_hash_is_refused(world: World) -> None:
    ours = (REPOSITORY_ROOT / "requirements" / "operator.txt").read_text(encoding="utf-8")
    (pin,) = re.findall(r"(?m)^pyyaml==\S+", ours)
    wrong = f"{pin} --hash=sha256:{'0' * 64}\n".encode()
    world.node.run("sh", "-c", "cat > /root/wrong.txt", stdin=wrong)
    done = world.pip(
        "install", "--require-hashes", "--no-deps", "--target", "/root/wrong",
        "--index-url", f"{world.base}/simple/", "-r", "/root/wrong.txt", check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert b"DO NOT MATCH THE HASHES" in done.stderr
