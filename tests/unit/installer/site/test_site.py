"""The site file: pinned hosts, no surprises."""

from __future__ import annotations

import pytest

from bundle.base.errors import DefinitionError
from tests.support.documents.right import HOST_KEY, SITE, read_site

SECOND = (
    "  - {name: node2, address: 10.0.0.12, zone: clinical, hostKey: "
    + HOST_KEY.replace("AAAAI", "AAAAJ")
    + "}\nfirstImage:"
)


def test_a_site_and_its_defaults() -> None:
    site = read_site(SITE)
    assert (site.depot.port, site.ssh.port, site.ssh.user) == (5443, 22, "root")
    assert site.nodes[0].host_key == HOST_KEY
    assert site.nodes[0].port is None


def test_two_nodes_may_share_an_address_on_different_ports() -> None:
    text = SITE.replace("firstImage:", SECOND.replace("10.0.0.12", "10.0.0.11, port: 2222"))
    assert len(read_site(text).nodes) == 2


@pytest.mark.parametrize("address", ["10.0.0.11", "fd00::11", "node1.hospital.example", "node1"])
def test_addresses(address: str) -> None:
    assert read_site(SITE.replace("10.0.0.11", f"'{address}'")).nodes[0].address == address


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("kind: Site", "kind: Sites", "kind"),
        ("name: north", "name: North", "metadata.name"),
        ("10.0.0.2", "10.0.0", "expected an IP"),
        ("10.0.0.2", "-oProxyCommand=x", r"depot\.address: expected an IP address"),
        ("10.0.0.2", "a b", "depot.address"),
        ("10.0.0.2", "'10.0.0.2:5443'", "depot.address"),
        ("10.0.0.2", "10.0.0.2, port: 0", "depot.port"),
        ("10.0.0.2", "10.0.0.2, port: 65536", "depot.port"),
        ("10.0.0.11", "10.0.0.999.", r"nodes\[0\]\.address"),
        ("10.0.0.11", "'[::1]'", r"nodes\[0\]\.address"),
        ("zone: clinical", "zone: office", "expected one of clinical, found 'office'"),
        ("zones: [clinical]", "zones: []", "zones"),
        ("zones: [clinical]", "zones: [clinical, clinical]", "duplicate"),
        ("ssh-ed25519 ", "ssh-dss ", "hostKey"),
        (HOST_KEY, f'"{HOST_KEY}\\n"', "hostKey"),
        (HOST_KEY, f"{HOST_KEY} comment", "hostKey"),
        (HOST_KEY, "SHA256:abc", "hostKey"),
        (f", hostKey: {HOST_KEY}", "", "missing field 'hostKey'"),
        ("ssh: {key: id_ed25519}", "ssh: {key: id, user: 'root;x'}", "ssh.user"),
        ("ssh: {key: id_ed25519}", "ssh: {key: id, user: -root}", "ssh.user"),
        ("ssh: {key: id_ed25519}", "ssh: {}", "missing field 'key'"),
        (
            "ssh: {key: id_ed25519}",
            "ssh: {key: id, password: x}",
            "password: unknown field",
        ),
        ("registry.example.org/app/web:2.1", "web", "firstImage.reference"),
        ("[/bin/true]", "[]", "firstImage.command"),
        ("[/bin/true]", "/bin/true", "firstImage.command"),
        ("[/bin/true]", "['']", "firstImage.command"),
        ("firstImage:", SECOND.replace("node2", "node1"), "duplicate name 'node1'"),
        ("firstImage:", SECOND.replace("10.0.0.12", "10.0.0.11"), "duplicate address"),
        ("firstImage:", SECOND.replace("AAAAJ", "AAAAI"), "duplicate hostKey"),
    ],
)
def test_a_broken_site_is_refused_with_its_place(old: str, new: str, why: str) -> None:
    assert old in SITE
    with pytest.raises(DefinitionError, match=why) as caught:
        read_site(SITE.replace(old, new))
    assert caught.value.exit_code == 10
    assert caught.value.hint
