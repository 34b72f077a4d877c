"""Questions about the machine itself: its system, its size, its clock."""

from __future__ import annotations

import shlex
from typing import Final

from bundle.base.platform import matches
from bundle.kinds.systems import release_name, supported, systems_text
from bundle.model.finding import Finding, fail, ok, warn
from installer.preflight.question import Machine, Question, Wanted
from installer.preflight.shell import NOT_FOUND, Result, whole_number
from installer.preflight.sudo import SUDO

_ARCHITECTURES: Final = {
    "x86_64": "linux/amd64",
    "aarch64": "linux/arm64",
    "armv7l": "linux/arm/v7",
    "ppc64le": "linux/ppc64le",
    "riscv64": "linux/riscv64",
    "s390x": "linux/s390x",
}
_PYTHON: Final = (3, 9)
_PYTHON_VERSION: Final = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
_KIB_PER_GIB: Final = 1024 * 1024
_DISK_LEAST_GIB: Final = 1.0
_DISK_ENOUGH_GIB: Final = 10.0
_MEMORY_LEAST_GIB: Final = 0.5
_MEMORY_ENOUGH_GIB: Final = 2.0
_CLOCK_SECONDS: Final = 60.0
"""A certificate made a minute ago must already be valid on the node."""

_SUDO_SAYS: Final = (
    (
        ("must have a tty",),
        "Remove requiretty for the user in /etc/sudoers.d: Defaults:USER !requiretty.",
    ),
    (
        ("not in the sudoers", "not allowed", "may not run", "I'm afraid I can't do that"),
        "Let the user run everything, by a file in /etc/sudoers.d: USER ALL=(ALL) ALL.",
    ),
    (
        ("expired", "account locked", "assword change required"),
        "The user's account or password has expired: see `chage -l USER` on the node.",
    ),
    (
        ("incorrect password", "incorrect authentication"),
        "Correct sudoPassword in the site's secrets: it is not the user's.",
    ),
    (
        (
            "syntax error", "parse error", "no valid sudoers", "owned by uid", "world writable",
            "setuid", "effective uid is not 0", "no new privileges", "unable to initialize",
        ),
        "The node's sudo itself does not work: run `sudo true` there, and mend what it says.",
    ),
)  # fmt: skip
"""What sudo and sudo-rs say when they refuse, and what to do about it."""


def ask_root(machine: Machine, _: Wanted) -> Finding:
    """Ask whether we are root or may become it."""
    expected = "root, or sudo that lets us"
    if machine.run("id", "-u").out.strip() == "0":
        return ok(expected, "root")
    sudo = machine.run(*SUDO, "id", "-u")
    if sudo.out.strip() == "0":
        return ok(expected, "sudo")
    return fail(expected, f"neither ({sudo.said})", _sudo_advice(sudo))


def _sudo_advice(sudo: Result) -> str:
    """Return what to do about a sudo that refused, by what it said."""
    if sudo.code == NOT_FOUND:
        return "Use root, or install sudo on the node."
    said = sudo.err + sudo.out
    for phrases, advice in _SUDO_SAYS:
        if any(phrase in said for phrase in phrases):
            return advice
    return "Use root, give the user NOPASSWD in /etc/sudoers.d, or its password as sudoPassword."


def ask_system(machine: Machine, _: Wanted) -> Finding:
    """Ask for the distribution and its release."""
    fields = dict(
        line.split("=", 1)
        for line in machine.run("cat", "/etc/os-release").out.splitlines()
        if "=" in line
    )
    name, release = _unquote(fields.get("ID", "")), _unquote(fields.get("VERSION_ID", ""))
    found = f"{name} {release}".strip() or "no /etc/os-release"
    expected = systems_text()
    if supported(release_name(name, release)) is not None:
        return ok(expected, found)
    return fail(expected, found, "Set the machine up with a supported system.")


def ask_architecture(machine: Machine, wanted: Wanted) -> Finding:
    """Ask whether the image was built for this machine."""
    expected = " or ".join(wanted.platforms)
    uname = machine.run("uname", "-m").out.strip()
    platform = _ARCHITECTURES.get(uname, "")
    if any(matches(platform, offered) for offered in wanted.platforms):
        return ok(expected, platform)
    return fail(
        expected, platform or uname or "no answer",
        "Build the bundle for this platform too: platforms: in the definition.",
    )  # fmt: skip


def ask_python(machine: Machine, _: Wanted) -> Finding:
    """Ask for Python, which Ansible runs its modules with."""
    expected = f"python3 {_PYTHON[0]}.{_PYTHON[1]} or newer"
    answer = machine.run("python3", "-c", _PYTHON_VERSION)
    parts = (whole_number(part) for part in answer.out.strip().split(".")[:2])
    if answer.code == 0 and tuple(part for part in parts if part is not None) >= _PYTHON:
        return ok(expected, answer.out.strip())
    found = answer.out.strip() if answer.code == 0 else answer.said
    return fail(expected, found, "Install python3 on the node.")


def ask_systemd(machine: Machine, _: Wanted) -> Finding:
    """Ask whether systemd runs the machine."""
    expected = "systemd, running"
    state = machine.run("systemctl", "is-system-running")
    found = state.out.strip() or state.said
    if found == "running":
        return ok(expected, found)
    if found in {"degraded", "starting", "initializing"}:
        return warn(expected, found, "See `systemctl --failed` on the node.")
    return fail(expected, found, "The node must be a machine that systemd has started.")


def ask_clock(machine: Machine, wanted: Wanted) -> Finding:
    """Ask for the time, and compare it with ours halfway through the question."""
    expected = f"within {_CLOCK_SECONDS:.0f} s of the installer's clock"
    before = wanted.now()
    answer = machine.run("date", "+%s")
    middle = before.timestamp() + (wanted.now() - before).total_seconds() / 2
    theirs = whole_number(answer.out.strip())
    if theirs is None:
        return fail(expected, answer.said, "The node has no usable `date`.")
    away = theirs - middle
    found = f"{abs(away):.0f} s {'ahead' if away > 0 else 'behind'}"
    if abs(away) <= _CLOCK_SECONDS:
        return ok(expected, found)
    return fail(expected, found, "Set both clocks, or their time server.")


def ask_disk(machine: Machine, _: Wanted) -> Finding:
    """Ask for the space where containerd keeps images."""
    expected = f"{_DISK_ENOUGH_GIB:.0f} GiB free in /var/lib"
    answer = machine.run("df", "-Pk", "/var/lib")
    fields = answer.out.splitlines()[-1].split() if answer.out.strip() else []
    kib = whole_number(fields[3]) if len(fields) > 3 else None  # noqa: PLR2004
    if answer.code != 0 or kib is None:
        return fail(expected, answer.said, "The node has no usable `df`.")
    free = kib / _KIB_PER_GIB
    return _judge(
        free, expected, _DISK_LEAST_GIB, enough=_DISK_ENOUGH_GIB, advice="Free or add disk space."
    )


def ask_memory(machine: Machine, _wanted: Wanted) -> Finding:
    """Ask for the machine's memory."""
    expected = f"{_MEMORY_ENOUGH_GIB:.0f} GiB"
    answer = machine.run("cat", "/proc/meminfo")
    for line in answer.out.splitlines():
        name, _, value = line.partition(":")
        amount = whole_number(value.split()[0] if value.split() else "")
        if name == "MemTotal" and amount is not None:
            return _judge(
                amount / _KIB_PER_GIB, expected, _MEMORY_LEAST_GIB, enough=_MEMORY_ENOUGH_GIB,
                advice="Give the machine more memory.",
            )  # fmt: skip
    return fail(expected, answer.said, "The node has no usable /proc/meminfo.")


def ask_cgroups(machine: Machine, _: Wanted) -> Finding:
    """Ask for the version of control groups."""
    expected = "control groups version 2"
    kind = machine.run("stat", "-f", "-c", "%T", "/sys/fs/cgroup").out.strip()
    if kind == "cgroup2fs":
        return ok(expected, "version 2")
    if kind == "tmpfs":
        return warn(
            expected, "version 1",
            "It runs containers; newer Kubernetes wants systemd.unified_cgroup_hierarchy=1.",
        )  # fmt: skip
    return fail(expected, kind or "none", "The kernel must have control groups.")


def _judge(amount: float, expected: str, least: float, enough: float, advice: str) -> Finding:
    found = f"{amount:.1f} GiB"
    if amount >= enough:
        return ok(expected, found)
    if amount >= least:
        return warn(expected, found, advice)
    return fail(expected, found, advice)


def _unquote(value: str) -> str:
    try:
        return "".join(shlex.split(value)).lower()
    except ValueError:
        return ""


QUESTIONS: Final = (
    Question("root", "May we become root?", ask_root),
    Question("system", "Which system is it?", ask_system),
    Question("architecture", "Is the image for this machine?", ask_architecture),
    Question("python", "Is there a Python for Ansible?", ask_python),
    Question("systemd", "Does systemd run the machine?", ask_systemd),
    Question("clock", "Is its clock right?", ask_clock),
    Question("disk", "Is there space for images?", ask_disk),
    Question("memory", "Is there enough memory?", ask_memory),
    Question("cgroups", "Which control groups has it?", ask_cgroups),
)
