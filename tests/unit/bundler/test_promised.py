from __future__ import annotations

from pathlib import Path

import pytest

from bundle.model.digest import digest_of
from bundle.model.errors import (
    DigestMismatchError,
    IntegrityError,
    NotFoundError,
    SizeMismatchError,
    TransportError,
)
from bundle.model.limits import CHUNK_BYTES
from bundle.model.lock import Content
from bundler.cache import BlobCache
from bundler.sources.promised import keep_url
from tests.support.connecting import client
from tests.support.scripted import Reply, scripted
from tests.support.sources import context

DATA = b"package" * 100_000
PROMISED = Content(digest=digest_of(DATA), size=len(DATA))


def kept(cache: BlobCache) -> list[str]:
    return [
        path.name for folder in ("incoming", "partial") for path in cache.path.glob(f"{folder}/*")
    ]


def test_a_download_that_breaks_is_begun_again_and_one_that_is_here_is_not(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path)
    replies = [Reply(body=DATA[:70], length=len(DATA)), Reply(body=DATA)]
    with scripted(lambda _: replies.pop(0)) as server:
        made = context(client(server.host), cache)
        for _ in range(2):
            path = keep_url(f"{server.url}/a.rpm", PROMISED, made)
            assert path.read_bytes() == DATA
        assert len(server.asked) == 2
    assert kept(cache) == []


def test_a_download_that_breaks_every_time_is_given_up(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path)
    with scripted(lambda _: Reply(body=DATA[:70], length=len(DATA))) as server:
        with pytest.raises(TransportError):
            keep_url(f"{server.url}/a.rpm", PROMISED, context(client(server.host), cache))
        assert len(server.asked) == 5
    assert kept(cache) == []


@pytest.mark.parametrize(
    ("reply", "error", "why"),
    [
        (Reply(body=b"x" * len(DATA)), DigestMismatchError, PROMISED.digest),
        (Reply(body=DATA[:-1]), SizeMismatchError, f"found {len(DATA) - 1}"),
        (Reply(body=DATA + b"x" * 4 * CHUNK_BYTES), SizeMismatchError, "found more"),
        (Reply(404), NotFoundError, "no such file"),
    ],
)
def test_what_was_not_promised_is_not_kept(
    tmp_path: Path, reply: Reply, error: type[IntegrityError | TransportError], why: str
) -> None:
    cache = BlobCache(tmp_path)
    with scripted(lambda _: reply) as server:
        with pytest.raises(error, match=why):
            keep_url(f"{server.url}/a.rpm", PROMISED, context(client(server.host), cache))
        assert len(server.asked) == 1
    assert kept(cache) == []
    assert not cache.has(PROMISED.digest, PROMISED.size)
