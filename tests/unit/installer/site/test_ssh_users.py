"""Users as machines and directories really call them log in as they are called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundle.base.errors import UnreachableError
from bundle.base.progress import NO_PROGRESS
from installer.ansible_run.runner import Run, run_playbook
from installer.ansible_run.text import render_ansible
from installer.base.ssh_path import ssh_path
from installer.preflight.ssh import connect
from installer.site.host_key import known_hosts
from installer.site.load import examine_site, load_site
from tests.lab.ssh_server import ssh_server
from tests.support.programs.needs import requires_tool
from tests.support.sites.plain import new_key, node_data, public_text, site_data, write_site

USERS = [
    "root", "_svc", "john.doe", "John.Doe", "svc-install", "svc_install", "4711", "0wner",
    "svc@realm", "john.doe@hospital.example", "john@HOSPITAL.EXAMPLE", "DOM\\svc",
    "HOSPITAL\\John.Doe", "hospital.example\\svc", "DOM+svc", "HOSP_N\\svc", "a" * 32,
    "x" + "y" * 60,
]  # fmt: skip
NO_USERS = [
    "", "-oProxyCommand=x", "-root", "a b", "a;b", "a'b", 'a"b', "$(id)", "`id`", "a|b", "a&b",
    "{{ x }}", "%u", "a%h", "svc\\", "\\svc", "A\\B\\svc", "A\\\\svc", "svc@", "@realm", "a@b@c",
    "a<b", "a/b", "../x", "a:b",
    "root\n", "a\nb", "${HOME}", "~root", "#x", "!x", "ü", "DOM\\-x",
]  # fmt: skip


@pytest.mark.parametrize("user", USERS)
def test_a_user_that_machines_have_is_taken_and_logs_in(tmp_path: Path, user: str) -> None:
    key, host = new_key(tmp_path / "id_ed25519"), new_key(tmp_path / "host")
    with ssh_server(host, key) as server:
        data = site_data(nodes=[node_data(public_text(host), server.port)])
        data["ssh"]["user"] = user
        site = load_site(write_site(tmp_path, data)).site
        with connect(site, tmp_path / "id_ed25519", site.nodes[0]) as shell:
            assert shell.run("echo", "here").out == "here\n"
        assert server.logins == [user] * len(server.logins)


@pytest.mark.parametrize("user", NO_USERS)
def test_a_user_that_means_more_than_a_name_is_refused_in_words(user: str) -> None:
    data = site_data()
    data["ssh"]["user"] = user
    (found,) = examine_site(json.dumps(data).encode(), "site.yaml")[1]
    assert found.path == "ssh.user"
    assert "such as john.doe or svc@hospital.example or HOSPITAL\\svc" in found.message


_PLAY = """\
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.copy: {content: "it came\\n", dest: "DEST", mode: "0600"}
"""


@pytest.mark.parametrize("user", ["HOSPITAL\\john.doe", "svc@hospital.example"])
def test_ansible_and_ssh_carry_the_user_and_work_in_its_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    requires_tool("ssh")
    home = tmp_path / "home"
    home.mkdir()
    # The server runs commands in this process's environment and folder.
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    (tmp_path / "roles").mkdir()
    (tmp_path / "play.yml").write_text(_PLAY.replace("DEST", str(home / "file")))
    key, host = new_key(tmp_path / "id_ed25519"), new_key(tmp_path / "host")
    with ssh_server(host, key) as server:
        data = site_data(nodes=[node_data(public_text(host), server.port)])
        data["ssh"]["user"] = user
        loaded = load_site(write_site(tmp_path, data))
        (tmp_path / "known_hosts").write_text(known_hosts(loaded.site))
        inventory = tmp_path / "inventory.yml"
        inventory.write_text(
            render_ansible(
                "hosts.yml.j2", site=loaded.site, ssh_key=ssh_path(loaded.ssh_key), become=False,
                names="", ca_file="x", marker={"source": "s", "path": "p"},
                weak={"node1": True}, files={"node1": []},
            )
        )  # fmt: skip
        run = Run(tmp_path, "play.yml", inventory, tmp_path / "known_hosts", ["node1"],
                  local=False, check=False, project=tmp_path)  # fmt: skip
        assert run_playbook(run, NO_PROGRESS).is_complete(["node1"])
        assert set(server.logins) == {user}
    assert (home / "file").read_text() == "it came\n"
    assert sorted(path.name for path in home.iterdir()) == [".ansible", "file"]


def test_whoever_is_not_let_in_is_named_as_typed(tmp_path: Path) -> None:
    host = new_key(tmp_path / "host")
    with ssh_server(host, None) as server:
        data = site_data(nodes=[node_data(public_text(host), server.port)])
        data["ssh"]["user"] = "DOM\\svc"
        site = load_site(write_site(tmp_path, data)).site
        with (
            pytest.raises(UnreachableError, match=r"let in as DOM\\svc") as caught,
            connect(site, tmp_path / "id_ed25519", site.nodes[0]),
        ):
            pytest.fail("it was let in")
    assert "~DOM" not in caught.value.hint
    assert "authorized_keys" in caught.value.hint
