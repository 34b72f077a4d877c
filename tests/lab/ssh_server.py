"""An SSH server of our own, to see what an installer says to the wrong machine: nothing."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import paramiko
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED


@dataclass
class SshServer(paramiko.ServerInterface):
    """Lets one public key in, and runs commands in a shell as sshd does.

    Attributes:
        accepted: The client's public key.
        port: On the loopback address.
        logins: Everybody who has tried.
        commands: Everything that was run.
    """

    accepted: paramiko.PKey | None
    port: int = 0
    logins: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.logins.append(username)
        return AUTH_SUCCESSFUL if key == self.accepted else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.commands.append(command.decode())
        threading.Thread(target=_run, args=(channel, command), daemon=True).start()
        return True


@contextmanager
def ssh_server(host_key: paramiko.PKey, accepted: paramiko.PKey | None) -> Iterator[SshServer]:
    """Serve on a port of the kernel's choice until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = SshServer(accepted, listener.getsockname()[1])
        transports: list[paramiko.Transport] = []

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    transport = paramiko.Transport(connection)
                    transports.append(transport)
                    transport.add_server_key(host_key)
                    with suppress(paramiko.SSHException, EOFError, OSError):
                        transport.start_server(event=threading.Event(), server=server)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            # Closing alone does not wake a thread that waits in accept().
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            for transport in transports:
                transport.close()


def _run(channel: paramiko.Channel, command: bytes) -> None:
    stdin = b"".join(iter(lambda: channel.recv(65536), b""))
    done = subprocess.run(
        ["/bin/sh", "-c", command.decode()], input=stdin, capture_output=True, check=False
    )
    channel.sendall(done.stdout)
    channel.sendall_stderr(done.stderr)
    channel.send_exit_status(done.returncode)
    channel.close()
