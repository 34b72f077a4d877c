"""What the commands about a cluster say of its plan, and of how an installation went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bundle.base.progress import counted
from installer.installation.forecast import Plan, PlannedStep
from installer.installation.run import RECEIPT_NAME, ClusterResult
from installer.records.expected import duration


def plan_page(plan: Plan) -> list[str]:
    """Return a plan as a person reads it."""
    lines = [f"plan for {plan.site}, with bundle.json {plan.bundle}"]
    for number, planned in enumerate(plan.steps, start=1):
        lines += ["", f"{number}. {planned.step.name}: {planned.step.title}"]
        lines.append(f"   {_standing(planned)}")
        lines += [f"   {change.where}: {change.what}" for change in planned.changes]
    left = [planned for planned in plan.steps if not planned.done]
    if not left:
        return [*lines, "", "Everything is done already."]
    known = sum(planned.expected is not None for planned in left)
    about = f", about {duration(plan.seconds)}" if known else ""
    short = f" for the {known} whose time is known" if 0 < known < len(left) else ""
    counts = f"{len(left)} of {len(plan.steps)} steps are to be done"
    return [*lines, "", f"{counts}{about}{short}."]


def _standing(planned: PlannedStep) -> str:
    if planned.done:
        return "done already"
    expected = planned.expected
    how_long = "nobody has recorded yet how long it takes"
    if expected is not None:
        where = "as it last took here" if expected.recorded_here else "as it took on lab machines"
        how_long = f"about {duration(expected.seconds)}, {where}"
    return f"was stopped in the middle; goes on; {how_long}" if planned.stopped else how_long


def result_data(site: str, done: ClusterResult) -> dict[str, Any]:
    """Return plain data, for `--json`."""
    return {
        "site": site,
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
        "complete": done.complete,
        "kubeconfig": str(done.state / "kubeconfig") if done.complete else None,
        "report": str(done.state / "report.html") if done.complete else None,
        "receipt": str(done.run / RECEIPT_NAME) if done.run else None,
    }


def result_page(site: str, done: ClusterResult) -> list[str]:
    """Return how an installation went, as a person reads it."""
    now = [step for step in done.steps if not step.done_before]
    until = "" if done.complete else f" until {done.steps[-1].name}"
    if not now:
        lines = [f"{site} is installed already{until}; nothing was to be done"]
        lines += ["  `--from STEP` does a step again, and all after it"]
    else:
        took = duration(sum(step.seconds for step in now))
        before = len(done.steps) - len(now)
        earlier = f"; {before} had been done before" if before else ""
        lines = [f"installed {site}{until}: {counted(len(now), 'step')} in {took}{earlier}"]
    lines += [f"WAIVER: {done.waiver}"] if done.waiver else []
    if done.complete:
        lines += [f"kubeconfig: {done.state / 'kubeconfig'}"]
        lines += [f"report: {done.state / 'report.html'}"]
    lines += [f"receipt: {done.run / RECEIPT_NAME}"] if done.run else []
    return lines


def first_plan_page(plan: Mapping[str, Any]) -> list[str]:
    """Return the plan of a site without a cluster as a person reads it."""
    lines = [f"plan for {plan['site']}, with bundle.json {plan['bundle']}"]
    for number, step in enumerate(plan["steps"], start=1):
        lines += ["", f"{number}. {step['step']}: {step['title']}"]
        if step["expectedSeconds"] is not None:
            lines.append(
                f"   about {duration(step['expectedSeconds'])}, as it took on lab machines"
            )
        lines += [f"   {change['where']}: {change['what']}" for change in step["changes"]]
    about = duration(plan["expectedSeconds"])
    return [*lines, "", f"{counted(len(plan['steps']), 'step')} to do, about {about}."]
