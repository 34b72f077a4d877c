"""Running a playbook with ansible-runner: events kept, success proven, Ctrl-C obeyed."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Final

import ansible_runner

from bundle.base.errors import (
    InstallError,
    InterruptedByUserError,
    StepError,
    UnreachableError,
)
from bundle.base.extras import OPERATOR, how_to_install
from bundle.base.progress import Progress
from bundle.store.atomic import storage_errors
from installer.ansible_run.events import EventLog, Failure
from installer.ansible_run.explain import explain
from installer.ansible_run.left_running import MARKER, end_run
from installer.ansible_run.memory import memory_folder, write_variables
from installer.ansible_run.run_log import EVENTS_NAME, LOG_NAME, RunLog, kept_in, write_end
from installer.ansible_run.variables import ansible_environment, only_ours
from installer.base.redact import Redactor

PLAYBOOKS: Final = Path(__file__).resolve().parent.parent / "ansible"
_PROGRAM: Final = "ansible-playbook"
_NAMED: Final = 5
_BEGUN: Final = "playbook_on_start"
MAX_FORKS: Final = 50
"""Each is a process of some 60 MB on the installer's machine."""

_POLL_SECONDS: Final = 1
"""How soon Ctrl-C is noticed while a task is silent."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of one playbook.

    Attributes:
        directory: Of the run that it belongs to; what is kept goes below `artifacts/` there.
        playbook: A file of the project.
        inventory: The inventory file.
        known_hosts: The pinned keys.
        nodes: Whom the playbook must have reached.
        local: Whether it runs on this machine.
        check: Whether nothing may be changed.
        project: The folder with the playbook and its roles; ours when left out.
        program: ansible-playbook; that of our own environment when left out.
        settings: Ansible's settings besides ours, as environment variables.
        arguments: For ansible-playbook; never a secret.
        variables: Over all others, such as secrets; they are never written to a disk.
        redactor: What is kept of the run passes by it.
    """

    directory: Path
    playbook: str
    inventory: Path
    known_hosts: Path
    nodes: Sequence[str]
    local: bool
    check: bool
    project: Path | None = None
    program: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    arguments: Sequence[str] = ()
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False)
    redactor: Redactor = field(default_factory=Redactor)

    @property
    def name(self) -> str:
        """What the run's artifacts are filed under."""
        return Path(self.playbook).stem

    @property
    def artifacts(self) -> Path:
        """Where its events and its output are."""
        return self.directory / "artifacts" / self.name


def side_by_side(nodes: int) -> int:
    """Return on how many nodes Ansible works at once: by itself it takes five at a time."""
    return max(1, min(nodes, MAX_FORKS))


def run_playbook(run: Run, progress: Progress, log: EventLog | None = None) -> EventLog:
    """Run a playbook to its end on every node.

    Args:
        run: What.
        progress: Told of each task as it ends.
        log: What takes the events, if it is not to be a plain one.
    Raises:
        UnreachableError: A node was lost.
        StepError: A task failed, or Ansible did not say that all went well.
        InterruptedByUserError: Ctrl-C.
        StorageError: The disk refuses.
    """
    events = log or EventLog(progress)
    with (
        ansible_environment(
            _project(run) / "roles", run.known_hosts, local=run.local, inherited=os.environ
        ) as settings,
        memory_folder() as memory,
        kept_in(run.artifacts, run.redactor) as kept,
        interruptible() as is_interrupted,
    ):
        variables = write_variables(memory, run.variables)
        taker = _Taker(kept, events, variables)
        settings |= {
            "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(memory / "facts"),
            "ANSIBLE_FORKS": str(side_by_side(len(run.nodes))),
            **run.settings,
        }
        settings[MARKER] = str(run.directory)
        config = _configure(run, settings, memory, variables)
        runner = ansible_runner.Runner(
            config,
            event_handler=taker.take,
            cancel_callback=lambda: is_interrupted() or taker.broken is not None,
        )
        status = ""
        try:
            status, code = runner.run()
        finally:
            if status in {"", "canceled"}:
                end_run(run.directory)
    if taker.broken is not None:
        with storage_errors(f"write into {run.artifacts}"):
            raise taker.broken
    write_end(run.artifacts, status, code)
    if status == "canceled":
        raise InterruptedByUserError(
            f"stopped by the user; events are in {run.artifacts}",
            "Run the same command again to resume; finished work is kept.",
        )
    _require_success(run, events, code)
    return events


@dataclass(slots=True)
class _Taker:
    """Takes events from ansible-runner.

    Attributes:
        kept: Where they are kept.
        log: What reads them.
        variables: A file that is not needed once Ansible has begun.
        broken: Why an event could not be kept.
    """

    kept: RunLog
    log: EventLog
    variables: Path
    broken: OSError | None = None

    def take(self, event: Mapping[str, Any]) -> bool:
        """Take one; the runner itself is to keep none."""
        if event.get("event") == _BEGUN:
            self.variables.unlink(missing_ok=True)
        try:
            self.log.take(self.kept.take(event))
        except OSError as error:
            # The runner would go on without a word, and nobody would know what it did.
            self.broken = error
        return False


def find_program() -> Path:
    """Return ansible-playbook of our own environment; one that PATH has may be another release.

    Raises:
        InstallError: It is not there.
    """
    program = Path(sys.executable).parent / _PROGRAM
    if not program.is_file():
        raise InstallError(
            f"expected {_PROGRAM} beside {sys.executable}, found none",
            how_to_install(OPERATOR),
        )
    return program


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and other requests to stop into an answer for the block, not an exception."""
    pressed = threading.Event()
    # Python sets handlers in the main thread only; elsewhere the caller's own stay.
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return

    def press(_signal: int, _frame: FrameType | None) -> None:
        pressed.set()

    wanted = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        # Under nohup a terminal that goes away is no request.
        wanted.append(signal.SIGHUP)
    before = {number: signal.signal(number, press) for number in wanted}
    try:
        yield pressed.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _project(run: Run) -> Path:
    return run.project or PLAYBOOKS


def _configure(run: Run, settings: dict[str, str], memory: Path, variables: Path) -> Any:
    project = _project(run)
    arguments = [*(("--check", "--diff") if run.check else ()), *run.arguments]
    arguments += ["-e", f"@{variables}"]
    # Its own files, among them each event before it was redacted, are in memory only.
    config = ansible_runner.RunnerConfig(
        private_data_dir=str(memory),
        project_dir=str(project),
        playbook=str(project / run.playbook),
        inventory=str(run.inventory),
        ident=run.name,
        envvars=settings,
        cmdline=shlex.join(arguments) or None,
        fact_cache_type="memory",
        quiet=True,
        settings={
            "pexpect_timeout": _POLL_SECONDS,
            "suppress_ansible_output": True,
            "suppress_output_file": True,
        },
    )
    config.prepare()
    config.command[0] = str(run.program or find_program())
    config.env = only_ours(config.env, settings)
    return config


def _require_success(run: Run, log: EventLog, code: int) -> None:
    context: dict[str, str | int] = {
        "events": str(run.artifacts / EVENTS_NAME),
        "log": str(run.artifacts / LOG_NAME),
        "exitCode": code,
    }
    if code == 0 and log.is_complete(run.nodes):
        return
    if log.failures:
        raise _error_of(log.failures, context)
    raise StepError(
        f"{run.playbook}: expected every node to finish, found exit code {code} and "
        f"{_last_line(run.artifacts / LOG_NAME)!r}",
        f"All output is in {run.artifacts}.",
        context,
    )


def _error_of(failures: Sequence[Failure], context: dict[str, str | int]) -> InstallError:
    """Return the error for what went wrong first; other nodes where it did so are named."""
    first = failures[0]
    context = context | {"node": first.node, "task": first.task}
    same = [other.node for other in failures[1:] if other.task == first.task]
    also = f" (also on {', '.join(same[:_NAMED])})" if same else ""
    known = explain(first)
    advice = f"Likely {known.cause}. {known.advice} " if known is not None else ""
    if known is not None:
        context["cause"] = known.cause
    log = f"The log is {context['log']}."
    if first.unreachable:
        return UnreachableError(
            f"{first.node}: lost during {first.where!r}: {first.reason}{also}",
            f"{advice}{log} Run the same command again when the node is back.",
            context,
        )
    return StepError(
        f"{first.node}: {first.where!r} failed: {first.reason}{also}",
        f"{advice}{log} Correct the cause, then run the same command again.",
        context,
    )


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return "no output"
    said = [line.strip() for line in lines if line.strip()]
    return said[-1][:300] if said else "no output"
