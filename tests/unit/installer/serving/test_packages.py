"""Indexes of Python packages as pip asks for them, and names that mean two things."""

from __future__ import annotations

import asyncio
import json
from html.parser import HTMLParser
from typing import Any

import pytest

from bundle.kinds.python_packages import LockedPythonSet, LockedWheel, PythonEnvironment
from bundle.model.lock import Lock
from installer.depot.directory import open_depot
from installer.serving.app import answer
from installer.serving.http import Reply, Request
from installer.serving.live import LiveDepot
from installer.serving.packages import chosen_form
from tests.support.depot.imported import change_lock, import_now, signed_bundle
from tests.support.documents.content import Maker, sample
from tests.support.packages.python_index import wheel
from tests.support.trust.release_kit import enrolled, make_release

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"
PIP = f"{JSON}, {HTML}; q=0.1, text/html; q=0.01"
PURE, BOTH = "Pure_Name-1.0+local.1-py3-none-any.whl", "both-1.0-py3-none-any.whl"
NATIVE = "native-2.0-cp311-cp311-manylinux_2_17_x86_64.whl"
ABOUT = '>=3.8,<4 & "quoted"'


def put(make: Maker, name: str, *wheels: str, environments: tuple[str, ...]) -> LockedPythonSet:
    files = []
    for file in sorted(wheels):
        content = make.put(wheel(file, files={"x.py": name if file == BOTH else file}))
        files.append(
            LockedWheel(
                name=file,
                url=f"https://example.org/{name}/files/{file.replace('+', '%2B')}",
                digest=content.digest,
                size=content.size,
                requires_python=ABOUT if file == PURE else "",
            )
        )
    return LockedPythonSet(
        name=name,
        files=tuple(files),
        environments=tuple(
            PythonEnvironment(
                name=e, python="3.11", platform="linux/amd64", wheels=tuple(sorted(wheels))
            )
            for e in environments
        ),
    )


def python_sample() -> tuple[Lock, dict[str, bytes]]:
    make = Maker()
    lock, _ = sample(make)
    sets = (
        put(make, "installer", PURE, BOTH, environments=("tools",)),
        put(make, "work.station", NATIVE, BOTH, environments=("a", "b")),
    )
    return change_lock(lock, python_packages=sets), make.blobs


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> LiveDepot:
    base = tmp_path_factory.mktemp("packages")
    kit = make_release(base / "vendor")
    enrolled(base / "depot", kit)
    import_now(signed_bundle(base / "bundle", kit, *python_sample()), base / "depot")
    return LiveDepot(open_depot(base / "depot"))


def ask(live: LiveDepot, path: str, accept: str = "") -> Reply:
    return asyncio.run(answer(live, Request("GET", path, "", {"accept": accept})))


def page(live: LiveDepot, path: str) -> dict[str, Any]:
    found = ask(live, path, PIP)
    assert found.status == 200
    assert dict(found.headers)["content-type"] == JSON
    assert dict(found.headers)["vary"] == "accept"
    body: dict[str, Any] = json.loads(found.body)
    assert body["meta"] == {"api-version": "1.1"}
    return body


class Links(HTMLParser):
    """Collects links as pip does."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.append(dict(attrs))


def links(live: LiveDepot, path: str, accept: str = "") -> list[dict[str, str | None]]:
    found = ask(live, path, accept)
    assert found.status == 200
    parser = Links()
    parser.feed(found.body.decode())
    return parser.found


def test_a_project_as_json(live: LiveDepot) -> None:
    body = page(live, "/pypi/installer/simple/pure-name/")
    (file,) = body["files"]
    assert (body["name"], body["versions"]) == ("pure-name", ["1.0+local.1"])
    assert (file["filename"], file["requires-python"]) == (PURE, ABOUT)
    assert file["url"] == f"/pypi/installer/files/{PURE.replace('+', '%2B')}"
    sent = ask(live, f"/pypi/installer/files/{PURE}")
    assert sent.file is not None
    assert sent.file.end == file["size"]
    assert dict(sent.headers)["docker-content-digest"] == f"sha256:{file['hashes']['sha256']}"


def test_a_project_as_html_says_the_same(live: LiveDepot) -> None:
    (file,) = page(live, "/pypi/installer/simple/pure-name/")["files"]
    (link,) = links(live, "/pypi/installer/simple/pure-name/")
    assert link["href"] == f"{file['url']}#sha256={file['hashes']['sha256']}"
    assert link["data-requires-python"] == ABOUT
    (other,) = links(live, "/pypi/installer/simple/both/", "text/html")
    assert "data-requires-python" not in other


@pytest.mark.parametrize("name", ["pure-name", "Pure_Name", "PURE.name", "pure--name"])
@pytest.mark.parametrize("end", ["", "/"])
def test_every_spelling_of_a_project_finds_it(live: LiveDepot, name: str, end: str) -> None:
    assert page(live, f"/pypi/installer/simple/{name}{end}")["name"] == "pure-name"


def test_the_projects_of_a_set(live: LiveDepot) -> None:
    body = page(live, "/pypi/installer/simple/")
    assert body["projects"] == [{"name": "both"}, {"name": "pure-name"}]
    assert [link["href"] for link in links(live, "/pypi/installer/simple")] == [
        "/pypi/installer/simple/both/",
        "/pypi/installer/simple/pure-name/",
    ]


def test_the_merged_index_leaves_out_what_means_two_things(live: LiveDepot) -> None:
    projects = page(live, "/pypi/simple/")["projects"]
    assert projects == [{"name": "native"}, {"name": "pure-name"}]
    (file,) = page(live, "/pypi/simple/native/")["files"]
    assert file["url"] == f"/pypi/work.station/files/{NATIVE}"
    assert ask(live, "/pypi/simple/both/").status == 404
    assert links(live, "/pypi/simple/")[0]["href"] == "/pypi/simple/native/"


def test_requirements(live: LiveDepot) -> None:
    only = ask(live, "/pypi/installer/requirements.txt")
    assert only.status == 200
    assert only.body == ask(live, "/pypi/installer/requirements/tools.txt").body
    assert b"pure-name==1.0+local.1 \\\n    --hash=sha256:" in only.body
    several = ask(live, "/pypi/work.station/requirements.txt")
    assert several.status == 404
    assert b"/pypi/work.station/requirements/a.txt" in several.body
    assert ask(live, "/pypi/work.station/requirements/b.txt").status == 200


def test_the_list_of_sets(live: LiveDepot) -> None:
    found = json.loads(ask(live, "/pypi/").body)["sets"]
    assert [(one["name"], one["index"], one["files"]) for one in found] == [
        ("installer", "/pypi/installer/simple/", 2),
        ("work.station", "/pypi/work.station/simple/", 2),
    ]
    assert found[0]["requirements"] == ["/pypi/installer/requirements/tools.txt"]
    assert b"Python packages 4" in ask(live, "/").body


@pytest.mark.parametrize(
    "path",
    [
        "/pypi/none/simple/",
        "/pypi/none/requirements.txt",
        "/pypi/installer",
        "/pypi/installer/simple/none/",
        "/pypi/installer/simple/both/more/",
        "/pypi/installer/files/",
        "/pypi/installer/files/../files/both-1.0-py3-none-any.whl",
        "/pypi/installer/files/BOTH-1.0-py3-none-any.whl",
        "/pypi/installer/requirements/none.txt",
        "/pypi/simple/files/both-1.0-py3-none-any.whl",
        "/pypi/simple/requirements.txt",
        "/pypi//simple/",
        "/pypi/\x00/simple/\udcff/",
    ],
)
def test_there_is_nothing_else(live: LiveDepot, path: str) -> None:
    assert ask(live, path, PIP).status == 404


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", "text/html"),
        ("*/*", "text/html"),
        (PIP, JSON),
        (JSON, JSON),
        (f"{JSON};q=0.1, {HTML};q=0.9", HTML),
        ("application/vnd.pypi.simple.latest+json", JSON),
        ("application/vnd.pypi.simple.latest+html", HTML),
        (f"{JSON};q=0", "text/html"),
        (f"{JSON};q=zero", "text/html"),
        (f"{JSON};q=nan", "text/html"),
        (f"TEXT/HTML;q=0.1, {JSON.upper()}", JSON),
        ("application/vnd.pypi.simple.v2+json", "text/html"),
        (", ;;,q=1" * 1000, "text/html"),
    ],
)
def test_the_form_that_a_client_likes_best(accept: str, form: str) -> None:
    assert chosen_form(accept) == form
