"""Judging what others have left on a node, or are doing to it."""

from __future__ import annotations

from typing import Final

from bundle.model.finding import Finding, fail, ok, warn
from installer.preflight.situation import Judgement, Subject, shown


def judge_cluster(subject: Subject) -> Finding | None:
    """Judge traces of a cluster; one of this very site is where an installation goes on."""
    left = subject.facts.leftovers
    if left is None:
        return None
    expected = "no other cluster"
    if subject.known:
        return ok(expected, "this site's own")
    if left.site:
        return fail(
            expected,
            f"/etc/isoward/site.json says that it belongs to the site {shown(left.site)}",
            "Is it the right machine? If it was given up there, set it up anew.",
        )
    found = [*(f"running {name}" for name in left.processes), *left.files]
    if not found:
        return ok(expected, "none")
    return fail(
        expected,
        shown(found),
        "Save what is needed of it, then set the machine up anew, or run `kubeadm reset`.",
    )


def judge_networks(subject: Subject) -> Finding | None:
    """Judge what another network plugin has left."""
    left = subject.facts.leftovers
    if left is None:
        return None
    expected = "no configuration or interface of a network plugin"
    if subject.known or not left.networks:
        return ok(expected, "this site's own" if left.networks else "none")
    return fail(
        expected,
        shown(left.networks),
        "Move the files away and delete the interfaces (`ip link delete NAME`), or restart it.",
    )


def judge_engine(subject: Subject) -> Finding | None:
    """Judge containers and engines that are there already."""
    left = subject.facts.leftovers
    if left is None:
        return None
    expected = "no container engine in use, and no settings of one"
    if subject.known:
        return ok(expected, "this site's own")
    if left.engines or left.tasks:
        running = [*(f"{name} runs" for name in left.engines), *left.tasks]
        return fail(
            expected,
            shown(running),
            "Stop and move these containers: the installation takes other engines away.",
        )
    if left.engine_files:
        return warn(
            expected,
            shown(left.engine_files),
            "Move it away if nobody needs it: the installation replaces containerd's settings and "
            "knows nothing of Docker's.",
        )
    return ok(expected, "none")


def judge_lock(subject: Subject) -> Finding | None:
    """Judge whether somebody is at the packages."""
    left = subject.facts.leftovers
    if left is None:
        return None
    if not left.locks:
        return ok("nobody at the packages", "nobody")
    return fail(
        "nobody at the packages",
        shown(left.locks),
        "Wait until it is done; turn automatic upgrades off for the installation.",
    )


def judge_packages(subject: Subject) -> Finding | None:
    """Judge whether packages are half installed, or may come unsigned."""
    left = subject.facts.leftovers
    if left is None:
        return None
    expected = "no package half installed, and no source without signatures"
    if left.unfinished:
        return fail(
            expected,
            f"half installed: {shown(left.unfinished)}",
            "Run `dpkg --configure -a`, or remove them.",
        )
    if left.unsigned:
        return warn(
            expected,
            f"not checked: {shown(left.unsigned)}",
            "Remove the source, or trusted=yes and gpgcheck=0 in it.",
        )
    return ok(expected, "none")


JUDGEMENTS: Final = (
    Judgement("leftover-cluster", "Is it free of other clusters?", "leftovers", judge_cluster),
    Judgement("leftover-network", "Is it free of other plugins?", "leftovers", judge_networks),
    Judgement("container-engine", "Is no engine in use?", "leftovers", judge_engine),
    Judgement("package-lock", "Is nobody at its packages?", "leftovers", judge_lock),
    Judgement("packages", "Are its packages in order?", "leftovers", judge_packages),
)
