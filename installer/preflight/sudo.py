"""Becoming root with a password, which goes over standard input and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from installer.preflight.shell import Result, Shell

SUDO: Final = ("sudo", "-n", "--")
"""What is put before a program that must run as root, by whoever is not root."""

_SENTINEL: Final = "isoward"
# A sudo that asks for nothing after all would leave the password to the program.
_BEHIND_SENTINEL: Final = (
    f'IFS= read -r line && [ "$line" = {_SENTINEL} ] || '
    '{ cat > /dev/null; echo "sudo did not ask for the password" >&2; exit 1; }; exec "$@"'
)


@dataclass(slots=True)
class SudoShell:
    """A machine on which sudo wants a password.

    Attributes:
        shell: Runs programs on it.
        password: Of the user that we are.
    """

    shell: Shell
    password: str = field(repr=False)
    _asks: bool | None = None

    def run(self, *argv: str, stdin: bytes = b"") -> Result:
        """Run a program; with the password where it must run as root and sudo wants one."""
        if argv[: len(SUDO)] != SUDO or not self._wants_password():
            return self.shell.run(*argv, stdin=stdin)
        program = argv[len(SUDO) :]
        # -k: a password that sudo still remembers would not be read.
        sudo = ("sudo", "-k", "-S", "-p", "", "--", "sh", "-c", _BEHIND_SENTINEL, "sh")
        told = f"{self.password}\n{_SENTINEL}\n".encode()
        return self.shell.run(*sudo, *program, stdin=told + stdin)

    def _wants_password(self) -> bool:
        if self._asks is None:
            self._asks = self.shell.run(*SUDO, "true").code != 0
        return self._asks
