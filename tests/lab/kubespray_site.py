"""The site's side of a cluster in the lab: nodes, a depot, a site file, `isoward install`."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tests.lab.cluster_images import FIRST_IMAGE
from tests.lab.cluster_site import lab_cluster
from tests.lab.cluster_vendor import LAB_VARIABLES
from tests.lab.node import Lab, LabNode, lab
from tests.lab.site import write_site
from tests.support.cluster.kubernetes_build import VERSION
from tests.support.programs.processes import running
from tests.support.registries.journey import Machine

_KUBECTL: Final = ("/usr/local/bin/kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf")
_OVER_ALL: Final = "group_vars/all/zz-lab.yml"
_REQUEST: Final = re.compile(
    r'(?P<who>\S+) "(?P<method>[A-Z]+) (?P<path>\S+)[^"]*" (?P<status>\d{3})'
)
_INSTALL_SECONDS: Final = 3000


@dataclass(frozen=True)
class Request:
    """A request to the depot, from an address."""

    who: str
    method: str
    path: str
    status: int


@dataclass(frozen=True)
class ClusterSite:
    """A site in the lab.

    Attributes:
        lab: Its nodes.
        machine: The installer's.
        depot: With the bundle.
        site: The site file.
        overrides: What goes over the inventory.
        log: The depot's, with every request.
    """

    lab: Lab
    machine: Machine
    depot: Path
    site: Path
    overrides: Path
    log: Path

    @property
    def control(self) -> LabNode:
        return self.lab.nodes[0]

    def argv(self, command: str, *options: str | Path) -> list[str]:
        """Return the command line of `isoward COMMAND` for this site."""
        given = ("--depot", self.depot, "--overrides", self.overrides)
        return self.machine.argv(command, self.site, *given, *options)

    def attempt(self, command: str, *options: str | Path) -> subprocess.CompletedProcess[str]:
        """Run `isoward COMMAND` for this site, and return how it ended."""
        return subprocess.run(
            self.argv(command, *options), cwd=self.machine.home, env=self.machine.environment,
            capture_output=True, text=True, check=False, timeout=_INSTALL_SECONDS,
        )  # fmt: skip

    def result(self, command: str, *options: str | Path) -> dict[str, Any]:
        """Run `isoward COMMAND --json` for this site, which must succeed."""
        done = self.attempt(command, "--json", *options)
        assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    def steps(self) -> list[tuple[str, str]]:
        """Return the events of the journal so far: what happened to which step."""
        path = self.depot / "sites" / "lab" / "journal.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [(entry["event"], entry["step"]) for entry in map(json.loads, lines)]

    def tasks(self) -> int:
        """Return how many tasks of Kubespray the newest run has begun that did anything."""
        logs = sorted((self.depot / "runs").glob("*/artifacts/cluster/ansible.log"))
        return logs[-1].read_text(encoding="utf-8").count("\nTASK [") if logs else 0

    def kubectl(self, *arguments: str, stdin: str = "", timeout: float = 120) -> str:
        """Run kubectl on the first node of the control plane, which must succeed."""
        done = self.control.run(*_KUBECTL, *arguments, stdin=stdin.encode(), timeout=timeout)
        return done.stdout.decode()

    def requests(self) -> list[Request]:
        """Return every request to the depot."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return [
            Request(m["who"], m["method"], m["path"], int(m["status"]))
            for m in _REQUEST.finditer(text)
        ]


@contextmanager
def cluster_site(
    folder: Path, home: Path, depot: Path, nodes: int = 1, **kubernetes: Any
) -> Iterator[ClusterSite]:
    """Bring nodes up, and serve a depot to them alone.

    Args:
        folder: For the site's files, new.
        home: Of whoever installs.
        depot: With a bundle that has Kubespray.
        nodes: How many; the first one has every role.
        kubernetes: More options of the cluster.
    """
    folder.mkdir(parents=True)
    ready, log = folder / "ready.json", folder / "serve.log"
    machine = Machine(home)
    with lab(nodes=nodes) as made:
        argv = machine.argv(
            "serve", "--depot", depot, "--address", made.host_address, "--port", "0",
            "--ready-file", ready, "--access-log",
        )  # fmt: skip
        environment = machine.environment
        with running("isoward serve", argv, log, ready=ready.exists, env=environment):
            port = int(json.loads(ready.read_text())["url"].rpartition(":")[2])
            data = lab_cluster(made, port, VERSION, "kube-router", **kubernetes)
            data["firstImage"] = {"reference": FIRST_IMAGE, "command": ["/bin/sh", "-c", "true"]}
            site = write_site(folder / "site.yaml", data)
            overrides = folder / "overrides"
            (overrides / _OVER_ALL).parent.mkdir(parents=True)
            (overrides / _OVER_ALL).write_text(yaml.safe_dump(dict(LAB_VARIABLES)))
            yield ClusterSite(made, machine, depot, site, overrides, log)
