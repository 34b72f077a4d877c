"""Pods that proofs run: what they are made of, how they ended, what they said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bundle.base.errors import StepError
from bundle.base.plain import visible
from bundle.base.reference import Reference, parse_reference
from bundle.model.manifest import Manifest
from installer.kube.kubectl import MANAGED_BY
from installer.proofs.evidence import PAUSE_SECONDS, PROOF_LABEL, Bench
from installer.site.document import Site

_MAX_LOG_BYTES: Final = 8192
_APPLY_TRIES: Final = 15
"""A namespace lacks its service account for a moment after it was made."""

_HOSTNAME: Final = "kubernetes.io/hostname"
_PAUSE: Final = "pause"
_NO_PROGRAM: Final = ("no such file or directory", "executable file not found")
# Waiting for these is in vain.
_HOPELESS: Final = frozenset(
    {"CreateContainerError", "RunContainerError", "InvalidImageName", "CreateContainerConfigError"}
)


@dataclass(frozen=True, slots=True)
class ProofImage:
    """An image of the bundle that a pod may run.

    Attributes:
        reference: By digest.
        command: What it is to run; its own program where there is none, which then goes on.
    """

    reference: Reference
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod to run.

    Attributes:
        name: Within its namespace.
        namespace: Where.
        image: Of its only container.
        command: Of it; empty for the image's own.
        node: Where it has to run; empty for any that its namespace allows.
    """

    name: str
    namespace: str
    image: Reference
    command: tuple[str, ...] = ()
    node: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as an object of the cluster."""
        container: dict[str, Any] = {
            "name": "proof",
            "image": str(self.image),
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }
        if self.command:
            container["command"] = list(self.command)
        spec: dict[str, Any] = {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
        }
        if self.node:
            spec |= {
                "nodeSelector": {_HOSTNAME: self.node},
                "tolerations": [{"operator": "Exists"}],
            }
        labels = {**MANAGED_BY, PROOF_LABEL: "true"}
        metadata = {"name": self.name, "namespace": self.namespace, "labels": labels}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@dataclass(frozen=True, slots=True)
class PodState:
    """How a pod is.

    Attributes:
        phase: As Kubernetes says it; empty before it says anything.
        address: Of the pod; empty before it has one.
        image: What runs, by digest; empty before it was pulled.
        exit_code: Of its program; none while it runs.
        reason: Why it does not run, or how it ended, as far as that is said.
    """

    phase: str = ""
    address: str = ""
    image: str = ""
    exit_code: int | None = None
    reason: str = ""
    hopeless: bool = False

    @property
    def ended(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.phase in {"Succeeded", "Failed"} or self.hopeless

    @property
    def lacks_program(self) -> bool:
        """Whether the image does not have what it was to run."""
        return any(text in self.reason for text in _NO_PROGRAM)


def image_for(site: Site, manifest: Manifest) -> ProofImage | None:
    """Return the site's first image, or else the one that every pod has, if the bundle has it."""
    if site.first_image is not None:
        wanted = parse_reference(site.first_image.reference)
        for image in manifest.images:
            known = parse_reference(image.reference)
            same = known.name == wanted.name and wanted.tag in {"", known.tag}
            if same and wanted.digest in {"", image.digest}:
                return ProofImage(_by_digest(known, image.digest), site.first_image.command)
    for image in manifest.images:
        known = parse_reference(image.reference)
        if known.repository.rpartition("/")[2] == _PAUSE:
            return ProofImage(_by_digest(known, image.digest))
    return None


def run_pods(bench: Bench, pods: Sequence[Pod]) -> None:
    """Ask the API server for pods.

    Raises:
        StepError: It refuses them.
    """
    documents = [pod.document() for pod in pods]
    for _ in range(_APPLY_TRIES):
        try:
            bench.kubectl.apply(documents, "-o", "name")
        except StepError as error:
            if "serviceaccount" not in error.message:
                raise
            bench.sleep(PAUSE_SECONDS)
        else:
            return
    bench.kubectl.apply(documents, "-o", "name")


def pod_state(bench: Bench, pod: Pod) -> PodState:
    """Ask how a pod is."""
    values = bench.kubectl.values("pod", pod.name, "-n", pod.namespace, ".kind", ".status")
    return read_state(values[1] or {}) if len(values) > 1 else PodState()


def read_state(status: Mapping[str, Any]) -> PodState:
    """Read a pod's status."""
    container: Mapping[str, Any] = next(iter(status.get("containerStatuses") or ()), {})
    state = container.get("state") or {}
    waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
    conditions = status.get("conditions") or ()
    unplaced = [c.get("message", "") for c in conditions if c.get("status") == "False"]
    texts = [
        waiting.get("reason"), waiting.get("message"), ended.get("reason"), ended.get("message"),
        status.get("message"), *(unplaced if not container else ()),
    ]  # fmt: skip
    return PodState(
        phase=str(status.get("phase") or ""),
        address=str(status.get("podIP") or ""),
        image=str(container.get("imageID") or ""),
        exit_code=ended.get("exitCode"),
        reason=printable(" ".join(str(text) for text in texts if text)),
        hopeless=waiting.get("reason") in _HOPELESS,
    )


def pod_log(bench: Bench, pod: Pod) -> str:
    """Return what a pod printed."""
    return bench.kubectl.run(
        "logs", pod.name, "-n", pod.namespace, f"--limit-bytes={_MAX_LOG_BYTES}"
    )


def delete_pods(bench: Bench, pods: Sequence[Pod]) -> None:
    """Take pods away; those that are gone are no error."""
    for pod in pods:
        bench.kubectl.run(
            "delete", "pod", pod.name, "-n", pod.namespace, "--ignore-not-found",
            "--grace-period=1", "--wait=false",
        )  # fmt: skip


def printable(text: str, limit: int = 300) -> str:
    """Return what a node or a pod said, fit for a line."""
    return visible(" ".join(text.split()))[:limit]


def _by_digest(known: Reference, digest: str) -> Reference:
    return Reference(known.registry, known.repository, "", digest)
