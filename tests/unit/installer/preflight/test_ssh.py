"""The pinned key or nothing, shown with a real SSH server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from bundle.base.errors import KeyFileError, UnreachableError
from installer.preflight.ssh import connect
from installer.site.host_key import parse_host_key
from tests.lab.ssh_server import SshServer, ssh_server
from tests.support.sites.plain import new_key, node_data, public_text, site_data, site_of


@pytest.fixture
def host_key(tmp_path: Path) -> paramiko.PKey:
    return new_key(tmp_path / "host")


@pytest.fixture
def server(tmp_path: Path, host_key: paramiko.PKey) -> Iterator[SshServer]:
    with ssh_server(host_key, new_key(tmp_path / "id")) as running:
        yield running


def test_a_program_gets_its_arguments_as_they_are(
    tmp_path: Path, host_key: paramiko.PKey, server: SshServer
) -> None:
    site = site_of(site_data(nodes=[node_data(public_text(host_key), server.port)]))
    odd = "a b; echo $(id) `id` 'x' \"y\" \\ *"
    with connect(site, tmp_path / "id", site.nodes[0]) as shell:
        said = shell.run("printf", "%s", odd)
        fed = shell.run("cat", stdin=b"over standard input")
        failed = shell.run("sh", "-c", "echo no >&2; exit 3")
    assert said.out == odd
    assert fed.out == "over standard input"
    assert (failed.code, failed.said) == (3, "no")


def test_another_machine_is_told_nothing(
    tmp_path: Path, host_key: paramiko.PKey, server: SshServer
) -> None:
    pinned = public_text(new_key(tmp_path / "pinned"))
    site = site_of(site_data(nodes=[node_data(pinned, server.port)]))
    with (
        pytest.raises(UnreachableError) as caught,
        connect(site, tmp_path / "id", site.nodes[0]),
    ):
        pytest.fail("it was let in")
    assert parse_host_key(pinned, "x").fingerprint in caught.value.message
    assert parse_host_key(public_text(host_key), "x").fingerprint in caught.value.message
    assert server.logins == []
    assert server.commands == []


def test_a_machine_without_a_key_of_the_pinned_kind_is_refused(
    tmp_path: Path, server: SshServer
) -> None:
    pinned = public_text(paramiko.ECDSAKey.generate())
    site = site_of(site_data(nodes=[node_data(pinned, server.port)]))
    with (
        pytest.raises(UnreachableError, match="without a ecdsa-sha2-nistp256 key"),
        connect(site, tmp_path / "id", site.nodes[0]),
    ):
        pytest.fail("it was let in")
    assert server.logins == []


def test_a_key_that_the_node_does_not_know_is_said_so(
    tmp_path: Path, host_key: paramiko.PKey, server: SshServer
) -> None:
    new_key(tmp_path / "stranger")
    site = site_of(site_data(nodes=[node_data(public_text(host_key), server.port)]))
    with (
        pytest.raises(UnreachableError, match="let in as root"),
        connect(site, tmp_path / "stranger", site.nodes[0]),
    ):
        pytest.fail("it was let in")
    assert server.commands == []


def test_a_node_that_is_down_is_named(tmp_path: Path, host_key: paramiko.PKey) -> None:
    new_key(tmp_path / "id")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        site = site_of(site_data(nodes=[node_data(public_text(host_key), port)]))
        with (
            pytest.raises(
                UnreachableError, match=r"node1: nothing answers at 127\.0\.0\.1"
            ) as caught,
            connect(site, tmp_path / "id", site.nodes[0]),
        ):
            pytest.fail("it was let in")
    assert caught.value.exit_code == 53
    assert caught.value.context["node"] == "node1"


def test_what_does_not_speak_ssh_is_named(tmp_path: Path, host_key: paramiko.PKey) -> None:
    new_key(tmp_path / "id")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        site = site_of(
            site_data(nodes=[node_data(public_text(host_key), listener.getsockname()[1])])
        )
        listener.settimeout(10)

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with (
            pytest.raises(UnreachableError, match="does not speak SSH"),
            connect(site, tmp_path / "id", site.nodes[0]),
        ):
            pytest.fail("it was let in")
        thread.join()


@pytest.mark.parametrize("content", [b"", b"not a key\n"])
def test_a_private_key_that_is_none_is_refused(
    tmp_path: Path, host_key: paramiko.PKey, server: SshServer, content: bytes
) -> None:
    (tmp_path / "id").write_bytes(content)
    site = site_of(site_data(nodes=[node_data(public_text(host_key), server.port)]))
    with (
        pytest.raises(KeyFileError, match="private key"),
        connect(site, tmp_path / "id", site.nodes[0]),
    ):
        pytest.fail("it was let in")
