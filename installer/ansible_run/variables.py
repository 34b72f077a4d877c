"""Ansible's environment: all of it is ours, none of it the user's.

A configuration file, a variable or an agent of whoever runs the installer could switch off the
check of host keys; and ansible-runner records the whole environment of a run, with any secret in
it. So a run gets the few variables that programs need, and the settings below.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bundle.base.errors import ProgramError
from bundle.store.programs import Bounds, run_program
from installer.base.ssh_path import ssh_path

_CLOSE_SECONDS: Final = 10.0
_INHERITED: Final = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ")
_TEMPORARY: Final = "/tmp"  # noqa: S108 - in a folder of our own
_RUNNERS_OWN: Final = (
    "ANSIBLE_CALLBACK_PLUGINS",
    "ANSIBLE_STDOUT_CALLBACK",
    "AWX_ISOLATED_DATA_DIR",
    "RUNNER_OMIT_EVENTS",
    "RUNNER_ONLY_FAILED_EVENTS",
)
_SETTINGS: Final = {
    "ANSIBLE_CACHE_PLUGIN": "memory",
    "ANSIBLE_CALLBACK_PLUGINS": "",
    "ANSIBLE_DEPRECATION_WARNINGS": "False",
    "ANSIBLE_DIFF_ALWAYS": "False",
    "ANSIBLE_FORCE_COLOR": "False",
    "ANSIBLE_GATHERING": "explicit",
    "ANSIBLE_HOST_KEY_CHECKING": "True",
    "ANSIBLE_INVENTORY_ENABLED": "yaml",
    "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",
    "ANSIBLE_NOCOLOR": "True",
    "ANSIBLE_NOCOWS": "True",
    "ANSIBLE_PIPELINING": "True",
    # The user's home as the node has it: Ansible would look for `~name`, and the shell there for no
    # name such as `DOM\\svc` or `svc@realm`.
    "ANSIBLE_REMOTE_TEMP": "$HOME/.ansible/tmp",
    "ANSIBLE_RETRY_FILES_ENABLED": "False",
    "ANSIBLE_SSH_HOST_KEY_CHECKING": "True",
    "ANSIBLE_SSH_RETRIES": "1",
    "ANSIBLE_TIMEOUT": "15",
    "ANSIBLE_VARS_ENABLED": "host_group_vars",
    "AWX_LIB_DIRECTORY": "",
    "LC_ALL": "C.UTF-8",
    "PYTHONUNBUFFERED": "1",
}


@contextmanager
def ansible_environment(
    roles: Path, known_hosts: Path, *, local: bool, inherited: Mapping[str, str]
) -> Iterator[dict[str, str]]:
    """Give the settings of one run, with a short-lived folder for Ansible's own files.

    Args:
        roles: Our roles.
        known_hosts: The only host keys that ssh may accept.
        local: Whether the run is on this machine, whose home directory stays as it is.
        inherited: Where the few inherited variables come from, such as os.environ.
    """
    # Not below TMPDIR: control sockets have to have short paths, and Ansible and ssh read paths
    # with ideas of their own about `$`, `%`, `:` and braces.
    with TemporaryDirectory(prefix="isoward-", dir=_TEMPORARY) as made:
        temporary = Path(made)
        sockets = temporary / "cp"
        sockets.mkdir(mode=0o700)
        # An empty one: without any, Ansible would look for the user's and the machine's.
        configuration = temporary / "ansible.cfg"
        configuration.touch()
        kept = {key: inherited[key] for key in _INHERITED if key in inherited}
        settings = {
            **kept,
            **_SETTINGS,
            "ANSIBLE_CONFIG": str(configuration),
            "ANSIBLE_COLLECTIONS_PATH": f"{temporary}/collections",
            "ANSIBLE_HOME": str(temporary),
            "ANSIBLE_LOCAL_TEMP": f"{temporary}/local",
            "ANSIBLE_ROLES_PATH": str(roles),
            "ANSIBLE_SSH_ARGS": ssh_arguments(known_hosts),
            "ANSIBLE_SSH_COMMON_ARGS": "",
            "ANSIBLE_SSH_EXTRA_ARGS": "",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets),
        }
        if local:
            settings["ANSIBLE_REMOTE_TEMP"] = f"{temporary}/remote"
        try:
            yield settings
        finally:
            _close_masters(sockets)


def ssh_arguments(known_hosts: Path) -> str:
    """Return ssh's options: the pinned keys, our own key, and nothing of the user's."""
    options = [
        "StrictHostKeyChecking=yes",
        f'UserKnownHostsFile="{ssh_path(known_hosts)}"',
        "GlobalKnownHostsFile=/dev/null",
        "UpdateHostKeys=no",
        "VerifyHostKeyDNS=no",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "ForwardAgent=no",
        "PreferredAuthentications=publickey",
        "BatchMode=yes",
        "ControlMaster=auto",
        "ControlPersist=30s",
        "ServerAliveInterval=10",
    ]
    return shlex.join(["-F", "none", *(part for option in options for part in ("-o", option))])


def only_ours(environment: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """Return what a run may see of the environment that ansible-runner has put together.

    Args:
        environment: The user's with ours, and with what the runner must add for its events.
        settings: Ours.
    """
    added = {key: environment[key] for key in _RUNNERS_OWN if key in environment}
    return {**settings, **added}


def _close_masters(sockets: Path) -> None:
    """End the shared ssh connections of the run; each would end by itself half a minute later."""
    for path in sockets.iterdir():
        close = ["ssh", "-F", "none", "-o", f"ControlPath={path}", "-O", "exit", "isoward"]
        with suppress(ProgramError):
            run_program(close, bounds=Bounds(_CLOSE_SECONDS))
