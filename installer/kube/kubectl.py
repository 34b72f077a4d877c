"""kubectl on the first control-plane node, as root there: the way to the cluster for our steps."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bundle.base.errors import StepError, UnreachableError
from bundle.base.plain import visible
from installer.preflight.question import Machine
from installer.preflight.shell import NO_ANSWER, NOT_FOUND, Result, Shell
from installer.preflight.sudo import SUDO
from installer.site.document import Node, Site

KUBECTL: Final = ("/usr/local/bin/kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf")
"""Where Kubespray puts the program and the administrator's credentials."""

FIELD_MANAGER: Final = "isoward"
MANAGED_BY: Final = {"app.kubernetes.io/managed-by": "isoward"}
"""The label of all that our steps make in a cluster."""

OURS: Final = "app.kubernetes.io/managed-by=isoward"
"""The same, as a selector."""

_REQUEST_SECONDS: Final = 15
"""Shorter than a shell waits for an answer, so that kubectl itself says what it waited for."""

_MAX_SAID: Final = 600


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl on one node.

    Attributes:
        node: The node's name, for messages.
        machine: The node.
        command: The program with its credentials.
    """

    node: str
    machine: Machine
    command: Sequence[str] = KUBECTL

    def ask(self, *arguments: str, stdin: bytes = b"") -> Result:
        """Run kubectl, whatever its answer is."""
        return self.machine.shell.run(
            *self.machine.privileged,
            *self.command,
            f"--request-timeout={_REQUEST_SECONDS}s",
            *arguments,
            stdin=stdin,
        )

    def run(self, *arguments: str, stdin: bytes = b"") -> str:
        """Run kubectl and return what it printed.

        Raises:
            UnreachableError: The node or its API server gave no answer in time.
            StepError: kubectl refused, or is not there.
        """
        result = self.ask(*arguments, stdin=stdin)
        if result.code == 0:
            return result.out
        what = f"{self.node}: kubectl {' '.join(arguments[:3])}: {complaint(result)}"
        if result.code == NO_ANSWER:
            raise UnreachableError(
                what, "Is the node up, and its API server? Then run the same command again.",
                {"node": self.node},
            )  # fmt: skip
        hint = "Correct the cause, then run the same command again."
        if result.code == NOT_FOUND:
            hint = f"Kubespray puts it at {self.command[0]}: did the step `cluster` finish?"
        raise StepError(what, hint, {"node": self.node, "exitCode": result.code})

    def values(self, *arguments: str) -> tuple[Any, ...]:
        """Return parts of one object, each as plain data, and None for what it lacks.

        Args:
            arguments: What to get, followed by the parts as JSON paths, such as `.spec.taints`.
                A whole object may be larger than what is read of a program.
        Returns:
            As many values as there are paths; none at all where there is no such object.
        """
        paths = [text for text in arguments if text.startswith(".")]
        asked = [text for text in arguments if not text.startswith(".")]
        template = '{"\\n"}'.join(f"{{{path}}}" for path in paths)
        out = self.run("get", *asked, "--ignore-not-found", "-o", f"jsonpath={template}")
        if not out.strip():
            return ()
        lines = out.split("\n")
        if len(lines) < len(paths):
            raise self._unreadable(asked)
        return tuple(self._value(line, asked) for line in lines[: len(paths)])

    def names(self, *arguments: str) -> tuple[str, ...]:
        """Return the `namespace/name` of each object that is asked for."""
        template = '{range .items[*]}{.metadata.namespace}/{.metadata.name}{"\\n"}{end}'
        return tuple(self.run("get", *arguments, "-o", f"jsonpath={template}").split())

    def apply(self, documents: Sequence[Mapping[str, Any]], *options: str) -> str:
        """Make the cluster have these objects as they are here; other fields stay as they are.

        Raises:
            UnreachableError: No answer in time.
            StepError: The API server refused one.
        """
        return self.run(
            "apply",
            "--server-side",
            f"--field-manager={FIELD_MANAGER}",
            "--force-conflicts",
            *options,
            "-f",
            "-",
            stdin=as_list(documents),
        )

    def _value(self, line: str, asked: Sequence[str]) -> Any:
        if not line:
            return None
        if line[0] not in "{[":
            return line
        try:
            return json.loads(line)
        except ValueError as error:
            raise self._unreadable(asked) from error

    def _unreadable(self, asked: Sequence[str]) -> StepError:
        return StepError(
            f"{self.node}: kubectl get {' '.join(asked)}: expected JSON, found something else",
            "Is the program on the node the one that Kubespray installed?",
            {"node": self.node},
        )


def first_control_plane(site: Site) -> Node:
    """Return the node on which kubectl runs; a checked site with a cluster has one."""
    return site.nodes_with("control-plane")[0]


def machine_of(shell: Shell) -> Machine:
    """Return a machine that can be asked as root, by sudo where we are somebody else."""
    root = shell.run("id", "-u").out.strip() == "0"
    return Machine(shell, () if root else SUDO)


def as_list(documents: Sequence[Mapping[str, Any]]) -> bytes:
    """Write objects as the one document that kubectl reads from its standard input."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)}).encode()


def complaint(result: Result) -> str:
    """Return what a program complained about, in one printable line."""
    text = result.err.strip() or result.out.strip() or f"exit code {result.code}"
    return visible(" ".join(text.split()))[:_MAX_SAID]
