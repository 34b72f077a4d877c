"""What Kubernetes, kubeadm or Kubespray would refuse in the middle of an installation is said by
the check of the site file, by field and line."""

from __future__ import annotations

import pytest

from bundle.base.problem import Problem
from installer.site.load import examine_site
from installer.site.warnings import site_warnings
from tests.unit.installer.site.test_site_cluster import FIRST_IMAGE, SAMPLE, line_of, problems_of

API = "kubernetes.controlPlane.address"
ISSUER = "https://login.hospital.example/realms/hospital"
SERVERS = SAMPLE[SAMPLE.index("timeServers:") : SAMPLE.index("# Encrypted")]
BARE = SAMPLE.replace(SERVERS, "")


def warned(text: str) -> list[Problem]:
    site, problems = examine_site(text.encode(), "site.yaml")
    assert not problems
    assert site is not None
    return list(site_warnings(site))


@pytest.mark.parametrize(
    ("old", "new", "field", "says"),
    [
        ("name: node2", "name: node..2", "nodes[1].name", "a name that a node can have"),
        ("name: node2", "name: node-.b", "nodes[1].name", "a name that a node can have"),
        ("name: node2", "name: localhost", "nodes[1].name", "found 'localhost'"),
        ("name: node2", "name: etcd", "nodes[1].name", "found 'etcd'"),
        ("address: 10.20.1.11", "address: 10.20.1.0", "nodes[1].address", "the first or last"),
        ("address: 10.20.1.11", "address: 10.20.1.255", "nodes[1].address", "the first or last"),
        ("calico\n", "calico\n  serviceNetwork: 10.233.0.0/29\n", "kubernetes.serviceNetwork",
         "from /12 to /28"),
        ("calico\n", "calico\n  serviceNetwork: 100.0.0.0/11\n", "kubernetes.serviceNetwork",
         "from /12 to /28"),
        ("calico\n", "calico\n  podNetwork: 172.16.0.0/12\n  nodePrefix: 29\n",
         "kubernetes.nodePrefix", "from 12 to 28"),
        ("calico\n", "cilium\n  nodePrefix: 26\n", "kubernetes.nodePrefix", "from 18 to 25"),
        ("calico\n", "calico\n  podNetwork: 169.254.0.0/18\n", "kubernetes.podNetwork",
         "link-local"),
        ("calico\n", "calico\n  podNetwork: 127.128.0.0/9\n", "kubernetes.podNetwork", "own"),
        ("calico\n", "calico\n  serviceNetwork: 224.0.0.0/16\n", "kubernetes.serviceNetwork",
         "multicast"),
        ("calico\n", "calico\n  podNetwork: fd00:1::/64\n", "kubernetes.podNetwork", "of IPv4"),
        ("calico\n", "calico\n  serviceNetwork: fd00:2::/112\n", "kubernetes.serviceNetwork",
         "of IPv4"),
        ("[10.20.2.0/24]", "[10.20.2.0/24, 'fd00:3::/64']", "zones[1].networks[1]", "of IPv4"),
        ("to: 10.31.0.10/32", "to: 'fd00:4::/64'", "zones[1].egress[0].to", "of IPv4"),
        ("api.hospital.example", "'fd00::9'", API, "an address of IPv4"),
        ("address: api.hospital.example", "address: 10.20.0.5, port: 5443", API, "which is depot"),
        ("address: api.hospital.example", "address: 10.20.0.6, port: 5443", API,
         "which is secondDepot"),
        (ISSUER, "https://10.233.0.9/x", "kubernetes.oidc.issuer", "kubernetes.serviceNetwork"),
        (ISSUER, "'https://[x'", "kubernetes.oidc.issuer", "an https:// address"),
        ("ward: east", "example.kubernetes.io/ward: x", "zones[0].labels", "of your own"),
        ("ward: east", "k8s.io/ward: x", "zones[0].labels", "of your own"),
        ("ward: east", "a..b/ward: x", "zones[0].labels", "a key of labels"),
        ("key: zone, value: clinical", "key: node.kubernetes.io/unreachable",
         "zones[0].taints[0].key", "of your own"),
        ("key: zone, value: clinical", "key: isoward/zone", "zones[0].taints[0].key", "your own"),
        ("# Encrypted", "timeServers: [10.20.1.0]\n# E", "timeServers[0]", "the first or last"),
        ("# Encrypted", "dnsServers: [10.20.2.255]\n# E", "dnsServers[0]", "the first or last"),
        ("# Encrypted", "names: {a.x: 10.20.1.255}\n# E", "names.a.x", "the first or last"),
        ("# Encrypted", "timeServers: [10.20.0.300]\n# E", "timeServers[0]", "an IP address"),
        ("# Encrypted", "timeServers: [10.20.0.5, 10.20.0.5]\n# E", "timeServers[1]", "duplicate"),
        ("# Encrypted", "timeServers: ['a b']\n# E", "timeServers[0]", "an IP address or a host"),
        ("# Encrypted", 'timeServers: ["10.0.0.1\\nx"]\n# E', "timeServers[0]", "an IP address"),
        ("# Encrypted", "timeServers: [10.233.64.1]\n# E", "timeServers[0]", "podNetwork"),
        ("# Encrypted", "dnsServers: [dns.hospital.example]\n# E", "dnsServers[0]", "an IP addr"),
        ("# Encrypted", "dnsServers: [10.233.0.3]\n# E", "dnsServers[0]", "serviceNetwork"),
        ("# Encrypted", "names: {api.x: api.y}\n# E", "names.api.x", "expected an IP address"),
        ("# Encrypted", "names: {Api: 10.0.0.1}\n# E", "names", "a host name in small letters"),
    ],
)  # fmt: skip
def test_a_refusal_of_later_is_one_of_now(old: str, new: str, field: str, says: str) -> None:
    assert old in BARE
    text = BARE.replace(old, new, 1)
    found = problems_of(text)
    assert [problem.path for problem in found] == [field], found
    assert says in found[0].message
    assert found[0].hint
    assert found[0].line > 0


def test_a_node_is_not_reached_at_an_address_of_ipv6_or_of_the_machine_itself() -> None:
    text = SAMPLE.replace("address: 10.20.1.11", "address: 'fd00::11'")
    assert any("an address of IPv4" in problem.message for problem in problems_of(text))
    text = SAMPLE.replace("10.20.1.0/24", "127.0.1.0/24").replace("10.20.1.11", "127.0.1.11")
    found = problems_of(text)
    assert {problem.path for problem in found} == {"zones[0].networks[0]", "nodes[1].address"}
    assert all("each machine's own" in problem.message for problem in found)


def test_one_address_written_in_two_ways_is_one_machine() -> None:
    text = SAMPLE.replace("10.20.0.5", "'fd00::5'").replace("10.20.0.6", "'fd00:0::5'")
    assert [problem.path for problem in problems_of(text)] == ["secondDepot"]


def test_a_site_with_a_cluster_needs_no_first_image_and_one_without_does() -> None:
    assert not problems_of(SAMPLE)
    assert not problems_of(SAMPLE + FIRST_IMAGE)
    plain = SAMPLE[: SAMPLE.index("kubernetes:")]
    found = problems_of(plain)
    assert [problem.path for problem in found] == ["firstImage"]
    # Nothing else is near what is not there, so it is the document that is pointed at.
    assert found[0].line == line_of(plain, "apiVersion")


def test_members_of_etcd_alone_are_no_place_for_the_clusters_dns() -> None:
    text = SAMPLE.replace("[control-plane, etcd, worker]", "[etcd]").replace(
        "roles: [worker]", "roles: [worker, control-plane]"
    )
    assert [problem.path for problem in problems_of(text)] == ["zones"]


def test_names_and_servers_of_the_site_are_read() -> None:
    text = BARE + "timeServers: [10.20.0.7, ntp.hospital.example]\ndnsServers: [10.20.0.8]\n"
    site, problems = examine_site((text + "names: {a.b: 10.0.0.9}\n").encode(), "site.yaml")
    assert not problems
    assert site is not None
    assert site.time_servers == ("10.20.0.7", "ntp.hospital.example")
    assert (site.dns_servers, site.names) == (("10.20.0.8",), {"a.b": "10.0.0.9"})


def test_what_may_be_forgotten_is_pointed_at_and_refused_by_nobody() -> None:
    assert not warned(SAMPLE)
    assert [warning.path for warning in warned(BARE)] == [API, "kubernetes.oidc.issuer"]
    idle = SAMPLE.replace("zone: research\n", "zone: clinical\n")
    assert [warning.path for warning in warned(idle.replace("10.20.3.11", "10.20.1.12"))] == [
        "zones[2]"
    ]
    tainted = SAMPLE.replace("etcd, worker]", "etcd]")
    assert [warning.path for warning in warned(tainted)] == ["zones[1]", "zones"]


def test_a_site_without_a_cluster_is_not_warned_of_its_nodes() -> None:
    assert not warned(BARE[: BARE.index("kubernetes:")] + FIRST_IMAGE)
