"""Indexes of Python packages, made from the catalogue: one a set, and one over all sets.

Source: PyPA specifications, "Simple repository API" (PEP 503, 629, 691, 700).
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from bundle.base.digest import hex_of
from bundle.kinds.python_packages import (
    MERGED,
    PythonSet,
    WheelEntry,
    normal_name,
    project_of,
    requirements_text,
    version_of,
)
from installer.depot.catalogue import Catalogue
from installer.serving.content import REVALIDATE, BlobReader
from installer.serving.http import Reply, Request, json_reply, reply, text_reply

_JSON: Final = "application/vnd.pypi.simple.v1+json"
_HTML: Final = "application/vnd.pypi.simple.v1+html"
_PLAIN: Final = "text/html"
_OFFERED: Final = {
    _PLAIN: _PLAIN,
    _HTML: _HTML,
    _JSON: _JSON,
    "application/vnd.pypi.simple.latest+json": _JSON,
    "application/vnd.pypi.simple.latest+html": _HTML,
    "*/*": _PLAIN,
}
_WEIGHT: Final = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")
_FRESH: Final = {"cache-control": REVALIDATE, "vary": "accept"}
_MISSING: Final = "no imported bundle has this; /pypi/ lists the sets of Python packages\n"
_Listed = Mapping[str, "_Wheel"]


@dataclass(frozen=True, slots=True)
class _Wheel:
    """A wheel with its address on the depot."""

    entry: WheelEntry
    address: str


@dataclass(slots=True)
class PythonIndex:
    """Answers below /pypi/ from one catalogue.

    Attributes:
        catalogue: What is served.
        blobs: The content.
        sets: Wheels by set, then by file name; the merged index is one of them.
    """

    catalogue: Catalogue
    blobs: BlobReader
    sets: dict[str, dict[str, _Wheel]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Address every wheel, and put those together that mean one thing in all sets."""
        ambiguous: set[str] = set()
        merged: dict[str, _Wheel] = {}
        for name, wheels in sorted(self.catalogue.python_wheels.items()):
            folder = f"/pypi/{quote(name)}/files"
            self.sets[name] = {
                wheel: _Wheel(entry, f"{folder}/{quote(wheel)}") for wheel, entry in wheels.items()
            }
            for wheel, found in self.sets[name].items():
                if merged.setdefault(wheel, found).entry.digest != found.entry.digest:
                    ambiguous.add(wheel)
        self.sets[MERGED] = {name: found for name, found in merged.items() if name not in ambiguous}

    def answer(self, request: Request) -> Reply:
        """Answer a GET or HEAD below /pypi/."""
        name, *rest = request.path.removeprefix("/pypi").removeprefix("/").rstrip("/").split("/")
        found = self._answer_set(request, name, rest) if name or rest else self._list()
        return found or text_reply(404, _MISSING)

    def _answer_set(self, request: Request, name: str, rest: list[str]) -> Reply | None:
        if name == MERGED:
            return self._simple(request, name, rest)
        match rest:
            case ["simple", *project]:
                return self._simple(request, name, project)
            case ["files", wheel]:
                return self._file(request, name, wheel)
            case ["requirements.txt"]:
                return self._only_requirements(name)
            case ["requirements", file]:
                return self._requirements(name, file.removesuffix(".txt"))
            case _:
                return None

    def _list(self) -> Reply:
        sets: list[dict[str, Any]] = [
            {
                "name": name,
                "index": f"/pypi/{quote(name)}/simple/",
                "requirements": [
                    f"/pypi/{quote(name)}/requirements/{quote(environment)}.txt"
                    for environment in sorted(self.catalogue.python_environments[name])
                ],
                "files": len(wheels),
            }
            for name, wheels in sorted(self.sets.items())
            if name != MERGED
        ]
        return json_reply(200, {"sets": sets}, {"cache-control": REVALIDATE})

    def _simple(self, request: Request, name: str, project: list[str]) -> Reply | None:
        """Answer with the list of projects, or with the files of one."""
        wheels = self.sets.get(name)
        if wheels is None or len(project) > 1:
            return None
        form = chosen_form(request.header("accept"))
        if not project:
            return _projects(sorted({project_of(wheel) for wheel in wheels}), name, form)
        wanted = normal_name(project[0])
        found = {wheel: entry for wheel, entry in wheels.items() if project_of(wheel) == wanted}
        return _files(wanted, found, form, self.catalogue.sizes) if found else None

    def _file(self, request: Request, name: str, wheel: str) -> Reply | None:
        found = self.sets.get(name, {}).get(wheel)
        if found is None:
            return None
        headers = {"content-type": "application/zip", "cache-control": REVALIDATE}
        digest = found.entry.digest
        return self.blobs.send(request, digest, self.catalogue.sizes[digest], headers)

    def _only_requirements(self, name: str) -> Reply | None:
        """Answer with the requirements of a set that has one environment."""
        environments = sorted(self.catalogue.python_environments.get(name, {}))
        if len(environments) == 1:
            return self._requirements(name, environments[0])
        if not environments:
            return None
        where = ", ".join(f"/pypi/{quote(name)}/requirements/{quote(e)}.txt" for e in environments)
        return text_reply(404, f"this set has {len(environments)} environments: {where}\n")

    def _requirements(self, name: str, environment: str) -> Reply | None:
        found: PythonSet | None = self.catalogue.python_environments.get(name, {}).get(environment)
        if found is None:
            return None
        return text_reply(200, requirements_text(found, environment), {"cache-control": REVALIDATE})


def chosen_form(accept: str) -> str:
    """Return the media type that a client likes best; HTML where it says nothing that we offer.

    Args:
        accept: The Accept header, untrusted.
    Source: RFC 9110, section 12.5.1; PEP 691, "Version + Format Selection".
    """
    best, form = 0.0, _PLAIN
    for part in accept.lower().split(",")[:50]:
        name, *parameters = (field.strip() for field in part.split(";"))
        offered = _OFFERED.get(name)
        weight = _weight(parameters)
        if offered is not None and weight > best:
            best, form = weight, offered
    return form


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return float(value) if _WEIGHT.fullmatch(value.strip()) else 0.0
    return 1.0


def _projects(names: list[str], index: str, form: str) -> Reply:
    if form == _JSON:
        body = {"meta": {"api-version": "1.1"}, "projects": [{"name": name} for name in names]}
        return _page(json_reply(200, body).body, form)
    top = "/pypi/simple" if index == MERGED else f"/pypi/{quote(index)}/simple"
    links = "".join(
        f'<a href="{top}/{quote(name)}/">{html.escape(name)}</a><br>\n' for name in names
    )
    return _page(_document("Python packages", links), form)


def _files(project: str, wheels: _Listed, form: str, sizes: Mapping[str, int]) -> Reply:
    if form == _JSON:
        listed = [_json_file(name, found, sizes) for name, found in sorted(wheels.items())]
        body = {
            "meta": {"api-version": "1.1"},
            "name": project,
            "versions": sorted({version_of(name) for name in wheels}),
            "files": listed,
        }
        return _page(json_reply(200, body).body, form)
    links = "".join(_link(name, found) for name, found in sorted(wheels.items()))
    return _page(_document(f"Links for {project}", links), form)


def _json_file(name: str, found: _Wheel, sizes: Mapping[str, int]) -> dict[str, Any]:
    entry = found.entry
    made: dict[str, Any] = {
        "filename": name,
        "url": found.address,
        "hashes": {"sha256": hex_of(entry.digest)},
        "size": sizes[entry.digest],
    }
    if entry.requires_python:
        made["requires-python"] = entry.requires_python
    return made


def _link(name: str, found: _Wheel) -> str:
    address = html.escape(f"{found.address}#sha256={hex_of(found.entry.digest)}")
    requires = found.entry.requires_python
    attribute = f' data-requires-python="{html.escape(requires)}"' if requires else ""
    return f'<a href="{address}"{attribute}>{html.escape(name)}</a><br>\n'


def _document(title: str, links: str) -> bytes:
    shown = html.escape(title)
    return (
        '<!DOCTYPE html>\n<html><head><meta charset="utf-8">'
        '<meta name="pypi:repository-version" content="1.1">'
        f"<title>{shown}</title></head>\n<body><h1>{shown}</h1>\n{links}</body></html>\n"
    ).encode()


def _page(body: bytes, form: str) -> Reply:
    media_type = f"{form}; charset=utf-8" if form == _PLAIN else form
    return reply(200, body, media_type, _FRESH)
