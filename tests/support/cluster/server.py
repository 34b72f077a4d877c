"""An API server as our inventory has Kubespray configure it, on loopback, with etcd behind it.

It is kube-apiserver with etcd and nothing else: objects are kept and admitted as in a cluster, and
nobody runs a pod. A test may leave out one protection, to show that its absence is found.
"""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import urllib3
import yaml

from installer.kubespray.settings import KubesprayInput, render_kubespray
from tests.support.cluster.api_server import etcd_server
from tests.support.cluster.kubeconfigs import write_pki
from tests.support.cluster.kubernetes_build import kubernetes_program
from tests.support.programs.needs import find_tool, requires_tool
from tests.support.programs.processes import free_port, running
from tests.support.sites.clusters import VERSION, cluster, kubespray_manifest

_READY_SECONDS = 120.0


@dataclass(frozen=True)
class Protections:
    """What protects the cluster; each is left out by a test that shows that it is missed."""

    encryption: bool = True
    audit: bool = True
    without_plugins: tuple[str, ...] = ()
    audit_rules: Sequence[Mapping[str, Any]] = ()
    """In place of those of our inventory."""


@dataclass(frozen=True)
class ClusterServer:
    """A running API server.

    Attributes:
        port: Of its TLS, on 127.0.0.1.
        kubeconfig: An administrator's, with everything embedded.
        kubectl: The program with these credentials, as our steps take it.
        etcdctl: The program with its endpoint.
        audit: The audit log.
    """

    port: int
    kubeconfig: Path
    kubectl: tuple[str, ...]
    etcdctl: tuple[str, ...]
    audit: Path

    def run(self, *arguments: str, document: Mapping[str, Any] | None = None) -> str:
        """Run kubectl, past our own steps; a document goes to its standard input."""
        done = self._run(arguments, document)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *arguments: str, document: Mapping[str, Any] | None = None) -> str:
        """Run kubectl, which must refuse, and return what it said."""
        done = self._run(arguments, document)
        assert done.returncode != 0, done.stdout
        return done.stderr

    def _run(
        self, arguments: Sequence[str], document: Mapping[str, Any] | None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.kubectl, *arguments],
            input=json.dumps(document) if document else "",
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def get(self, *arguments: str) -> Any:
        """Return objects as plain data."""
        return json.loads(self.run("get", *arguments, "-o", "json"))

    def add_nodes(self, *names: str) -> None:
        """Make node objects, Ready and of the right version, as kubelets would."""
        for name in names:
            self.run("apply", "-f", "-", document=_node(name))
            self.set_node(name)

    def set_node(
        self, name: str, *, ready: bool = True, full: bool = False, version: str = f"v{VERSION}"
    ) -> None:
        """Say how a node is, as its kubelet would."""
        conditions = [
            {"type": kind, "status": str(status), "reason": "Said", "message": "said"}
            for kind, status in (("Ready", ready), ("DiskPressure", full))
        ]
        said = {"conditions": conditions, "nodeInfo": _INFO | {"kubeletVersion": version}}
        status = json.dumps({"status": said})
        self.run("patch", "node", name, "--subresource=status", "--type=merge", "-p", status)


@contextmanager
def cluster_server(folder: Path, has: Protections | None = None) -> Iterator[ClusterServer]:
    """Run an API server until the end of the block."""
    has = has or Protections()
    program, kubectl = kubernetes_program("kube-apiserver"), kubernetes_program("kubectl")
    requires_tool("etcd", "etcdctl")
    etcdctl = find_tool("etcdctl")
    assert etcdctl is not None
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "audit").mkdir(exist_ok=True)
    port = free_port()
    authority = write_pki(folder, port)
    settings = inventory_settings()
    with etcd_server(folder) as etcd:
        server = ClusterServer(
            port,
            folder / "admin.conf",
            (
                str(kubectl), "--kubeconfig", str(folder / "admin.conf"),
                "--cache-dir", str(folder / "cache"),
            ),
            (etcdctl, "--endpoints", etcd),
            folder / "audit" / "kube-apiserver-audit.log",
        )  # fmt: skip
        argv: list[str | Path] = [
            program,
            f"--etcd-servers={etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={port}",
            f"--tls-cert-file={folder / 'server.crt'}",
            f"--tls-private-key-file={folder / 'server.key'}",
            f"--client-ca-file={folder / 'ca.crt'}",
            f"--authorization-mode={','.join(settings['authorization_modes'])}",
            "--allow-privileged=true",
            "--service-cluster-ip-range=10.96.0.0/24",
            "--service-account-issuer=https://kubernetes.invalid",
            f"--service-account-signing-key-file={folder / 'account.pem'}",
            f"--service-account-key-file={folder / 'account.pem'}",
            # There is no controller that would make the account of a namespace.
            "--disable-admission-plugins=ServiceAccount",
            *_protection(folder, settings, has),
        ]
        pool = urllib3.PoolManager(
            ca_certs=str(folder / "ca.crt"),
            cert_file=str(authority.certificate),
            key_file=str(authority.key),
            retries=False,
            timeout=10.0,
        )

        def ready() -> bool:
            try:
                paths = ("/readyz", "/api/v1/namespaces/kube-system")
                url = f"https://127.0.0.1:{port}"
                return all(pool.request("GET", url + path).status == 200 for path in paths)
            except urllib3.exceptions.HTTPError:
                return False

        log = folder / "kube-apiserver.log"
        with running("kube-apiserver", argv, log, ready=ready, timeout=_READY_SECONDS):
            yield server


def inventory_settings() -> dict[str, Any]:
    """Return what our inventory tells Kubespray about security."""
    what = KubesprayInput(cluster(1, "calico"), kubespray_manifest("calico"), Path("key"))
    text = render_kubespray(what)["group_vars/all/security.yml"].replace("!unsafe ", "")
    settings: dict[str, Any] = yaml.safe_load(text)
    return settings


def _protection(folder: Path, settings: Mapping[str, Any], has: Protections) -> list[str]:
    """Write what Kubespray's templates would, of our settings; return the options for it."""
    plugins = [
        plugin
        for plugin in settings["kube_apiserver_enable_admission_plugins"]
        if plugin not in has.without_plugins
    ]
    off = ",".join(has.without_plugins)
    security = {
        "apiVersion": "pod-security.admission.config.k8s.io/v1",
        "kind": "PodSecurityConfiguration",
        "defaults": {
            f"{mode}{suffix}": value
            for mode in ("enforce", "audit", "warn")
            for suffix, value in (
                ("", settings[f"kube_pod_security_default_{mode}"]),
                ("-version", "latest"),
            )
        },
        "exemptions": {"namespaces": settings["kube_pod_security_exemptions_namespaces"]},
    }
    # Its template leaves the value empty, which YAML reads as null.
    selector = {"podNodeSelectorPluginConfig": {"clusterDefaultNodeSelector": None}}
    configured = {"PodSecurity": security, "PodNodeSelector": selector}
    _yaml(folder / "podsecurity.yaml", security)
    _yaml(folder / "podnodeselector.yaml", selector)
    admission = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [
            {"name": name, "path": str(folder / f"{name.lower()}.yaml")}
            for name in configured
            if name in plugins
        ],
    }
    _yaml(folder / "admission.yaml", admission)
    options = [
        f"--enable-admission-plugins={','.join(plugins)}",
        f"--admission-control-config-file={folder / 'admission.yaml'}",
    ]
    if off:
        options.append(f"--disable-admission-plugins=ServiceAccount,{off}")
    if has.encryption:
        provider = settings["kube_encryption_algorithm"]
        key = {"name": "key", "secret": base64.b64encode(secrets.token_bytes(32)).decode()}
        encryption = {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "EncryptionConfiguration",
            "resources": [
                {
                    "resources": settings["kube_encryption_resources"],
                    "providers": [{provider: {"keys": [key]}}, {"identity": {}}],
                }
            ],
        }
        _yaml(folder / "encryption.yaml", encryption)
        options.append(f"--encryption-provider-config={folder / 'encryption.yaml'}")
    if has.audit:
        rules = list(has.audit_rules) or yaml.safe_load(settings["audit_policy_custom_rules"])
        policy = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": rules}
        _yaml(folder / "policy.yaml", policy)
        options.append(f"--audit-policy-file={folder / 'policy.yaml'}")
        options.append(f"--audit-log-path={folder / 'audit' / 'kube-apiserver-audit.log'}")
    return options


def _yaml(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(dict(data)), encoding="utf-8")


def _node(name: str) -> dict[str, Any]:
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


_INFO = dict.fromkeys(
    (
        "machineID",
        "systemUUID",
        "bootID",
        "kernelVersion",
        "osImage",
        "operatingSystem",
        "architecture",
        "containerRuntimeVersion",
        "kubeProxyVersion",
    ),
    "",
)


def weakened(**changes: Any) -> Protections:
    """Return all protections but those."""
    return replace(Protections(), **changes)
