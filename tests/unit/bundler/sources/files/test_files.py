from __future__ import annotations

from pathlib import Path

import pytest

from bundle.base.digest import digest_of
from bundle.base.errors import DigestMismatchError, NotFoundError, TransportError
from bundle.kinds.files import FileSource
from bundler.build.cache import BlobCache
from bundler.sources.files.downloads import resolve_file
from tests.support.documents.sources import context
from tests.support.registries.connecting import client
from tests.support.registries.scripted import Asked, Reply, Script, scripted

DATA = b"tool" * 100_000


def served(*bodies: Reply) -> Script:
    """Answer HEAD without a size, and GET with these."""
    rest = list(bodies)

    def script(asked: Asked) -> Reply:
        if asked.method == "HEAD":
            return Reply(length=-1)
        return rest.pop(0) if len(rest) > 1 else rest[0]

    return script


def test_the_servers_word_on_the_size_is_enough(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path)
    with scripted(lambda _: Reply(body=DATA)) as server:
        file = FileSource(url=f"{server.url}/tool", digest=digest_of(DATA))
        locked = resolve_file(file, context(client(server.host), cache))
        assert [asked.method for asked in server.asked] == ["HEAD"]
    assert (locked.url, locked.digest, locked.size) == (file.url, file.digest, len(DATA))
    assert not cache.has(locked.digest, locked.size)


def test_a_file_of_unknown_size_is_fetched_into_the_cache(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path)
    with scripted(served(Reply(body=DATA[:50], length=500), Reply(body=DATA, length=-1))) as server:
        file = FileSource(url=f"{server.url}/tool", digest=digest_of(DATA))
        made = context(client(server.host), cache)
        locked = resolve_file(file, made)
        assert locked.size == len(DATA)
        assert resolve_file(file, made) == locked
        assert [a.method for a in server.asked] == ["HEAD", "GET", "GET", "HEAD"]
    assert cache.read_bytes(locked.digest, len(DATA)) == DATA
    assert cache.blob_path(locked.digest).stat().st_mode & 0o777 == 0o444
    assert list(cache.partials.iterdir()) == []


def test_a_file_of_other_bytes_is_refused_and_not_kept(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path)
    with scripted(served(Reply(body=DATA))) as server:
        file = FileSource(url=f"{server.url}/tool", digest=digest_of(b"other"))
        with pytest.raises(DigestMismatchError) as caught:
            resolve_file(file, context(client(server.host), cache))
    assert caught.value.context == {"expected": file.digest, "found": digest_of(DATA)}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_that_always_breaks_is_given_up(tmp_path: Path) -> None:
    with scripted(served(Reply(body=DATA[:50], length=500))) as server:
        file = FileSource(url=f"{server.url}/tool", digest=digest_of(DATA))
        with pytest.raises(TransportError, match="found the end"):
            resolve_file(file, context(client(server.host), BlobCache(tmp_path)))
    assert [asked.method for asked in server.asked].count("GET") == 5


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with scripted(lambda _: Reply(404)) as server, pytest.raises(NotFoundError):
        resolve_file(
            FileSource(url=f"{server.url}/tool", digest=digest_of(b"")),
            context(client(server.host), BlobCache(tmp_path)),
        )
