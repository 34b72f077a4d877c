"""Addresses and names that no machine of a site can be reached by are said by `site check`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bundle.base.problem import Problem
from installer.base.networks import address_of, host_problem, name_problem, network_of
from installer.site.load import examine_site
from tests.support.sites.clusters import cluster_data
from tests.support.sites.plain import HOST_KEY, site_data
from tests.unit.installer.site.test_site_refused import warned

UNUSABLE = [
    "0.0.0.0", "0.1.2.3", "127.0.0.1", "127.0.0.53", "127.127.1.0", "169.254.25.10", "192.0.0.9",
    "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.5", "100::1", "fe80::1", "febf::1", "fec0::1", "ff02::1",
]  # fmt: skip
SCOPED = ["fe80::1%eth0", "fd00::5%eth0", "fe80::1%{{ lookup('pipe','id') }}", "fd00::5%"]
NO_ADDRESSES = [
    "10.0.0", "10.0.0.300", "010.0.0.1", "0x7f000001", "2130706433", "127.1", "1.2.3.4.", "",
    "10.0.0.1/24", "[fd00::1]", "10.0.0.1:53", " 10.0.0.1", "10.0.0.1\n", "10.0.0.1 ",
]  # fmt: skip
NO_NAMES = [
    "Node1", "node1.", ".node1", "a..b", "-a", "a-", "a_b", "7", "node.7", "a.0x7f", "10.0.0.1",
    "a" * 64, "x." * 126 + "xx", "a b", "a\nb", "nöde", "fd00::1", "",
]  # fmt: skip
OWN_NAMES = ["localhost", "localhost.localdomain", "ip6-loopback", "ip6-allnodes", "x.localhost"]
NUMBERS = [("dnsServers", 0), ("names", "login.hospital.example")]
HOSTS = [("depot", "address"), ("secondDepot", "address"), ("timeServers", 0),
         ("nodes", 0, "address"), ("kubernetes", "controlPlane", "address")]  # fmt: skip


def cluster() -> dict[str, Any]:
    data = cluster_data(3, "calico")
    names = {"login.hospital.example": "10.31.0.10", "api.hospital.example": "10.20.0.9"}
    return {**data, "timeServers": ["10.20.0.7"], "names": names}


def problems_with(place: tuple[Any, ...], value: str, data: dict[str, Any]) -> list[Problem]:
    inner: Any = data
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return examine_site(json.dumps(data).encode(), "site.yaml")[1]


def field_of(place: tuple[Any, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)[1:]


@pytest.mark.parametrize("place", [*HOSTS, *NUMBERS], ids=field_of)
def test_an_address_that_no_machine_can_use_is_refused_by_its_field(place: tuple[Any, ...]) -> None:
    assert not problems_with(place, "10.20.1.11" if place[0] == "nodes" else "10.20.9.9", cluster())
    for text in [*UNUSABLE, *SCOPED, *NO_ADDRESSES]:
        found = problems_with(place, text, cluster())
        assert field_of(place) in [problem.path for problem in found], (text, found)
        assert all(problem.line and problem.hint for problem in found), found


@pytest.mark.parametrize("place", HOSTS, ids=field_of)
def test_a_name_that_is_none_or_each_machines_own_is_refused(place: tuple[Any, ...]) -> None:
    for text in [*NO_NAMES, *OWN_NAMES]:
        if text not in {"10.0.0.1", "fd00::1"}:
            paths = [problem.path for problem in problems_with(place, text, cluster())]
            assert field_of(place) in paths, text


def test_the_issuers_host_is_one_that_the_api_server_reaches() -> None:
    for host in ("127.0.0.1", "localhost", "[::1]", "[fe80::1]", "0.0.0.0", "169.254.169.254"):
        found = problems_with(("kubernetes", "oidc", "issuer"), f"https://{host}/x", cluster())
        assert [problem.path for problem in found] == ["kubernetes.oidc.issuer"], host


@pytest.mark.parametrize("with_cluster", [True, False])
def test_a_node_is_not_named_like_an_address_or_like_every_machine(with_cluster: bool) -> None:
    for name in [*NO_NAMES, *OWN_NAMES, "all", "etcd", "ungrouped"]:
        data = cluster() if with_cluster else site_data()
        found = problems_with(("nodes", 0, "name"), name, data)
        assert "nodes[0].name" in [problem.path for problem in found], name


@pytest.mark.parametrize("name", [*NO_NAMES, *OWN_NAMES])
def test_a_name_of_the_site_is_the_name_of_one_machine(name: str) -> None:
    found = problems_with(("names", name), "10.20.0.9", cluster())
    assert any(problem.path.startswith("names") for problem in found), found


def test_a_name_of_the_site_may_not_move_a_node() -> None:
    found = problems_with(("names", "node2"), "10.20.9.9", cluster())
    assert [problem.path for problem in found] == ["names.node2"]
    assert not problems_with(("names", "node2"), "10.20.2.12", cluster())


def test_one_server_written_in_two_ways_stands_twice() -> None:
    data = {**cluster(), "dnsServers": ["fd00::5", "fd00:0::5"]}
    found = examine_site(json.dumps(data).encode(), "site.yaml")[1]
    assert [problem.path for problem in found] == ["dnsServers[1]"]


def test_an_egress_that_leads_nowhere_is_refused_and_a_wide_one_is_not() -> None:
    place = ("zones", 1, "egress", 0, "to")
    for network in ("127.0.0.0/8", "127.0.0.1/32", "224.0.0.0/8", "255.255.255.255/32"):
        assert [p.path for p in problems_with(place, network, cluster())] == [field_of(place)]
    assert not problems_with(place, "0.0.0.0/0", cluster())


def test_a_depot_is_this_machine_only_where_every_node_is() -> None:
    assert not problems_with(("metadata", "name"), "here", site_data())
    node = {
        "name": "n2",
        "address": "10.0.0.12",
        "zone": "clinical",
        "hostKey": HOST_KEY[:-1] + "W",
    }
    data = site_data()
    data["nodes"].append(node)
    found = [p.path for p in examine_site(json.dumps(data).encode(), "site.yaml")[1]]
    assert sorted(found) == ["depot.address", "nodes[0].address"]


def test_an_address_of_a_sample_is_pointed_at() -> None:
    for address in ("192.0.2.5", "198.51.100.5", "203.0.113.5", "2001:db8::5"):
        data = {**cluster(), "timeServers": [address]}
        (warning,) = warned(json.dumps(data))
        assert (warning.path, "documentation" in warning.message) == ("timeServers[0]", True)


def test_no_scope_and_nothing_behind_it_is_ever_an_address() -> None:
    for text in SCOPED:
        assert address_of(text) is None
        assert network_of(f"{text}/64") is None
        assert host_problem(text)
        assert name_problem(text)
