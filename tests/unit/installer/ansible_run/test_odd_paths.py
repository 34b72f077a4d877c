"""Paths with characters that ssh, Ansible or Kubespray read in their own way: taken, or refused."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bundle.base.errors import UsageError
from bundle.base.progress import NO_PROGRESS
from installer.ansible_run.runner import Run, run_playbook
from installer.ansible_run.text import ansible_value
from installer.ansible_run.variables import ansible_environment, ssh_arguments
from installer.base.ssh_path import ssh_path, ssh_path_problem
from installer.core.folders import require_folder_for_kubespray, require_folder_for_ssh
from installer.site.load import examine_site_file, load_site
from tests.support.programs.needs import requires_tool
from tests.support.sites.plain import new_key, site_data, write_site

TAKEN = ["a b", "100%", "%h", "%%", "it's", "{{ x }}", "{% x", "a:b", "a,b", "#x", "ümlaut", "~",
         "*", "[a]", "a;b", "`id`", "-x", "(x)", "!x"]  # fmt: skip
REFUSED = ['q"x', "${HOME}", "$x", "back\\slash", "a\nb", "a\x1b[2Jb"]


@pytest.mark.parametrize("name", TAKEN)
def test_ssh_itself_finds_the_key_and_the_pinned_keys(tmp_path: Path, name: str) -> None:
    requires_tool("ssh")
    path = tmp_path / name / name
    assert not ssh_path_problem(path)
    options = [*shlex.split(ssh_arguments(path)), "-o", f'IdentityFile="{ssh_path(path)}"']
    shown = subprocess.run(
        ["ssh", *options, "-G", "node1"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    # Of these two `ssh -G` shows the one before its tokens are replaced, the other afterwards.
    assert f"identityfile {ssh_path(path)}" in shown
    assert f"userknownhostsfile {path}" in shown
    path.parent.mkdir()
    new_key(path)
    said = subprocess.run(
        ["ssh", "-v", *options, "-o", "ProxyCommand=false", "node1"],
        capture_output=True, text=True, check=False,
    ).stderr  # fmt: skip
    assert f"identity file {path} type " in said or not name.isascii()


@pytest.mark.parametrize("name", REFUSED)
def test_a_key_whose_path_ssh_would_change_is_refused_by_the_check(
    tmp_path: Path, name: str
) -> None:
    key = tmp_path / name
    new_key(key)
    path = write_site(tmp_path, site_data(ssh={"key": name}))
    (problem,) = examine_site_file(path)[1]
    assert (problem.path, problem.line > 0) == ("ssh.key", True)
    says = "a path that ssh accepts" if name.isprintable() else "expected one line of text"
    assert says in problem.message
    assert problem.message.isprintable()
    # Nor by a link with a plain name, which is followed.
    (tmp_path / "plain").symlink_to(key)
    path = write_site(tmp_path, site_data(ssh={"key": "plain"}))
    assert [one.path for one in examine_site_file(path)[1]] == ["ssh.key"]


@pytest.mark.parametrize("name", ["~nobody-of-that-name/key", "{{ x }}"])
def test_a_key_that_is_not_there_is_a_problem_and_no_traceback(tmp_path: Path, name: str) -> None:
    path = write_site(tmp_path, site_data(ssh={"key": name}))
    (problem,) = examine_site_file(path)[1]
    assert "expected a private key" in problem.message


def test_a_key_in_a_folder_with_a_strange_name_is_found_beside_its_site(tmp_path: Path) -> None:
    folder = tmp_path / "{{ site }} 100%"
    folder.mkdir()
    site = load_site(write_site(folder, site_data()))
    assert site.ssh_key == folder / "id_ed25519"


@pytest.mark.parametrize("name", [*REFUSED, *TAKEN])
def test_kubespray_is_given_plain_folders_only(tmp_path: Path, name: str) -> None:
    plain = name in {"100%", "%h", "%%", "a,b", "ümlaut", "~", "-x"}
    if name in REFUSED:
        with pytest.raises(UsageError, match="--depot: expected a folder"):
            require_folder_for_ssh(tmp_path / name, "--depot")
    else:
        require_folder_for_ssh(tmp_path / name, "--depot")
    if plain:
        require_folder_for_kubespray(tmp_path / name, "--depot")
        return
    with pytest.raises(UsageError, match="a path that Kubespray accepts") as caught:
        require_folder_for_kubespray(tmp_path / name / "depot", "--depot")
    assert caught.value.message.isprintable()
    (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / name)
    with pytest.raises(UsageError, match="a path that Kubespray accepts"):
        require_folder_for_kubespray(tmp_path / "link", "--depot")


_PLAY = """\
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.assert:
        that: isoward_ca_file == expected and secret == expected_secret
"""


def test_a_real_run_works_in_such_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    (project / "roles").mkdir(parents=True)
    (project / "play.yml").write_text(_PLAY)
    folder = tmp_path / "a b, {{ x }}: {% y 100%h it's #"
    (folder / "tmp").mkdir(parents=True)
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    variables = {"isoward_ca_file": folder / "ca.pem", "ansible_connection": "local",
                 "ansible_python_interpreter": sys.executable}  # fmt: skip
    lines = "".join(f"    {key}: {ansible_value(value)}\n" for key, value in variables.items())
    inventory = folder / "inventory.yml"
    inventory.write_text(f"all:\n  vars:\n{lines}  hosts:\n    node1: {{}}\n")
    (folder / "known_hosts").touch()
    secret = "{{ x }}{% y %}'\"#%"
    run = Run(
        folder, "play.yml", inventory, folder / "known_hosts", ["node1"], local=True, check=False,
        project=project,
        variables={"expected": str(folder / "ca.pem"), "secret": secret, "expected_secret": secret},
    )  # fmt: skip
    assert run_playbook(run, NO_PROGRESS).is_complete(["node1"])


def test_sockets_are_in_a_short_path_whatever_tmpdir_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    with ansible_environment(tmp_path, tmp_path / "known", local=True, inherited={}) as settings:
        for name in ("ANSIBLE_HOME", "ANSIBLE_SSH_CONTROL_PATH_DIR", "ANSIBLE_REMOTE_TEMP"):
            assert len(settings[name]) < 60
