from __future__ import annotations

import threading
from pathlib import Path

import pytest

from bundle.base.errors import (
    DefinitionError,
    FormatError,
    HostNotAllowedError,
    TransportError,
    TransportRefusedError,
)
from bundler.registry.config import HostSource
from bundler.registry.hosts import parse_url
from bundler.registry.response import Request
from tests.support.programs.processes import free_port
from tests.support.registries.connecting import Naps, source_config, transport
from tests.support.registries.scripted import Asked, Reply, in_turn, scripted
from tests.support.registries.tls import make_server_tls

OK = Reply(body=b"fine")


def test_an_error_of_the_server_passes_when_it_is_asked_again() -> None:
    naps = Naps()
    with scripted(in_turn(Reply(503), Reply(500), OK)) as server:
        answer = transport(server.host, naps=naps).fetch(
            Request("GET", parse_url(f"{server.url}/x")), limit=10
        )
    assert answer.data == b"fine"
    assert len(server.asked) == 3
    assert naps.seconds == [0.5, 1.0]


def test_a_server_that_stays_broken_is_given_up() -> None:
    naps = Naps()
    with scripted(in_turn(Reply(503))) as server, pytest.raises(TransportError) as caught:
        transport(server.host, naps=naps).fetch(Request("GET", parse_url(server.url)), limit=10)
    assert type(caught.value) is TransportError
    assert "answered 503, 5 times" in caught.value.message
    assert caught.value.context == {"status": 503}
    assert len(server.asked) == 5
    assert naps.seconds == [0.5, 1.0, 2.0, 4.0]


def test_retry_after_is_obeyed() -> None:
    naps = Naps()
    later = Reply(429, headers={"Retry-After": "17"})
    with scripted(in_turn(later, OK)) as server:
        transport(server.host, naps=naps).fetch(Request("GET", parse_url(server.url)), limit=10)
    assert naps.seconds == [17.0]


@pytest.mark.parametrize(
    "value", ["1 Jan 99999999999999999999 0:0:0 GMT", "9" * 5000 + " Jan 2024", "-5", "soon"]
)
def test_a_retry_after_that_is_no_time_is_passed_over(value: str) -> None:
    naps = Naps()
    later = Reply(503, headers={"Retry-After": value})
    with scripted(in_turn(later, OK)) as server:
        transport(server.host, naps=naps).fetch(Request("GET", parse_url(server.url)), limit=10)
    assert naps.seconds == [0.5]


def test_a_redirect_to_half_of_an_address_is_refused() -> None:
    away = Reply(302, headers={"Location": "//["})
    with scripted(in_turn(away)) as server, pytest.raises(TransportRefusedError):
        transport(server.host).fetch(Request("GET", parse_url(server.url)), limit=10)


def test_retry_after_as_a_date_is_measured_by_the_servers_clock() -> None:
    naps = Naps()

    def script(asked: Asked) -> Reply:
        if len(server.asked) > 1:
            return OK
        return Reply(503, headers={"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"})

    with scripted(script) as server:
        transport(server.host, naps=naps).fetch(Request("GET", parse_url(server.url)), limit=10)
    assert naps.seconds == [0.0]


def test_a_very_long_retry_after_is_not_slept_through() -> None:
    naps = Naps()
    later = Reply(429, headers={"Retry-After": "21600"})
    with (
        scripted(in_turn(later)) as server,
        pytest.raises(TransportError, match="asks to wait 21600 seconds"),
    ):
        transport(server.host, naps=naps).fetch(Request("GET", parse_url(server.url)), limit=10)
    assert naps.seconds == []
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 416])
def test_a_refusal_is_not_repeated(status: int) -> None:
    with scripted(in_turn(Reply(status))) as server:
        answer = transport(server.host).fetch(Request("GET", parse_url(server.url)), limit=10)
    assert answer.status == status
    assert len(server.asked) == 1


def test_a_dropped_connection_is_made_again() -> None:
    with scripted(in_turn(Reply(drop=True), OK)) as server:
        answer = transport(server.host).fetch(Request("GET", parse_url(server.url)), limit=10)
    assert answer.data == b"fine"


def test_a_body_that_ends_early_is_fetched_again() -> None:
    cut = Reply(body=b"fi", length=4)
    with scripted(in_turn(cut, OK)) as server:
        answer = transport(server.host).fetch(Request("GET", parse_url(server.url)), limit=10)
    assert answer.data == b"fine"
    assert len(server.asked) == 2


def test_an_open_body_that_ends_early_is_an_error_for_its_reader() -> None:
    with scripted(in_turn(Reply(body=b"fi", length=4))) as server:
        response = transport(server.host).open(Request("GET", parse_url(server.url)))
        buffer = memoryview(bytearray(10))
        assert response.readinto(buffer[:2]) == 2
        with pytest.raises(TransportError, match="expected 2 bytes more, found the end"):
            response.readinto(buffer)
        response.close()


def test_a_host_that_does_not_answer_is_named() -> None:
    host = f"127.0.0.1:{free_port()}"
    with pytest.raises(TransportError, match="does not accept connections") as caught:
        transport(host).fetch(Request("GET", parse_url(f"http://{host}/")), limit=10)
    assert caught.value.context == {"host": host}


@pytest.mark.parametrize("announced", [True, False])
def test_a_small_answer_is_bounded(announced: bool) -> None:
    large = Reply(body=b"x" * 200_000, length=None if announced else -1)
    with scripted(in_turn(large)) as server, pytest.raises(FormatError, match="at most 1000 bytes"):
        transport(server.host).fetch(Request("GET", parse_url(server.url)), limit=1000)


def test_a_host_that_is_not_allowed_is_not_asked() -> None:
    with scripted(in_turn(OK)) as server, pytest.raises(HostNotAllowedError) as caught:
        transport("registry.example.org").fetch(Request("GET", parse_url(server.url)), limit=10)
    assert server.asked == []
    assert server.host in caught.value.hint
    assert "allowedHosts" in caught.value.hint


def test_a_redirect_to_a_host_that_is_not_allowed_is_not_followed() -> None:
    with scripted(in_turn(OK)) as other:
        away = Reply(307, headers={"Location": f"{other.url}/x?signature=secret"})
        with scripted(in_turn(away)) as server, pytest.raises(HostNotAllowedError) as caught:
            transport(server.host).fetch(Request("GET", parse_url(server.url)), limit=10)
        assert other.asked == []
    assert f"redirected from {server.host}" in caught.value.message
    assert "secret" not in caught.value.message


def test_a_redirect_to_another_host_loses_the_authorization_and_keeps_the_range() -> None:
    with scripted(in_turn(OK)) as other:
        away = Reply(307, headers={"Location": f"{other.url}/x"})
        with scripted(in_turn(away)) as server:
            transport(server.host, other.host).fetch(
                Request("GET", parse_url(server.url), {"Range": "bytes=5-"}),
                limit=10,
                authorization="Basic c2VjcmV0",
            )
        assert server.asked[0].headers["authorization"] == "Basic c2VjcmV0"
        assert "authorization" not in other.asked[0].headers
        assert other.asked[0].headers["range"] == "bytes=5-"


def test_a_redirect_within_a_host_keeps_the_authorization() -> None:
    with scripted(in_turn(Reply(302, headers={"Location": "y"}), OK)) as server:
        transport(server.host).fetch(
            Request("GET", parse_url(f"{server.url}/a/x")), limit=10, authorization="Basic c2VjcmV0"
        )
    assert server.paths == ["/a/x", "/a/y"]
    assert server.asked[1].headers["authorization"] == "Basic c2VjcmV0"


def test_endless_redirects_end() -> None:
    with (
        scripted(in_turn(Reply(302, headers={"Location": "/x"}))) as server,
        pytest.raises(TransportRefusedError, match="more than 5 redirects"),
    ):
        transport(server.host).fetch(Request("GET", parse_url(server.url)), limit=10)
    assert len(server.asked) == 6


@pytest.mark.parametrize(
    "location", ["ftp://127.0.0.1/x", "file:///etc/passwd", "http://user@127.0.0.1/", "http://a b/"]
)
def test_a_redirect_to_something_else_is_refused(location: str) -> None:
    with (
        scripted(in_turn(Reply(302, headers={"Location": location}))) as server,
        pytest.raises(TransportRefusedError, match="not a usable http"),
    ):
        transport(server.host).fetch(Request("GET", parse_url(server.url)), limit=10)


def test_a_private_authority_is_trusted_for_its_host_only(tmp_path: Path) -> None:
    tls = make_server_tls(tmp_path / "tls")
    with scripted(in_turn(OK), tls) as server:
        trusting = source_config({server.host: HostSource(ca=str(tls.ca))})
        url = parse_url(server.url)
        answer = transport(server.host, sources=trusting).fetch(Request("GET", url), limit=10)
        assert answer.data == b"fine"
        elsewhere = source_config({"other.example.org": HostSource(ca=str(tls.ca))})
        with pytest.raises(TransportRefusedError, match="certificate is not trusted") as caught:
            transport(server.host, sources=elsewhere).fetch(Request("GET", url), limit=10)
    assert "ca:" in caught.value.hint
    assert len(server.asked) == 1


def test_a_redirect_from_https_to_http_is_refused(tmp_path: Path) -> None:
    tls = make_server_tls(tmp_path / "tls")
    with (
        scripted(in_turn(OK)) as plain,
        scripted(in_turn(Reply(302, headers={"Location": plain.url})), tls) as server,
    ):
        trusting = source_config({server.host: HostSource(ca=str(tls.ca))})
        with pytest.raises(TransportRefusedError, match="from https to http"):
            transport(server.host, plain.host, sources=trusting).fetch(
                Request("GET", parse_url(server.url)), limit=10
            )
        assert plain.asked == []


def test_a_missing_authority_file_is_named(tmp_path: Path) -> None:
    config = source_config({"a.example.org": HostSource(ca=str(tmp_path / "no.pem"))})
    with pytest.raises(DefinitionError, match=r"no\.pem"):
        transport("a.example.org", sources=config).fetch(
            Request("GET", parse_url("https://a.example.org")), limit=10
        )


def test_http_is_for_this_machine_and_for_hosts_that_are_configured_so() -> None:
    made = transport("a.example.org")
    with pytest.raises(TransportRefusedError, match="expected https, found http"):
        made.fetch(Request("GET", parse_url("http://a.example.org/x")), limit=10)
    plain = transport(sources=source_config({"a.example.org": HostSource(plain_http=True)}))
    tls = transport(sources=source_config({"127.0.0.1:5000": HostSource(ca="ca.pem")}))
    assert made.scheme("a.example.org") == "https"
    assert plain.scheme("a.example.org") == "http"
    assert [made.scheme(h) for h in ("127.0.0.1:5000", "localhost", "[::1]:80")] == ["http"] * 3
    assert tls.scheme("127.0.0.1:5000") == "https"


def test_requests_to_one_host_at_a_time_are_limited() -> None:
    running: list[int] = []
    most: list[int] = []
    gate = threading.Barrier(2)

    def script(_: Asked) -> Reply:
        running.append(1)
        most.append(len(running))
        gate.wait(5)
        running.pop()
        return OK

    with scripted(script) as server:
        made = transport(
            server.host, sources=source_config({server.host: HostSource(concurrency=2)})
        )

        def ask() -> None:
            made.fetch(Request("GET", parse_url(server.url)), limit=10)

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(server.asked) == 6
    assert max(most) == 2


def test_a_connection_is_used_again_after_its_answer_was_read() -> None:
    ports: list[str] = []
    with scripted(in_turn(OK)) as server:
        made = transport(server.host)
        for _ in range(3):
            with made.open(Request("GET", parse_url(server.url))) as response:
                ports.append(str(response.read(10)))
        url = parse_url(server.url)
        pool, _ = made._host(url)
        assert pool.connection_from_host(url.host, url.port, url.scheme).num_connections == 1
