"""Small wheels, and a loopback index of them in both forms of the simple repository API."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

from bundle.base.digest import digest_of, hex_of
from bundle.kinds.python_packages import project_of
from tests.support.registries.scripted import Asked, Reply, Scripted, scripted

JSON = "application/vnd.pypi.simple.v1+json"


def wheel(
    name: str,
    *,
    requires: Sequence[str] = (),
    extras: Sequence[str] = (),
    files: Mapping[str, str] | None = None,
    said: tuple[str, str] | None = None,
) -> bytes:
    """Make a wheel that pip installs, always the same bytes.

    Args:
        name: Its file name.
        requires: Its `Requires-Dist`.
        extras: Its `Provides-Extra`.
        files: What it holds besides; a module of its name when left out.
        said: Name and version in its metadata, where they are not those of its file name.
    """
    project, version, *_, tags = name.removesuffix(".whl").split("-", 2)
    shown, shown_version = said or (project, version)
    folder = f"{project}-{version}.dist-info"
    fields = [
        "Metadata-Version: 2.1",
        f"Name: {shown}",
        f"Version: {shown_version}",
        *(f"Provides-Extra: {extra}" for extra in extras),
        *(f"Requires-Dist: {requirement}" for requirement in requires),
    ]
    content = {
        **(files if files is not None else {f"{project}.py": f"NAME = {name!r}\n"}),
        f"{folder}/METADATA": "\n".join(fields) + "\n\nMade for a test.\n",
        f"{folder}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tags}\n",
    }
    record = "".join(
        f"{path},sha256={_record_digest(text)},{len(text.encode())}\n"
        for path, text in content.items()
    )
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as zipped:
        for path, text in {**content, f"{folder}/RECORD": f"{record}{folder}/RECORD,,\n"}.items():
            zipped.writestr(zipfile.ZipInfo(path), text)
    return made.getvalue()


def _record_digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


@dataclass
class Listed:
    """A file of the index, and what the index says of it."""

    name: str
    data: bytes
    digest: str
    requires_python: str = ""
    yanked: str | None = None
    size: int | None = None
    url: str = ""


@dataclass
class PythonIndex:
    """An index.

    Attributes:
        files: By project.
        form: `json` or `html`; a client that cannot read JSON gets HTML.
        redirect: Where /simple/<project>/ is to be found, if not here.
        login: `user:password`, without which nothing is answered.
        base: What links of a page in HTML are relative to, if not the page.
    """

    files: dict[str, list[Listed]] = field(default_factory=dict)
    form: str = "json"
    redirect: Mapping[str, str] = field(default_factory=dict)
    login: str = ""
    base: str = ""
    server: Scripted | None = None

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"{self.server.url}/simple"

    @property
    def host(self) -> str:
        assert self.server is not None
        return self.server.host

    def add(self, name: str, data: bytes | None = None, **said: Any) -> Listed:
        """Add a file, a wheel of that name when `data` is left out."""
        made = wheel(name) if data is None else data
        listed = Listed(name, made, digest_of(made), **said)
        self.files.setdefault(project_of(name), []).append(listed)
        return listed

    def answer(self, asked: Asked) -> Reply:
        expected = f"Basic {base64.b64encode(self.login.encode()).decode()}"
        if self.login and asked.headers.get("authorization") != expected:
            return Reply(401, headers={"WWW-Authenticate": 'Basic realm="packages"'})
        path = unquote(asked.path.partition("?")[0])
        if path in self.redirect:
            return Reply(301, headers={"Location": self.redirect[path]})
        if path.startswith("/simple/"):
            return self._page(path.removeprefix("/simple/").strip("/"), asked)
        for listed in (one for several in self.files.values() for one in several):
            if path == f"/files/{listed.name}":
                return Reply(200, listed.data)
        return Reply(404)

    def _page(self, project: str, asked: Asked) -> Reply:
        if project not in self.files:
            return Reply(404)
        if self.form == "json" and JSON in asked.headers.get("accept", ""):
            files = [self._json(listed) for listed in self.files[project]]
            body = {"meta": {"api-version": "1.1"}, "name": project, "files": files}
            return Reply(200, json.dumps(body).encode(), {"Content-Type": JSON})
        links = "".join(self._link(listed) for listed in self.files[project])
        base = f'<head><base href="{self.base}"></head>' if self.base else ""
        page = f"<!DOCTYPE html><html>{base}<body>{links}</body></html>"
        return Reply(200, page.encode(), {"Content-Type": "text/html; charset=utf-8"})

    def _json(self, listed: Listed) -> dict[str, Any]:
        return {
            "filename": listed.name,
            "url": listed.url or f"../../files/{quote(listed.name)}",
            "hashes": {"sha256": hex_of(listed.digest)} if listed.digest else {},
            "requires-python": listed.requires_python or None,
            "size": len(listed.data) if listed.size is None else listed.size,
            "yanked": False if listed.yanked is None else listed.yanked or True,
        }

    def _link(self, listed: Listed) -> str:
        address = listed.url or f"../../files/{quote(listed.name)}"
        digest = f"#sha256={hex_of(listed.digest)}" if listed.digest else ""
        more = f' data-requires-python="{html.escape(listed.requires_python)}"'
        more += "" if listed.yanked is None else f' data-yanked="{html.escape(listed.yanked)}"'
        return f'<a href="{address}{digest}"{more}>{listed.name}</a>\n'


@contextmanager
def python_index() -> Iterator[PythonIndex]:
    """Serve an index on a loopback port until the end of the block."""
    index = PythonIndex()
    with scripted(index.answer) as server:
        index.server = server
        yield index


def requirements(*listed: Listed, markers: Mapping[str, str] | None = None) -> str:
    """Return a requirements file that pins these files, with all their hashes."""
    pins: dict[tuple[str, str], list[str]] = {}
    for one in listed:
        project, version = one.name.split("-")[:2]
        pins.setdefault((project, version), []).append(hex_of(one.digest))
    lines = []
    for (project, version), digests in sorted(pins.items()):
        marker = (markers or {}).get(project, "")
        head = f"{project}=={version}" + (f" ; {marker}" if marker else "")
        lines.append(" \\\n    ".join([head, *(f"--hash=sha256:{one}" for one in sorted(digests))]))
    return "\n".join(lines) + "\n"
