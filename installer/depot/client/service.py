"""Making sure that the depot is served: by whoever serves it already, else by a service here."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from bundle.base.errors import StepError, UnreachableError
from bundle.base.progress import NO_PROGRESS, Progress
from bundle.store.atomic import storage_errors, write_atomic
from bundle.store.programs import Bounds, Finished, Runner, run_program
from installer.depot.client.ask_depot import answers
from installer.depot.client.unit import MARK, UNIT, Service, quoted, unit_text
from installer.depot.directory import DepotDirectory
from installer.hosts.site_ca import read_ca
from installer.kubespray.inventory import url_of
from installer.serving.tls.certificate import CA_NAME
from installer.site.document import DepotAddress, Site

Outcome = Literal["answers", "started"]

_CONNECT_SECONDS: Final = 5.0
_START_SECONDS: Final = 60.0
"""A depot with a hundred bundles is ready after a few seconds; slow disks get the rest."""
_POLL_SECONDS: Final = 0.2
_COMMAND_SECONDS: Final = 90.0
_SHOWN: Final = 600


@dataclass(frozen=True, slots=True)
class ThisMachine:
    """What is asked of the machine that we run on.

    Attributes:
        units: Where its administrator's units are.
        booted: Exists when systemd runs the machine.
        root: Whether we may change it.
        python: Of the environment that has isoward.
        run: Runs systemctl and journalctl.
        sleep: Waits some seconds.
    """

    units: Path = Path("/etc/systemd/system")
    booted: Path = Path("/run/systemd/system")
    root: bool = field(default_factory=lambda: os.geteuid() == 0)
    python: Path = field(default_factory=lambda: lasting_python(Path(sys.executable)))
    run: Runner = run_program
    sleep: Callable[[float], None] = time.sleep

    @property
    def unit(self) -> Path:
        """Where the depot's unit is."""
        return self.units / UNIT


def ensure_depot_served(
    depot: DepotDirectory,
    site: Site,
    *,
    machine: ThisMachine | None = None,
    progress: Progress = NO_PROGRESS,
) -> Outcome:
    """Make sure that something answers at the site's first depot; it has its CA from then on.

    Args:
        depot: What is to be served, if nothing is yet.
        site: Whose first depot it is.
        machine: This one, unless a test says otherwise.
        progress: Told what is done.
    Raises:
        UnreachableError: Nothing answers, and it is not for us to change that.
        StepError: The service does not start, or belongs to another depot.
        StorageError: The unit cannot be written.
    """
    machine = machine or ThisMachine()
    if _is_open(site.depot):
        return "answers"
    own = _own_address(site.depot)
    _require_ours_to_start(site.depot, own, machine)
    path = depot.path.absolute()
    _require_our_unit(machine.unit, path)
    with storage_errors(f"look at {path}"):
        owner = path.stat().st_uid
    text = unit_text(
        Service(
            machine.python, path, owner, address=own, port=site.depot.port, name=site.depot.address
        )
    )
    progress.note(f"this machine: starting {UNIT}, which serves {path}")
    write_atomic(machine.unit, text.encode())
    for command in (["daemon-reload"], ["enable", UNIT], ["restart", UNIT]):
        done = machine.run(["systemctl", *command], bounds=Bounds(_COMMAND_SECONDS))
        if done.code != 0:
            raise _not_started(f"systemctl {' '.join(command)}", _words(done))
    _wait(depot, site.depot, machine)
    return "started"


def starts_service(site: Site, machine: ThisMachine) -> bool:
    """Say whether `ensure_depot_served` would have a service to start; for the plan."""
    return not _is_open(site.depot) and not machine.unit.exists()


def lasting_python(python: Path) -> Path:
    """Return the Python by a path that an upgrade of isoward keeps.

    install.sh gives every release a folder, and `current` beside them is a link to the newest.
    """
    with storage_errors(f"look at {python}"):
        current = python.parents[2] / "current" if len(python.parents) > 2 else python  # noqa: PLR2004
        lasting = current / "bin" / python.name
        same = lasting.exists() and current.resolve() == python.parents[1].resolve()
    return lasting if same else python


def _is_open(depot: DepotAddress) -> bool:
    """Say whether anything listens there; whether it is the depot is asked with the CA, later."""
    try:
        with socket.create_connection((depot.address, depot.port), _CONNECT_SECONDS):
            return True
    except OSError:
        return False


def _own_address(depot: DepotAddress) -> str:
    """Return the depot's address if it is one of this machine's, or an empty text."""
    try:
        found = socket.getaddrinfo(depot.address, depot.port, type=socket.SOCK_DGRAM)
    except OSError:
        return ""
    for family, kind, protocol, _, address in found:
        # Nothing is sent: the kernel only chooses a source, which is the address itself if it
        # is ours. Binding would say yes to any address where net.ipv4.ip_nonlocal_bind is set.
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.connect(address)
                if probe.getsockname()[0] == address[0]:
                    return str(address[0])
        except OSError:
            continue
    return ""


def _require_ours_to_start(depot: DepotAddress, own: str, machine: ThisMachine) -> None:
    if not own:
        why = "it is not this machine's address"
    elif not machine.booted.is_dir():
        why = "systemd does not run this machine"
    elif not machine.root:
        why = "only root can start a service here"
    else:
        return
    raise UnreachableError(
        f"{url_of(depot)}: nothing answers as the depot, and no service was started: {why}",
        "Run `isoward serve` on the depot's machine, then run the same command again.",
        {"depot": url_of(depot)},
    )


def _require_our_unit(unit: Path, depot: Path) -> None:
    """Leave a service alone that somebody else wrote, or that serves another site's depot."""
    if not unit.exists():
        return
    with storage_errors(f"read {unit}"):
        text = unit.read_text(encoding="utf-8", errors="replace")
    if text.startswith(MARK) and f"\nReadWritePaths={quoted(depot)}\n" in text:
        return
    raise StepError(
        f"{unit}: expected a unit of ours that serves {depot}, found another one",
        f"Start it (systemctl start {UNIT}) if it serves this depot too; else remove it.",
        {"unit": str(unit)},
    )


def _wait(depot: DepotDirectory, address: DepotAddress, machine: ThisMachine) -> None:
    """Wait until the service answers with a certificate by the depot's own CA."""
    for _ in range(int(_START_SECONDS / _POLL_SECONDS)):
        if (depot.tls / CA_NAME).exists() and answers(address, read_ca(depot.tls / CA_NAME)):
            return
        machine.sleep(_POLL_SECONDS)
    said = machine.run(
        ["journalctl", "--unit", UNIT, "--lines", "5", "--output", "cat", "--no-pager"],
        bounds=Bounds(_COMMAND_SECONDS),
    )
    raise _not_started("waiting for it to answer", said.output.decode("utf-8", "replace"))


def _words(done: Finished) -> str:
    return done.errors.decode("utf-8", "replace")


def _not_started(what: str, said: str) -> StepError:
    shown = " | ".join(line.strip() for line in said.splitlines() if line.strip())[-_SHOWN:]
    return StepError(
        f"{UNIT}: {what} failed: {shown or 'it said nothing'}",
        f"See `systemctl status {UNIT}` and `journalctl -u {UNIT}` on this machine.",
    )


__all__ = ["Outcome", "ThisMachine", "ensure_depot_served", "lasting_python", "starts_service"]
