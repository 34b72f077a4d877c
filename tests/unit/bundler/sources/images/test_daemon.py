"""A container engine that answers wrongly; the real one is in tests/integration."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bundle.base.errors import (
    DefinitionError,
    FormatError,
    IsowardError,
    MissingProgramError,
    TransportError,
)
from bundle.kinds.image_origin import ImageOrigin, check_image_origin
from bundle.kinds.images import ImageSource
from bundler.build.cache import BlobCache
from bundler.sources.common.context import SourceContext
from bundler.sources.images.on_disk import resolve_local_image
from tests.support.documents.sources import context
from tests.support.registries.connecting import client
from tests.support.registries.scripted import Asked, Reply, Script, scripted

VERSION = json.dumps({"ApiVersion": "1.41", "MinAPIVersion": "1.24"}).encode()
SOURCE = ImageSource(reference="registry.example.org/app/dev:1.0", daemon="dev:1.0")


@pytest.fixture
def at(tmp_path: Path) -> SourceContext:
    return context(client(), BlobCache(tmp_path / "cache"), tmp_path)


def engine(saved: Reply, inspected: Reply | None = None) -> Script:
    """Answer as an engine does that has one image."""

    def script(asked: Asked) -> Reply:
        if asked.path.endswith("/get"):
            return saved
        if asked.path.endswith("/json"):
            return inspected or Reply(body=b"{}")
        return Reply(body=VERSION)

    return script


@pytest.mark.parametrize(
    ("answers", "error", "said"),
    [
        (engine(Reply(body=b"x" * 100, length=5000)), TransportError, "aborted"),
        (engine(Reply(500, body=b'{"message": "no"}')), TransportError, "aborted"),
        (engine(Reply(body=b"")), FormatError, "truncated"),
        (engine(Reply(body=b"no tar" * 200)), FormatError, "not a readable tar"),
        (engine(Reply(), Reply(500, body=b'{"message": "no"}')), TransportError, "not answer"),
        (engine(Reply(), Reply(404, body=b'{"message": "x"}')), DefinitionError, "no such image"),
    ],
)
def test_an_engine_that_answers_wrongly(
    at: SourceContext,
    monkeypatch: pytest.MonkeyPatch,
    answers: Script,
    error: type[IsowardError],
    said: str,
) -> None:
    with scripted(answers) as server:
        monkeypatch.setenv("DOCKER_HOST", server.url.replace("http:", "tcp:"))
        with pytest.raises(error, match=said):
            resolve_local_image(SOURCE, ("linux/amd64",), at)
    assert not list(at.store.workspace("incoming").iterdir())


@pytest.mark.parametrize("host", ["unix:///nowhere.sock", "nonsense://x", "tcp://127.0.0.1:1"])
def test_an_engine_that_is_not_there(
    at: SourceContext, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(TransportError, match="the container engine does not answer"):
        resolve_local_image(SOURCE, ("linux/amd64",), at)


def test_without_the_library_it_says_what_to_install(
    at: SourceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "docker", None)
    with pytest.raises(MissingProgramError, match="docker library") as caught:
        resolve_local_image(SOURCE, ("linux/amd64",), at)
    assert "[vendor]" in caught.value.hint


@pytest.mark.parametrize(
    "origin",
    [
        ImageOrigin(),
        ImageOrigin(archive="a.tar", daemon="x:1"),
        ImageOrigin(archive="../a.tar"),
        ImageOrigin(archive="/a.tar"),
        ImageOrigin(name="x"),
        ImageOrigin(daemon="x:1", name="x"),
        ImageOrigin(archive="a.tar", name="a\x1b[2Jb"),
        ImageOrigin(archive="a.tar", name="x" * 513),
        ImageOrigin(daemon="-x"),
        ImageOrigin(daemon="../../containers/json"),
        ImageOrigin(daemon="a/../b"),
        ImageOrigin(daemon="a?b"),
        ImageOrigin(daemon="a b"),
        ImageOrigin(daemon=""),
    ],
)
def test_origins_that_are_refused(origin: ImageOrigin) -> None:
    with pytest.raises(DefinitionError, match=r"^images\[0\]"):
        check_image_origin(origin, "images[0]")
