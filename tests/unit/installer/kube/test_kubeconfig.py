from __future__ import annotations

import base64
import copy
import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundle.base.errors import StepError, UnreachableError
from installer.kube.api_client import ApiClient, Place, api_place
from installer.kube.kubeconfig_file import parse_kubeconfig, render_kubeconfig
from installer.steps.fetch_kubeconfig import KubeconfigStep
from tests.support.cluster.kubeconfigs import write_pki
from tests.support.programs.processes import free_port
from tests.support.sites.bare_context import bare_context
from tests.support.sites.clusters import cluster


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("pki")
    write_pki(folder, 6443)
    data: dict[str, Any] = yaml.safe_load((folder / "admin.conf").read_text())
    return data


def spoilt(good: dict[str, Any], *path: str | int, value: Any) -> bytes:
    data: Any = copy.deepcopy(good)
    place = data
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return yaml.safe_dump(data).encode()


def test_ours_has_the_same_credentials_and_another_server(good: dict[str, Any]) -> None:
    credentials = parse_kubeconfig(yaml.safe_dump(good).encode(), "admin.conf")
    text = render_kubeconfig(credentials, "https://[fd00::1]:6443", "ward")
    assert parse_kubeconfig(text, "ours") == credentials
    ours = yaml.safe_load(text)
    assert ours["clusters"][0]["cluster"]["server"] == "https://[fd00::1]:6443"
    assert ours["current-context"] == "ward"
    assert "PRIVATE" not in repr(credentials)


_CLUSTER = ("clusters", 0, "cluster")
_USER = ("users", 0, "user")


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ((*_USER, "exec"), {"command": "/bin/sh"}, "exec"),
        ((*_USER, "auth-provider"), {"name": "x"}, "auth-provider"),
        ((*_USER, "tokenFile"), "/etc/passwd", "tokenFile"),
        ((*_USER, "client-key"), "/root/.ssh/id_rsa", "client-key"),
        ((*_USER, "token"), "abc", "token"),
        ((*_CLUSTER, "insecure-skip-tls-verify"), True, "insecure-skip-tls-verify"),
        ((*_CLUSTER, "certificate-authority"), "/tmp/ca.pem", "certificate-authority"),
        ((*_CLUSTER, "proxy-url"), "http://evil.example", "proxy-url"),
        ((*_CLUSTER, "tls-server-name"), "evil.example", "tls-server-name"),
        (("users",), [], "users"),
        (("kind",), "Secret", "kind"),
        ((*_USER, "client-key-data"), "%%%", "the key: expected PEM in base64"),
        ((*_USER, "client-key-data"), base64.b64encode(b"x").decode(), "the key: expected PEM"),
        (
            (*_USER, "client-certificate-data"),
            base64.b64encode(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
            .decode(),
            "the certificate: expected PEM of that alone",
        ),
    ],
)  # fmt: skip
def test_what_leads_elsewhere_or_is_no_certificate_is_refused(
    good: dict[str, Any], path: tuple[str | int, ...], value: Any, says: str
) -> None:
    with pytest.raises(StepError) as raised:
        parse_kubeconfig(spoilt(good, *path, value=value), "admin.conf")
    assert raised.value.message.startswith("admin.conf: ")
    assert says in raised.value.message


def test_a_key_in_the_wrong_place_is_not_repeated(good: dict[str, Any]) -> None:
    key = good["users"][0]["user"]["client-key-data"]
    with pytest.raises(StepError) as raised:
        parse_kubeconfig(spoilt(good, "users", 0, "user", value=key), "admin.conf")
    assert key[:20] not in raised.value.message + raised.value.hint


def test_a_key_of_another_certificate_is_refused(good: dict[str, Any], tmp_path: Path) -> None:
    write_pki(tmp_path, 6443)
    other = yaml.safe_load((tmp_path / "admin.conf").read_text())
    key = other["users"][0]["user"]["client-key-data"]
    text = spoilt(good, "users", 0, "user", "client-key-data", value=key)
    credentials = parse_kubeconfig(text, "admin.conf")
    with pytest.raises(StepError, match="the key that belongs to them"):
        ApiClient(Place("127.0.0.1", 6443), credentials.ca, credentials)


def test_nobody_there_is_said_with_the_address(good: dict[str, Any]) -> None:
    credentials = parse_kubeconfig(yaml.safe_dump(good).encode(), "admin.conf")
    port = free_port()
    with pytest.raises(UnreachableError, match=rf"https://127.0.0.1:{port}: expected the API"):
        ApiClient(Place("127.0.0.1", port), credentials.ca, credentials).get("/readyz")


def test_the_address_is_that_of_the_load_balancer_or_of_the_first_control_plane() -> None:
    assert api_place(cluster(3, "calico")).url == "https://api.hospital.example:6443"
    assert api_place(cluster(1, "calico")).url == "https://10.20.1.11:6443"
    assert Place("fd00::1", 6443).url == "https://[fd00::1]:6443"


def test_a_spoilt_artifact_leaves_no_kubeconfig(good: dict[str, Any], tmp_path: Path) -> None:
    context = bare_context(cluster(1, "calico"), tmp_path)
    artifact = context.state / "inventory" / "artifacts" / "admin.conf"
    artifact.parent.mkdir(parents=True)
    artifact.write_bytes(spoilt(good, "users", 0, "user", "exec", value={"command": "sh"}))
    with pytest.raises(StepError, match="exec"):
        KubeconfigStep(sleep=lambda _: None).run(context)
    assert not (context.state / "kubeconfig").exists()


def test_the_private_key_of_a_client_is_in_no_file_afterwards(good: dict[str, Any]) -> None:
    credentials = parse_kubeconfig(yaml.safe_dump(good).encode(), "admin.conf")
    before = _files_in_memory()
    client = ApiClient(Place("127.0.0.1", 1), credentials.ca, credentials)
    assert client._context.verify_mode is ssl.CERT_REQUIRED
    assert client._context.check_hostname
    # Other tests of this process may still hold a depot's pair.
    assert _files_in_memory() <= before


def _files_in_memory() -> set[tuple[str, int]]:
    """Return the open files of this process that are on no disk, by name and inode."""
    paths = [path for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return {
        (name, path.stat().st_ino)
        for path in paths
        if "memfd:isoward" in (name := str(path.readlink()))
    }
