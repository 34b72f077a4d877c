"""An SSH server of our own, to see what an installer says to the wrong machine: nothing."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import paramiko
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED

_ANSWERED_SECONDS = 0.2


@dataclass
class SshServer(paramiko.ServerInterface):
    """Lets one public key in, and runs commands in a shell as sshd does.

    Attributes:
        accepted: The client's public key.
        port: On its loopback address.
        noise: What the user's shell prints before any program, as a line of ~/.bashrc does.
        instead: What is run whatever was asked for, as by command= in authorized_keys.
        allowed: The ways to log in that it offers.
        slow: Seconds that it takes to decide about a login.
        logins: Everybody who has tried.
        commands: Everything that was run.
    """

    accepted: paramiko.PKey | None
    port: int = 0
    noise: str = ""
    instead: str = ""
    allowed: str = "publickey"
    slow: float = 0.0
    logins: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)

    def get_allowed_auths(self, username: str) -> str:
        return self.allowed

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.logins.append(username)
        time.sleep(self.slow)
        return AUTH_SUCCESSFUL if key == self.accepted else AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED

    def check_channel_pty_request(self, *_: object) -> bool:
        # There is none; nothing that is run here asks.
        return True

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self.commands.append(command.decode())
        threading.Thread(
            target=_run,
            args=(channel, _said(self.noise) + (self.instead.encode() or command)),
            daemon=True,
        ).start()
        return True


@contextmanager
def ssh_server(
    host_key: paramiko.PKey, accepted: paramiko.PKey | None, address: str = "127.0.0.1"
) -> Iterator[SshServer]:
    """Serve on a loopback address and a port of the kernel's choice until the end of the block."""
    with socket.create_server((address, 0)) as listener:
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


def _said(noise: str) -> bytes:
    return f"echo {shlex.quote(noise)}; echo {shlex.quote(noise)} >&2; ".encode() if noise else b""


def _run(channel: paramiko.Channel, command: bytes) -> None:
    process = subprocess.Popen(
        ["/bin/sh", "-c", command.decode()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    # As with sshd, a program that does not read does not wait for its input to end.
    heard = threading.Event()
    threading.Thread(target=_feed, args=(channel, process, heard), daemon=True).start()
    # The library answers the request only when this thread has begun; a program that ended before
    # that would be one that was never started. Who speaks has had the answer.
    heard.wait(_ANSWERED_SECONDS)
    errors = threading.Thread(target=_send_errors, args=(channel, process), daemon=True)
    errors.start()
    assert process.stdout is not None
    output = process.stdout.fileno()
    with suppress(OSError):
        for chunk in iter(lambda: os.read(output, 65536), b""):
            channel.sendall(chunk)
    errors.join()
    with suppress(OSError):
        channel.send_exit_status(process.wait())
    channel.close()


def _feed(
    channel: paramiko.Channel, process: subprocess.Popen[bytes], heard: threading.Event
) -> None:
    assert process.stdin is not None

    def receive() -> bytes:
        data = channel.recv(65536)
        heard.set()
        return data

    with suppress(OSError, ValueError):
        for chunk in iter(receive, b""):
            process.stdin.write(chunk)
            process.stdin.flush()
    with suppress(OSError):
        process.stdin.close()


def _send_errors(channel: paramiko.Channel, process: subprocess.Popen[bytes]) -> None:
    assert process.stderr is not None
    output = process.stderr.fileno()
    with suppress(OSError):
        for chunk in iter(lambda: os.read(output, 65536), b""):
            channel.sendall_stderr(chunk)
