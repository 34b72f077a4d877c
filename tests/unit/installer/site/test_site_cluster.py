from __future__ import annotations

import re
from pathlib import Path

import pytest

from bundle.base.problem import Problem
from installer.site.load import examine_site

SAMPLE = (Path(__file__).parents[4] / "inventory" / "samples" / "hospital.yaml").read_text()
FIRST_IMAGE = "firstImage: {reference: 'registry.example.org/app/web:2.1', command: [/bin/true]}\n"
SERVICES = "  serviceNetwork: 10.20.2.128/25"
CLINICAL, ADMIN = "    zone: clinical", "    zone: administrative"


def problems_of(text: str) -> list[Problem]:
    return examine_site(text.encode(), "site.yaml")[1]


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def test_the_sample_has_no_problem_and_its_parts_are_read() -> None:
    site, problems = examine_site(SAMPLE.encode(), "site.yaml")
    assert not problems
    assert site is not None
    assert [depot.address for depot in site.depots] == ["10.20.0.5", "10.20.0.6"]
    assert [zone.name for zone in site.all_zones] == ["clinical", "administrative", "research"]
    assert [node.name for node in site.nodes_with("worker")] == ["node1", "node2", "node3"]
    assert site.kubernetes is not None
    assert site.kubernetes.encryption_at_rest == "secretbox"
    assert site.kubernetes.audit.retention_days == 2192


@pytest.mark.parametrize(
    ("old", "new", "field", "says"),
    [
        ("2.0/24]", "2.0/24, 10.20.1.128/25]", "zones[1].networks[1]", "overlaps 10.20.1.0/24"),
        ("[10.20.2.0/24]", "[10.20.2.0/24, 10.20.2.9/24]", "zones[1].networks[1]", "a network"),
        ("calico", f"calico\n{SERVICES}", "kubernetes.serviceNetwork", "overlaps 10.20.2.0/24"),
        ("to: 10.31.0.10/32", "to: 10.31.0.10/8", "zones[1].egress[0].to", "expected a network"),
        ("address: 10.20.2.11", "address: 10.20.3.12", "nodes[0].address", "networks of the zone"),
        (f"1.11\n{CLINICAL}", f"2.11\n{ADMIN}", "nodes[1].address", "duplicate"),
        ("address: 10.20.1.11", "address: node2", "nodes[1].address", "expected an IP address"),
        ("name: node2", "name: node1", "nodes[1].name", "duplicate"),
        ("zone: research\n", "zone: office\n", "nodes[2].zone", "found 'office'"),
        ("roles: [worker]", "roles: [worker, etcd]", "nodes", "odd number"),
        (", etcd, worker]", ", worker]", "nodes", "role etcd, found none"),
        ("[control-plane, etcd", "[etcd", "nodes", "role control-plane, found none"),
        ("roles: [worker]", "roles: [worker, worker]", "nodes[1].roles[1]", "duplicate"),
        ("    roles: [worker]\n", "", "nodes[1]", "expected roles"),
        (
            "roles: [worker]",
            "roles: [master]",
            "nodes[1].roles[0]",
            "one of control-plane, ",
        ),
        ("Plugin: calico", "Plugin: flannel", "kubernetes.networkPlugin", "enforces"),
        ("api.hospital.example", "10.20.2.11", "kubernetes.controlPlane.address", "node node1"),
        ("api.hospital.example", "node1", "kubernetes.controlPlane.address", "node node1"),
        ("api.hospital.example", "'a b'", "kubernetes.controlPlane.address", "a host name"),
        ("api.hospital.example", "10.233.0.1", "kubernetes.controlPlane.address", "serviceNetwork"),
        ("address: 10.20.0.6", "address: 10.20.0.5", "secondDepot", "another depot"),
        ("address: 10.20.0.6", "address: 10.233.64.9", "secondDepot.address", "podNetwork"),
        ("https://login", "http://login", "kubernetes.oidc.issuer", "https://"),
        ("Days: 2192", "Days: 365", "kubernetes.audit.retentionDays", "at least 2192"),
        ("logDays: 90", "logDays: 3000", "kubernetes.audit.logDays", "more than retentionDays"),
        ("version: v1.35.4", "version: latest", "kubernetes.version", "such as v1.35.4"),
        ("calico\n", "calico\n  nodePrefix: 17\n", "kubernetes.nodePrefix", "from 18 to 32"),
        ("calico\n", "calico\n  nodePrefix: 19\n", "kubernetes.podNetwork", "room for 2 nodes"),
        ("ward: east", "isoward/zone: x", "zones[0].labels", "of your own"),
        ("ward: east", "kubernetes.io/hostname: x", "zones[0].labels", "of your own"),
        ("to: 10.31.0.10/32", "to: 10.233.64.0/20", "zones[1].egress[0].to", "network of pods"),
        ("to: 10.31.0.10/32", "to: 10.233.0.1/32", "zones[1].egress[0].to", "of services"),
        ("to: 10.31.0.10/32", "to: 10.20.3.0/24", "zones[1].egress[0].to", "zone 'research'"),
        ("ward: east", "'a b': x", "zones[0].labels", "such as hospital.example/ward"),
        ("effect: NoSchedule", "effect: Never", "zones[0].taints[0].effect", "one of NoSchedule, "),
        ("    networks: [10.20.3.0/24]\n", "", "zones[2]", "expected the networks"),
        ("secrets.sops.yaml", "../secrets.yaml", "secrets", "beside this one"),
        ("secrets: secrets", "secret: secrets", "secret", "unknown field"),
        ("  name: st-example", "  name: ST", "metadata.name", "found 'ST'"),
    ],
)
def test_a_contradiction_is_found_by_field_and_line(
    old: str, new: str, field: str, says: str
) -> None:
    assert old in SAMPLE
    text = SAMPLE.replace(old, new, 1)
    found = problems_of(text)
    assert [problem.path for problem in found] == [field], found
    assert says in found[0].message
    assert found[0].hint
    # The line is that of the field; of what is around it, where the file leaves it out.
    names = [name for name in re.split(r"[.\[\]]+", field) if name]
    line = text.splitlines()[found[0].line - 1]
    assert names[-1].isdigit() or names[-1] in line or f"{names[0]}:" == line


def test_lines_are_exact() -> None:
    text = SAMPLE.replace("10.20.1.11", "10.20.9.11").replace("calico", "none")
    text = text.replace("to: 10.31.0.10/32", "to: 10.31.0.10/31")
    text = text.replace("to: 10.31.0.10/31", "to: 10.31.0.11/31")
    assert [problem.line for problem in problems_of(text)] == [
        line_of(text, "to: 10.31.0.11/31"),
        line_of(text, "address: 10.20.9.11"),
        line_of(text, "networkPlugin"),
    ]


def test_every_wrong_field_is_said_at_once() -> None:
    text = SAMPLE.replace("port: 5443", "port: x").replace("user: root", "user: Root;")
    text = text.replace("effect: NoSchedule", "effect: Never").replace("key: id_ed25519", "")
    text = text.replace("[2575]", "[0]").replace("roles: [worker]", "roles: worker")
    assert [(found.path, found.line) for found in problems_of(text)] == [
        ("ssh", line_of(text, "ssh:")),
        ("ssh.user", line_of(text, "user: Root;")),
        ("zones[0].egress[0].ports[0]", line_of(text, "[0]")),
        ("zones[0].taints[0].effect", line_of(text, "effect: Never")),
        ("nodes[1].roles", line_of(text, "roles: worker")),
        ("nodes[2].roles", text.count("\n", 0, text.rindex("roles: worker")) + 1),
    ]


def test_taints_everywhere_leave_no_place_for_the_clusters_own_pods() -> None:
    mark = "    taints: [{key: only, effect: NoExecute}]\n"
    text = SAMPLE.replace("  - name: research\n", f"{mark}  - name: research\n")
    assert [problem.path for problem in problems_of(text)] == ["zones"]


@pytest.mark.parametrize("name", ["kube-system", "default", "isoward-x", "a.b"])
def test_a_zone_has_a_name_that_its_namespace_can_have(name: str) -> None:
    found = problems_of(SAMPLE.replace("research", name))
    assert [problem.path for problem in found] == ["zones[2].name"]
    assert "a namespace of its own" in found[0].message


def test_a_zone_may_connect_to_its_own_network_and_to_what_is_around_the_site() -> None:
    assert not problems_of(SAMPLE.replace("to: 10.31.0.10/32", "to: 10.20.2.0/25"))
    assert not problems_of(SAMPLE.replace("to: 10.31.0.10/32", "to: 10.0.0.0/8"))


def test_two_ports_of_one_machine_are_not_two_nodes_of_a_cluster() -> None:
    text = SAMPLE.replace("address: 10.20.1.11", "address: 10.20.2.11\n    port: 2222")
    assert "nodes[1].address" in [problem.path for problem in problems_of(text)]
    assert any("is the address of node1 too" in problem.message for problem in problems_of(text))


@pytest.mark.parametrize("secret", ["-----BEGIN OPENSSH PRIVATE KEY-----", "AGE-SECRET-KEY-1QQ"])
def test_a_private_key_in_the_site_file_is_refused(secret: str) -> None:
    text = SAMPLE + f"# {secret}\n"
    (found,) = problems_of(text)
    assert found.line == len(text.splitlines())
    assert secret not in found.text


def test_zones_by_name_alone_still_do() -> None:
    text = SAMPLE.partition("kubernetes:")[0] + FIRST_IMAGE
    text = (
        text.partition("zones:")[0]
        + "zones: [clinical, administrative, research]\n"
        + ("nodes:" + text.partition("nodes:")[2])
    )
    assert not problems_of(text)
