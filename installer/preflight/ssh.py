"""A node over SSH: its pinned key or nothing.

No agent, no configuration of the user, no known_hosts file and no password take part.
"""

from __future__ import annotations

import logging
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import paramiko

from bundle.base.errors import KeyFileError, UnreachableError
from installer.base.unreached import no_connection
from installer.preflight.shell import (
    COMMAND_SECONDS,
    MAX_OUTPUT_BYTES,
    NO_ANSWER,
    Result,
    as_text,
    in_known_environment,
)
from installer.site.document import Node, Site
from installer.site.host_key import HostKey, parse_host_key, port_of

CONNECT_SECONDS: Final = 5.0
"""A node of the same site answers in milliseconds; one that is down should be known soon."""

_HANDSHAKE_SECONDS: Final = 30.0
_LOGIN_SECONDS: Final = 60.0
"""An sshd that looks up our name (UseDNS) waits for name servers that may not answer."""

_HERE: Final = "isoward"
_MARK: Final = b"isoward-answers-from-here:"
_BEHIND_MARK: Final = f'printf %s {_MARK.decode()}; exec "$@"'


class SshShell:
    """A node that answered with its pinned key."""

    def __init__(self, transport: paramiko.Transport) -> None:
        """Use an authenticated connection; the caller closes it."""
        self._transport = transport

    def run(self, *argv: str, stdin: bytes = b"") -> Result:
        """Run a program on the node; what the user's shell says before it is cut off."""
        command = shlex.join(in_known_environment(("sh", "-c", _BEHIND_MARK, "sh", *argv)))
        try:
            channel = self._transport.open_session(timeout=COMMAND_SECONDS)
        except paramiko.SSHException as error:
            return Result(NO_ANSWER, "", f"the connection was lost ({error})")
        with channel:
            channel.settimeout(COMMAND_SECONDS)
            try:
                channel.exec_command(command)
                channel.sendall(stdin)
                channel.shutdown_write()
                out = channel.makefile("rb").read(MAX_OUTPUT_BYTES)
                err = channel.makefile_stderr("rb").read(MAX_OUTPUT_BYTES)
            except TimeoutError:
                return Result(NO_ANSWER, "", f"no answer within {COMMAND_SECONDS:.0f} s")
            except (OSError, paramiko.SSHException, EOFError) as error:
                return Result(NO_ANSWER, "", f"the connection was lost ({error})")
            if not channel.status_event.wait(COMMAND_SECONDS):
                return Result(NO_ANSWER, "", f"no answer within {COMMAND_SECONDS:.0f} s")
            # A line in ~/.bashrc that prints something would else be part of every answer.
            answer = out.partition(_MARK)[2] if _MARK in out else out
            return Result(channel.recv_exit_status(), as_text(answer), as_text(err))


@contextmanager
def connect(site: Site, ssh_key: Path, node: Node) -> Iterator[SshShell]:
    """Open a node for the block.

    Args:
        site: The site that the node belongs to.
        ssh_key: Our private key.
        node: Whom to reach, and the key it must show.
    Raises:
        UnreachableError: Nothing answers, it is not the pinned machine, or it refuses our key.
        KeyFileError: Our private key cannot be used.
    """
    pinned = parse_host_key(node.host_key, f"{node.name}.hostKey")
    key = load_key(ssh_key)
    port = port_of(site, node)
    try:
        connection = socket.create_connection((node.address, port), CONNECT_SECONDS)
    except OSError as error:
        found, advice = no_connection(node.address, port, error)
        raise UnreachableError(
            f"{node.name}: {found}", advice, {"node": node.name, "address": node.address}
        ) from error
    # What paramiko would log, our errors say.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    transport = paramiko.Transport(connection)
    transport.banner_timeout = _HANDSHAKE_SECONDS
    try:
        _shake_hands(transport, node, pinned)
        _authenticate(transport, node, site.ssh.user, key)
        shell = SshShell(transport)
        _require_commands(shell, node, site.ssh.user)
        yield shell
    finally:
        transport.close()


def load_key(path: Path) -> paramiko.PKey:
    """Load a private key that has no passphrase.

    Raises:
        KeyFileError: It cannot be used.
    """
    try:
        key: paramiko.PKey = paramiko.PKey.from_path(path)
    except (paramiko.SSHException, ValueError, TypeError, OSError) as error:
        raise KeyFileError(
            f"{path}: expected an SSH private key without a passphrase, found one that cannot "
            f"be used ({error})",
            "Give the installer a key of its own: ssh-keygen -t ed25519 -N '' -f FILE.",
        ) from error
    return key


def _shake_hands(transport: paramiko.Transport, node: Node, pinned: HostKey) -> None:
    # Only what the pinned key can sign, so that another of the server's keys is not even offered.
    transport.get_security_options().key_types = pinned.algorithms
    context = {"node": node.name, "address": node.address, "expected": pinned.fingerprint}
    try:
        transport.start_client(timeout=2 * _HANDSHAKE_SECONDS)
        found = transport.get_remote_server_key()
    except paramiko.ssh_exception.IncompatiblePeer as error:
        raise UnreachableError(
            f"{node.name}: expected the host key {pinned.fingerprint}, found a server without a "
            f"{pinned.kind} key ({error})",
            "Nothing was sent to it. Compare nodes.hostKey with the machine's own console.",
            context,
        ) from error
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise _no_handshake(node, error, context) from error
    shown = HostKey(found.get_name(), found.asbytes())
    if shown != pinned:
        raise UnreachableError(
            f"{node.name}: expected the host key {pinned.fingerprint}, found {shown.fingerprint}",
            "Nothing was sent to it. If the machine was set up anew, read its key on its console "
            "and change nodes.hostKey; if not, somebody is between.",
            {**context, "found": shown.fingerprint},
        )


def _no_handshake(node: Node, error: Exception, context: dict[str, str]) -> UnreachableError:
    """Tell a server that is slow, or hangs up, from one that is no SSH server."""
    said = str(error)
    where = f"{node.name}: what answers at {node.address}"
    if (
        "banner" in said
        and not isinstance(error.__cause__, UnicodeError)
        and "xception" not in said
    ):
        return UnreachableError(
            f"{where} said nothing for {_HANDSHAKE_SECONDS:.0f} s, or does not speak SSH ({said})",
            "Is sshd running there, and not too busy (MaxStartups in its configuration)?",
            context,
        )
    if isinstance(error, EOFError | ConnectionError) or "Negotiation failed" in said or not said:
        return UnreachableError(
            f"{where} hung up before it showed its key",
            "See the node's journal (`journalctl -u ssh`): hosts.deny, fail2ban and MaxStartups "
            "end connections so.",
            context,
        )
    return UnreachableError(
        f"{where} does not speak SSH ({said})",
        "Is sshd running, and is the port in the site file right?",
        context,
    )


def _authenticate(transport: paramiko.Transport, node: Node, user: str, key: paramiko.PKey) -> None:
    """Log in; each way to fail has words of its own, since each has another cure."""
    transport.auth_timeout = _LOGIN_SECONDS
    context = {"node": node.name, "address": node.address}
    try:
        transport.auth_publickey(user, key)
    except paramiko.BadAuthenticationType as error:
        allowed = ", ".join(error.allowed_types) or "nothing"
        raise UnreachableError(
            f"{node.name}: its sshd lets nobody in by a key; it allows: {allowed}",
            "Set PubkeyAuthentication yes in the node's /etc/ssh/sshd_config, and reload it.",
            context,
        ) from error
    except (paramiko.SSHException, OSError, EOFError) as error:
        if "imeout" in str(error):
            raise UnreachableError(
                f"{node.name}: its sshd did not answer a login within {_LOGIN_SECONDS:.0f} s",
                "It may be waiting for name servers: set UseDNS no in the node's "
                "/etc/ssh/sshd_config, or mend its name servers.",
                context,
            ) from error
        if not isinstance(error, paramiko.AuthenticationException):
            why = str(error) or "no reason given"
            raise UnreachableError(
                f"{node.name}: its sshd hung up while we logged in ({why})",
                "See the node's journal (`journalctl -u ssh`) for why.",
                context,
            ) from error
        raise UnreachableError(
            f"{node.name}: expected to be let in as {user} with the key of the site file, "
            f"found: {error}",
            "Add its public half to .ssh/authorized_keys in that user's home on the node.",
            context,
        ) from error


def _require_commands(shell: SshShell, node: Node, user: str) -> None:
    """Tell a login that runs nothing of ours from a machine that lacks everything."""
    answer = shell.run("echo", _HERE)
    if answer.out.strip() == _HERE:
        return
    raise UnreachableError(
        f"{node.name}: let us in as {user}, and runs none of our commands; it said: {answer.said}",
        _cure_of(answer.err + answer.out),
        {"node": node.name, "address": node.address},
    )


def _cure_of(said: str) -> str:
    if "expired" in said or "assword change required" in said:
        return "The user's password or account has expired: see `chage -l USER` on the node."
    if "lease login as" in said:
        return "Name the user that it speaks of in ssh.user."
    if "not available" in said:
        return "Give the user a shell on the node: usermod -s /bin/sh USER."
    return (
        "See the user's shell, what its ~/.bashrc does, command= in its authorized_keys, and "
        "ForceCommand in the node's /etc/ssh/sshd_config."
    )
