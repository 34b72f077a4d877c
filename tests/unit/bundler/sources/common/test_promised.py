from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from bundle.base.digest import digest_of
from bundle.base.errors import (
    DigestMismatchError,
    IntegrityError,
    NotFoundError,
    SizeMismatchError,
    TransportError,
)
from bundle.base.limits import CHUNK_BYTES
from bundler.build.cache import BlobCache
from bundler.sources.common.promised import Promise, keep_promised
from tests.support.documents.sources import context
from tests.support.registries.connecting import client
from tests.support.registries.scripted import Reply, scripted

DATA = b"package" * 100_000
PROMISED = Promise("sha256", hashlib.sha256(DATA).hexdigest(), len(DATA))
LIMIT = 2 * len(DATA)


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
            content = keep_promised(f"{server.url}/a.rpm", PROMISED, LIMIT, made)
            assert cache.blob_path(content.digest).read_bytes() == DATA
        assert len(server.asked) == 2
    assert kept(cache) == []


def test_a_download_that_breaks_every_time_is_given_up(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path)
    with scripted(lambda _: Reply(body=DATA[:70], length=len(DATA))) as server:
        made = context(client(server.host), cache)
        with pytest.raises(TransportError):
            keep_promised(f"{server.url}/a.rpm", PROMISED, LIMIT, made)
        assert len(server.asked) == 5
    assert kept(cache) == []


@pytest.mark.parametrize(
    ("reply", "error", "why"),
    [
        (Reply(body=b"x" * len(DATA)), DigestMismatchError, PROMISED.value),
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
        made = context(client(server.host), cache)
        with pytest.raises(error, match=why):
            keep_promised(f"{server.url}/a.rpm", PROMISED, LIMIT, made)
        assert len(server.asked) == 1
    assert kept(cache) == []
    assert not cache.has(digest_of(DATA), len(DATA))


def test_a_digest_by_sha512_alone_is_enough(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path)
    right = Promise("sha512", hashlib.sha512(DATA).hexdigest(), None)
    wrong = Promise("sha512", "0" * 128, None)
    with scripted(lambda _: Reply(body=DATA)) as server:
        made = context(client(server.host), cache)
        content = keep_promised(f"{server.url}/a.rpm", right, LIMIT, made)
        assert content.digest == digest_of(DATA)
        assert cache.has(content.digest, len(DATA))
        with pytest.raises(DigestMismatchError, match=r"says sha512:0.*server sent sha512:"):
            keep_promised(f"{server.url}/a.rpm", wrong, LIMIT, made)
        with pytest.raises(SizeMismatchError, match="at most 10 bytes"):
            keep_promised(f"{server.url}/a.rpm", right, 10, made)
