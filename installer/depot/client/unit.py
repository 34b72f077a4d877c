"""The depot as a service of systemd: its unit, isoward-depot.service, filled in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bundle.base.errors import UsageError
from bundle.texts.render import render

UNIT: Final = "isoward-depot.service"
MARK: Final = "# Written by isoward."
"""The first line of every unit of ours, by which it is known again."""


@dataclass(frozen=True, slots=True)
class Service:
    """What the unit is about.

    Attributes:
        python: Of the environment that has isoward.
        depot: The depot's directory, absolute.
        owner: The user id that the directory belongs to.
        address: An address of this machine, to listen on.
        port: To listen on.
        name: Under which nodes reach the depot.
    """

    python: Path
    depot: Path
    owner: int
    address: str
    port: int
    name: str


def unit_text(service: Service) -> str:
    """Return the unit.

    Source: systemd.service(5), "Command lines"; systemd.exec(5), "Sandboxing".
    Raises:
        UsageError: A path cannot be written in a unit.
    """
    # -I: neither the folder that it starts in nor a variable adds code to it.
    command = [str(service.python), "-I", "-m", "bundle.cli.main", "serve"]
    command += ["--depot", str(service.depot), "--address", service.address]
    command += ["--port", str(service.port), "--name", service.name]
    # It has not ProtectHome=yes, which would hide a depot below /home.
    words = {
        "DEPOT": quoted(service.depot),
        "OWNER": str(service.owner),
        "COMMAND": " ".join(_argument(part) for part in command),
    }
    return render(__package__, UNIT, words)


def quoted(path: Path) -> str:
    """Write a path as a unit wants it in a setting.

    Raises:
        UsageError: It cannot be written there.
    """
    text = str(path)
    if not text.isprintable():
        raise UsageError(
            f"the depot {text!r}: expected a printable path, for a service of systemd",
            "Move the depot to another folder, or run `isoward serve` yourself.",
        )
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _argument(text: str) -> str:
    return quoted(Path(text)).replace("$", "$$")
