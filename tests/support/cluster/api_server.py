"""A real Kubernetes API server on loopback, that writes down what it is asked to run.

It is kube-apiserver with etcd and nothing else: nobody starts a pod, so a job that waits for one is
marked as done by a thread of ours.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.cluster.kubernetes_build import kubernetes_program
from tests.support.programs.needs import find_tool, requires_tool
from tests.support.programs.processes import free_port, listens, running

_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {
            "level": "RequestResponse",
            "verbs": ["create", "update", "patch"],
            "resources": [{"group": group} for group in ("", "apps", "batch")],
        },
        {"level": "None"},
    ],
}
_AUTHORITY = "certs/apiserver.crt"
"""The server makes its own certificate, and puts the authority's behind it."""
_WHEN = "2026-01-02T03:04:05Z"
_READY_SECONDS = 120.0
_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")


@dataclass(frozen=True)
class ApiServer:
    """A running API server.

    Attributes:
        kubeconfig: By which Helm may do anything there.
        audit: What it was asked and what it stored, one JSON object a line.
    """

    kubeconfig: Path
    audit: Path

    def asked_to_run(self, namespace: str) -> set[str]:
        """Return every image in what the server stored for a namespace since it began."""
        found: set[str] = set()
        for line in self.audit.read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            if event.get("objectRef", {}).get("namespace") == namespace:
                stored = event.get("responseObject", {})
                if event["responseStatus"]["code"] < 300:
                    found |= set(_images(stored.get("spec")) | _images(stored.get("template")))
        return found


def _images(tree: Any) -> set[str]:
    """Return the images in stored objects, wherever containers and image volumes are."""
    if isinstance(tree, list):
        return set().union(*map(_images, tree))
    if not isinstance(tree, dict):
        return set()
    found = {c["image"] for field in _CONTAINERS for c in tree.get(field) or ()}
    volumes = tree.get("volumes") or ()
    found |= {v["image"]["reference"] for v in volumes if isinstance(v, dict) and "image" in v}
    return found.union(*map(_images, tree.values()))


@contextmanager
def api_server(folder: Path) -> Iterator[ApiServer]:
    """Run an API server until the end of the block."""
    program = kubernetes_program("kube-apiserver")
    requires_tool("etcd")
    folder.mkdir(parents=True, exist_ok=True)
    with etcd_server(folder) as etcd:
        token, port = secrets.token_hex(16), free_port()
        _write(folder, token, port)
        argv: list[str | Path] = [
            program,
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--cert-dir={folder / 'certs'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/24",
            "--service-account-issuer=https://kubernetes.invalid",
            f"--service-account-signing-key-file={folder / 'account.pem'}",
            f"--service-account-key-file={folder / 'account.pem'}",
            "--disable-admission-plugins=ServiceAccount",
            f"--audit-policy-file={folder / 'policy.yaml'}",
            f"--audit-log-path={folder / 'audit.log'}",
            "--audit-log-mode=blocking-strict",
            "--audit-log-maxsize=0",
        ]
        client = _Client(port, token, folder / _AUTHORITY)
        log = folder / "kube-apiserver.log"
        with (
            running("kube-apiserver", argv, log, ready=client.is_ready, timeout=_READY_SECONDS),
            _finishing(client),
        ):
            yield ApiServer(folder / "kubeconfig", folder / "audit.log")


@contextmanager
def etcd_server(folder: Path) -> Iterator[str]:
    """Run etcd until the end of the block; gives its address."""
    program = find_tool("etcd")
    assert program is not None
    client, peer = free_port(), free_port()
    address, other = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    argv: list[str | Path] = [program, "--name", "one", "--data-dir", folder / "etcd"]
    argv += ["--listen-client-urls", address, "--advertise-client-urls", address]
    argv += ["--listen-peer-urls", other, "--initial-advertise-peer-urls", other]
    argv += ["--initial-cluster", f"one={other}"]
    with running("etcd", argv, folder / "etcd.log", ready=lambda: listens(client)):
        yield address


def _write(folder: Path, token: str, port: int) -> None:
    """Write what the server and its client read."""
    key = rsa.generate_private_key(65537, 2048)
    (folder / "account.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (folder / "policy.yaml").write_text(yaml.safe_dump(_POLICY), encoding="utf-8")
    (folder / "tokens.csv").write_text(f'{token},tester,1,"system:masters"\n', encoding="utf-8")
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "c",
                "cluster": {
                    "server": f"https://127.0.0.1:{port}",
                    "certificate-authority": str(folder / _AUTHORITY),
                },
            }
        ],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(config), encoding="utf-8")


class _Client:
    """The few requests that this module makes itself."""

    def __init__(self, port: int, token: str, authority: Path) -> None:
        self._base = f"https://127.0.0.1:{port}"
        self._token = token
        self._authority = authority
        self._pool = urllib3.PoolManager(ca_certs=str(authority), retries=False, timeout=10.0)

    def is_ready(self) -> bool:
        """Say whether it answers, and has the namespace that everybody uses."""
        with suppress(urllib3.exceptions.HTTPError):
            return (
                self._authority.exists()
                and self._ask("GET", "/readyz").status == 200
                and (self._ask("GET", "/api/v1/namespaces/default").status == 200)
            )
        return False

    def list(self, path: str) -> list[dict[str, Any]]:
        answer = self._ask("GET", path)
        items: list[dict[str, Any]] = answer.json().get("items") or []
        return items

    def finish(self, path: str, status: dict[str, Any]) -> None:
        self._ask("PATCH", f"{path}/status", {"status": status})

    def _ask(self, method: str, path: str, body: Any = None) -> urllib3.BaseHTTPResponse:
        return self._pool.request(
            method,
            self._base + path,
            body=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/merge-patch+json",
            },
        )


@contextmanager
def _finishing(client: _Client) -> Iterator[None]:
    """Mark jobs and test pods as done while the block runs."""
    end = threading.Event()

    def work() -> None:
        while not end.wait(0.2):
            with suppress(urllib3.exceptions.HTTPError):
                _finish_all(client)

    thread = threading.Thread(target=work, name="jobs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _finish_all(client: _Client) -> None:
    for job in client.list("/apis/batch/v1/jobs"):
        if not job.get("status", {}).get("completionTime"):
            client.finish(f"/apis/batch/v1/{_place(job, 'jobs')}", _JOB_DONE)
    for pod in client.list("/api/v1/pods"):
        if pod.get("status", {}).get("phase") == "Pending":
            client.finish(f"/api/v1/{_place(pod, 'pods')}", {"phase": "Succeeded"})


def _place(item: dict[str, Any], kind: str) -> str:
    metadata = item["metadata"]
    return f"namespaces/{metadata['namespace']}/{kind}/{metadata['name']}"


_JOB_DONE: dict[str, Any] = {
    "startTime": _WHEN,
    "completionTime": _WHEN,
    "succeeded": 1,
    "conditions": [
        {
            "type": kind,
            "status": "True",
            "lastTransitionTime": _WHEN,
            "lastProbeTime": _WHEN,
            "reason": "CompletionsReached",
        }
        for kind in ("SuccessCriteriaMet", "Complete")
    ],
}
