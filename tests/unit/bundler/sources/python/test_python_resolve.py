"""Python packages are locked to the wheels that pip would choose, from either form of an index."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle.base.canonical import canonical_json
from bundle.base.digest import digest_of
from bundle.base.errors import (
    DefinitionError,
    DigestMismatchError,
    FormatError,
    HostNotAllowedError,
    IsowardError,
)
from bundle.model.lock import Lock, check_lock
from bundler.build.cache import BlobCache
from bundler.lock.resolve import definition_hosts, resolve
from tests.support.documents.right import read_definition
from tests.support.documents.sources import context
from tests.support.packages.python_index import Listed, PythonIndex, python_index, requirements
from tests.support.registries.connecting import client
from tests.support.registries.scripted import Asked, Reply, scripted

MANY = "manylinux_2_17_x86_64.manylinux2014_x86_64"


@pytest.fixture
def index() -> Iterator[PythonIndex]:
    with python_index() as made:
        yield made


def definition(index: str, pythons: str = '"3.11", "3.12"', platforms: str = "linux/amd64") -> str:
    return f"""\
apiVersion: isoward/v1
kind: BundleDefinition
metadata: {{name: tools, version: 1.0.0}}
platforms: [{platforms}]
pythonPackages:
  - name: installer
    requirements: [tools.txt]
    pythons: [{pythons}]
    glibc: "2.28"
    index: {index}
"""


def lock(index: PythonIndex, text: str, folder: Path, **asked: str) -> Lock:
    folder.mkdir(exist_ok=True)
    (folder / "tools.txt").write_text(text)
    wanted = read_definition(definition(index.url, **asked))
    made = client(*definition_hosts(wanted))
    locked = resolve(wanted, context(made, BlobCache(folder / "cache"), folder))
    check_lock(locked)
    return locked


def chosen(locked: Lock) -> dict[str, tuple[str, ...]]:
    (found,) = locked.python_packages
    return {f"{e.python} {e.platform}": e.wheels for e in found.environments}


@pytest.mark.parametrize("form", ["json", "html"])
def test_each_python_gets_the_wheel_that_pip_would_choose(
    index: PythonIndex, tmp_path: Path, form: str
) -> None:
    index.form = form
    pure = index.add("pure-1.0-py3-none-any.whl", requires_python=">=3.8")
    stable = index.add(f"stable-2.0-cp38-abi3-{MANY}.whl")
    newer = index.add("stable-2.0-cp311-abi3-manylinux_2_28_x86_64.whl")
    too_new = index.add("stable-2.0-cp311-abi3-manylinux_2_34_x86_64.whl")
    each = [index.add(f"native-3.0-cp3{n}-cp3{n}-{MANY}.whl") for n in (10, 11, 12, 13)]
    only = index.add("only-4.0-py2.py3-none-any.whl")
    index.add("pure-0.9-py3-none-any.whl")
    index.add("pure-1.0.tar.gz", b"source")
    text = requirements(
        *(pure, stable, newer, too_new, *each, only), markers={"only": 'python_version < "3.12"'}
    )
    locked = lock(index, text, tmp_path / form)
    assert chosen(locked) == {
        "3.11 linux/amd64": (each[1].name, only.name, pure.name, newer.name),
        "3.12 linux/amd64": (each[2].name, pure.name, newer.name),
    }
    (found,) = locked.python_packages
    assert [file.name for file in found.files] == sorted(
        file.name for file in (pure, newer, each[1], each[2], only)
    )
    by_name = {file.name: file for file in found.files}
    assert by_name[pure.name].requires_python == ">=3.8"
    assert by_name[pure.name].size == len(pure.data)
    assert by_name[pure.name].digest == pure.digest
    assert by_name[pure.name].url == f"http://{index.host}/files/{pure.name}"


def test_both_forms_and_any_order_give_the_same_lock(index: PythonIndex, tmp_path: Path) -> None:
    listed = [index.add(f"native-3.0-cp31{n}-cp31{n}-{MANY}.whl") for n in range(4)]
    listed.append(index.add("pure-1.0-py3-none-any.whl"))
    first = canonical_json(lock(index, requirements(*listed), tmp_path / "a"))
    for files in index.files.values():
        files.reverse()
    index.form = "html"
    assert canonical_json(lock(index, requirements(*listed), tmp_path / "b")) == first


def test_platforms_are_environments_of_their_own(index: PythonIndex, tmp_path: Path) -> None:
    amd = index.add(f"native-1.0-cp312-cp312-{MANY}.whl")
    arm = index.add("native-1.0-cp312-cp312-manylinux_2_28_aarch64.whl")
    text = requirements(amd, arm)
    asked = {"pythons": '"3.12"', "platforms": "linux/amd64, linux/arm64"}
    assert chosen(lock(index, text, tmp_path, **asked)) == {
        "3.12 linux/amd64": (amd.name,),
        "3.12 linux/arm64": (arm.name,),
    }


def test_each_page_is_read_once_and_no_wheel_is_fetched(index: PythonIndex, tmp_path: Path) -> None:
    listed = [index.add(f"native-3.0-cp31{n}-cp31{n}-{MANY}.whl") for n in range(4)]
    listed.append(index.add("pure-1.0-py3-none-any.whl"))
    lock(index, requirements(*listed), tmp_path)
    assert index.server is not None
    assert sorted(index.server.paths) == ["/simple/native/", "/simple/pure/"]


def test_a_hash_chooses_among_builds_of_one_version(index: PythonIndex, tmp_path: Path) -> None:
    first = index.add("pure-1.0-1-py3-none-any.whl")
    second = index.add("pure-1.0-2-py3-none-any.whl")
    text = requirements(first, second)
    assert chosen(lock(index, text, tmp_path / "a"))["3.12 linux/amd64"] == (second.name,)
    assert chosen(lock(index, requirements(first), tmp_path / "b"))["3.12 linux/amd64"] == (
        first.name,
    )


def test_a_yanked_wheel_is_taken_where_it_is_pinned_and_only_if_it_must(
    index: PythonIndex, tmp_path: Path
) -> None:
    taken_back = index.add("pure-1.0-2-py3-none-any.whl", yanked="broken on Tuesdays")
    good = index.add("pure-1.0-1-py3-none-any.whl")
    only = index.add("gone-1.0-py3-none-any.whl", yanked="")
    locked = lock(index, requirements(taken_back, good, only), tmp_path)
    assert chosen(locked)["3.12 linux/amd64"] == (only.name, good.name)


def test_a_page_may_be_elsewhere(index: PythonIndex, tmp_path: Path) -> None:
    pure = index.add("pure-1.0-py3-none-any.whl")
    index.files["moved"] = index.files.pop("pure")
    index.redirect = {"/simple/pure/": "/simple/moved/"}
    locked = lock(index, requirements(pure), tmp_path)
    assert chosen(locked)["3.12 linux/amd64"] == (pure.name,)


@pytest.mark.parametrize(
    ("base", "link"),
    [
        ("/files/deep/", "../{name}"),
        ("{site}/files/", "{name}"),
        ("{site}/other", "files/{name}"),
        ("..", "../files/{name}"),
    ],
)
def test_links_are_relative_to_the_base_of_a_page(
    index: PythonIndex, tmp_path: Path, base: str, link: str
) -> None:
    site = index.url.removesuffix("/simple")
    index.form, index.base = "html", base.format(site=site)
    pure = index.add("pure-1.0-py3-none-any.whl")
    pure.url = link.format(name=pure.name)
    locked = lock(index, requirements(pure), tmp_path)
    assert [file.url for file in locked.python_packages[0].files] == [f"{site}/files/{pure.name}"]


def test_a_base_that_is_no_address_is_refused(index: PythonIndex, tmp_path: Path) -> None:
    index.form, index.base = "html", "ftp://example.org/"
    with pytest.raises(FormatError, match="its base is"):
        lock(index, requirements(index.add("pure-1.0-py3-none-any.whl")), tmp_path)


def test_a_page_on_a_host_that_nobody_named_is_not_read(index: PythonIndex, tmp_path: Path) -> None:
    pure = index.add("pure-1.0-py3-none-any.whl")
    with scripted(lambda _: Reply(500)) as other:
        index.redirect = {"/simple/pure/": f"http://{other.host}/simple/pure/"}
        with pytest.raises(HostNotAllowedError):
            lock(index, requirements(pure), tmp_path)
        assert not other.asked


@pytest.mark.parametrize(
    ("query", "kept"), [("?source=mirror", "?source=mirror"), ("?x=1&token=s3cr3t", "?x=1")]
)
@pytest.mark.parametrize("form", ["json", "html"])
def test_a_query_is_kept_unless_it_is_a_secret(
    index: PythonIndex, tmp_path: Path, form: str, query: str, kept: str
) -> None:
    index.form = form
    pure = index.add("pure-1.0-py3-none-any.whl")
    plain = f"{index.url.removesuffix('/simple')}/files/{pure.name}"
    pure.url = f"{plain}{query}"
    locked = lock(index, requirements(pure), tmp_path)
    (wheel,) = locked.python_packages[0].files
    assert wheel.url == f"{plain}{kept}"
    assert b"s3cr3t" not in canonical_json(locked)
    # What a build could not ask for is here.
    here = BlobCache(tmp_path / "cache").read_bytes(pure.digest, wheel.size)
    assert (here == pure.data) is ("s3cr3t" in query)


REFUSED: dict[str, tuple[type[IsowardError], str]] = {
    "no wheel for one Python": (DefinitionError, "no wheel of native 1.0 for Python 3.12"),
    "no wheel for the glibc": (DefinitionError, "with glibc 2.28, found late-1.0-py3-none-many"),
    "only a source distribution": (DefinitionError, "found source-1.0.tar.gz"),
    "requires another Python": (DefinitionError, "no wheel of demanding 1.0 for Python 3.11"),
    "another digest": (DigestMismatchError, "expected other-1.0-py3-none-any.whl with one of"),
    "no digest, and other bytes": (DigestMismatchError, "expected other-1.0-py3-none-any.whl with"),
    "no such project": (DefinitionError, "has no project 'absent'"),
    "another version": (DefinitionError, "none of this version"),
    "an address with a user": (FormatError, "no lockable address"),
    "an address that is a path": (FormatError, "no lockable address"),
    "an address that steps up": (FormatError, "no lockable address"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_locked_is_refused(index: PythonIndex, tmp_path: Path, case: str) -> None:
    wanted = _arrange(index, case)
    kind, said = REFUSED[case]
    with pytest.raises(kind) as caught:
        lock(index, requirements(wanted), tmp_path)
    assert type(caught.value) is kind
    assert said in caught.value.message
    assert "secret" not in caught.value.message
    assert caught.value.hint


def _arrange(index: PythonIndex, case: str) -> Listed:
    pure = "pure-1.0-py3-none-any.whl"
    addresses = {
        "an address with a user": "http://user:secret@example.org/pure.whl",
        "an address that is a path": "file:///etc/pure.whl",
        "an address that steps up": "http://example.org/a/%2e%2e/pure.whl",
    }
    if case in addresses:
        return index.add(pure, url=addresses[case])
    names = {
        "no wheel for one Python": f"native-1.0-cp311-cp311-{MANY}.whl",
        "no wheel for the glibc": "late-1.0-py3-none-manylinux_2_34_x86_64.whl",
        "only a source distribution": "source-1.0.tar.gz",
        "requires another Python": "demanding-1.0-py3-none-any.whl",
        "no such project": "absent-1.0-py3-none-any.whl",
    }
    listed = index.add(names.get(case, "other-1.0-py3-none-any.whl"), b"never looked into")
    wanted = Listed(listed.name, listed.data, listed.digest)
    if case == "requires another Python":
        listed.requires_python = ">=3.12"
    elif case == "another digest":
        listed.digest = f"sha256:{'0' * 64}"
    elif case == "no digest, and other bytes":
        listed.digest, listed.data, listed.size = "", b"other", 5
    elif case == "no such project":
        index.files.clear()
    elif case == "another version":
        wanted.name = "other-2.0-py3-none-any.whl"
    elif case == "only a source distribution":
        wanted.name = "source-1.0-py3-none-any.whl"
    return wanted


@pytest.mark.parametrize("form", ["json", "html"])
@pytest.mark.parametrize("digest", ["", "sha256:xyz"])
def test_an_index_without_digests_is_held_to_the_pin(
    index: PythonIndex, tmp_path: Path, form: str, digest: str
) -> None:
    """As of a folder behind a web server, or Artifactory's; pip downloads such a file and looks."""
    index.form = form
    better = index.add("pure-1.0-2-py3-none-any.whl", b"another build that nobody pinned")
    right = index.add("pure-1.0-1-py3-none-any.whl")
    text = requirements(Listed(right.name, right.data, right.digest))
    for listed in (better, right):
        listed.digest = digest
    locked = lock(index, text, tmp_path)
    (file,) = locked.python_packages[0].files
    assert (file.name, file.digest, file.size) == (
        right.name,
        digest_of(right.data),
        len(right.data),
    )
    assert index.server is not None
    assert index.server.paths.count(f"/files/{right.name}") == 1


JSON = "application/vnd.pypi.simple.v1+json"


def test_an_entry_that_is_broken_does_not_hide_a_good_one(
    index: PythonIndex, tmp_path: Path
) -> None:
    pure = index.add("pure-1.0-py3-none-any.whl")
    good = {"filename": pure.name, "url": f"../../files/{pure.name}", "hashes": {}, "yanked": False}
    bad = [{"filename": 1, "url": ""}, {"url": "x"}, 7, None, {**good, "size": -1}]
    body = json.dumps({"meta": {"api-version": "1.4"}, "files": [*bad, good], "more": 1}).encode()

    def script(asked: Asked) -> Reply:
        page = asked.path.startswith("/simple/")
        return Reply(200, body, {"Content-Type": JSON}) if page else Reply(200, pure.data)

    with scripted(script) as server:
        locked = lock(PythonIndex(server=server), requirements(pure), tmp_path)
    assert [file.name for file in locked.python_packages[0].files] == [pure.name]


@pytest.mark.parametrize(
    "more",
    [
        {"hashes": None, "yanked": None, "requires-python": None, "size": None},
        {"hashes": {"sha256": None, "md5": 1}},
        {"hashes": [], "requires-python": 3, "yanked": {}},
        {"size": -1},
        {"size": "12"},
        {"size": 1.5},
    ],
)
def test_what_is_odd_about_an_entry_is_not_said(
    index: PythonIndex, tmp_path: Path, more: dict[str, object]
) -> None:
    pure = index.add("pure-1.0-py3-none-any.whl")
    entry = {"filename": pure.name, "url": f"../../files/{pure.name}", **more}
    body = json.dumps({"meta": {"api-version": "1.0"}, "files": [entry]}).encode()

    def script(asked: Asked) -> Reply:
        page = asked.path.startswith("/simple/")
        return Reply(200, body, {"Content-Type": JSON}) if page else Reply(200, pure.data)

    with scripted(script) as server:
        locked = lock(PythonIndex(server=server), requirements(pure), tmp_path)
    assert [file.digest for file in locked.python_packages[0].files] == [pure.digest]


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        ("application/json", b"{}"),
        (JSON, b"{"),
        (JSON, b"[" * 100_000),
        (JSON, b'{"meta":{"api-version":"2.0"},"files":[]}'),
        (JSON, b'{"meta":{"api-version":"1.0"},"files":{}}'),
        ("text/html", b"\xff\xfe"),
        ("text/html", b'<meta name="pypi:repository-version" content="2.0">'),
        ("", b""),
    ],
)
def test_a_page_that_is_none_is_refused(tmp_path: Path, media_type: str, body: bytes) -> None:
    def script(_: Asked) -> Reply:
        return Reply(200, body, {"Content-Type": media_type})

    with scripted(script) as server:
        index = PythonIndex(server=server)
        with pytest.raises(FormatError, match="not a page of an index"):
            lock(index, f"pure==1.0 --hash=sha256:{'0' * 64}\n", tmp_path)


def test_hostile_names_are_passed_over(index: PythonIndex, tmp_path: Path) -> None:
    pure = index.add("pure-1.0-py3-none-any.whl")
    for name in ("../pure-1.0-py3-none-any.whl", "pure-1.0-py3-none-any.whl\n", "", "\x1b[2J.whl",
                 f"pure-{'9' * 5000}-py3-none-any.whl", f"pure-1.0-{'1' * 5000}-py3-none-any.whl",
                 f"pure-1.0-py3-none-{'any.' * 100_000}any.whl"):  # fmt: skip
        index.files["pure"].append(Listed(name, b"", pure.digest))
    locked = lock(index, requirements(pure), tmp_path)
    assert [file.name for file in locked.python_packages[0].files] == [pure.name]


def test_two_versions_for_one_machine_are_refused(index: PythonIndex, tmp_path: Path) -> None:
    listed = [index.add(f"pure-{n}.0-py3-none-any.whl") for n in (1, 2)]
    with pytest.raises(DefinitionError, match=r"pure==2.0, but tools.txt:1 has 1.0 for Python"):
        lock(index, requirements(*listed), tmp_path)


@pytest.mark.parametrize(
    "marker",
    ['os_name ~= "posix"', f'python_version < "{"9" * 5000}"', 'extra == "x" or os_name < 1'],
)
def test_a_marker_that_cannot_be_judged_ends_without_a_traceback(
    index: PythonIndex, tmp_path: Path, marker: str
) -> None:
    listed = index.add("pure-1.0-py3-none-any.whl")
    with pytest.raises(DefinitionError, match=r"tools\.txt:1"):
        lock(index, requirements(listed, markers={"pure": marker}), tmp_path)


@pytest.mark.parametrize("name", ["Tools.txt", "tools one.txt"])
def test_a_file_whose_name_cannot_be_served(tmp_path: Path, name: str) -> None:
    text = definition("http://127.0.0.1:9").replace("tools.txt", name)
    (tmp_path / name).write_text("")
    wanted = read_definition(text)
    with pytest.raises(DefinitionError, match="expected a file name of lower-case"):
        resolve(wanted, context(client(), BlobCache(tmp_path / "cache"), tmp_path))
