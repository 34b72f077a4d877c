from __future__ import annotations

import socket
from pathlib import Path

import pytest

from bundle.model.errors import UsageError
from installer.depot.server import key_paths, reserved_port, url_of


def test_port_zero_takes_one_that_is_free_and_holds_it() -> None:
    with reserved_port("127.0.0.1", 0) as port:
        assert port > 0
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))


def test_a_port_that_is_shared_by_another_server_is_taken_too() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"127.0.0.1:{port}"), reserved_port("127.0.0.1", port):
            pass


@pytest.mark.parametrize("address", ["203.0.113.77", "no-address", "", "1.2.3"])
def test_an_address_that_is_not_here_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="address"), reserved_port(address, 0):
        pass


def test_a_url_is_one_that_a_person_can_use() -> None:
    assert url_of("0.0.0.0", 5443) == "https://127.0.0.1:5443"
    assert url_of("::", 5443) == "https://[::1]:5443"
    assert url_of("10.0.0.5", 1) == "https://10.0.0.5:1"


def test_certificate_and_key_go_together() -> None:
    assert key_paths(None, None) is None
    assert key_paths(Path("a"), Path("b")) == (Path("a"), Path("b"))
    for pair in ((Path("a"), None), (None, Path("b"))):
        with pytest.raises(UsageError, match="go together"):
            key_paths(*pair)
