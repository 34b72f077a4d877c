"""Nothing of the user's reaches Ansible or ssh; shown by asking both what they would do."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from installer.ansible_run.variables import ansible_environment, only_ours, ssh_arguments
from tests.support.programs.needs import requires_tool

_HOSTILE = {
    "ANSIBLE_HOST_KEY_CHECKING": "False",
    "ANSIBLE_SSH_HOST_KEY_CHECKING": "False",
    "ANSIBLE_SSH_COMMON_ARGS": "-o StrictHostKeyChecking=no",
    "ANSIBLE_CONFIG": "/etc/hostile.cfg",
    "ANSIBLE_LIBRARY": "/tmp/evil",
    "SSH_AUTH_SOCK": "/tmp/agent",
    "PYTHONPATH": "/tmp/evil",
    "REGISTRY_PASSWORD": "secret",
    "PATH": "/usr/bin:/bin",
    "HOME": "/nonexistent",
}


def test_ssh_itself_says_that_only_the_pinned_keys_count(tmp_path: Path) -> None:
    requires_tool("ssh")
    folder = tmp_path / "a folder 100%"
    arguments = shlex.split(ssh_arguments(folder / "known_hosts"))
    shown = subprocess.run(
        ["ssh", *arguments, "-G", "node1"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert "stricthostkeychecking true" in shown
    assert "globalknownhostsfile /dev/null" in shown
    assert "identityagent none" in shown
    assert "identitiesonly yes" in shown
    assert "forwardagent no" in shown
    assert "batchmode yes" in shown
    (file,) = [line for line in shown if line.startswith("userknownhostsfile ")]
    assert "a folder 100%" in file


def test_a_run_sees_only_what_it_needs(tmp_path: Path) -> None:
    with ansible_environment(
        tmp_path / "roles", tmp_path / "known_hosts", local=False, inherited=_HOSTILE
    ) as settings:
        runners = {**_HOSTILE, **settings, "AWX_ISOLATED_DATA_DIR": "/run/x", "OTHER": "x"}
        seen = only_ours(runners, settings)
    assert seen["ANSIBLE_HOST_KEY_CHECKING"] == "True"
    assert seen["ANSIBLE_SSH_HOST_KEY_CHECKING"] == "True"
    assert seen["ANSIBLE_SSH_COMMON_ARGS"] == ""
    assert seen["AWX_ISOLATED_DATA_DIR"] == "/run/x"
    for key in ("ANSIBLE_LIBRARY", "SSH_AUTH_SOCK", "PYTHONPATH", "REGISTRY_PASSWORD", "OTHER"):
        assert key not in seen
    assert "secret" not in "".join(seen.values())


def test_ansible_itself_reads_no_configuration_of_the_user(tmp_path: Path) -> None:
    (tmp_path / ".ansible.cfg").write_text("[defaults]\nhost_key_checking = False\n")
    inherited = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    program = Path(sys.executable).parent / "ansible-config"
    with ansible_environment(
        tmp_path / "roles", tmp_path / "known_hosts", local=False, inherited=inherited
    ) as settings:
        shown = subprocess.run(
            [program, "dump", "--only-changed"], env=settings, cwd=tmp_path,
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        temporary = Path(settings["ANSIBLE_HOME"])
        assert f"CONFIG_FILE() = {temporary}/ansible.cfg" in shown
    assert "HOST_KEY_CHECKING(env: ANSIBLE_HOST_KEY_CHECKING) = True" in shown
    assert not temporary.exists()


@pytest.mark.parametrize("local", [True, False])
def test_a_run_on_this_machine_keeps_its_files_out_of_the_home(tmp_path: Path, local: bool) -> None:
    with ansible_environment(
        tmp_path / "roles", tmp_path / "known_hosts", local=local, inherited=_HOSTILE
    ) as settings:
        # Elsewhere it is the home that the node itself knows.
        expected = f"{settings['ANSIBLE_HOME']}/remote" if local else "$HOME/.ansible/tmp"
        assert settings["ANSIBLE_REMOTE_TEMP"] == expected
        assert len(settings["ANSIBLE_SSH_CONTROL_PATH_DIR"]) < 60
