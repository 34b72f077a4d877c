"""The step `cluster`: real Ansible over ssh, with a stand-in for Kubespray."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bundle.base.errors import (
    DefinitionError,
    DigestMismatchError,
    FormatError,
    InstallError,
    ProgramError,
    StepError,
    UnreachableError,
    UsageError,
)
from bundle.base.progress import NO_PROGRESS
from installer.kubespray.environment import ThisMachine, choose_environment, prepare_environment
from installer.kubespray.tree import unpack_tree
from installer.steps.create_cluster import ClusterStep
from tests.support.packages.python_index import wheel
from tests.support.programs.needs import requires_tool
from tests.support.sites.cluster_step import (
    WHEEL,
    ClusterWorld,
    cluster_world,
    environment_wheel,
    kept_files,
    tree,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterWorld]:
    requires_tool("ssh")
    with cluster_world(tmp_path_factory.mktemp("cluster")) as made:
        yield made


def test_cluster_yml_runs_on_every_machine_and_again(world: ClusterWorld) -> None:
    step = ClusterStep()
    context = world.context()
    done = step.run(context)
    assert {path.name for path in world.root.iterdir()} == {"node1", "node2"}
    assert done["tasks"] > 3
    assert done["changed"] == {"node1": 1, "node2": 1}
    inventory = context.state / "inventory"
    assert (inventory / "hosts.yaml").is_file()
    assert (inventory / "credentials").stat().st_mode & 0o777 == 0o700
    record = json.loads((inventory / "made-from.json").read_bytes())
    assert record["overrides"] == ["group_vars/all/machine.yml"]
    assert step.inputs(context) == step.inputs(world.context())
    (inventory / "credentials" / "kept.creds").write_text("kept")
    (inventory / "group_vars" / "all" / "stale.yml").write_text("machine_root: /nowhere")

    made = next((world.depot.path / "environments").glob("*/finished.json")).stat().st_mtime_ns
    again = step.run(world.context())
    assert again["changed"] == {}
    assert again["tasks"] == done["tasks"]
    assert (inventory / "credentials" / "kept.creds").read_text() == "kept"
    assert not (inventory / "group_vars" / "all" / "stale.yml").exists()
    marker = next((world.depot.path / "environments").glob("*/finished.json"))
    assert marker.stat().st_mtime_ns == made


def test_a_tree_with_other_bytes_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    with cluster_world(tmp_path, nodes=1) as world:
        context = world.context()
        assert world.manifest.kubespray is not None
        digest = world.manifest.kubespray.tree
        target = unpack_tree(world.depot, context.bundle, digest, world.state / "tree")
        (target / "planted.yml").write_text("[]")
        assert unpack_tree(world.depot, context.bundle, digest, target) == target
        assert not (target / "planted.yml").exists()
        blob = world.depot.blob_path(digest)
        data = blob.read_bytes()
        blob.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        with pytest.raises(DigestMismatchError):
            unpack_tree(world.depot, context.bundle, digest, world.state / "other")
        assert not (world.state / "other").exists()


def test_an_environment_is_made_of_the_right_wheels_and_made_anew_if_unfinished(
    tmp_path: Path,
) -> None:
    with cluster_world(tmp_path, nodes=1) as world:
        bundle = world.context().bundle
        chosen = choose_environment(world.manifest)
        wheel = world.depot.blob_path(world.manifest.python_packages[0].files[0].digest)
        data = wheel.read_bytes()
        wheel.write_bytes(data[:-1] + b"x")
        with pytest.raises(DigestMismatchError):
            prepare_environment(world.depot, bundle, chosen, NO_PROGRESS)
        assert not list((world.depot.path / "environments").glob("*/finished.json"))
        wheel.write_bytes(data)
        program = prepare_environment(world.depot, bundle, chosen, NO_PROGRESS)
        good = program.read_bytes()
        program.write_text("half")
        (program.parent.parent / "finished.json").unlink()
        assert prepare_environment(world.depot, bundle, chosen, NO_PROGRESS) == program
        assert program.read_bytes() == good


def test_an_environment_needs_no_resolver_and_is_complete(tmp_path: Path) -> None:
    """A requirement with an extra, whose plain name is pinned, is too much for pip before 24."""
    with cluster_world(tmp_path, nodes=1) as world:
        asking = wheel("asking-1.0-py3-none-any.whl", requires=("words[more]",))
        words = wheel("words-1.0-py3-none-any.whl", extras=("more",))
        wheels = {WHEEL: environment_wheel(), "asking-1.0-py3-none-any.whl": asking}
        world.set_environment({**wheels, "words-1.0-py3-none-any.whl": words})
        chosen = choose_environment(world.manifest)
        prepare_environment(world.depot, world.context().bundle, chosen, NO_PROGRESS)
        world.set_environment(wheels)
        chosen = choose_environment(world.manifest)
        with pytest.raises(ProgramError, match=r"asking 1\.0 requires words, which is not"):
            prepare_environment(world.depot, world.context().bundle, chosen, NO_PROGRESS)


def test_a_machine_without_the_right_python_is_told_what_the_bundle_has(
    world: ClusterWorld,
) -> None:
    old = ThisMachine(python="3.9", find=lambda _: None)
    with pytest.raises(InstallError, match=r"\(Python 3\.\d+ on linux/.*found Python 3\.9 on"):
        ClusterStep(machine=old).run(world.context())
    other = ThisMachine(machine="riscv64")
    with pytest.raises(InstallError, match="riscv64"):
        ClusterStep(machine=other).run(world.context())


@pytest.mark.parametrize("pip", [None, "22.2.2", "9.0.3"])
def test_a_pip_that_cannot_install_for_another_python_is_named(
    tmp_path: Path, pip: str | None
) -> None:
    with cluster_world(tmp_path, nodes=1) as world:
        machine = ThisMachine(pip=pip)
        with pytest.raises(InstallError, match=f"from 22.3 on .*found {pip or 'none'}"):
            prepare_environment(
                world.depot, world.context().bundle, choose_environment(world.manifest),
                NO_PROGRESS, machine,
            )  # fmt: skip


def test_a_bundle_without_the_environment_is_refused(tmp_path: Path) -> None:
    with cluster_world(tmp_path, nodes=1) as world:
        world.manifest = msgspec.structs.replace(world.manifest, python_packages=())
        with pytest.raises(DefinitionError, match="no Python environment 'kubespray'"):
            ClusterStep().run(world.context())


def test_a_tree_stays_in_its_folder(tmp_path: Path) -> None:
    with cluster_world(tmp_path, nodes=1) as world:
        made = tree()
        made.put("../outside", "x")
        world.carry(made)
        assert world.manifest.kubespray is not None
        tree_digest = world.manifest.kubespray.tree
        bundle = world.context().bundle
        with pytest.raises(FormatError, match="cannot be unpacked"):
            unpack_tree(world.depot, bundle, tree_digest, world.state / "tree")
        assert not (world.state / "outside").exists()


@pytest.mark.parametrize("path", ["credentials/kube_encrypt_token.creds", "known_hosts"])
def test_overrides_cannot_change_what_is_not_theirs(world: ClusterWorld, path: str) -> None:
    with pytest.raises(UsageError, match=path):
        ClusterStep().run(world.context(overrides={path: b"x"}))


def test_no_override_unpins_a_host_key(world: ClusterWorld) -> None:
    context = world.context()
    over = {
        **context.overrides,
        "group_vars/all/hosts.yml": json.dumps(
            {
                "ansible_ssh_args": "-o StrictHostKeyChecking=no",
                "ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null",
                "ansible_host_key_checking": False,
            }
        ).encode(),
    }
    first = context.site.nodes[0]
    other = msgspec.structs.replace(first, host_key=context.site.nodes[1].host_key)
    site = msgspec.structs.replace(context.site, nodes=(other, context.site.nodes[1]))
    with pytest.raises(UnreachableError, match="Host key verification failed"):
        ClusterStep().run(world.context(overrides=over, site=site))


def test_the_plan_says_what_becomes_of_each_machine(world: ClusterWorld) -> None:
    changes = ClusterStep().changes(world.context())
    assert {change.where for change in changes} == {"this machine", "node1", "node2"}
    assert any("etcd" in c.what for c in changes if c.where == "node1")
    assert not any("etcd" in c.what for c in changes if c.where == "node2")


def test_no_secret_is_left_in_what_is_kept_of_a_run(tmp_path: Path) -> None:
    planted = {
        "password": 'it\'s "secret" & 100% more',
        "join token": "zzzzzz.zyxwvutsrqponmlk",
        "certificate key": "0f" * 32,
        "key": "MHcCAQEEIPlantedPlantedPlanted",
    }
    with cluster_world(tmp_path, nodes=1) as world:
        (world.folder / "planted.key").write_text(
            f"-----BEGIN EC PRIVATE KEY-----\n{planted['key']}\n-----END EC PRIVATE KEY-----\n"
        )
        world.carry(tree(*_printing(planted, world.folder / "planted.key")))
        context = world.context(secrets={"sudoPassword": planted["password"]})
        with pytest.raises(StepError) as caught:
            ClusterStep().run(context)
        assert "node1: 'machine : Join with [redacted]' failed: exit code 1" in str(caught.value)
        made = (world.state / "inventory" / "credentials" / "made.creds").read_text().strip()
        assert len(made) == 32
        kept = kept_files(world.depot.runs)
        assert any(path.endswith("events.jsonl") for path in kept)
        text = b"\n".join(kept.values()) + str(caught.value).encode()
        text += "\n".join(world.notes.lines).encode()
        assert text.count(b"[redacted]") > 10
        assert b"first line of it all" in text
        for secret in (*planted.values(), made):
            for form in (secret, json.dumps(secret)[1:-1], b64encode(secret.encode()).decode()):
                assert form.encode() not in text, secret


def _printing(planted: dict[str, str], key: Path) -> list[dict[str, Any]]:
    """Return tasks that show secrets in the ways that Kubespray's can."""
    credentials = "{{ inventory_dir }}/credentials/made.creds"
    lookup = f"{{{{ lookup('password', '{credentials} length=32 chars=ascii_letters,digits') }}}}"
    told = f"first line of it all\n[up] Using certificate key:\n{planted['certificate key']}"
    join = "echo {{ ansible_become_password | quote }} >&2; exit 1"
    return [
        {"name": "Make one", "set_fact": {"kube_encrypt_token": lookup}},
        {"name": "Show", "debug": {"msg": ["{{ kube_encrypt_token }}", lookup]}},
        {"name": "Show coded", "debug": {"msg": "{{ kube_encrypt_token | b64encode }}"}},
        {"name": "Upload", "command": {"argv": ["printf", "%s", told]}, "register": "up"},
        {"name": "Take it", "set_fact": {"key_of_it": "{{ up.stdout_lines[-1] }}"}},
        {"name": "Read", "slurp": {"src": str(key)}},
        {"name": "Cat", "command": {"argv": ["cat", str(key)]}},
        {"name": "Become", "debug": {"var": "ansible_become_password"}},
        {"name": f"Join with {planted['join token']}", "shell": join},
    ]
