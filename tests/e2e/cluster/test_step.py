"""The step `cluster` on real nodes, with a real ansible-core out of the bundle's wheels."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle.base.errors import StepError, UnreachableError
from installer.steps.create_cluster import ClusterStep
from installer.steps.encryption_key import KEY_FILE
from tests.lab.node import Lab, lab
from tests.support.programs.needs import requires_tool
from tests.support.sites.cluster_step import ClusterWorld, make_world, run_elsewhere, tree

pytestmark = [pytest.mark.e2e, pytest.mark.lab]

_ROOT = Path(__file__).resolve().parents[3]
_WANTED = ("ansible-core", "cffi", "cryptography", "jinja2", "markupsafe", "packaging", "pycparser",
           "pyyaml", "resolvelib")  # fmt: skip
_FACTS = {
    "name": "Look at the machine",
    "hosts": "all",
    "tasks": [
        {
            "name": "Write what is seen",
            "copy": {
                "content": "{{ ansible_playbook_python }} {{ ansible_version.full }}\n",
                "dest": "/root/seen",
                "mode": "0600",
            },
        }
    ],
}


def _wheels(folder: Path) -> dict[str, bytes]:
    """Return ansible-core and what it needs, as pinned for the installer."""
    text = (_ROOT / "requirements" / "operator.txt").read_text()
    pins = [pin for pin in re.split(r"\n(?=[a-z])", text) if pin.partition("==")[0] in _WANTED]
    assert len(pins) == len(_WANTED)
    (folder / "wanted.txt").write_text("\n".join(pins) + "\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "-r", "wanted.txt", "--dest", "wheels"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {path.name: path.read_bytes() for path in (folder / "wheels").glob("*.whl")}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, ClusterWorld]]:
    requires_tool("ssh")
    folder = tmp_path_factory.mktemp("cluster")
    wheels = _wheels(folder)
    with lab(nodes=2) as nodes:
        shutil.copy(nodes.ssh_key, folder / "key")
        places = [(node.address, 22) for node in nodes.nodes]
        keys = [node.host_key for node in nodes.nodes]
        world = make_world(folder, places, keys, {"machine_root": "/root"})
        world.set_environment(wheels)
        made = tree()
        made.put("cluster.yml", _plays(made.files["cluster.yml"].decode()))
        world.carry(made)
        yield nodes, world


def _plays(text: str) -> list[object]:
    import yaml

    return [*yaml.safe_load(text), _FACTS]


def test_the_bundles_own_ansible_reaches_real_nodes(site: tuple[Lab, ClusterWorld]) -> None:
    nodes, world = site
    done = ClusterStep().run(world.context())
    assert set(done["changed"]) == {"node1", "node2"}
    for node in nodes.nodes:
        python, version = node.run("cat", "/root/seen").stdout.decode().split()
        assert python.startswith(str(world.depot.path / "environments"))
        assert version.startswith("2.18.")
    assert ClusterStep().run(world.context())["changed"] == {}


def test_another_key_for_secrets_is_refused_before_anything_is_changed(
    site: tuple[Lab, ClusterWorld],
) -> None:
    nodes, world = site
    node = nodes.nodes[0]
    key = base64.b64encode(b"k" * 32).decode()
    node.run("mkdir", "-p", str(Path(KEY_FILE).parent))
    node.run("tee", KEY_FILE, stdin=f"keys:\n- name: key\n  secret: {key}\n".encode())
    node.run("rm", "-f", "/root/seen")
    try:
        with pytest.raises(StepError, match=r"node1: expected the key in .* to be encryptionKey"):
            ClusterStep().run(world.context(secrets={"encryptionKey": "x" * 32}))
        assert node.run("test", "-e", "/root/seen", check=False).returncode != 0
        ClusterStep().run(world.context(secrets={"encryptionKey": "k" * 32}))
        node.run("test", "-e", "/root/seen")
    finally:
        node.run("rm", KEY_FILE)


def test_a_node_whose_power_is_cut_is_named_and_the_next_run_goes_on(
    site: tuple[Lab, ClusterWorld], tmp_path: Path
) -> None:
    nodes, world = site
    cut = nodes.nodes[1]
    wait = {"name": "Wait", "shell": "touch /root/waiting; test -e /root/after || sleep 600"}
    good = world.manifest
    world.carry(tree(wait))
    running = run_elsewhere(world, tmp_path / "run.log")
    try:
        deadline = time.monotonic() + 120
        while cut.run("test", "-e", "/root/waiting", check=False).returncode != 0:
            assert running.poll() is None, (tmp_path / "run.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        running.kill()
        running.wait()
    cut.cut_power()
    with pytest.raises(UnreachableError, match="node2: lost during") as caught:
        ClusterStep().run(world.context())
    assert "is gone" in caught.value.hint
    assert caught.value.context["node"] == "node2"
    cut.boot()
    world.manifest = good
    assert set(ClusterStep().run(world.context())["changed"]) <= {"node1", "node2"}
    assert not (world.state / "cluster-began").exists()
