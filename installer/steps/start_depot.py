"""The step `depot`: it is served, and has all that the installation will fetch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from bundle.base.digest import digest_of
from bundle.base.progress import counted
from installer.core.step import Change, Context
from installer.depot.client.ask_depot import check_depot
from installer.depot.client.expected_content import wanted_of
from installer.depot.client.service import ThisMachine, ensure_depot_served, starts_service
from installer.depot.client.unit import UNIT
from installer.kubespray.inventory import url_of

_HERE: Final = "this machine"


class DepotStep:
    """Makes sure of the depots, both of them, before a node needs them.

    Attributes:
        name: `depot`.
        title: For a person.
    """

    name: Final = "depot"
    title: Final = "Check the depot"

    def __init__(self, *, machine: ThisMachine | None = None) -> None:
        """Look at this machine, unless a test says otherwise."""
        self._machine = machine

    def changes(self, context: Context) -> Sequence[Change]:
        """Name the service, where it has to be made."""
        machine = self._machine or ThisMachine()
        if not starts_service(context.site, machine):
            return []
        return [Change(_HERE, f"writes {machine.unit} and starts it: {UNIT} serves the depot")]

    def inputs(self, context: Context) -> Mapping[str, Any]:
        """Return what the answers depend on."""
        return {
            "depots": [url_of(depot) for depot in context.site.depots],
            "bundle": context.bundle.record.digest,
            "ca": digest_of(context.ca),
        }

    def run(self, context: Context) -> Mapping[str, Any]:
        """Ask each depot for everything.

        Raises:
            UnreachableError: A depot does not answer; with two of them, both must.
            StepError: A depot lacks something, or its service does not start.
        """
        outcome = ensure_depot_served(
            context.depot, context.site, machine=self._machine, progress=context.progress
        )
        wanted = wanted_of(context.bundle)
        asked = []
        for depot in context.site.depots:
            begun = context.now()
            count = check_depot(depot, context.ca, wanted)
            seconds = (context.now() - begun).total_seconds()
            context.progress.note(
                f"{url_of(depot)}: has everything needed: {counted(count, 'item')}"
            )
            asked.append({"url": url_of(depot), "has": count, "seconds": round(seconds, 3)})
        return {"service": outcome, "depots": asked}
