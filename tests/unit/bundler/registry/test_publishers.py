"""Web servers of publishers as they are: what they say of gzip, HEAD, ranges and redirects."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest

from bundle.base.errors import (
    AuthenticationError,
    FormatError,
    NotFoundError,
    TransportError,
    TransportRefusedError,
)
from bundler.registry.hosts import parse_url
from bundler.registry.response import Request
from bundler.registry.stream import ContentStream
from tests.support.registries.connecting import client, transport
from tests.support.registries.scripted import Asked, Reply, Script, in_turn, scripted

TEXT = b"entries: {}\n" * 5000


def packed(data: bytes) -> bytes:
    """Compress without the time, which would be in the names of tests."""
    return gzip.compress(data, mtime=0)


FILE = packed(TEXT)
CODED = {"Content-Encoding": "gzip"}


def drain(stream: ContentStream, size: int = 7001) -> bytes:
    data = bytearray()
    buffer = memoryview(bytearray(size))
    while count := stream.readinto(buffer):
        data += buffer[:count]
    stream.close()
    return bytes(data)


@pytest.mark.parametrize(
    ("path", "sent", "found"),
    [
        ("index.yaml", packed(TEXT), TEXT),
        ("tool", packed(TEXT[:500]) + packed(TEXT[500:]), TEXT),
        ("tool", packed(b""), b""),
        ("chart.tgz", packed(FILE), FILE),
        # It says so of the file, not of the way.
        ("chart.tgz", FILE, FILE),
        ("Packages.gz?x=1", FILE, FILE),
        # It says so, and did not.
        ("index.yaml", TEXT, TEXT),
        ("index.yaml", b"", b""),
        ("tool", b"\x1f\x8bno gzip" * 500, b"\x1f\x8bno gzip" * 500),
    ],
)
@pytest.mark.parametrize("coding", ["gzip", "x-gzip"])
def test_gzip_that_nobody_asked_for(path: str, sent: bytes, found: bytes, coding: str) -> None:
    reply = Reply(body=sent, headers={"Content-Encoding": coding})
    with scripted(lambda _: reply) as server:
        stream = client(server.host).open_url(f"{server.url}/{path}")
        assert (stream.start, stream.size) == (0, None)
        assert drain(stream) == found


def test_gzip_of_what_was_promised_otherwise_is_left_as_it_is() -> None:
    with scripted(lambda _: Reply(body=FILE, headers=CODED)) as server:
        made = client(server.host)
        assert drain(made.open_url(f"{server.url}/tool")) == TEXT
        assert drain(made.open_url(f"{server.url}/tool", undo=False)) == FILE


@pytest.mark.parametrize("spoil", [lambda d: d[:-30], lambda d: d[:4000] + b"x" * 50 + d[4050:]])
def test_gzip_that_is_cut_or_damaged(spoil: Callable[[bytes], bytes]) -> None:
    noise = b"".join(i.to_bytes(4) for i in range(20_000))
    with scripted(lambda _: Reply(body=spoil(packed(noise)), headers=CODED)) as server:
        stream = client(server.host).open_url(f"{server.url}/index.yaml")
        with pytest.raises(TransportError, match="its gzip cannot be unpacked"):
            drain(stream)


def test_a_part_of_gzip_is_not_gone_on_with() -> None:
    def script(asked: Asked) -> Reply:
        if "range" in asked.headers:
            place = {"Content-Range": f"bytes 10-{len(FILE) - 1}/{len(FILE)}"}
            return Reply(206, FILE[10:], {**CODED, **place})
        return Reply(body=FILE, headers=CODED)

    with scripted(script) as server:
        stream = client(server.host).open_url(f"{server.url}/index.yaml", 10)
        assert stream.start == 0
        assert drain(stream) == TEXT


def test_a_small_document_in_gzip_and_a_bomb() -> None:
    with scripted(lambda _: Reply(body=packed(TEXT), headers=CODED)) as server:
        made = client(server.host)
        answer = made.get_page(f"{server.url}/simple/x/", "text/html", len(TEXT))
        assert answer is not None
        assert answer.data == TEXT
        with pytest.raises(FormatError, match="at most 1000 bytes"):
            made.get_page(f"{server.url}/simple/x/", "text/html", 1000)


def by_method(head: Reply, get: Reply) -> Script:
    return lambda asked: head if asked.method == "HEAD" else get


@pytest.mark.parametrize(
    "head",
    [
        Reply(403),
        Reply(401),
        Reply(404),
        Reply(405),
        Reply(400),
        Reply(500),
        Reply(501),
        Reply(503),
        Reply(length=0),
        Reply(drop=True),
        Reply(302, headers={"Location": "https://elsewhere.invalid:99999/"}),
    ],
)
def test_a_server_that_answers_get_alone(head: Reply) -> None:
    with scripted(by_method(head, Reply(body=b"12345"))) as server:
        made = client(server.host)
        assert made.url_size(f"{server.url}/x") in {5, None}
        assert drain(made.open_url(f"{server.url}/x")) == b"12345"
        assert [asked.method for asked in server.asked].count("HEAD") <= 2


def test_what_neither_method_finds() -> None:
    with (
        scripted(lambda _: Reply(404)) as server,
        pytest.raises(NotFoundError, match="no such file"),
    ):
        client(server.host).url_size(f"{server.url}/x")


@pytest.mark.parametrize(
    ("place", "good"),
    [
        ("bytes 0-4/5", True),
        ("bytes 0-4/*", False),
        ("bytes 0-4/9", False),
        ("bytes 1-5/6", False),
        ("", False),
    ],
)
def test_a_part_that_nobody_asked_for_is_taken_when_it_is_the_whole(place: str, good: bool) -> None:
    with scripted(lambda _: Reply(206, b"12345", {"Content-Range": place})) as server:
        made = client(server.host)
        if good:
            assert drain(made.open_url(f"{server.url}/x")) == b"12345"
        else:
            with pytest.raises(TransportRefusedError, match="206"):
                made.open_url(f"{server.url}/x")


@pytest.mark.parametrize("status", [400, 401, 403, 410])
def test_a_signed_redirect_that_has_ended_is_asked_for_again(status: int) -> None:
    signatures = iter(["old", "older", "good", "good"])

    def script(asked: Asked) -> Reply:
        if asked.path == "/file":
            return Reply(302, headers={"Location": f"/storage?Signature={next(signatures)}"})
        return Reply(body=b"12345") if asked.path.endswith("good") else Reply(status)

    with scripted(script) as server:
        assert drain(client(server.host).open_url(f"{server.url}/file")) == b"12345"
        assert server.paths[-1] == "/storage?Signature=good"


def test_a_redirect_that_stays_forbidden_is_given_up_soon() -> None:
    def script(asked: Asked) -> Reply:
        return Reply(302, headers={"Location": "/no"}) if asked.path == "/file" else Reply(403)

    with scripted(script) as server:
        with pytest.raises(AuthenticationError, match="403"):
            client(server.host).open_url(f"{server.url}/file")
        assert server.paths == ["/file", "/no"] * 3


def test_a_login_does_not_go_with_a_redirect_to_another_host_or_port() -> None:
    with scripted(lambda _: Reply(body=b"x")) as other:
        home = in_turn(Reply(302, headers={"Location": f"{other.url}/y"}))
        with scripted(home) as server:
            made, url = transport(server.host, other.host), parse_url(f"{server.url}/x")
            with made.open(Request("GET", url), authorization="Basic c2VjcmV0") as response:
                assert response.status == 200
        assert server.asked[0].headers["authorization"] == "Basic c2VjcmV0"
    assert "authorization" not in other.asked[0].headers
