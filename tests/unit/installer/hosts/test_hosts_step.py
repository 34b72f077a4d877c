"""What the step `hosts` decides before it changes any machine, and the files that follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bundle.base.digest import digest_of
from bundle.base.errors import DigestMismatchError, StepError
from bundle.kinds.os_packages import OsEntry, OsFile, OsPackage, OsPlace
from installer.depot.directory import DepotDirectory
from installer.hosts.inquiry import System, ask_systems, set_clock
from installer.hosts.names import names_of, resolve_here
from installer.hosts.package_sources import choose_sets, package_files, read_keyrings
from installer.preflight.shell import Result
from installer.site.document import Node, Site
from tests.support.sites.plain import site_data, site_of

_NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
_DEBIAN = 'NAME="Debian GNU/Linux"\nID=debian\nVERSION_ID="12"\n'
_ROCKY = 'ID="rocky"\nVERSION_ID="9.6"\n'
_KEYS = b"\x99\x00\x01\x04"
_ONE = ("https://10.0.0.5:5443",)
_TWO = (*_ONE, "https://depot.example:5443")


class _Machine:
    """Answers as a node would, whose clock is `ahead` and whose answer takes `seconds`."""

    def __init__(self, release: str, machine: str, ahead: float, seconds: float) -> None:
        self.release, self.machine, self.ahead, self.seconds = release, machine, ahead, seconds
        self.time = _NOON
        self.ran: list[tuple[str, ...]] = []
        self.user = "0"
        self.refuses = False

    def now(self) -> datetime:
        return self.time

    def run(self, *argv: str, stdin: bytes = b"") -> Result:
        self.ran.append(argv)
        if "--set" in " ".join(argv):
            return Result(1 if self.refuses else 0, "", "Operation not permitted")
        if argv[0] == "date":
            # It looks at its clock at the very end of the time that the answer takes.
            self.time += timedelta(seconds=self.seconds)
            return Result(0, f"{self.time.timestamp() + self.ahead:.9f}\n", "")
        said = {"cat": self.release, "uname": f"{self.machine}\n", "id": f"{self.user}\n"}
        return Result(0, said.get(argv[0], ""), "")

    @contextmanager
    def connect(self, _: Node) -> Iterator[_Machine]:
        yield self


def _asked(
    release: str = _DEBIAN, machine: str = "x86_64", ahead: float = 0.0, seconds: float = 0.0
) -> System:
    node = _Machine(release, machine, ahead, seconds)
    return ask_systems(site_of(site_data()), node.connect, node.now)["node1"]


def _entry(name: str = "debian-12", *, architecture: str = "amd64", **fields: Any) -> OsEntry:
    package = OsPackage(
        name="socat", version="1", architecture=architecture, digest=digest_of(b"deb")
    )
    both = OsPackage(name="data", version="1", architecture="all", digest=digest_of(b"all"))
    places = (OsPlace(folder="debian", suite="bookworm", components=("main", "contrib")),)
    values: dict[str, Any] = {
        "name": name,
        "release": "debian-12",
        "repositories": places,
        "keyring": OsFile(path="keyring.gpg", digest=digest_of(_KEYS)),
        "files": (),
        "packages": (package, both),
    }
    return OsEntry(**{**values, **fields})


def _rocky() -> OsEntry:
    signed = OsFile(path="baseos/x86_64/repodata/repomd.xml.asc", digest=digest_of(b"asc"))
    plain = OsFile(path="extras/x86_64/repodata/repomd.xml", digest=digest_of(b"xml"))
    return _entry(
        "rocky-9", architecture="x86_64", release="rocky-9", files=(signed, plain),
        repositories=(OsPlace(folder="baseos"), OsPlace(folder="extras")),
    )  # fmt: skip


def test_a_machine_says_what_it_is() -> None:
    assert _asked() == System("debian-12", "x86_64", 0.0)
    assert _asked(_ROCKY, "aarch64") == System("rocky-9", "aarch64", 0.0)
    for release, machine in (("", "x86_64"), (_DEBIAN, ""), ('ID="\nVERSION_ID=1', "x86_64"),
                             ("ID='x; rm -rf /'\nVERSION_ID=1\n", "x86_64")):  # fmt: skip
        with pytest.raises(StepError, match="expected a system that says what it is"):
            _asked(release, machine)


def test_a_slow_answer_is_not_taken_for_a_clock_that_is_off() -> None:
    """A clock that is wrongly set is worse than one that is a second off."""
    assert _asked(seconds=30.0).ahead == 0.0
    assert _asked(ahead=-20.0, seconds=30.0).ahead == 0.0
    assert _asked(ahead=90.0, seconds=30.0).ahead == pytest.approx(90.0)
    assert _asked(ahead=-90.0, seconds=30.0).ahead == pytest.approx(-60.0)
    with pytest.raises(StepError, match="expected the time"):
        _asked(ahead=float("nan"))


def test_a_clock_is_set_to_ours_by_root() -> None:
    (node,) = site_of(site_data()).nodes
    machine = _Machine(_DEBIAN, "x86_64", 5.0, 0.0)
    set_clock(node, machine.connect, lambda: _NOON)
    assert ("date", "--utc", f"--set=@{_NOON.timestamp():.3f}") in machine.ran
    machine.user, machine.refuses = "1000", True
    with pytest.raises(StepError, match="cannot be set: Operation not permitted"):
        set_clock(node, machine.connect, lambda: _NOON)
    assert machine.ran[-1][:4] == ("sudo", "-n", "--", "date")


def test_each_machine_gets_the_sets_of_its_release_and_architecture() -> None:
    entries = (
        _entry(),
        _entry("tools"),
        _entry("arm", architecture="arm64"),
        _entry("plain", packages=()),
        _rocky(),
    )
    systems = {
        "a": System("debian-12", "x86_64", 0.0),
        "b": System("debian-12", "aarch64", 0.0),
        "c": System("rocky-9", "x86_64", 0.0),
    }
    chosen = choose_sets(systems, entries, "platform 1.0.0")
    names = {node: [entry.name for entry in found] for node, found in chosen.items()}
    assert names == {
        "a": ["debian-12", "tools", "plain"],
        "b": ["arm", "plain"],
        "c": ["rocky-9"],
    }
    others = {"d": System("debian-13", "x86_64", 0.0), "e": System("rocky-9", "aarch64", 0.0)}
    with pytest.raises(StepError) as caught:
        choose_sets({**systems, **others}, entries, "platform 1.0.0")
    assert "platform 1.0.0 has packages of debian-12, rocky-9" in caught.value.message
    assert "none for d (debian-13, x86_64), e (rocky-9, aarch64)" in caught.value.message


def _text(files: Sequence[Any], name: str) -> str:
    (found,) = (file.data.decode() for file in files if file.path.endswith(name))
    return str(found)


def test_apt_reads_one_depot_plainly_and_two_through_a_list() -> None:
    updates = OsPlace(folder="debian", suite="bookworm-updates", components=("main",))
    entry = _entry()
    entry = _entry(repositories=(*entry.repositories, updates))
    files = package_files([entry], _ONE, {"debian-12": _KEYS})
    assert [file.path for file in files] == [
        "/etc/apt/keyrings/isoward-debian-12.gpg",
        "/etc/apt/sources.list.d/isoward.sources",
        "/etc/apt/apt.conf.d/99isoward",
    ]
    assert files[0].data == _KEYS
    assert _text(files, ".sources").partition("\n")[2] == (
        "Types: deb\nURIs: https://10.0.0.5:5443/os/debian-12/debian/\nSuites: bookworm\n"
        "Components: main contrib\nSigned-By: /etc/apt/keyrings/isoward-debian-12.gpg\n"
        "Check-Valid-Until: no\nTargets: Packages\n\n"
        "Types: deb\nURIs: https://10.0.0.5:5443/os/debian-12/debian/\nSuites: bookworm-updates\n"
        "Components: main\nSigned-By: /etc/apt/keyrings/isoward-debian-12.gpg\n"
        "Check-Valid-Until: no\nTargets: Packages\n"
    )
    settings = _text(files, "99isoward")
    assert 'Acquire::https::CAInfo "/etc/containerd/isoward/ca.pem";' in settings
    assert 'APT::Install-Recommends "false";' in settings
    assert "Retries" not in settings
    both = package_files([_entry(recommends=True)], _TWO, {"debian-12": _KEYS})
    path = "/etc/apt/isoward/debian-12-debian.mirrors"
    assert f"URIs: mirror+file:{path}\n" in _text(both, ".sources")
    assert _text(both, path) == (
        "https://10.0.0.5:5443/os/debian-12/debian/\tpriority:1\n"
        "https://depot.example:5443/os/debian-12/debian/\tpriority:2\n"
    )
    assert 'Acquire::Retries "0";' in _text(both, "99isoward")
    assert 'APT::Install-Recommends "true";' in _text(both, "99isoward")


def test_dnf_checks_every_package_and_each_list_that_is_signed() -> None:
    files = package_files([_rocky()], _TWO, {"rocky-9": b"\xc6\x01\x04\xc6\x01\x05"})
    key = "/etc/pki/rpm-gpg/RPM-GPG-KEY-isoward-rocky-9"
    assert [file.path for file in files] == [
        f"{key}-1",
        f"{key}-2",
        "/etc/yum.repos.d/isoward.repo",
    ]
    base, extras = _text(files, ".repo").partition("\n")[2].split("\n\n")
    assert base.splitlines() == [
        "[isoward-rocky-9-baseos]",
        "name=rocky-9 baseos, from the depot",
        "baseurl=https://10.0.0.5:5443/os/rocky-9/baseos/$basearch/",
        "        https://depot.example:5443/os/rocky-9/baseos/$basearch/",
        "enabled=1",
        "gpgcheck=1",
        "repo_gpgcheck=1",
        f"gpgkey=file://{key}-1",
        f"       file://{key}-2",
        "sslverify=1",
        "sslcacert=/etc/containerd/isoward/ca.pem",
        "proxy=_none_",
        "skip_if_unavailable=0",
    ]
    assert "gpgcheck=1\nrepo_gpgcheck=0\n" in extras


def test_a_keyring_that_was_damaged_in_the_depot_goes_to_no_node(tmp_path: Path) -> None:
    depot = DepotDirectory(tmp_path)
    depot.blobs.mkdir(parents=True)
    depot.blob_path(digest_of(_KEYS)).write_bytes(_KEYS)
    assert read_keyrings([_entry()], depot) == {"debian-12": _KEYS}
    depot.blob_path(digest_of(_KEYS)).write_bytes(b"another")
    with pytest.raises(DigestMismatchError):
        read_keyrings([_entry()], depot)


def _known(*addresses: str) -> Callable[[str], Sequence[str]]:
    return lambda _: addresses


def test_nodes_know_each_other_and_what_the_site_names() -> None:
    site = site_of(site_data())
    other = replace(site.nodes[0], name="node2", address="10.0.0.12")
    site = replace(site, nodes=(*site.nodes, other))
    assert names_of(site, _known()) == "127.0.0.1 node1\n10.0.0.12 node2\n"
    named = _with_depot(site, "depot.example")
    local = ("::1", "127.0.1.1", "10.0.0.5")
    assert names_of(named, _known(*local)).splitlines()[2:] == ["10.0.0.5 depot.example"]
    for addresses, found in (((), "none"), (("127.0.1.1",), "127.0.1.1")):
        with pytest.raises(StepError, match=f"depot.example that nodes can use, found {found}"):
            names_of(named, _known(*addresses))
    assert resolve_here("name.invalid") == ()


def test_a_name_that_the_site_file_gives_an_address_needs_no_other_answer() -> None:
    site = _with_depot(site_of(site_data(names={"depot.example": "10.0.0.7"})), "depot.example")
    assert names_of(site, _known()).splitlines() == ["10.0.0.7 depot.example", "127.0.0.1 node1"]


def _with_depot(site: Site, address: str) -> Site:
    return replace(site, depot=replace(site.depot, address=address))
