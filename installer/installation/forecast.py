"""The plan of an installation: its steps, what each changes where, and what is done already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bundle.base.canonical import canonical_digest
from installer.core.step import Change, Context, Step
from installer.depot.directory import DepotDirectory
from installer.records.expected import Expected, expected_time
from installer.records.journal import JOURNAL_NAME, Record, is_finished, last_of, read_journal

SITES: Final = "sites"
"""The depot's folder with one for each site."""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step as it stands before a run.

    Attributes:
        step: That will run, or is done.
        inputs: Digest of what it depends on, and of what the steps before it do.
        done: Whether it was finished with these.
        stopped: Whether it was begun and never finished.
        changes: What it will change; empty when it is done.
        expected: How long it should take, if anybody knows.
    """

    step: Step
    inputs: str
    done: bool
    stopped: bool
    changes: tuple[Change, ...]
    expected: Expected | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What an installation is going to do, in order."""

    site: str
    bundle: str
    steps: tuple[PlannedStep, ...]

    @property
    def seconds(self) -> float:
        """How long all that is left should take."""
        return sum(p.expected.seconds for p in self.steps if not p.done and p.expected)

    def data(self) -> dict[str, Any]:
        """Return plain data, for `--json`."""
        return {
            "site": self.site,
            "bundle": self.bundle,
            "expectedSeconds": round(self.seconds, 1),
            "steps": [
                {
                    "step": planned.step.name,
                    "title": planned.step.title,
                    "done": planned.done,
                    "stopped": planned.stopped,
                    "expectedSeconds": round(planned.expected.seconds, 1)
                    if planned.expected
                    else None,
                    "recordedHere": planned.expected.recorded_here if planned.expected else None,
                    "changes": [{"where": c.where, "what": c.what} for c in planned.changes],
                }
                for planned in self.steps
            ],
        }


def make_plan(context: Context, steps: Sequence[Step], *, again_from: str = "") -> Plan:
    """Return the plan; nothing is changed, and no machine is asked.

    Args:
        context: As the steps will get it.
        steps: In their order.
        again_from: The name of a step that is to be done again, with all after it.
    Raises:
        IsowardError: A step cannot be planned, such as for a bundle that lacks what the site needs.
    """
    histories = read_histories(context.depot, context.state)
    own = histories[0]
    planned = []
    previous, valid = "", True
    for step in steps:
        inputs = chained(previous, step, context)
        valid = valid and step.name != again_from and is_finished(own, step.name, inputs)
        last = last_of(own, step.name)
        planned.append(
            PlannedStep(
                step,
                inputs,
                valid,
                stopped=not valid and last is not None and last.event != "finished",
                changes=() if valid else tuple(step.changes(context)),
                expected=expected_time(
                    step.name,
                    len(context.site.nodes),
                    context.bundle.manifest.content_bytes,
                    histories,
                ),
            )
        )
        previous = inputs
    return Plan(context.site.metadata.name, context.bundle.record.digest, tuple(planned))


def chained(previous: str, step: Step, context: Context) -> str:
    """Return the digest of a step's inputs and of those of the steps before it.

    So a step is done again when one before it is: what it found out may no longer hold.
    """
    own = {"step": step.name, "inputs": step.inputs(context), "after": previous}
    return canonical_digest(own)


def read_histories(depot: DepotDirectory, state: Path) -> list[list[Record]]:
    """Return the journals of a depot's sites, the one of `state` first, also if it is empty.

    Raises:
        AuditError: A journal was changed.
        StorageError: One cannot be read.
    """
    others = sorted((depot.path / SITES).glob(f"*/{JOURNAL_NAME}"))
    paths = [state / JOURNAL_NAME, *(path for path in others if path.parent != state)]
    return [read_journal(path) for path in paths]
