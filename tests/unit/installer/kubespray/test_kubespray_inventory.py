"""The inventory that Kubespray gets: as it stands in tests/vectors/inventories, and as Ansible
reads it. After a wanted change, ISOWARD_WRITE_GOLDEN=1 writes those files anew, to be reviewed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bundle.base.digest import digest_of
from bundle.base.errors import DefinitionError, IsowardError, UsageError
from installer.installation.rendered_inventory import read_overrides
from installer.kubespray.inventory_folder import RECORD_NAME, write_inventory
from installer.kubespray.settings import HOSTS_NAME, KubesprayInput, render_kubespray
from tests.support.sites.clusters import PLUGINS, SIZES, cluster, cluster_data, kubespray_manifest
from tests.support.sites.plain import site_data, site_of

_GOLDEN = Path(__file__).parents[3] / "vectors" / "inventories"
_KEY = Path("/home/admin/id_ed25519")


def rendered(nodes: int, plugin: str, ca: bytes = b"") -> dict[str, str]:
    what = KubesprayInput(cluster(nodes, plugin), kubespray_manifest(plugin), _KEY, ca)
    return render_kubespray(what)


@pytest.mark.parametrize("plugin", [*PLUGINS, "kube-router"])
@pytest.mark.parametrize("nodes", SIZES)
def test_the_inventory_is_as_it_was_reviewed(nodes: int, plugin: str) -> None:
    folder = _GOLDEN / f"{nodes}-{plugin}"
    files = rendered(nodes, plugin)
    if os.environ.get("ISOWARD_WRITE_GOLDEN"):
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
    found = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert found == files


def _ansible(folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-inventory", "-i", folder / HOSTS_NAME, "--list"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "LC_ALL": "C.UTF-8"},
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    # It says of each text of the site that it will not be evaluated.
    listed: dict[str, Any] = json.loads(
        done.stdout, object_hook=lambda found: found.get("__ansible_unsafe", found)
    )
    return listed


@pytest.mark.parametrize(("nodes", "plugin"), [(1, "cilium"), (3, "calico"), (10, "cilium")])
def test_ansible_reads_what_the_site_says(tmp_path: Path, nodes: int, plugin: str) -> None:
    write_inventory(tmp_path / "made", rendered(nodes, plugin), {}, {})
    listed = _ansible(tmp_path / "made")
    data = cluster_data(nodes, plugin)
    hosts = listed["_meta"]["hostvars"]
    assert set(hosts) == {node["name"] for node in data["nodes"]}
    for group, role in [
        ("kube_control_plane", "control-plane"),
        ("etcd", "etcd"),
        ("kube_node", "worker"),
    ]:
        members = [node["name"] for node in data["nodes"] if role in node["roles"]]
        assert listed[group]["hosts"] == members
    depots = ["https://10.20.0.5:5443", "https://10.20.0.6:5444"][: 1 if nodes == 1 else 2]
    for node in data["nodes"]:
        found = hosts[node["name"]]
        assert (found["ansible_host"], found["ip"]) == (node["address"], node["address"])
        assert (found["ansible_user"], found["ansible_port"]) == ("admin", 2222)
        assert found["node_labels"]["isoward/zone"] == node["zone"]
        assert (
            found["node_taints"]
            == {
                "administrative": [],
                "clinical": ["zone=clinical:NoSchedule"],
                "research": ["zone=research:NoExecute"],
            }[node["zone"]]
        )
        assert found["kube_version"] == "1.35.4"
        assert found["kube_network_plugin"] == plugin
        assert found["dl_k8s_io_url"] == "https://10.20.0.5:5443/files/dl.k8s.io"
        mirrors = {mirror["prefix"]: mirror for mirror in found["containerd_registries_mirrors"]}
        assert set(mirrors) == {"docker.io", "quay.io", "registry.k8s.io"}
        for mirror in mirrors.values():
            assert mirror["server"] == depots[0]
            assert [host["host"] for host in mirror["mirrors"]] == depots
            assert not any(host["skip_verify"] for host in mirror["mirrors"])
        assert found["kubernetes_audit"] is True
        assert yaml.safe_load(found["audit_policy_custom_rules"])[-1]["level"] == "Metadata"
        assert found["kube_encryption_algorithm"] == "secretbox"
        assert ("loadbalancer_apiserver" in found) == (nodes > 1)


def test_the_ca_of_the_identity_provider_goes_with_it() -> None:
    text = rendered(1, "calico", b"PEM")["group_vars/all/security.yml"]
    assert yaml.safe_load(text.replace("!unsafe ", ""))["kube_oidc_ca_cert"] == "UEVN"
    assert "kube_oidc_ca" not in rendered(1, "calico")["group_vars/all/security.yml"]


def test_a_zones_group_has_a_name_that_ansible_takes() -> None:
    data = cluster_data(3, "calico")
    data["zones"][1]["name"] = data["nodes"][1]["zone"] = "a-b"
    what = KubesprayInput(site_of(data), kubespray_manifest("calico"), _KEY)
    groups = yaml.safe_load(render_kubespray(what)[HOSTS_NAME].replace("!unsafe ", ""))
    assert list(groups["all"]["children"]["zone_a_b"]["hosts"]) == ["node2"]


def test_a_text_of_the_site_is_never_evaluated() -> None:
    data = cluster_data(1, "calico")
    data["kubernetes"]["oidc"]["issuer"] = "https://x.example/(lookup)%20;x"
    what = KubesprayInput(site_of(data), kubespray_manifest("calico"), _KEY)
    assert (
        'kube_oidc_url: !unsafe "https://x'
        in (render_kubespray(what)["group_vars/all/security.yml"])
    )


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        (kubespray_manifest("cilium"), "no image of calico"),
        (kubespray_manifest("calico", version="1.34.1"), "expected v1.34.1, .* found v1.35.4"),
        (kubespray_manifest("calico", file="https://other.example/x"), "other.example"),
    ],
)
def test_what_the_bundle_does_not_carry_is_refused(manifest: Any, says: str) -> None:
    with pytest.raises(DefinitionError, match=says):
        render_kubespray(KubesprayInput(cluster(1, "calico"), manifest, _KEY))


def test_a_site_without_a_cluster_has_no_inventory() -> None:
    what = KubesprayInput(site_of(site_data()), kubespray_manifest("calico"), _KEY)
    with pytest.raises(DefinitionError, match="expected the options of a cluster"):
        render_kubespray(what)


def test_overrides_come_last_and_are_recorded(tmp_path: Path) -> None:
    over = tmp_path / "over"
    (over / "group_vars" / "all").mkdir(parents=True)
    (over / "group_vars" / "all" / "zz-own.yml").write_text("kube_profiling: true\n")
    (over / "group_vars" / "all" / "offline.yml").write_text("github_url: https://own\n")
    made = tmp_path / "made"
    replaced = write_inventory(
        made, rendered(1, "calico"), read_overrides(over), {"bundle": digest_of(b"b")}
    )
    assert replaced == ["group_vars/all/offline.yml", "group_vars/all/zz-own.yml"]
    hosts = _ansible(made)["_meta"]["hostvars"]
    assert hosts["node1"]["github_url"] == "https://own"
    assert hosts["node1"]["kube_profiling"] is True
    record = json.loads((made / RECORD_NAME).read_bytes())
    assert (record["overrides"], record["bundle"]) == (replaced, digest_of(b"b"))
    for path, digest in record["files"].items():
        assert digest_of((made / path).read_bytes()) == digest
    with pytest.raises(IsowardError, match="made"):
        write_inventory(made, rendered(1, "calico"), {}, {})


def test_overrides_may_not_change_the_pinned_keys_or_lead_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="known_hosts"):
        write_inventory(tmp_path / "made", rendered(1, "calico"), {"known_hosts": b""}, {})
    assert not (tmp_path / "made").exists()
    (tmp_path / "over").mkdir()
    (tmp_path / "over" / "link").symlink_to("/etc/passwd")
    with pytest.raises(UsageError, match="files only"):
        read_overrides(tmp_path / "over")
    with pytest.raises(UsageError, match="expected a folder"):
        read_overrides(tmp_path / "none")
