"""What commands say of an installation: its plan, what machines answered, and how it went."""

from __future__ import annotations

from typing import Any

from bundle.base.errors import IsowardError
from bundle.base.progress import counted
from bundle.cli.output import Output
from installer.installation.context import InstallRequest
from installer.installation.forecast import Plan, PlannedStep
from installer.installation.run import RECEIPT_NAME, InstallResult
from installer.preflight.answers import Report
from installer.preflight.ask import require_ready
from installer.preflight.table import by_question
from installer.records.expected import duration
from installer.steps.first_image import FirstImageStep


def plan_page(plan: Plan) -> list[str]:
    """Return a plan as a person reads it."""
    lines = [f"plan for {plan.site}, with bundle.json {plan.bundle}"]
    for number, planned in enumerate(plan.steps, start=1):
        lines += ["", f"{number}. {planned.step.name}: {planned.step.title}"]
        lines.append(f"   {_standing(planned)}")
        lines += [f"   {change.where}: {change.what}" for change in planned.changes]
    left = [planned for planned in plan.steps if not planned.done]
    if not left:
        return [*lines, "", "Everything is already done."]
    known = sum(planned.expected is not None for planned in left)
    about = f", about {duration(plan.seconds)}" if known else ""
    short = f" for the {known} whose time is known" if 0 < known < len(left) else ""
    counts = f"{len(left)} of {len(plan.steps)} steps to do"
    return [*lines, "", f"{counts}{about}{short}."]


def _standing(planned: PlannedStep) -> str:
    if planned.done:
        return "done already"
    expected = planned.expected
    how_long = "no recorded duration yet"
    if expected is not None:
        where = "as it last took here" if expected.recorded_here else "as it took on lab machines"
        how_long = f"about {duration(expected.seconds)}, {where}"
    return f"interrupted; will resume; {how_long}" if planned.stopped else how_long


def result_data(request: InstallRequest, done: InstallResult) -> dict[str, Any]:
    """Return plain data, for `--json`."""
    first = done.step(FirstImageStep.name)
    said = first.result if first else {}
    return {
        "site": request.site.site.metadata.name,
        "dryRun": request.rehearsal,
        "bundle": done.bundle,
        "waiver": done.waiver or None,
        "steps": [
            {
                "step": step.name,
                "doneBefore": step.done_before,
                "seconds": round(step.seconds, 3),
                "result": dict(step.result),
            }
            for step in done.steps
        ],
        **{key: said[key] for key in ("image", "outputs", "changed") if key in said},
        "complete": done.complete,
        **_files(done),
        "receipt": str(done.run / RECEIPT_NAME) if done.run else None,
    }


def _files(done: InstallResult) -> dict[str, str | None]:
    """Return what the site's folder has of a whole installation, by the step that wrote it."""
    return {
        name: str(done.state / file) if done.complete and done.step(name) else None
        for name, file in (("kubeconfig", "kubeconfig"), ("report", "report.html"))
    }


def result_page(request: InstallRequest, done: InstallResult) -> list[str]:
    """Return how an installation went, as a person reads it."""
    site = request.site.site.metadata.name
    now = [step for step in done.steps if not step.done_before]
    first = next((step.result for step in now if step.name == FirstImageStep.name), None)
    changes = sum(len(tasks) for tasks in first["changed"].values()) if first else 0
    until = "" if done.complete else f" until {done.steps[-1].name}"
    if not now:
        lines = [f"{site} is already installed{until}; nothing to do"]
        lines += ["  `--from STEP` repeats a step and all after it"]
    elif request.rehearsal:
        what = f"{changes} change(s) to files would be made; nothing was changed"
        lines = [f"rehearsed {site}{until}: {what}"]
    else:
        took = duration(sum(step.seconds for step in now))
        before = len(done.steps) - len(now)
        earlier = f"; {before} already done" if before else ""
        lines = [f"installed {site}{until}: {counted(len(now), 'step')} in {took}{earlier}"]
        lines += [f"{changes} change(s) on {len(first['nodes'])} node(s)"] if first else []
    if first:
        said = sorted(first["outputs"].items())
        lines += [f"{node}: {first['image']} said: {text}" for node, text in said]
    lines += [f"WAIVER: {done.waiver}"] if done.waiver else []
    lines += [f"{name}: {path}" for name, path in _files(done).items() if path]
    lines += [f"receipt: {done.run / RECEIPT_NAME}"] if done.run else []
    return lines


def tell_answers(output: Output, report: Report) -> int:
    """Say what all machines answered, and whether they are ready; return the exit code.

    Raises:
        InstallError: One is not; with `--json`, that is part of what was said.
    """
    output.say(*by_question(report))
    try:
        require_ready(report)
    except IsowardError as error:
        if not output.as_json:
            raise
        # The one error object of `--json`, and with it all answers.
        refused = {
            "error": error.id,
            "exitCode": error.exit_code,
            "message": error.message,
            "hint": error.hint,
            "context": error.context,
        }
        output.result({"ready": False, **refused, "nodes": report.data()})
        return error.exit_code
    output.result({"ready": True, "nodes": report.data()}, "every node is ready")
    return 0
