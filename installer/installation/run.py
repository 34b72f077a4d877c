"""Installing a site: the steps of its plan, one after the other, each in the journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from bundle.base.digest import digest_of
from bundle.base.errors import InterruptedByUserError, IsowardError, UsageError
from bundle.base.progress import NO_PROGRESS, Progress
from bundle.store.atomic import directory_lock, storage_errors
from installer.core.folders import make_private
from installer.core.step import Context, Step
from installer.depot.directory import DepotDirectory, create_depot, open_depot
from installer.depot.exceptions import words_of
from installer.installation.context import InstallRequest, accepted_now, make_context, state_folder
from installer.installation.forecast import Plan, PlannedStep, make_plan
from installer.kubespray.inventory import depot_url
from installer.records.expected import duration
from installer.records.journal import JOURNAL_NAME, Event, Journal, StepEvent
from installer.records.receipt import RECEIPT_NAME, Receipt, make_run_directory
from installer.site.document import Site

Serve = Callable[[DepotDirectory, Site, Progress], None]


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """How a step went: now, or in an earlier run.

    Attributes:
        name: Of the step.
        seconds: How long it took.
        result: What it says of itself.
        done_before: Whether an earlier run finished it.
    """

    name: str
    seconds: float
    result: Mapping[str, Any]
    done_before: bool = False


@dataclass(frozen=True, slots=True)
class InstallResult:
    """How an installation went.

    Attributes:
        bundle: Digest of the bundle's bundle.json.
        waiver: What is to be said of the waiver by which the bundle came in; empty without one.
        state: The site's folder.
        run: The folder of this run; none when there was nothing to do.
        steps: All of them, in order.
        complete: Whether that is the whole installation.
    """

    bundle: str
    waiver: str
    state: Path
    run: Path | None
    steps: tuple[StepOutcome, ...]
    complete: bool

    def step(self, name: str) -> StepOutcome | None:
        """Return how one step went, if it is among them."""
        return next((step for step in self.steps if step.name == name), None)


def plan_installation(
    request: InstallRequest, steps: Sequence[Step], *, now: Callable[[], datetime]
) -> Plan:
    """Return what `install` would do; nothing is written, and no machine is asked.

    Raises:
        DefinitionError: No bundle of the depot has what the site needs.
        IsowardError: The depot, the medium or the journal is not good.
    """
    depot = DepotDirectory(request.depot.absolute())
    if request.medium is None:
        depot = open_depot(depot.path)
    context = make_context(request, depot, now, NO_PROGRESS, planning=True)
    return _planned(request, context, steps)


def _served_by_others(_depot: DepotDirectory, _site: Site, _progress: Progress) -> None:
    """Take it for granted."""


@dataclass(frozen=True, slots=True)
class Clock:
    """What the time is.

    Attributes:
        now: UTC.
        monotonic: Seconds, which only grow, to measure how long something takes.
    """

    now: Callable[[], datetime]
    monotonic: Callable[[], float]


def install(
    request: InstallRequest,
    steps: Sequence[Step],
    *,
    clock: Clock,
    progress: Progress = NO_PROGRESS,
    serve: Serve = _served_by_others,
) -> InstallResult:
    """Do every step that is not done, in order, until all are.

    Stopped anywhere and called again it goes on with the step that was not finished.

    Args:
        request: What and how.
        steps: In their order.
        clock: What the time is.
        progress: Told what goes on.
        serve: Makes sure that the depot is served, before anything needs it or its CA.
    Raises:
        BusyError: Another installation of this site is running.
        AuditError: The journal was changed.
        InstallError: A machine is the cause.
        InterruptedByUserError: Ctrl-C.
        IsowardError: As the steps.
    """
    _require_one_machine(request)
    # What cannot be planned is refused before anything is written.
    plan_installation(request, steps, now=clock.now)
    depot = create_depot(request.depot.absolute())
    state = state_folder(depot, request.site)
    make_private(state)
    with directory_lock(state):
        serve(depot, request.site.site, progress)
        context = make_context(request, depot, clock.now, progress)
        plan = _planned(request, context, steps)
        complete = len(plan.steps) == len(steps)
        if all(planned.done for planned in plan.steps):
            journal = Journal(state / JOURNAL_NAME)
            outcomes = [_done_before(journal, planned) for planned in plan.steps]
            return _result(context, None, outcomes, complete=complete)
        directory = make_run_directory(depot.runs, plan.site, clock.now())
        context = replace(context, run=directory)
        # What was only rehearsed is not done, so the site's own journal must not say so.
        journal = Journal((directory if request.rehearsal else state) / JOURNAL_NAME)
        runner = _Runner(context, journal, clock, progress)
        receipt = Receipt(directory, clock.now, _facts(request, context))
        with receipt.kept():
            outcomes = runner.run_all(plan, receipt)
        return _result(runner.context, directory, outcomes, complete=complete)


def _require_one_machine(request: InstallRequest) -> None:
    nodes = len(request.site.site.nodes)
    if request.local and not request.rehearsal and nodes > 1:
        raise UsageError(
            f"--connection local: expected a site of one node, found {nodes}",
            "This machine can be only one node; rehearse with --dry-run, or install over ssh.",
        )


@dataclass(slots=True)
class _Runner:
    """Runs the steps of one run."""

    context: Context
    journal: Journal
    clock: Clock
    progress: Progress

    def run_all(self, plan: Plan, receipt: Receipt) -> list[StepOutcome]:
        """Do what is not done; return all in order."""
        outcomes = []
        for number, planned in enumerate(plan.steps, start=1):
            place = f"[{number}/{len(plan.steps)}] {planned.step.name}"
            if planned.done:
                self.progress.note(f"{place}: already done")
                outcomes.append(_done_before(self.journal, planned))
                continue
            self.progress.note(_announcement(place, planned))
            with receipt.step(planned.step.name) as entry:
                outcome = self._run(planned)
                entry.update(outcome.result)
            self.progress.note(f"{place}: done in {duration(outcome.seconds)}")
            outcomes.append(outcome)
            if planned.step.name == "verify":
                self.context = replace(self.context, bundle=accepted_now(self.context))
        return outcomes

    def _run(self, planned: PlannedStep) -> StepOutcome:
        step, began = planned.step, self.clock.monotonic()

        def write(event: Event, result: Mapping[str, Any]) -> None:
            self.journal.write(
                self.clock.now(),
                StepEvent(self.context.run.name, step.name, event, planned.inputs),
                milliseconds=round((self.clock.monotonic() - began) * 1000),
                result=result,
            )

        write("began", {})
        try:
            result = dict(step.run(self.context))
        except (InterruptedByUserError, KeyboardInterrupt):
            write("interrupted", {})
            raise
        except IsowardError as error:
            write("failed", {"error": error.id, "message": error.message})
            raise
        write("finished", result)
        return StepOutcome(step.name, self.journal.records[-1].seconds, result)


def _announcement(place: str, planned: PlannedStep) -> str:
    again = ", which was interrupted" if planned.stopped else ""
    expected = ""
    if planned.expected is not None:
        expected = f" (about {duration(planned.expected.seconds)})"
    return f"{place}: {planned.step.title}{again}{expected}"


def _done_before(journal: Journal, planned: PlannedStep) -> StepOutcome:
    name = planned.step.name
    record = next(r for r in reversed(journal.records) if r.step == name and r.event == "finished")
    return StepOutcome(name, record.seconds, record.result, done_before=True)


def _planned(request: InstallRequest, context: Context, steps: Sequence[Step]) -> Plan:
    names = [step.name for step in steps]
    for option, name in (("--from", request.again_from), ("--until", request.until)):
        if name and name not in names:
            raise UsageError(
                f"{option}: expected one of {', '.join(names)}, found {name!r}",
                "`isoward plan` shows the steps.",
            )
    wanted = names.index(request.until) + 1 if request.until else len(names)
    if request.again_from and names.index(request.again_from) >= wanted:
        raise UsageError(
            f"--until {request.until}: expected a step that is not before --from "
            f"{request.again_from}",
            "`isoward plan` shows the order of the steps.",
        )
    # A rehearsal is of the whole way, whatever was done before.
    again_from = names[0] if request.rehearsal else request.again_from
    return make_plan(context, steps[:wanted], again_from=again_from)


def _facts(request: InstallRequest, context: Context) -> dict[str, Any]:
    site, bundle = context.site, context.bundle
    metadata = bundle.manifest.metadata
    with storage_errors(f"read {request.site.path}"):
        written = digest_of(request.site.path.read_bytes())
    return {
        "who": request.who,
        "site": site.metadata.name,
        "siteFile": written,
        "connection": "local" if request.local else "ssh",
        "dryRun": request.rehearsal,
        "depot": depot_url(site),
        "ca": digest_of(context.ca),
        "bundle": {
            "name": metadata.name,
            "version": metadata.version,
            "digest": bundle.record.digest,
            "waiver": words_of(bundle.record) or None,
        },
        "nodes": [
            {"name": n.name, "address": n.address, "zone": n.zone, "roles": list(n.roles)}
            for n in site.nodes
        ],
    }


def _result(
    context: Context, run: Path | None, outcomes: Sequence[StepOutcome], *, complete: bool
) -> InstallResult:
    record, steps = context.bundle.record, tuple(outcomes)
    return InstallResult(
        record.digest, words_of(record), context.state, run=run, steps=steps, complete=complete
    )


__all__ = ["RECEIPT_NAME", "InstallRequest", "InstallResult", "install", "plan_installation"]
