"""Running a playbook with ansible-runner: events kept, success proven, Ctrl-C obeyed."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

import ansible_runner

from bundle.model.errors import (
    InstallError,
    InterruptedByUserError,
    StepError,
    UnreachableError,
)
from bundle.model.progress import Progress
from installer.steps.ansible_env import ansible_environment, only_ours
from installer.steps.events import EventLog

PLAYBOOKS: Final = Path(__file__).resolve().parent.parent / "ansible"
_PROGRAM: Final = "ansible-playbook"
_POLL_SECONDS: Final = 1
"""How soon Ctrl-C is noticed while a task is silent."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one playbook.

    Attributes:
        directory: Fresh, and of this run only: a reused one changes what ansible-runner does.
        playbook: A file of `installer/ansible`.
        inventory: The inventory file.
        known_hosts: The pinned keys.
        nodes: Whom the playbook must have reached.
        local: Whether it runs on this machine.
        check: Whether nothing may be changed.
    """

    directory: Path
    playbook: str
    inventory: Path
    known_hosts: Path
    nodes: Sequence[str]
    local: bool
    check: bool

    @property
    def name(self) -> str:
        """What the run's artifacts are filed under."""
        return Path(self.playbook).stem

    @property
    def artifacts(self) -> Path:
        """Where the events are."""
        return self.directory / "artifacts" / self.name


def run_playbook(run: Run, progress: Progress) -> EventLog:
    """Run a playbook to its end on every node.

    Raises:
        UnreachableError: A node was lost.
        StepError: A task failed, or Ansible did not say that all went well.
        InterruptedByUserError: Ctrl-C.
    """
    log = EventLog(progress)
    with (
        ansible_environment(
            PLAYBOOKS / "roles", run.known_hosts, local=run.local, inherited=os.environ
        ) as settings,
        interruptible() as is_interrupted,
    ):
        config = _configure(run, settings)
        runner = ansible_runner.Runner(
            config, event_handler=log.take, cancel_callback=is_interrupted
        )
        status, code = runner.run()
    if status == "canceled":
        raise InterruptedByUserError(
            f"stopped by the user; events are in {run.artifacts}",
            "Run the same command again to go on; what was done stays done.",
        )
    _require_success(run, log, code)
    return log


def find_program() -> Path:
    """Return ansible-playbook of our own environment; one that PATH has may be another release.

    Raises:
        InstallError: It is not there.
    """
    program = Path(sys.executable).parent / _PROGRAM
    if not program.is_file():
        raise InstallError(
            f"expected {_PROGRAM} beside {sys.executable}, found none",
            "Install isoward with its extra: isoward[installer].",
        )
    return program


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into an answer for the block, instead of an exception anywhere."""
    pressed = threading.Event()
    # Python sets handlers in the main thread only; elsewhere the caller's own stay.
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return

    def press(_signal: int, _frame: FrameType | None) -> None:
        pressed.set()

    before = {number: signal.signal(number, press) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield pressed.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _configure(run: Run, settings: dict[str, str]) -> Any:
    config = ansible_runner.RunnerConfig(
        private_data_dir=str(run.directory),
        project_dir=str(PLAYBOOKS),
        playbook=str(PLAYBOOKS / run.playbook),
        inventory=str(run.inventory),
        ident=run.name,
        envvars=settings,
        cmdline="--check --diff" if run.check else None,
        fact_cache_type="memory",
        quiet=True,
        settings={"pexpect_timeout": _POLL_SECONDS, "suppress_ansible_output": True},
    )
    config.prepare()
    config.command[0] = str(find_program())
    config.env = only_ours(config.env, settings)
    return config


def _require_success(run: Run, log: EventLog, code: int) -> None:
    events = run.artifacts / "job_events"
    context: dict[str, str | int] = {"events": str(events), "exitCode": code}
    for failure in log.failures:
        context |= {"node": failure.node, "task": failure.task}
        if failure.unreachable:
            raise UnreachableError(
                f"{failure.node}: lost during {failure.task!r}: {failure.reason}",
                f"Events are in {events}. Run the same command again when the node is back.",
                context,
            )
        raise StepError(
            f"{failure.node}: {failure.task!r} failed: {failure.reason}",
            f"Events are in {events}. Correct the cause, then run the same command again.",
            context,
        )
    if code != 0 or not log.is_complete(run.nodes):
        raise StepError(
            f"{run.playbook}: expected every node to finish, found exit code {code} and "
            f"{_last_line(run.artifacts / 'stdout')!r}",
            f"All that was said is in {run.artifacts}.",
            context,
        )


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return "no output"
    said = [line.strip() for line in lines if line.strip()]
    return said[-1][:300] if said else "no output"
