"""A blob comes whole, from wherever it was cut, or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle.base.content import Content
from bundle.base.digest import digest_of
from bundle.base.errors import (
    DigestMismatchError,
    IsowardError,
    NotFoundError,
    SizeMismatchError,
    TransportError,
)
from bundler.build.fetch import ATTEMPTS, BlobFetcher

DATA = os.urandom(300_000)
CONTENT = Content(digest=digest_of(DATA), size=len(DATA))


class Stream:
    """Bytes that end with an error, if one is given."""

    def __init__(self, data: bytes, start: int = 0, error: IsowardError | None = None) -> None:
        self.start = start
        self._data = memoryview(data)
        self._error = error
        self.closed = False

    def readinto(self, buffer: memoryview) -> int:
        count = min(len(buffer), 10_000, len(self._data))
        if not count and self._error:
            raise self._error
        buffer[:count] = self._data[:count]
        self._data = self._data[count:]
        return count

    def close(self) -> None:
        self.closed = True


class Server:
    """Answers each request with the next scripted answer and remembers the offsets."""

    def __init__(self, *answers: Callable[[int], Stream]) -> None:
        self._answers = list(answers)
        self.offsets: list[int] = []
        self.mirrors = True

    def open(self, offset: int, *, mirrors: bool) -> Stream:
        self.offsets.append(offset)
        self.mirrors = mirrors
        return self._answers.pop(0)(offset)


def whole(offset: int) -> Stream:
    return Stream(DATA[offset:], offset)


def cut_after(count: int) -> Callable[[int], Stream]:
    return lambda offset: Stream(
        DATA[offset : offset + count], offset, TransportError("connection reset")
    )


def fetch(tmp_path: Path, server: Server, content: Content = CONTENT) -> int:
    seen = 0

    def advance(count: int) -> None:
        nonlocal seen
        seen += count

    fetcher = BlobFetcher(content, server.open, advance, lambda _: None)
    fetcher.fetch(tmp_path / "partial", tmp_path / "final")
    return seen


def test_it_comes_whole(tmp_path: Path) -> None:
    assert fetch(tmp_path, Server(whole)) == len(DATA)
    assert (tmp_path / "final").read_bytes() == DATA
    assert (tmp_path / "final").stat().st_mode & 0o777 == 0o444
    assert not (tmp_path / "partial").exists()


def test_an_empty_blob(tmp_path: Path) -> None:
    fetch(tmp_path, Server(lambda _: Stream(b"")), Content(digest=digest_of(b""), size=0))
    assert (tmp_path / "final").read_bytes() == b""


def test_it_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    server = Server(cut_after(100_000), cut_after(50_000), whole)
    assert fetch(tmp_path, server) == len(DATA)
    assert server.offsets == [0, 100_000, 150_000]
    assert (tmp_path / "final").read_bytes() == DATA


def test_a_clean_end_that_comes_too_early_is_a_cut(tmp_path: Path) -> None:
    server = Server(lambda offset: Stream(DATA[:1000], offset), whole)
    fetch(tmp_path, server)
    assert server.offsets == [0, 1000]


def test_a_byte_in_each_try_does_not_go_on_for_ever(tmp_path: Path) -> None:
    server = Server(*[cut_after(1)] * 100)
    with pytest.raises(TransportError):
        fetch(tmp_path, server)
    assert len(server.offsets) == 51
    assert (tmp_path / "partial").read_bytes() == DATA[:51]


def test_a_connection_that_breaks_often_and_brings_something_goes_on(tmp_path: Path) -> None:
    data = bytes(20_000_000)
    content = Content(digest=digest_of(data), size=len(data))
    part = [lambda offset: Stream(data[offset : offset + 270_000], offset, TransportError("x"))]
    fetch(tmp_path, Server(*part * 80), content)
    assert (tmp_path / "final").stat().st_size == len(data)


def test_it_goes_on_from_an_earlier_run(tmp_path: Path) -> None:
    (tmp_path / "partial").write_bytes(DATA[:123_456])
    server = Server(whole)
    assert fetch(tmp_path, server) == len(DATA)
    assert server.offsets == [123_456]


def test_a_whole_partial_needs_no_request(tmp_path: Path) -> None:
    (tmp_path / "partial").write_bytes(DATA)
    server = Server()
    fetch(tmp_path, server)
    assert server.offsets == []


def test_a_partial_that_is_too_long_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "partial").write_bytes(DATA + b"x")
    server = Server(whole)
    fetch(tmp_path, server)
    assert server.offsets == [0]


def test_a_server_that_ignores_the_range(tmp_path: Path) -> None:
    (tmp_path / "partial").write_bytes(DATA[:5000])
    server = Server(lambda _: Stream(DATA, 0))
    assert fetch(tmp_path, server) == len(DATA)
    assert (tmp_path / "final").read_bytes() == DATA


def test_a_damaged_partial_is_fetched_again_from_the_start(tmp_path: Path) -> None:
    (tmp_path / "partial").write_bytes(b"x" + DATA[1:5000])
    server = Server(whole, whole)
    assert fetch(tmp_path, server) == len(DATA)
    assert server.offsets == [5000, 0]
    assert (tmp_path / "final").read_bytes() == DATA


def wrong(_: int) -> Stream:
    return Stream(b"x" * len(DATA))


def test_a_mirror_with_other_bytes_is_left_for_the_origin(tmp_path: Path) -> None:
    server = Server(wrong, whole)
    fetch(tmp_path, server)
    assert not server.mirrors
    assert (tmp_path / "final").read_bytes() == DATA


def test_other_bytes_are_refused_and_not_kept(tmp_path: Path) -> None:
    with pytest.raises(DigestMismatchError):
        fetch(tmp_path, Server(wrong, wrong))
    assert not list(tmp_path.iterdir())


def test_too_many_bytes_are_refused(tmp_path: Path) -> None:
    def longer(_: int) -> Stream:
        return Stream(DATA + b"x" * 20_000)

    with pytest.raises(SizeMismatchError):
        fetch(tmp_path, Server(longer, longer))
    assert not list(tmp_path.iterdir())


def test_it_gives_up_without_progress_and_keeps_what_came(tmp_path: Path) -> None:
    server = Server(cut_after(1000), *[cut_after(0)] * ATTEMPTS)
    with pytest.raises(TransportError):
        fetch(tmp_path, server)
    assert len(server.offsets) == ATTEMPTS
    assert (tmp_path / "partial").read_bytes() == DATA[:1000]


def test_progress_earns_new_tries(tmp_path: Path) -> None:
    server = Server(*[cut_after(10_000)] * 20, whole)
    fetch(tmp_path, server)
    assert len(server.offsets) == 21


def test_a_refusal_is_not_repeated(tmp_path: Path) -> None:
    def refuse(_: int) -> Stream:
        raise NotFoundError("no such blob")

    server = Server(refuse)
    with pytest.raises(NotFoundError):
        fetch(tmp_path, server)
    assert server.offsets == [0]


def test_two_at_once_fetch_it_once(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(offset: int) -> Stream:
        begun.set()
        go_on.wait(10)
        return whole(offset)

    server = Server(slow)
    threads = [threading.Thread(target=fetch, args=(tmp_path, server)) for _ in range(2)]
    threads[0].start()
    begun.wait(10)
    threads[1].start()
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert server.offsets == [0]
    assert (tmp_path / "final").read_bytes() == DATA
