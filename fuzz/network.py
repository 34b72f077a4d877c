"""Parsers of what a server or a client sends: headers, tokens, addresses, requests."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, cast

import urllib3

from bundle.base.digest import hex_of
from bundle.model.manifest import check_manifest
from bundle.model.plan import plan_bundle
from bundle.registry.challenge import parse_challenges
from bundle.registry.credentials import NoCredentials
from bundler.registry.auth import Authenticator
from bundler.registry.hosts import parse_url
from bundler.registry.links import next_link
from bundler.registry.response import Answer
from bundler.registry.transport import Transport, _retry_after
from fuzz.target import Target
from installer.depot.catalogue import Catalogue
from installer.depot.directory import DepotDirectory
from installer.serving.content import BlobBrokenError, BlobReader
from installer.serving.downloads import Downloads
from installer.serving.http import MAX_TARGET_CHARS, Reply, Request, file_reply, text_reply
from installer.serving.registry import Registry

_URL = parse_url("https://registry.example.org/v2/app/web/referrers/x")
_SIZE = 1000
_TAG = "sha256:" + "0" * 64


def challenge(data: bytes) -> None:
    """Parse WWW-Authenticate."""
    for found in parse_challenges([data.decode("latin-1")]):
        assert found.scheme == found.scheme.lower()


def link(data: bytes) -> None:
    """Follow a Link: to the same host, or nowhere."""
    headers = urllib3.HTTPHeaderDict({"Link": data.decode("latin-1")})
    found = next_link(Answer(200, headers, _URL, b""), _URL)
    assert found is None or (found.scheme, found.key) == (_URL.scheme, _URL.key)


def redirect(data: bytes) -> None:
    """Resolve a Location."""
    found = _URL.join(data.decode("latin-1"))
    assert found.scheme in {"http", "https"}
    assert 0 < found.port < 65536
    assert "@" not in found.host
    assert parse_url(str(found)) == found


def retry_after(data: bytes) -> None:
    """Read Retry-After and Date: a line each."""
    wait, _, date = data.decode("latin-1").partition("\n")
    found = _retry_after(urllib3.HTTPHeaderDict({"Retry-After": wait, "Date": date}))
    assert found is None or found >= 0


class _Realm:
    """A transport whose every answer is the same."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def fetch(self, *_: Any, **__: Any) -> Answer:
        return Answer(200, urllib3.HTTPHeaderDict(), _URL, self._data)


def token(data: bytes) -> None:
    """Take a token from a realm's answer."""
    realm = cast("Transport", _Realm(data))
    asked = Authenticator(realm, NoCredentials())
    value = asked.answer(_URL, "registry.example.org", "x", ['Bearer realm="https://x/"'], None)
    assert value.isascii()
    assert value.isprintable()


def _headers(data: bytes) -> tuple[bytes, dict[str, str]]:
    """Take a request apart: the first line is the target, each further one a header."""
    first, *rest = data.split(b"\n")
    named = ("range", "if-range", "if-none-match")
    return first, {n: line.decode("latin-1") for n, line in zip(named, rest, strict=False)}


def ranges(data: bytes) -> None:
    """Answer conditional and partial requests."""
    query, headers = _headers(data)
    request = Request("GET", "/x", query.decode("utf-8", "replace"), headers)
    try:
        request.fields()
    except ValueError:
        return
    made = file_reply(request, Path("/x"), _SIZE, _TAG, {})
    assert made.status in {200, 206, 304, 416}
    if made.file is not None:
        assert 0 <= made.file.start < made.file.end <= _SIZE
        assert made.header("content-length") == str(made.file.end - made.file.start)


@cache
def _depot() -> tuple[Registry, Downloads, Path]:
    """Make a depot of the tests' sample, in a folder that lasts as long as the process."""
    from tests.support.depot.imported import rich_sample

    lock, blobs = rich_sample()
    plan = plan_bundle(lock)
    folder = Path(tempfile.mkdtemp(prefix="isoward-fuzz-"))
    depot = DepotDirectory(folder)
    depot.blobs.mkdir(parents=True)
    for digest, content in blobs.items():
        (depot.blobs / hex_of(digest)).write_bytes(content)
    catalogue = Catalogue.build([(plan.manifest, check_manifest(plan.manifest))])
    reader = BlobReader(depot)
    return Registry(catalogue, reader), Downloads(catalogue, reader), depot.blobs


def lookup(data: bytes) -> None:
    """Ask a depot for anything: it gives a blob of its own, or says no."""
    registry, downloads, blobs = _depot()
    target, headers = _headers(data)
    path, _, query = target.decode("utf-8", "replace").partition("?")
    if len(path) + len(query) > MAX_TARGET_CHARS:
        return
    request = Request("GET", f"/{path}", query, headers)
    for answer in (registry.answer, downloads.files, downloads.charts, downloads.os_packages):
        try:
            made: Reply = answer(request)
        except ValueError:
            made = text_reply(400, "the query has too many fields\n")
        except BlobBrokenError as error:
            raise AssertionError("the depot is whole") from error
        assert made.status in {200, 206, 304, 400, 404, 416}
        for name, value in made.headers:
            assert name.isascii()
            assert "\n" not in value
            assert "\r" not in value
            assert "\0" not in value
        assert made.file is None or made.file.path.parent == blobs


def forget_depot() -> None:
    """Remove the depot's folder, when all is done."""
    if _depot.cache_info().currsize:
        shutil.rmtree(_depot()[2].parents[1], ignore_errors=True)


TARGETS = (
    Target("challenge", challenge, max_length=1024),
    Target("link", link, max_length=1024),
    Target("redirect", redirect, max_length=512),
    Target("retry-after", retry_after, max_length=256),
    Target("token", token, "json"),
    Target("ranges", ranges, max_length=512),
    Target("lookup", lookup, max_length=1024),
)
