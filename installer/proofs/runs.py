"""Proofs about what runs: an image of the bundle on every node, and no way out of the nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bundle.model.finding import Finding, Verdict, failed, not_proven, proven
from installer.preflight.answers import Report
from installer.preflight.ask_site import DIRECT, Enquiry, ask_site
from installer.preflight.judge_outside import JUDGEMENTS
from installer.proofs.evidence import Bench, Proof
from installer.proofs.pods import (
    Pod,
    PodState,
    delete_pods,
    image_for,
    pod_log,
    pod_state,
    printable,
    run_pods,
)
from installer.steps.check_machines import wanted_of

_MAX_SAID: Final = 80
_WAYS_OUT: Final = ("way-out", "egress", "outside-names")
"""Questions of the preflight."""


def ask_image(bench: Bench) -> Finding:
    """Run an image of the bundle as a pod on every node; each pulls it from the depot."""
    expected = "an image of the bundle, pulled and run on every node"
    image = image_for(bench.site, bench.context.bundle.manifest)
    if image is None:
        return not_proven(
            expected,
            "no such image: neither firstImage nor pause is in the bundle",
            "Name an image of the bundle as firstImage in the site file.",
        )
    pods = [
        Pod(f"isoward-image-{i}-{bench.token}", bench.namespace, image.reference, image.command, n)
        for i, n in enumerate(node.name for node in bench.site.nodes)
    ]
    try:
        run_pods(bench, pods)
        states: dict[str, PodState] = {}

        def ask() -> bool | None:
            for pod in pods:
                if pod.node not in states or not _is_there(states[pod.node], image.command):
                    states[pod.node] = pod_state(bench, pod)
            return True if all(_is_there(s, image.command) for s in states.values()) else None

        bench.until(ask)
        troubles = [
            f"{node}: {trouble}"
            for node, state in states.items()
            if (trouble := _trouble(state, image.command, image.reference.digest))
        ]
        advice = "`kubectl get events` in its namespace says more. Does the depot serve the image?"
        if troubles:
            return failed(f"{expected}: {image.reference}", "; ".join(troubles), advice)
        said = {pod.node: printable(pod_log(bench, pod), _MAX_SAID) for pod in pods}
    finally:
        delete_pods(bench, pods)
    shown = "; ".join(f"{node}: {text or 'runs'}" for node, text in said.items())
    return proven(f"{expected}: {image.reference}", shown)


def ask_no_way_out(bench: Bench) -> Finding:
    """Ask every node what the preflight asked: for routes, connections and names of the world."""
    judgements = [judgement for judgement in JUDGEMENTS if judgement.id in _WAYS_OUT]
    enquiry, wanted = Enquiry(DIRECT, judgements), wanted_of(bench.context)
    report = ask_site(bench.site, bench.context.connect, wanted, enquiry=enquiry)
    return judge_ways_out(report)


def judge_ways_out(report: Report) -> Finding:
    """Judge the answers about ways out; one that is missing is never a pass."""
    expected = "no route to the world, no connection there, no answer for its names"
    wrong, unsure = [], []
    for node in report.nodes:
        answers = {answer.id: answer for answer in node.answers}
        for id_ in _WAYS_OUT:
            answer = answers.get(id_)
            if answer is None:
                unsure.append(f"{node.node}: {id_} could not be asked")
            elif answer.verdict is Verdict.FAIL:
                wrong.append(f"{node.node}: {answer.found}")
            elif answer.verdict is not Verdict.OK:
                # A route may end at a firewall, which no question here can see.
                unsure.append(f"{node.node}: {answer.found}")
    advice = "Close the way at the site's edge, and take the default route away."
    if wrong:
        return failed(expected, "; ".join(wrong), advice)
    if unsure:
        return not_proven(expected, "; ".join(unsure), advice)
    return proven(expected, f"none, asked on {len(report.nodes)} node(s)")


def _is_there(state: PodState, command: Sequence[str]) -> bool:
    """Say whether there is nothing to wait for: one without a command never ends by itself."""
    return state.ended or (not command and state.phase == "Running")


def _trouble(state: PodState, command: Sequence[str], digest: str) -> str:
    good = "Succeeded" if command else "Running"
    if state.phase != good:
        code = f", exit code {state.exit_code}" if state.exit_code is not None else ""
        return f"{state.phase or 'no pod'}{code} {state.reason}".strip()
    return "" if digest in state.image else f"runs {state.image or 'an unknown image'}"


PROOFS: Final = (
    Proof("image", "Images of the bundle run on every node", ("164.312(c)(1)",), ask_image),
    Proof("no-way-out", "Nothing leaves the site", ("164.312(e)(1)",), ask_no_way_out),
)
