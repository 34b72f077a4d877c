"""The one redactor: what stands in front of everything that is kept of a run.

It knows secrets by their value, in whatever escapes and folds programs print them, and others by
how they look: private keys, bearer tokens, kubeadm's tokens and keys, values that are named as
secrets.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote_plus

from installer.base.spellings import Reading, readings, squeezed

REDACTED: Final = "[redacted]"
LEAST: Final = 6
"""Characters: a shorter value would be found in innocent words."""

_MAX_FILE: Final = 64 * 1024
_BASE64_GROUP: Final = 3
_LEARN_FROM: Final = 12
_PEM: Final = re.compile(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_PEM_BASE64: Final = re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/]+={0,2}")
# What is found in the group of one of these is a secret wherever else it stands, too.
_LEARNT: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"\b(AGE-SECRET-KEY-1[0-9A-Z]+)",
        r"(?i:\bbearer)\s+([A-Za-z0-9._~+/=-]{12,})",
        r"\b(eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)",
        r"(?<![\w.])([a-z0-9]{6}\.[a-z0-9]{16})(?![\w.])",
        r"(?i:certificate[-_ ]?key)[\"']?[\s:=]+[\"']?([0-9a-f]{32,})",
    )
)
_NAMED_AS: Final = r"(?:password|passwd|passphrase|secret|token|private_key|client-key-data)"
_QUOTE: Final = (
    r"(?:\\*(?:[\"']|u00(?:22|27))|&(?:amp;)*(?:quot|apos|#0*3[49]|#[xX]0*2[27]);|%2[27])"
)
_SIGN: Final = r"(?:[:=]|%3[AaDd]|&(?:amp;)*(?:#0*58|#0*61|#[xX]0*3[AaDd]|colon|equals);)"
_NAMED: Final = re.compile(
    rf"(?i)({_NAMED_AS}{_QUOTE}?\s*{_SIGN}\s*{_QUOTE}?)(?!\[redacted)([^\s\"'\\,{{}}\[\]]{{4,}})"
)
_NAME: Final = re.compile(rf"(?i){_NAMED_AS}$")
_LOGIN: Final = re.compile(r"(://[^/\s:@\"']+:)[^/\s@\"']+(@)")
_HINTS: Final = re.compile(
    r"PRIVATE KEY|LS0tLS1CRUdJTi|AGE-SECRET|earer|eyJ|[a-z0-9]{6}\.[a-z0-9]{16}|ertificate|"
    r"(?i:passw|passphr|secret|token|private_key|client-key)|://[^/\s\"]*@"
)
_INNOCENT: Final = frozenset({"true", "false", "none", "null", "yes", "no"})


class Redactor:
    """Takes secrets out of text and events. It learns of more while a run goes on."""

    def __init__(self, values: Iterable[str] = (), folder: Path | None = None) -> None:
        """Know some values, and a folder whose files are secrets as they come to be there.

        Args:
            values: Secrets; those of fewer than `LEAST` characters cannot be looked for.
            folder: Such as the `credentials` of an inventory.
        """
        self._known: set[str] = set()
        self._needles: list[str] = []
        self._squeezed: list[str] = []
        self._folder = folder
        self._seen: dict[str, tuple[int, int]] = {}
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        """Know one more secret; each line of a long one is a secret by itself."""
        for part in {value, value.strip(), *_long_lines(value)}:
            if len(part) >= LEAST and part not in self._known:
                self._known.add(part)
                self._needles += _forms(part)
        # A longer form may contain a shorter one.
        self._needles.sort(key=len, reverse=True)
        short = {squeezed(needle) for needle in self._needles}
        self._squeezed = [needle for needle in short if len(needle) >= LEAST]

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        self._refresh()
        self._learn(text)
        return self._clean(text)

    def event(self, event: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """Return an event without secrets: as a line of JSON, and as it is."""
        self._refresh()
        line = json.dumps(event, ensure_ascii=False, default=str)
        # Each text by itself: the whole line would be one more JSON around all of them.
        known = (self._has_known(text) for text in _texts(event))
        if _HINTS.search(line) is None and not any(known):
            return line, event
        # The parts of a text may stand by themselves elsewhere in it, such as its lines.
        self._learn("\n".join(_texts(event)))
        clean = self._walk(event)
        return json.dumps(clean, ensure_ascii=False, default=str), clean

    def _refresh(self) -> None:
        """Learn what has come into the folder; a file may be there before all of its content."""
        if self._folder is None:
            return
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                if not entry.is_file(follow_symlinks=False):
                    continue
                found = entry.stat(follow_symlinks=False)
                version = (found.st_mtime_ns, found.st_size)
                if self._seen.get(entry.name) != version:
                    with Path(entry.path).open("rb") as file:
                        self.add(_password_of(file.read(_MAX_FILE).decode("utf-8", "replace")))
                    self._seen[entry.name] = version

    def _has_known(self, text: str) -> bool:
        return bool(self._needles) and any(
            needle in way.text for way in readings(text) for needle in self._wanted(way)
        )

    def _wanted(self, way: Reading) -> list[str]:
        return self._squeezed if way.joined else self._needles

    def _learn(self, text: str) -> None:
        for pattern in _LEARNT:
            for found in pattern.findall(text):
                if len(found) >= _LEARN_FROM:
                    self.add(found)
        for block in _PEM.findall(text):
            # Its lines may stand by themselves elsewhere.
            for line in re.split(r"\s+|\\+n", block):
                if len(line) >= _LEARN_FROM and "KEY-----" not in line:
                    self.add(line)

    def _walk(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._clean(value)
        if isinstance(value, Mapping):
            return {self._clean(str(key)): self._field(str(key), v) for key, v in value.items()}
        if isinstance(value, list | tuple):
            return [self._walk(inner) for inner in value]
        return value

    def _field(self, name: str, value: Any) -> Any:
        if isinstance(value, str) and value.lower() not in _INNOCENT and _NAME.search(name):
            return REDACTED if value else value
        return self._walk(value)

    def _without_known(self, text: str) -> str:
        """Take out every part of a text that is a secret in one way of reading it."""
        spans = sorted(
            way.span(*found)
            for way in readings(text)
            for needle in self._wanted(way)
            if needle in way.text
            for found in _spans(way.text, needle)
        )
        pieces: list[str] = []
        at = 0
        for start, end in spans:
            if start >= at:
                pieces += [text[at:start], REDACTED]
            at = max(at, end)
        return "".join([*pieces, text[at:]])

    def _clean(self, text: str) -> str:
        if self._needles:
            text = self._without_known(text)
        if _HINTS.search(text) is None:
            return text
        text = _PEM.sub(REDACTED, text)
        text = _PEM_BASE64.sub(_without_key, text)
        text = _NAMED.sub(_without_value, text)
        return _LOGIN.sub(rf"\1{REDACTED}\2", text)


def _spans(text: str, needle: str) -> Iterator[tuple[int, int]]:
    at = text.find(needle)
    while at >= 0:
        yield at, at + len(needle)
        at = text.find(needle, at + 1)


def _without_value(found: re.Match[str]) -> str:
    if found[2].lower() in _INNOCENT:
        return found[0]
    return f"{found[1]}{REDACTED}"


def _without_key(found: re.Match[str]) -> str:
    coded = found[0].rstrip("=")
    data = base64.b64decode(coded[: len(coded) // 4 * 4])
    return REDACTED if b"PRIVATE KEY" in data else found[0]


def _forms(value: str) -> list[str]:
    """Return a value as programs print it."""
    # Escapes are read, not listed: see spellings.py.
    forms = {value, quote_plus(value), quote_plus(value).replace("%20", "+")}
    data = value.encode()
    forms |= {form for hexed in (data.hex(), data.hex(":")) for form in (hexed, hexed.upper())}
    # Kubernetes writes keys in base64, and Ansible reads such a file in base64 once more.
    inner = base64.b64encode(data)
    forms |= {*_base64(data), *_base64(inner), inner.decode()}
    return [form for form in forms if form]


def _base64(data: bytes) -> set[str]:
    """Return what of some bytes is the same in base64 wherever in a longer text they stand."""
    found: set[str] = set()
    for shift in range(_BASE64_GROUP):
        coded = base64.b64encode(bytes(shift) + data).decode()
        whole = coded[4 if shift else 0 : -4]
        if len(whole) >= LEAST:
            found |= {whole, whole.replace("+", "-").replace("/", "_")}
    return found


def _long_lines(value: str) -> list[str]:
    lines = [line.strip() for line in value.splitlines()]
    return [line for line in lines if len(line) >= _LEARN_FROM] if len(lines) > 1 else []


def _password_of(text: str) -> str:
    """Return a password that Ansible's lookup keeps in a file, without what it notes beside it."""
    return re.sub(r" (salt|ident)=\S+.*$", "", text.strip(), flags=re.DOTALL)


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            # A name and its value stand together, as in text.
            yield f"{key}: {inner}" if isinstance(inner, str) else str(key)
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
