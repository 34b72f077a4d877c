"""Each judgement on facts that are right, almost right and wrong; no other answer may change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundle.model.finding import Verdict
from installer.preflight.ask_site import DIRECT, JUDGEMENTS
from tests.support.sites.node_facts import GIB, NOON, Raw, alarms, cluster_site, judged


def test_good_nodes_raise_no_alarm() -> None:
    found = judged()
    assert alarms(found) == set()
    assert {"disk-speed", "kernel", "reach-nodes"} <= found["node1"].keys()
    assert "disk-speed" not in found["node2"], "it is no member of etcd"
    assert "second-depot" not in found["node1"], "there is none"


def test_ids_are_unique_and_every_question_is_one() -> None:
    asked = [(q.id, q.asked) for q in DIRECT] + [(j.id, j.asked) for j in JUDGEMENTS]
    assert len(dict(asked)) == len(asked)
    assert all(text.endswith("?") for _, text in asked)


# Where in the facts of node2, what it says, and the answer that this must give.
_WRONG: list[tuple[str, Any, str, str]] = [
    ("machine.kernel", "4.18.0-553.el8", "kernel", "fail"),
    ("machine.kernel", "rubbish", "kernel", "fail"),
    ("machine.cpus", 1, "cpu", "warn"),
    ("machine.cpus", 0, "cpu", "fail"),
    ("machine.memory_kib", 1536 * 1024, "memory", "warn"),
    ("machine.memory_kib", 512 * 1024, "memory", "fail"),
    ("machine.swap", ["/dev/sda2"], "swap", "fail"),
    ("machine.cgroups.controllers", ["cpu", "cpuset", "pids"], "cgroups", "fail"),
    ("machine.cgroups.version", 0, "cgroups", "fail"),
    ("machine.cgroups.version", 1, "cgroups", "fail"),
    ("machine.features.ip_set", "absent", "kernel-features", "fail"),
    ("machine.features.ip_vs", "absent", "kernel-features", "fail"),
    ("machine.features.overlay", "unknown", "kernel-features", "warn"),
    ("machine.architecture", "riscv64", "os-packages", "fail"),
    ("identity.release", "debian-11", "os-packages", "fail"),
    ("network.silent", ["node1"], "reach-tunnel", "warn"),
    ("network.silent", ["gone"], "", ""),
    ("machine.features.br_netfilter", "absent", "bridge-netfilter", "fail"),
    ("machine.selinux", "enforcing", "access-control", "warn"),
    ("identity.hostname", "other", "hostname", "warn"),
    ("identity.hostname", "Node_2", "hostname", "fail"),
    ("identity.names.localhost", [], "own-name", "fail"),
    ("identity.names.node1", ["10.1.0.1"], "", ""),
    ("identity.names.node1", ["10.1.0.77"], "node-names", "fail"),
    ("identity.names.node1", ["127.0.1.1"], "node-names", "fail"),
    ("identity.names.node2", ["10.1.0.2", "::1"], "", ""),
    ("identity.names.localhost", ["127.0.0.1", "10.1.0.2"], "own-name", "fail"),
    ("identity.machine_id", "", "unique-machine-id", "fail"),
    ("identity.name_servers", ["10.0.0.1"] * 4, "resolv-conf", "warn"),
    ("identity.search", ["x.example"] * 33, "resolv-conf", "warn"),
    ("identity.proxies", ["http_proxy in /etc/environment"], "proxy", "fail"),
    ("disks.places./.free", 7 * GIB, "", ""),
    ("disks.places./var/lib/containerd.free", 20 * GIB, "disk", "warn"),
    ("disks.places./var/lib/containerd.free", 2 * GIB, "disk", "fail"),
    ("disks.places./var/lib/kubelet.files_free", 50_000, "inodes", "warn"),
    ("disks.places./var/lib/kubelet.files_free", 12, "inodes", "fail"),
    ("disks.places./usr/local/bin.read_only", True, "read-only", "fail"),
    ("disks.places./tmp.no_exec", True, "noexec", "warn"),
    ("disks.places./usr/local/bin.no_exec", True, "noexec", "fail"),
    ("disks.sync", {"at": "/var/lib", "writes": 90, "slow_ms": 30.0}, "disk-speed", "warn"),
    ("disks.sync", {"at": "/var/lib", "writes": 9, "slow_ms": 300.0}, "disk-speed", "fail"),
    ("leftovers.files", ["/etc/kubernetes/admin.conf"], "leftover-cluster", "fail"),
    ("leftovers.processes", ["kubelet"], "leftover-cluster", "fail"),
    ("leftovers.site", "another", "leftover-cluster", "fail"),
    ("leftovers.networks", ["/etc/cni/net.d/10-x.conf"], "leftover-network", "fail"),
    ("leftovers.engines", ["docker"], "container-engine", "fail"),
    ("leftovers.tasks", ["moby/1234"], "container-engine", "fail"),
    ("leftovers.engine_files", ["/etc/docker/daemon.json"], "container-engine", "warn"),
    ("leftovers.locks", ["/var/lib/dpkg/lock by apt (7)"], "package-lock", "fail"),
    ("leftovers.unfinished", ["tar"], "packages", "fail"),
    ("leftovers.unsigned", ["/etc/apt/sources.list"], "packages", "warn"),
    ("network.too_large", ["node1"], "mtu", "fail"),
    ("network.routes", ["10.233.64.0/24", "rubbish"], "networks", "fail"),
    ("network.listeners", [{"port": 10250, "process": "x"}], "ports", "fail"),
    ("network.listeners", [{"port": 80, "process": "x"}], "", ""),
    ("network.firewall.drops", ["nft input"], "firewall", "warn"),
    ("network.firewall.managers", ["ufw"], "firewall", "warn"),
    ("network.firewall.asked", False, "", ""),
    ("network.unreached", [{"peer": "node1", "port": 22, "why": "no"}], "reach-nodes", "fail"),
    ("network.unreached", [{"peer": "gone", "port": 22, "why": "no"}], "", ""),
    ("outside.connected", ["9.9.9.9 port 443"], "egress", "fail"),
    ("outside.resolved", ["example.com by 10.0.0.1"], "outside-names", "fail"),
    ("outside.depots", [], "depot", "fail"),
    ("outside.depots", [{"trouble": "refused", "statuses": [], "ends": 0}], "depot", "fail"),
]  # fmt: skip


def _set(raw: Raw, path: str, value: object) -> None:
    """Put a value where a path leads; folders' names keep their dots and slashes."""
    place: Any = raw
    *way, last = path.split(".") if "./" not in path else _with_folder(path)
    for part in way:
        place = place[part]
    place[last] = value


def _with_folder(path: str) -> list[str]:
    head, _, rest = path.partition("./")
    folder, _, field = rest.rpartition(".")
    return [*head.split("."), f"/{folder}", field]


@pytest.mark.parametrize(("path", "value", "id_", "verdict"), _WRONG)
def test_what_is_wrong_gives_its_answer_and_no_other(
    path: str, value: object, id_: str, verdict: str
) -> None:
    found = judged(lambda said: _set(said["node2"], path, value))
    assert alarms(found) == ({("node2", id_, verdict)} if id_ else set())
    if id_:
        finding = found["node2"][id_]
        assert finding.expected
        assert finding.found
        assert finding.advice


def test_what_two_nodes_share_is_said_of_both() -> None:
    shared = {
        "identity.hostname": ("node1", {"unique-hostname"}),
        "identity.machine_id": ("1" * 32, {"unique-machine-id"}),
        "identity.product_uuid": ("uuid-1", {"unique-product-uuid"}),
    }
    for path, (value, ids) in shared.items():

        def spoil(said: dict[str, Raw], path: str = path, value: str = value) -> None:
            _set(said["node2"], path, value)

        both = {(node, id_, "fail") for id_ in ids for node in ("node1", "node2")}
        extra = {("node2", "hostname", "warn")} if path == "identity.hostname" else set()
        assert alarms(judged(spoil)) == both | extra


def test_containers_of_one_machine_may_share_its_uuid() -> None:
    def spoil(said: dict[str, Raw]) -> None:
        for raw in said.values():
            raw["identity"]["product_uuid"] = "one"
            raw["machine"]["container"] = "systemd-nspawn"

    assert alarms(judged(spoil)) == set()


def test_an_address_that_the_node_has_not_is_refused() -> None:
    found = judged(
        lambda said: said["node2"]["network"]["interfaces"][0].update(addresses=["172.16.0.9"])
    )
    assert alarms(found) == {("node2", "address", "fail")}
    assert "172.16.0.9" in found["node2"]["address"].found


def test_one_hardware_address_is_said_of_both() -> None:
    found = judged(
        lambda said: said["node2"]["network"]["interfaces"][0].update(mac="02:00:00:00:00:01")
    )
    assert alarms(found) == {(f"node{i}", "unique-mac", "fail") for i in (1, 2)}


@pytest.mark.parametrize(("mtu", "node"), [(1400, "node2"), (9000, "node1"), (1000, "node2")])
def test_the_node_with_the_smaller_mtu_is_named(mtu: int, node: str) -> None:
    found = judged(lambda said: said["node2"]["network"]["interfaces"][0].update(mtu=mtu))
    assert alarms(found) == {(node, "mtu", "fail")}


def test_an_mtu_that_is_too_small_everywhere_is_refused() -> None:
    def spoil(said: dict[str, Raw]) -> None:
        for raw in said.values():
            raw["network"]["interfaces"][0]["mtu"] = 1000

    assert alarms(judged(spoil)) == {(f"node{i}", "mtu", "fail") for i in (1, 2)}


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ((0.0, 0.9), set()),
        ((0.0, 3.0), {("node2", "skew", "warn")}),
        ((0.0, -30.0), {("node2", "skew", "warn")}),
        ((0.0, 90.0), {("node2", "skew", "warn"), ("node2", "clock", "fail")}),
        ((90.0, 90.0), {("node1", "clock", "fail"), ("node2", "clock", "fail")}),
    ],
)
def test_clocks(offsets: tuple[float, float], expected: set[tuple[str, str, str]]) -> None:
    assert alarms(judged(offsets=offsets)) == expected


@pytest.mark.parametrize(
    ("version", "settings", "verdict"),
    [
        ("v1.34.2", {}, Verdict.WARN),
        ("v1.35.0", {}, Verdict.FAIL),
        ("v1.35.0", {"kubelet_fail_cgroup_v1": "false"}, Verdict.WARN),
        ("v1.35.0", {"kubelet_fail_cgroup_v1": "true"}, Verdict.FAIL),
    ],
)
def test_old_control_groups_by_version(
    version: str, settings: dict[str, str], verdict: Verdict
) -> None:
    found = judged(
        lambda said: said["node2"]["machine"]["cgroups"].update(version=1),
        settings=settings,
        site=cluster_site(version=version),
    )
    assert found["node2"]["cgroups"].verdict is verdict


@pytest.mark.parametrize(
    ("mode", "plugin", "absent", "verdict"),
    [
        ("iptables", "calico", "ip_vs", Verdict.OK),
        ("nftables", "calico", "nf_tables", Verdict.FAIL),
        ("iptables", "calico", "nf_tables", Verdict.OK),
        ("iptables", "cilium", "ip_set", Verdict.OK),
        ("iptables", "kube-router", "vxlan", Verdict.OK),
    ],
)
def test_what_a_kernel_must_have_depends_on_what_is_chosen(
    mode: str, plugin: str, absent: str, verdict: Verdict
) -> None:
    found = judged(
        lambda said: said["node2"]["machine"]["features"].update({absent: "absent"}),
        settings={"kube_proxy_mode": mode},
        site=cluster_site(networkPlugin=plugin),
    )
    assert found["node2"]["kernel-features"].verdict is verdict


def test_settings_of_the_kernel_are_right_or_can_be_set() -> None:
    stuck = {"value": "7", "settable": False}
    for name, id_ in (("net.ipv4.ip_forward", "ip-forward"), ("kernel.panic", "kernel-settings")):

        def spoil(said: dict[str, Raw], name: str = name) -> None:
            said["node2"]["machine"]["sysctls"][name] = stuck

        assert alarms(judged(spoil)) == {("node2", id_, "fail")}
    found = judged(lambda said: said["node2"]["machine"].update(sysctls={}))
    assert alarms(found) == {("node2", "ip-forward", "fail"), ("node2", "kernel-settings", "fail")}


def test_a_plugin_without_a_tunnel_has_no_port_of_one() -> None:
    found = judged(
        lambda said: said["node2"]["network"].update(silent=["node1"]),
        site=cluster_site(networkPlugin="kube-router"),
    )
    assert "reach-tunnel" not in found["node2"]


def test_a_kernel_without_any_packet_filter_is_refused() -> None:
    found = judged(
        lambda said: said["node2"]["machine"]["features"].update(
            nf_tables="absent", ip_tables="absent"
        )
    )
    assert "nf_tables or ip_tables" in found["node2"]["kernel-features"].found


def test_the_cluster_that_this_site_made_is_no_leftover() -> None:
    def spoil(said: dict[str, Raw]) -> None:
        raw = said["node1"]
        raw["leftovers"] |= {
            "site": "ward", "files": ["/etc/kubernetes/admin.conf"], "processes": ["kubelet"],
            "networks": ["/etc/cni/net.d/10-calico.conflist"], "tasks": ["k8s.io/1"],
        }  # fmt: skip
        raw["network"]["listeners"] = [
            {"port": 6443, "process": "kube-apiserver"}, {"port": 179, "process": "bird"},
        ]  # fmt: skip
        raw["network"]["routes"] = ["10.233.64.0/24"]

    assert alarms(judged(spoil)) == set()


def test_a_stranger_on_a_port_is_named_even_on_a_node_of_ours() -> None:
    def spoil(said: dict[str, Raw]) -> None:
        said["node1"]["leftovers"]["site"] = "ward"
        said["node1"]["network"]["listeners"] = [{"port": 6443, "process": "python3"}]

    found = judged(spoil)
    assert alarms(found) == {("node1", "ports", "fail")}
    assert "6443 (kube-apiserver's) by python3" in found["node1"]["ports"].found


def test_sums_of_a_file_system_that_all_lies_on() -> None:
    def spoil(said: dict[str, Raw]) -> None:
        for place in said["node1"]["disks"]["places"].values():
            place["free"] = 8 * GIB

    assert alarms(judged(spoil)) == {("node1", "disk", "fail")}


def test_depots_their_certificate_and_their_image() -> None:
    def spoil(said: dict[str, Raw]) -> None:
        said["node1"]["outside"]["depots"][0]["ends"] = int(NOON.timestamp()) + 86_400
        said["node2"]["outside"]["depots"][0]["statuses"] = [200, 404]

    assert alarms(judged(spoil)) == {("node1", "depot", "warn"), ("node2", "image", "fail")}


def test_what_a_node_says_is_shown_short_and_printable() -> None:
    hostile = "\x1b[2J" + "x" * 5000
    found = judged(lambda said: said["node2"]["identity"].update(hostname=hostile))
    text = found["node2"]["hostname"].found
    assert len(text) < 400
    assert text.isprintable()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)


# A machine that is busy is no failure.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_a_node_says_all_are_judged(data: st.DataObject) -> None:
    """Put anything in one place, of any type, and nothing but the answers may change."""

    def spoil(said: dict[str, Raw]) -> None:
        place: Any = said["node2"]
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = data.draw(st.sampled_from(keys))
            deeper = isinstance(place[key], dict | list) and place[key]
            if not deeper or data.draw(st.booleans()):
                kind = type(place[key])
                alike = {int: st.integers(), str: st.text(), list: st.lists(st.text())}
                place[key] = data.draw(alike.get(kind, _JSON) | _JSON)
                return
            place = place[key]

    for node in judged(spoil).values():
        assert "facts" in node
        for finding in node.values():
            assert finding.found.isprintable()
