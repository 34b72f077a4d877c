"""An index of Python packages: the files of one project, as its page lists them.

Both forms of the page are read, JSON and HTML. It is somebody else's document: what it says of a
file counts only with a digest that a requirement names.

Source: PyPA specifications, "Simple repository API" (PEP 503, 592, 629, 691, 700).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import unquote, urldefrag

import msgspec

from bundle.base.content import Content
from bundle.base.digest import PREFIX, Size, is_digest
from bundle.base.documents import QueriedUrl, Url
from bundle.base.errors import DefinitionError, FormatError, IsowardError
from bundle.base.limits import (
    MAX_PYTHON_INDEX_BYTES,
    MAX_PYTHON_INDEX_FILES,
    MAX_REASON,
    MAX_WHEEL_BYTES,
)
from bundle.base.queries import without_secrets
from bundle.base.reference import check_url
from bundle.kinds.files import FileSource
from bundle.store.programs import Runner, require_success
from bundler.registry.hosts import Url as Address
from bundler.registry.response import Answer
from bundler.sources.common.context import SourceContext
from bundler.sources.common.promised import keep_promised
from bundler.sources.files.downloads import fetch_file, resolve_file
from bundler.sources.python.requirements import without_login

_JSON: Final = "application/vnd.pypi.simple.v1+json"
_HTML: Final = frozenset({"application/vnd.pypi.simple.v1+html", "text/html"})
_ACCEPT: Final = f"{_JSON}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
_VERSION: Final = re.compile(r"1\.[0-9]{1,4}")
_DEFAULT: Final = re.compile(
    r"--index-url <url>\s+Base URL of the Python Package Index \(default (\S+?)\)"
)
_FRAGMENT: Final = re.compile(r"(?:.*&)?sha256=([0-9A-Fa-f]*)")
_WIDE: Final = "4000"
"""Columns of a terminal in which no address is broken."""


@dataclass(frozen=True, slots=True)
class IndexFile:
    """A file that an index lists.

    Attributes:
        name: The file's.
        address: As listed, absolute, without its fragment; not checked.
        digest: SHA-256, or an empty string when the index does not say.
        size: In bytes, or None when the index does not say.
        requires_python: As listed.
        yanked: Why the project took it back, or None.
    """

    name: str
    address: str
    digest: str
    size: int | None
    requires_python: str
    yanked: str | None


class ProjectIndex:
    """Reads the pages of one index; safe to use from several threads."""

    def __init__(self, url: str, context: SourceContext) -> None:
        """Read from the index at `url`, which is the folder of the projects' folders."""
        self.url = url.rstrip("/")
        self._context = context
        self._measured: dict[str, Content] = {}

    def files(self, project: str) -> list[IndexFile]:
        """Return the files of a project, by its normal name.

        Raises:
            DefinitionError: The index has no such project.
            FormatError: Its page is malformed.
            TransportError: And its subclasses, when it cannot be had.
        """
        url = f"{self.url}/{project}/"
        answer = self._context.client.get_page(url, _ACCEPT, MAX_PYTHON_INDEX_BYTES)
        if answer is None:
            raise DefinitionError(
                f"{self.url} has no project {project!r}", "Check the name and the index."
            )
        return read_page(answer, url)

    def size(self, file: IndexFile) -> int:
        """Return a file's size: the index's word, else the server's, else by fetching it.

        Raises:
            IntegrityError, TransportError, StorageError: As the lock of a file.
        """
        if without_secrets(file.address) != file.address:
            # The lock does not have what lets us in, so a build has only the cache.
            return fetch_file(file.address, file.digest, self._context)
        if file.size is not None:
            return file.size
        source = FileSource(url=checked_address(file, self.url), digest=file.digest)
        return resolve_file(source, self._context).size

    def measured(self, file: IndexFile) -> IndexFile:
        """Fetch a file whose digest the index does not say, and say it.

        Whoever asks compares it with what a requirement names, as pip does with such a file.

        Raises:
            FormatError: Its address is none that can be locked.
            SizeMismatchError, TransportError, StorageError: It cannot be had.
        """
        checked_address(file, self.url)
        content = self._measured.get(file.address)
        if content is None:
            content = keep_promised(file.address, None, MAX_WHEEL_BYTES, self._context)
            self._measured[file.address] = content
        return replace(file, digest=content.digest, size=content.size)


def read_page(answer: Answer, where: str) -> list[IndexFile]:
    """Read a project's page in the form that its media type says.

    Raises:
        FormatError: It is neither form, or malformed.
    """
    media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media_type == _JSON:
        files = _read_json(answer, where)
    elif media_type in _HTML:
        files = _read_html(answer, where)
    else:
        raise _refuse(where, f"its media type is {media_type[:100]!r}")
    if len(files) > MAX_PYTHON_INDEX_FILES:
        raise _refuse(where, f"it lists more than {MAX_PYTHON_INDEX_FILES} files")
    return files


def checked_address(file: IndexFile, where: str) -> str:
    """Return a file's address as a lock may hold it: without secrets in its query.

    Raises:
        FormatError: It may not, such as one with a user.
    """
    try:
        check_url(file.address, file.name)
        return msgspec.convert(without_secrets(file.address), QueriedUrl)
    except (msgspec.ValidationError, DefinitionError):
        raise FormatError(
            f"{where}: {file.name[:200]} has no lockable address, found "
            f"{without_login(file.address.partition('?')[0])[:200]!r}",
            "Only http(s) addresses without a user name can be locked.",
        ) from None


def pip_index(run: Runner) -> str:
    """Return the index of this machine's pip: by its configuration, or its own default.

    pip prints no defaults but in its help, where it has put its configuration in; `pip config`
    would not say the default.

    Raises:
        ProgramError: This Python has no pip.
        DefinitionError: The index has a user and a password in its address, or is no web server.
    """
    done = run([sys.executable, "-m", "pip", "download", "--help"], environment={"COLUMNS": _WIDE})
    hint = "Set index: in the definition."
    text = require_success(done, "ask pip for its index", hint).decode("utf-8", "replace")
    found = _DEFAULT.search(text)
    if found is None:
        raise DefinitionError("pip does not tell which index it uses", hint)
    try:
        check_url(found[1], "pip's index-url")
        return msgspec.convert(found[1], Url)
    except (msgspec.ValidationError, DefinitionError):
        raise DefinitionError(
            "pip's index-url: expected an http(s) address without a user name, found another",
            "Set index: in the definition, and put the login in docker's config or the netrc file.",
        ) from None


class _Meta(msgspec.Struct, rename="kebab"):
    api_version: str


class _File(msgspec.Struct, rename="kebab"):
    """An entry; of all but its name and its address, what is not as it should be is not said."""

    filename: str
    url: str
    hashes: Any = None
    requires_python: Any = None
    size: Any = None
    yanked: Any = None


class _Project(msgspec.Struct):
    meta: _Meta
    files: list[msgspec.Raw]


def _read_json(answer: Answer, where: str) -> list[IndexFile]:
    try:
        page = msgspec.json.decode(answer.data, type=_Project)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _refuse(where, str(error)[:MAX_REASON]) from error
    if not _VERSION.fullmatch(page.meta.api_version):
        raise _refuse(where, f"its version is {page.meta.api_version[:20]!r}, expected 1")
    return [
        IndexFile(
            name=file.filename,
            address=_joined(answer.url, file.url),
            digest=_digest(_said(file.hashes, dict[str, Any], {}).get("sha256")),
            size=_said(file.size, Size, None),
            requires_python=_said(file.requires_python, str, ""),
            yanked=_reason(file.yanked),
        )
        for file in map(_file, page.files)
        if file is not None
    ]


def _file(raw: msgspec.Raw) -> _File | None:
    """Read one entry; one that is broken is not there, like one for another machine."""
    try:
        return msgspec.json.decode(raw, type=_File)
    except msgspec.MsgspecError:
        return None


def _said(value: Any, type_: Any, otherwise: Any) -> Any:
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError:
        return otherwise


def _reason(yanked: Any) -> str | None:
    if yanked is None or yanked is False:
        return None
    return yanked if isinstance(yanked, str) else ""


class _Anchors(HTMLParser):
    """Collects the attributes of a page's links, and its repository version."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[dict[str, str | None]] = []
        self.version = "1.0"
        self.base: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "a" and named.get("href"):
            self.found.append(named)
        elif tag == "base" and self.base is None:
            # As in a browser, the first one counts, for links before it too.
            self.base = named.get("href")
        elif tag == "meta" and named.get("name") == "pypi:repository-version":
            self.version = named.get("content") or ""


def _read_html(answer: Answer, where: str) -> list[IndexFile]:
    parser = _Anchors()
    try:
        parser.feed(answer.data.decode("utf-8"))
        parser.close()
    except (UnicodeDecodeError, AssertionError, ValueError) as error:
        raise _refuse(where, str(error)[:MAX_REASON]) from error
    if not _VERSION.fullmatch(parser.version):
        raise _refuse(where, f"its version is {parser.version[:20]!r}, expected 1")
    base = answer.url
    if parser.base is not None:
        try:
            base = base.join(parser.base)
        except IsowardError as error:
            raise _refuse(where, f"its base is {parser.base[:200]!r}") from error
    return [_from_anchor(attributes, base) for attributes in parser.found]


def _from_anchor(attributes: Mapping[str, str | None], base: Address) -> IndexFile:
    link, fragment = urldefrag(attributes["href"] or "")
    name = unquote(link.partition("?")[0].rpartition("/")[2])
    found = _FRAGMENT.match(fragment)
    return IndexFile(
        name=name,
        address=_joined(base, link),
        digest=_digest(found[1] if found else ""),
        size=None,
        requires_python=attributes.get("data-requires-python") or "",
        yanked=(attributes["data-yanked"] or "") if "data-yanked" in attributes else None,
    )


def _joined(base: Address, address: str) -> str:
    """Complete an address of the page; one that is none stays as it is, and is refused later."""
    try:
        return str(base.join(address)) if address else ""
    except IsowardError:
        return address


def _digest(text: Any) -> str:
    """Return a digest, or an empty text where there is none; the pin decides, not the index."""
    digest = f"{PREFIX}{text.lower() if isinstance(text, str) else ''}"
    return digest if is_digest(digest) else ""


def _refuse(where: str, why: str) -> FormatError:
    return FormatError(
        f"{where}: not a page of an index of Python packages: {why}", "Check the index's address."
    )
