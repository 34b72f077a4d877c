from __future__ import annotations

import errno
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle.base.errors import UsageError
from installer.serving.listening import (
    CONNECTIONS,
    STALLED_SECONDS,
    listening,
    room_for_connections,
    url_of,
)
from installer.serving.reach import addresses_for_nodes, nodes_can_use, reach_notices
from installer.serving.server import key_paths


def test_port_zero_takes_one_that_is_free_and_holds_it() -> None:
    with listening("127.0.0.1", 0) as made:
        port = made.getsockname()[1]
        assert port > 0
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))


def test_a_port_that_is_shared_by_another_server_is_taken_too() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"127.0.0.1:{port}"), listening("127.0.0.1", port):
            pass


@pytest.mark.parametrize("address", ["203.0.113.77", "no-address", "", "1.2.3"])
def test_an_address_that_is_not_here_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="address"), listening(address, 0):
        pass


def test_connections_inherit_the_deadline_for_clients_that_take_nothing() -> None:
    with listening("127.0.0.1", 0) as made:
        made.settimeout(20)
        with socket.create_connection(made.getsockname()), made.accept()[0] as taken:
            deadline = taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            assert deadline == STALLED_SECONDS * 1000
            assert taken.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) <= 2 * 1024 * 1024


def _send_without_end(to: socket.socket) -> None:
    to.settimeout(60)
    while True:
        to.sendall(bytes(65536))


def test_a_client_that_takes_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("installer.serving.listening.STALLED_SECONDS", 1)
    with listening("127.0.0.1", 0) as made, socket.socket() as client:
        made.settimeout(20)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(made.getsockname())
        with made.accept()[0] as taken, pytest.raises(TimeoutError, match="timed out") as found:
            _send_without_end(taken)
        # By the kernel, not by the test.
        assert found.value.errno == errno.ETIMEDOUT


@pytest.fixture
def file_limit() -> Iterator[int]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_limit_on_open_files_is_raised_for_the_connections(file_limit: int) -> None:
    if file_limit < 10_000:
        pytest.skip(f"this machine allows {file_limit} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, file_limit))
    assert room_for_connections() == CONNECTIONS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft > 2 * CONNECTIONS


def test_fewer_files_mean_fewer_connections(
    file_limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1024))
    assert room_for_connections() == (1024 - 256) // 2


def test_a_url_is_one_that_a_client_can_use() -> None:
    assert url_of("::1", 5443) == "https://[::1]:5443"
    assert url_of("10.0.0.5", 1) == "https://10.0.0.5:1"


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "::",
        "127.0.0.1",
        "127.8.9.1",
        "::1",
        "169.254.3.4",
        "fe80::1",
        "fe80::1%eth0",
        "::ffff:127.0.0.1",
        "224.0.0.1",
        "ff02::1",
        "localhost",
        "db.localhost",
    ],
)
def test_what_no_node_can_use_is_said(address: str) -> None:
    assert not nodes_can_use(address)
    assert reach_notices("10.0.0.5", [address]) == [f"--name {address}: no node can use it"]
    if address not in {"0.0.0.0", "::"}:
        assert "no node can reach the depot at" in reach_notices(address, ["depot.example"])[0]


@pytest.mark.parametrize("address", ["10.0.0.5", "fd00::5", "192.0.2.2", "depot.example"])
def test_what_nodes_can_use_needs_no_word(address: str) -> None:
    assert nodes_can_use(address)
    assert reach_notices("10.0.0.5", [address]) == []


def test_everywhere_means_the_addresses_that_this_machine_has() -> None:
    assert addresses_for_nodes("10.0.0.5") == ["10.0.0.5"]
    for address in ("0.0.0.0", "::"):
        for found in addresses_for_nodes(address):
            assert nodes_can_use(found)
            with listening(found, 0):
                pass


def test_certificate_and_key_go_together() -> None:
    assert key_paths(None, None) is None
    assert key_paths(Path("a"), Path("b")) == (Path("a"), Path("b"))
    for pair in ((Path("a"), None), (None, Path("b"))):
        with pytest.raises(UsageError, match="given together"):
            key_paths(*pair)
