from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bundle.base.errors import DefinitionError
from installer.site.host_key import known_hosts, parse_host_key
from tests.support.programs.needs import requires_tool
from tests.support.sites.plain import HOST_KEY, node_data, site_data, site_of

_OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMKGdPYkCxNSsfxsGmgPhp0M8DTtpIB7yyM2kVb7Z8J0"


def test_the_fingerprint_is_what_ssh_keygen_shows(tmp_path: Path) -> None:
    requires_tool("ssh-keygen")
    public = tmp_path / "key.pub"
    public.write_text(HOST_KEY + "\n", encoding="utf-8")
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", public], capture_output=True, text=True, check=True
    ).stdout
    assert parse_host_key(HOST_KEY, "x").fingerprint.split()[1] == shown.split()[1]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIDAAvyFzgnJNSZP9dOuvH66nuxm9qEwp5esQxzEaKPYV", "itself"),
        (
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDAAvyFzgnJNSZP9dOuvH66nuxm9qEwp5esQxzEaKPY",
            "base64",
        ),
        ("ssh-ed25519 " + "A" * 68, "itself"),
        ("ssh-ed25519 " + "/" * 68, "itself"),
    ],
)
def test_what_is_no_key_of_its_kind_is_refused(text: str, why: str) -> None:
    with pytest.raises(DefinitionError, match=why) as caught:
        parse_host_key(text, "nodes[0].hostKey")
    assert caught.value.message.startswith("nodes[0].hostKey")


def test_rsa_is_never_proven_with_sha1() -> None:
    blob = "AAAAB3NzaC1yc2EAAAADAQABAAAAgQC" + "7" * 49
    assert parse_host_key(f"ssh-rsa {blob}", "x").algorithms == ("rsa-sha2-512", "rsa-sha2-256")


def test_known_hosts_names_the_port_only_where_it_is_not_22() -> None:
    nodes = [node_data(HOST_KEY, 22), {**node_data(_OTHER, 2222, "node2"), "address": "fd00::1"}]
    nodes[0]["address"] = "10.0.0.11"
    text = known_hosts(site_of(site_data(nodes=nodes, depot={"address": "10.0.0.2"})))
    assert text == f"10.0.0.11 {HOST_KEY}\n[fd00::1]:2222 {_OTHER}\n"


def test_ssh_keygen_finds_the_keys_in_known_hosts(tmp_path: Path) -> None:
    requires_tool("ssh-keygen")
    path = tmp_path / "known_hosts"
    path.write_text(known_hosts(site_of(site_data(nodes=[node_data(HOST_KEY, 2222)]))))
    found = subprocess.run(
        ["ssh-keygen", "-F", "[127.0.0.1]:2222", "-f", path],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert HOST_KEY in found
