"""One failure, its own words: what ssh, sshd and sudo do is told apart."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import paramiko
import pytest

from bundle.base.errors import DefinitionError, UnreachableError
from installer.base.ssh_key import key_text_problem
from installer.base.unreached import no_connection
from installer.preflight import ssh, system
from installer.preflight.ports import reached
from installer.preflight.question import Machine
from installer.preflight.shell import Result
from installer.preflight.ssh import connect, load_key
from installer.preflight.sudo import SUDO
from installer.site.cluster_part import Kubernetes
from installer.site.load import load_site
from tests.lab.ssh_server import SshServer, ssh_server
from tests.support.programs.needs import requires_tool
from tests.support.sites.plain import (
    new_key,
    node_data,
    public_text,
    site_data,
    site_of,
    write_site,
)


@pytest.fixture
def host_key(tmp_path: Path) -> paramiko.PKey:
    return new_key(tmp_path / "host")


@pytest.fixture
def server(tmp_path: Path, host_key: paramiko.PKey) -> Iterator[SshServer]:
    with ssh_server(host_key, new_key(tmp_path / "id")) as running:
        yield running


def enter(tmp_path: Path, host_key: paramiko.PKey, port: int) -> Result:
    site = site_of(site_data(nodes=[node_data(public_text(host_key), port)]))
    with connect(site, tmp_path / "id", site.nodes[0]) as shell:
        return shell.run("id", "-u")


def refused(tmp_path: Path, host_key: paramiko.PKey, port: int) -> UnreachableError:
    with pytest.raises(UnreachableError) as caught:
        enter(tmp_path, host_key, port)
    return caught.value


def test_what_the_users_shell_prints_is_no_answer(
    tmp_path: Path, host_key: paramiko.PKey, server: SshServer
) -> None:
    server.noise = "Welcome to node1, 0"
    plain = subprocess.run(["id", "-u"], capture_output=True, text=True, check=True).stdout
    said = enter(tmp_path, host_key, server.port)
    assert (said.code, said.out) == (0, plain)


def test_a_slow_login_is_no_wrong_key(
    tmp_path: Path, host_key: paramiko.PKey, server: SshServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "_LOGIN_SECONDS", 0.3)
    server.slow = 2.0
    error = refused(tmp_path, host_key, server.port)
    assert "did not answer a login within" in error.message
    assert "UseDNS" in error.hint
    assert "authorized_keys" not in error.hint


def test_an_sshd_that_takes_no_keys_is_no_wrong_key(
    tmp_path: Path, host_key: paramiko.PKey, server: SshServer
) -> None:
    server.allowed, server.accepted = "password", None
    error = refused(tmp_path, host_key, server.port)
    assert "lets nobody in by a key; it allows: password" in error.message
    assert "PubkeyAuthentication" in error.hint


def test_a_wrong_key_is_a_wrong_key(
    tmp_path: Path, host_key: paramiko.PKey, server: SshServer
) -> None:
    server.accepted = None
    error = refused(tmp_path, host_key, server.port)
    assert "authorized_keys" in error.hint


@contextmanager
def tcp_server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Serve one connection at a time on a loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError):
                        talk(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def test_each_way_to_reach_nobody_has_its_own_cure() -> None:
    with pytest.raises(OSError) as unknown:  # noqa: PT011 - whichever class the resolver has
        # A name that is longer than the resolver asks for: no name server is needed to fail.
        socket.getaddrinfo(".".join(["a" * 60] * 5), 22)
    found, advice = no_connection("node1.example", 22, unknown.value)
    assert "finds no address for the name node1.example" in found
    assert "/etc/hosts" in advice
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(ConnectionRefusedError) as refusal:
            socket.create_connection(("127.0.0.1", port), 5)
    found, advice = no_connection("127.0.0.1", port, refusal.value)
    assert "nothing answers at 127.0.0.1" in found
    assert "is sshd running" in advice
    found, advice = no_connection("10.0.0.1", 22, TimeoutError("timed out"))
    assert "firewall" in advice


def test_an_sshd_that_hangs_up_is_told_from_none(tmp_path: Path, host_key: paramiko.PKey) -> None:
    new_key(tmp_path / "id")

    def hang_up(connection: socket.socket) -> None:
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

    with tcp_server(hang_up) as port:
        error = refused(tmp_path, host_key, port)
    assert "hung up before it showed its key" in error.message
    assert "MaxStartups" in error.hint


def test_something_that_says_nothing_is_named_so(
    tmp_path: Path, host_key: paramiko.PKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_key(tmp_path / "id")
    monkeypatch.setattr(ssh, "_HANDSHAKE_SECONDS", 0.3)
    released = threading.Event()

    def wait(_: socket.socket) -> None:
        released.wait(5)

    with tcp_server(wait) as port:
        error = refused(tmp_path, host_key, port)
        released.set()
    assert "said nothing for" in error.message


def damaged(data: bytes) -> dict[str, bytes]:
    return {
        "CRLF": data.replace(b"\n", b"\r\n"),
        "no last line break": data.rstrip(b"\n"),
        "byte order mark": b"\xef\xbb\xbf" + data,
        "UTF-16": data.decode().encode("utf-16"),
        "blank line first": b"\n" + data,
        "space first": b" " + data,
        "space at the end of the first line": data.replace(b"-----\n", b"----- \n", 1),
        "tabs": data.replace(b"\n", b"\t\n"),
        "spaces that do not break": data.replace(b"\n", "\u00a0\n".encode()),
        "PuTTY": b"PuTTY-User-Key-File-3: ssh-ed25519\n",
        "public": b"ssh-ed25519 AAAA x\n",
        "text": b"hello\n",
    }


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ("CRLF", "Windows line endings"),
        ("no last line break", "without a line break at its end"),
        ("byte order mark", "byte order mark"),
        ("UTF-16", "byte order mark"),
        ("blank line first", "a blank line or a space before"),
        ("space first", "a blank line or a space before"),
        ("space at the end of the first line", "spaces at the ends of its lines"),
        ("tabs", "spaces at the ends of its lines"),
        ("spaces that do not break", "spaces at the ends of its lines"),
        ("PuTTY", "PuTTY"),
        ("public", "a public key"),
        ("text", "no private key"),
    ],
)
def test_a_key_that_ssh_cannot_read_is_refused_before_anything(
    tmp_path: Path, form: str, says: str
) -> None:
    requires_tool("ssh-keygen")
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    assert key_text_problem(key.read_bytes()) is None
    path = write_site(tmp_path, site_data(ssh={"user": "root", "key": "key"}))
    key.write_bytes(damaged(key.read_bytes())[form])
    # What will do the work refuses it, so it must not pass here.
    asked = subprocess.run(
        ["ssh-keygen", "-y", "-P", "", "-f", key], capture_output=True, check=False
    )
    assert asked.returncode != 0
    with pytest.raises(DefinitionError, match=says) as caught:
        load_site(path)
    assert caught.value.hint


@pytest.mark.parametrize("form", ["tabs", "spaces that do not break"])
def test_the_advice_about_spaces_mends_them(tmp_path: Path, form: str) -> None:
    requires_tool("ssh-keygen")
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    key.write_bytes(damaged(key.read_bytes())[form])
    wrong = key_text_problem(key.read_bytes())
    assert wrong is not None
    command = wrong[1].partition(": ")[2].removesuffix(".").replace("FILE", str(key))
    subprocess.run(["sh", "-c", command], check=True)
    assert key_text_problem(key.read_bytes()) is None
    subprocess.run(["ssh-keygen", "-y", "-P", "", "-f", key], check=True, capture_output=True)


def test_a_key_of_an_older_form_needs_what_ssh_needs(tmp_path: Path) -> None:
    """ssh reads PEM without a last line break; PKCS#8 it reads depending on its version."""
    key = paramiko.RSAKey.generate(2048)
    path = tmp_path / "key"
    key.write_private_key_file(str(path))
    assert key_text_problem(path.read_bytes().rstrip(b"\n")) is None
    found, advice = key_text_problem(b"-----BEGIN PRIVATE KEY-----\nx\n") or ("", "")
    assert "PKCS#8" in found
    assert "ssh-keygen -p" in advice


@pytest.mark.parametrize(
    ("script", "says", "advice"),
    [
        ("echo Password change required but no TTY available. >&2; exit 1", "no TTY", "chage"),
        ("echo 'Please login as the user \"admin\".'; exit 142", "admin", "ssh.user"),
        ("echo This account is currently not available.; exit 1", "available", "usermod"),
        ("echo 'restricted: backups only'; exit 0", "backups only", "ForceCommand"),
        ("exit 1", "exit code 1", "~/.bashrc"),
    ],
)
def test_a_login_that_runs_nothing_is_told_so(
    tmp_path: Path, script: str, says: str, advice: str
) -> None:
    host_key = new_key(tmp_path / "host")
    with ssh_server(host_key, new_key(tmp_path / "id")) as server:
        server.instead = script
        error = refused(tmp_path, host_key, server.port)
    assert "runs none of our commands" in error.message
    assert says in error.message
    assert advice in error.hint


def test_the_library_that_asks_nodes_is_more_patient_than_ssh(tmp_path: Path) -> None:
    """Why the form of a key is looked at besides: this one passes there, and fails in Ansible."""
    key = new_key(tmp_path / "key")
    (tmp_path / "key").write_bytes((tmp_path / "key").read_bytes().rstrip(b"\n"))
    assert load_key(tmp_path / "key").get_base64() == key.get_base64()
    assert key_text_problem((tmp_path / "key").read_bytes()) is not None


class Sudo:
    """A machine whose sudo says one thing."""

    def __init__(self, code: int, said: str) -> None:
        self.refusal = Result(code, "", said)

    def run(self, *argv: str, stdin: bytes = b"") -> Result:
        return self.refusal if argv[:1] == ("sudo",) else Result(0, "1000\n", "")


@pytest.mark.parametrize(
    ("code", "said", "advice"),
    [
        (1, "sudo: sorry, you must have a tty to run sudo", "requiretty"),
        (1, "sudo: a password is required", "NOPASSWD"),
        (1, "ops is not in the sudoers file.", "Let the user run everything"),
        (127, "sudo: not found", "install sudo"),
        (1, "sudo: account validation failure, is your account expired?", "expired"),
        (1, "sudo: account validation failure, is your account locked?", "expired"),
        (1, "sudo: I'm sorry ops. I'm afraid I can't do that", "Let the user run everything"),
        (1, "sudo: interactive authentication is required", "NOPASSWD"),
        (1, "Sorry, try again.\nsudo: 1 incorrect password attempt", "Correct sudoPassword"),
        (1, "sudo: 1 incorrect authentication attempt", "Correct sudoPassword"),
        (
            1,
            "/etc/sudoers.d/ops:1:9: syntax error\nsudo: no valid sudoers sources found, quitting",
            "does not work",
        ),
        (
            1,
            "sudo: /usr/bin/sudo must be owned by uid 0 and have the setuid bit set",
            "does not work",
        ),
        (
            1,
            'sudo: The "no new privileges" flag is set, which prevents sudo from running as root.',
            "does not work",
        ),
    ],
)
def test_each_refusal_of_sudo_has_its_own_cure(code: int, said: str, advice: str) -> None:
    wanted: object = None
    finding = system.ask_root(Machine(Sudo(code, said), SUDO), wanted)  # type: ignore[arg-type]
    assert said.splitlines()[-1][:200] in finding.found
    assert advice in finding.advice


def test_nodes_need_not_reach_each_others_sshd() -> None:
    site = site_of(site_data(ssh={"user": "root", "key": "k", "port": 2222}))
    node = site.nodes[0]
    ports = reached(node, Kubernetes(version="1.35.4", network_plugin="calico"))
    assert 22 not in ports
    assert 2222 not in ports
