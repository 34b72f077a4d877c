"""What our way of running Ansible costs over Ansible alone, on the same play in the same run."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bench.measure import Run, run
from bench.report import Section, Stamp, table
from installer.ansible_run.runner import find_program
from installer.ansible_run.variables import ansible_environment
from tests.lab.node import Lab, lab

TOOLS = ("ssh", "mmdebstrap", "systemd-nspawn")
_GOAL = 1.05
_TEXT = """\
The same play of {tasks} small tasks, as Kubespray has them, on {nodes} lab nodes over ssh, with the
same settings: by `ansible-playbook` with its output in a file, and as the step `cluster` runs it,
where every event passes the redactor, is kept, and moves the progress. {rounds} rounds, in turn;
each ratio is of one round.

{table}

{stamp}
"""
_OURS = """\
import json, sys
from datetime import UTC, datetime
from pathlib import Path
from bundle.cli.progress_bar import LineProgress
from installer.ansible_run.followed import Expected, PlayLog
from installer.base.redact import Redactor
from installer.ansible_run.runner import Run, run_playbook
import time
folder, nodes, tasks = Path(sys.argv[1]), sys.argv[2].split(","), int(sys.argv[3])
progress = LineProgress(sys.stderr, time.monotonic)
secrets = ["a password of the site", "A" * 32]
run = Run(folder / sys.argv[4], "cluster.yml", folder / "hosts.yaml", folder / "known_hosts", nodes,
          local=False, check=False, project=folder,
          settings={"ANSIBLE_DISPLAY_SKIPPED_HOSTS": "False"},
          redactor=Redactor(secrets, folder))
log = PlayLog(progress, Expected(tasks, 60), lambda: datetime.now(UTC), nodes)
run_playbook(run, progress, log)
log.end()
"""


@dataclass(frozen=True)
class _Round:
    """One run of each.

    Attributes:
        ours: Of Isoward.
        bare: Of ansible-playbook.
    """

    ours: Run
    bare: Run

    @property
    def ratio(self) -> float:
        return self.ours.seconds / self.bare.seconds


def overhead(work: Path, stamp: Stamp, tasks: int, nodes: int, rounds: int) -> Section:
    """Measure so many rounds of a play of so many tasks."""
    with lab(nodes=nodes) as site:
        _write_project(work, site, tasks)
        _bare(work)  # so that nobody pays for what is read for the first time
        measured = [_Round(bare=_bare(work), ours=_ours(work, site, tasks, i))
                    for i in range(rounds)]  # fmt: skip
    ratios = [one.ratio for one in measured]
    ratio = statistics.median(ratios)
    line = [
        f"{statistics.median(one.ours.seconds for one in measured):.1f} s",
        f"{statistics.median(one.bare.seconds for one in measured):.1f} s",
        f"**{ratio:.3f}**",
        f"{min(ratios):.3f} to {max(ratios):.3f}",
        f"≤ {_GOAL}",
        f"{max(one.ours.memory for one in measured):.0f} MiB",
    ]
    head = ("isoward", "ansible-playbook", "ratio", "spread", "goal", "memory")
    text = _TEXT.format(
        tasks=tasks, nodes=nodes, rounds=rounds, table=table(head, [line]), stamp=stamp
    )
    missed = (f"overhead over ansible-playbook: {ratio:.3f}",) if ratio > _GOAL else ()
    return Section("Overhead of a run", text, missed)


def _ours(work: Path, site: Lab, tasks: int, number: int) -> Run:
    names = ",".join(node.name for node in site.nodes)
    return run([sys.executable, "-c", _OURS, work, names, str(tasks), f"run-{number}"])


def _bare(work: Path) -> Run:
    inherited = dict(os.environ)
    with ansible_environment(
        work / "roles", work / "known_hosts", local=False, inherited=inherited
    ) as settings:
        settings["ANSIBLE_DISPLAY_SKIPPED_HOSTS"] = "False"
        command = [str(find_program()), "-i", str(work / "hosts.yaml"), str(work / "cluster.yml")]
        line = f"exec {subprocess.list2cmdline(command)} > {work}/bare.log"
        words = [f"{name}={value}" for name, value in settings.items()]
        return run(["env", "-i", *words, "/bin/sh", "-c", line], cwd=work)


def _write_project(work: Path, site: Lab, tasks: int) -> None:
    hosts = {
        node.name: {
            "ansible_host": node.address,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(site.ssh_key),
        }
        for node in site.nodes
    }
    (work / "hosts.yaml").write_text(yaml.safe_dump({"all": {"hosts": hosts}}))
    lines = [f"{node.address} {node.host_key}\n" for node in site.nodes]
    (work / "known_hosts").write_text("".join(lines))
    play = {
        "name": "Measure",
        "hosts": "all",
        "gather_facts": True,
        "tasks": [_task(i) for i in range(tasks)],
    }
    (work / "cluster.yml").write_text(yaml.safe_dump([play], sort_keys=False))


def _task(i: int) -> dict[str, Any]:
    """Return a task; the mix is about that of Kubespray's first hundreds."""
    path = f"/tmp/isoward-bench-{i}"
    kinds: list[dict[str, Any]] = [
        {"command": "true", "changed_when": False},
        {"stat": {"path": path}, "register": "found"},
        {"set_fact": {"some": "{{ inventory_hostname }}"}},
        {"copy": {"content": "x" * 200 + "\n", "dest": path, "mode": "0600"}},
        {"command": "true", "when": "inventory_hostname == 'nobody'"},
        {"file": {"path": path, "state": "absent"}},
    ]
    return {"name": f"Task {i}", **kinds[i % len(kinds)]}
