"""What the real Helm accepts of others' documents is read here as Helm reads it."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from bundle.base.errors import FormatError
from bundler.model.chart import chart_artifact
from bundler.sources.charts.index import read_index
from bundler.sources.charts.parts import read_archive
from bundler.sources.rendering.rendered_yaml import rendered_documents
from tests.support.programs.helm import run_helm

HEAD = b"apiVersion: v2\nname: web\nversion: 1.2.3\n"
SHOWN = (
    'it: {{ dict "name" .Chart.Name "version" .Chart.Version "app" .Chart.AppVersion '
    '"deprecated" .Chart.Deprecated "annotations" .Chart.Annotations "keywords" .Chart.Keywords '
    '"dependencies" .Chart.Dependencies | toJson }}\n'
)

SCALARS = """\
1.10 1.0 010 08 0x10 1e3 1_000 yes y N Off TRUE 1000000.0 1000000 123456789.5 1e21 0.00001 0.0001
12345678901234567890 99999999999999999999 2024-01-01 1:30 -0 .5 +1 0b11 0o17 ~ null 1. 1.5e3 -1.5
0_1 1__0 _1 0x_1f 09.5 +.5 0b2 0x 1.2.3 v1 -0x10 -0b11 1e-7 100000.0 100000.5 999999.5 -0.0 0o8
1_0.5 <<x '1.10' "on"
""".split()  # noqa: SIM905 - a table

CHART_YAMLS: dict[str, bytes] = {
    "anchors": HEAD + b"appVersion: &v 2.0.0\nannotations: {a: *v}\n",
    "a merge key": HEAD + b"annotations: {<<: {a: x, b: x}, b: y}\n",
    "a merge key behind what it replaces": HEAD + b"annotations: {b: y, <<: {a: x, b: x}}\n",
    "merges of several": HEAD + b"annotations: {<<: [{a: x, b: x}, {b: y, c: y}]}\n",
    "a repeated key": HEAD + b"version: 1.2.4\n",
    "a repeated key within": HEAD + b"annotations: {a: x, a: y}\n",
    "a number for a version": b"apiVersion: v2\nname: web\nversion: 1.0\n",
    "a number for a name": b"apiVersion: v2\nname: 0x10\nversion: 1.0.0\n",
    "a tab behind a colon": b"apiVersion: v2\nname:\tweb\nversion:\t1.2.3\n",
    "no apiVersion": b"name: web\nversion: 1.2.3\n",
    "names in other cases": b"APIVersion: v2\nName: web\nVERSION: 1.2.3\nappversion: '3'\n",
    "booleans of YAML 1.1": HEAD + b"deprecated: yes\nkeywords: [on, no, 7, ~]\n",
    "null fields": HEAD + b"icon: null\nappVersion: ~\nkeywords:\ndependencies: null\n",
    "a tag of its own": HEAD + b"appVersion: !version 7.1\nannotations: {a: !!str 1.0}\n",
    "fields that nobody knows": HEAD + b"x-extra: {a: [1, {b: c}]}\nother: true\n",
    "a second document": HEAD + b"---\nname: other\nversion: 9.9.9\n",
    "an end of a document": b"%YAML 1.1\n---\n" + HEAD + b"...\n",
    "a byte order mark": b"\xef\xbb\xbf" + HEAD,
    "carriage returns": HEAD.replace(b"\n", b"\r\n"),
    "no line break at the end": HEAD.rstrip(b"\n"),
    "JSON": b'{"apiVersion": "v2", "name": "web", "version": "1.2.3", "annotations": {"a": "b"}}',
    "JSON with tabs": b'{\n\t"apiVersion": "v2",\n\t"name": "web",\n\t"version": "1.2.3"\n}',
    "many scalars": HEAD
    + b"annotations:\n"
    + b"".join(b"  k%d: %s\n" % (i, text.encode()) for i, text in enumerate(SCALARS)),
    "a dependency by an anchor": HEAD
    + b"annotations: {a: &n inner, b: &v 0.1.0}\n"
    + b"dependencies: [{name: *n, version: *v, enabled: no, condition: null}]\n",
}

ENTRY = "    - {name: web, version: %s, urls: [web-1.tgz], apiVersion: v2}\n"
START = "apiVersion: v1\nentries:\n  web:\n"

INDEXES: dict[str, str] = {
    "plain": START + ENTRY % "1.2.3",
    "an anchor": START + "    - &a {name: web, version: 1.0.0, urls: [a.tgz]}\n    - *a\n",
    "an anchor elsewhere": (
        "apiVersion: v1\nentries:\n  other:\n    - {name: other, version: &v 1.0.0}\n"
        "  web:\n    - {name: web, version: *v}\n"
    ),
    "an entry that is null": START + "    - null\n" + ENTRY % "1.0.0",
    "a bad entry beside a good one": START + ENTRY % "not-a-version" + ENTRY % "1.0.0",
    "an entry without a version": START + "    - {name: web, urls: [x]}\n" + ENTRY % "1.0.0",
    "an entry without a name": START + "    - {version: 3.0.0, urls: [x]}\n" + ENTRY % "1.0.0",
    "a digest of another kind": START + "    - {name: web, version: 1.0.0, digest: 'md5:x'}\n",
    "a chart without entries": START.replace("web:", "other: []\n  web:") + ENTRY % "1.0.0",
    "a chart that is null": START.replace("web:", "other: null\n  web:") + ENTRY % "1.0.0",
    "JSON with tabs": (
        '{\n\t"apiVersion": "v1",\n\t"entries": {"web": [{"name": "web", "version": "1.2.3"}]}\n}'
    ),
    "null fields": START + "    - {name: web, version: 1.0.0, urls: null, digest: null}\n",
    "a second document": START + ENTRY % "1.2.3" + "---\na: b\n",
    "times": "generated: 2024-01-01T00:00:00Z\n" + START + ENTRY % "1.2.3",
}

Member = tuple[str, bytes] | tuple[str, bytes, bytes]
ARCHIVES: dict[str, list[Member]] = {
    "plain": [("web/Chart.yaml", HEAD)],
    "a folder in front": [("web", b"", tarfile.DIRTYPE), ("web/Chart.yaml", HEAD)],
    "backslashes": [("web\\Chart.yaml", HEAD), ("web\\templates\\b.yaml", b"b: 1\n")],
    "a point for a folder": [("./Chart.yaml", HEAD), ("./values.yaml", b"a: 1\n")],
    "a point and a folder": [("./web/Chart.yaml", HEAD)],
    "points within": [("web/./Chart.yaml", HEAD), ("web/templates/../values.yaml", b"a: 1\n")],
    "a double slash": [("web//values.yaml", b"a: 1\n"), ("web/Chart.yaml", HEAD)],
    "another name of the folder": [("else/Chart.yaml", HEAD)],
    "two folders": [("web/Chart.yaml", HEAD), ("more/templates/more.yaml", b"more: 1\n")],
    "a file beside the folder": [("web/Chart.yaml", HEAD), ("README.md", b"text")],
    "Chart.yaml beside the folder": [("web/Chart.yaml", HEAD), ("Chart.yaml", HEAD)],
    "a link for a folder": [("web/Chart.yaml", HEAD), ("web/crds", b"", tarfile.SYMTYPE)],
    "a link for Chart.yaml": [("web/Chart.yaml", b"", tarfile.SYMTYPE)],
    "a hard link": [("web/Chart.yaml", HEAD), ("web/LICENSE", b"", tarfile.LNKTYPE)],
    "one file twice": [
        ("web/Chart.yaml", b"apiVersion: v2\nname: old\nversion: 1.0.0\nappVersion: '7'\n"),
        ("web/Chart.yaml", HEAD),
    ],
    "a path that leads out": [("web/Chart.yaml", HEAD), ("web/../../x", b"")],
    "a chart within": [
        ("web/Chart.yaml", HEAD + b"dependencies: [{name: db, version: 0.x}]\n"),
        ("web/charts/db/Chart.yaml", b"name: db\nversion: 0.1.0\n"),
    ],
    "a chart within by a backslash": [
        ("web\\Chart.yaml", HEAD + b"dependencies: [{name: db, version: 0.x}]\n"),
        ("web\\charts\\db\\Chart.yaml", b"name: db\nversion: 0.1.0\n"),
    ],
    "documents of comments": [
        ("web/Chart.yaml", HEAD),
        ("web/requirements.yaml", b"# in Chart.yaml\n"),
        ("web/requirements.lock", b"---\n"),
    ],
    "a lock of comments": [("web/Chart.yaml", HEAD), ("web/Chart.lock", b"# none\n")],
    "Chart.yaml of comments": [("web/Chart.yaml", b"# none\n")],
    "a long name": [("web/Chart.yaml", HEAD), (f"web/templates/{'n' * 120}.yaml", b"n: 1\n")],
}


def pack(members: list[Member], *, more: bool = True) -> bytes:
    buffer = io.BytesIO()
    headers = {"comment": "of everything"}
    shown: list[Member] = [("web/templates/shown.yaml", SHOWN.encode())] if more else []
    with tarfile.open(
        fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, pax_headers=headers
    ) as tar:
        for name, data, *kind in [*members, *shown]:
            info = tarfile.TarInfo(name)
            info.size, info.type = len(data), kind[0] if kind else tarfile.REGTYPE
            info.linkname = "elsewhere" if kind else ""
            info.pax_headers = {"SCHILY.xattr.user.x": "y"}
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(buffer.getvalue(), mtime=0)


def as_helm(archive: bytes, folder: Path) -> dict[str, Any] | None:
    """Return what Helm reads of a chart; None where it refuses it."""
    path = folder / "chart.tgz"
    path.write_bytes(archive)
    done = run_helm(["template", "x", str(path)], folder, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("it: ")]
    if done.returncode != 0:
        return None
    shown: dict[str, Any] = json.loads(lines[0].removeprefix("it: ")) if lines else {}
    return shown


def as_we(archive: bytes) -> dict[str, Any]:
    config = json.loads(chart_artifact(archive, "web").config)
    parts = read_archive(archive, "web")
    assert (parts.name, parts.version) == (config["name"], config["version"])
    return {
        "name": config["name"],
        "version": config["version"],
        "app": config.get("appVersion", ""),
        "deprecated": config.get("deprecated", False),
        "annotations": config.get("annotations"),
        "keywords": config.get("keywords", []),
        "dependencies": [(d.name, d.version, d.repository) for d in parts.dependencies],
    }


def same(archive: bytes, folder: Path) -> None:
    theirs = as_helm(archive, folder)
    if theirs is None:
        with pytest.raises(FormatError):
            as_we(archive)
        return
    wanted = [{key.lower(): text for key, text in d.items()} for d in theirs["dependencies"] or ()]
    theirs["dependencies"] = [
        (d["name"], d.get("version", ""), d.get("repository", "")) for d in wanted
    ]
    # Helm shows a null as an empty text.
    annotations = {key: text for key, text in (theirs["annotations"] or {}).items() if text}
    theirs["annotations"] = annotations or None
    assert as_we(archive) == theirs


@pytest.mark.parametrize("shape", CHART_YAMLS)
def test_chart_yaml_is_read_as_helm_reads_it(shape: str, tmp_path: Path) -> None:
    inner: Member = ("web/charts/inner/Chart.yaml", b"name: inner\nversion: 0.1.0\n")
    same(pack([("web/Chart.yaml", CHART_YAMLS[shape]), inner]), tmp_path)


@pytest.mark.parametrize("shape", ARCHIVES)
def test_an_archive_is_read_as_helm_reads_it(shape: str, tmp_path: Path) -> None:
    members = ARCHIVES[shape]
    archive = pack(members, more=False)
    if as_helm(archive, tmp_path) is None:
        with pytest.raises(FormatError):
            as_we(archive)
    else:
        same(pack(members), tmp_path)


def versions_of_helm(index: str, home: Path) -> list[str]:
    """Return which versions Helm finds in an index, by its own search."""
    (home / "CACHE" / "repository").mkdir(parents=True)
    (home / "CACHE" / "repository" / "r-index.yaml").write_text(index)
    (home / "CONFIG").mkdir()
    (home / "CONFIG" / "repositories.yaml").write_text(
        "apiVersion: ''\nrepositories: [{name: r, url: 'https://charts.example.org'}]\n"
    )
    done = run_helm(["search", "repo", "r/web", "--versions", "--devel", "-o", "json"], home)
    return [found["version"] for found in json.loads(done.stdout)]


@pytest.mark.parametrize("shape", INDEXES)
def test_an_index_is_read_as_helm_reads_it(shape: str, tmp_path: Path) -> None:
    theirs = versions_of_helm(INDEXES[shape], tmp_path)
    assert theirs, "Helm accepts it"
    entries = read_index(INDEXES[shape].encode(), ["web"], "https://charts.example.org")["web"]
    # Helm sorts them, and passes over more: a version that is none cannot be asked for.
    assert set(theirs) <= {entry.version for entry in entries}
    assert {entry.version for entry in entries} - set(theirs) <= {"not-a-version", "3.0.0"}


def test_what_is_rendered_is_read_as_the_api_server_reads_it() -> None:
    text = (
        "kind: Pod\nspec: {image: old, <<: {image: new}}\nafter: {<<: {image: old}, image: new}\n"
        "twice: a\ntwice: b\ntag: !own x\nflow: {a: [1, 2,],}\nname:\ttab\n"
    )
    (tree,) = rendered_documents(text.encode(), "x")
    assert tree["spec"] == tree["after"] == {"image": "new"}
    assert (tree["twice"], tree["tag"], tree["name"]) == ("b", "x", "tab")
    assert tree["flow"] == {"a": ["1", "2"]}


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["a: &a {b: *a}"], "a reference to itself"),
        (["a: *b"], "undefined alias|alias 'b' of nothing"),
        (["a: " + "[" * 200 + "]" * 200], "nested deeper than 128"),
        (
            ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
            + [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 9)],
            "too many elements",
        ),
        (["<<: [a]"], "merges something that is not a mapping"),
    ],
    ids=["itself", "nothing", "deep", "laughs", "merge"],
)
def test_what_is_larger_than_it_looks_is_refused(lines: list[str], why: str) -> None:
    data = "\n".join(lines).encode()
    archive = pack([("web/Chart.yaml", HEAD + data)])
    with pytest.raises(FormatError, match=why):
        chart_artifact(archive, "web")
    with pytest.raises(FormatError, match=why):
        rendered_documents(data, "x")
    if why in {"a reference to itself", "too many elements"}:
        index = START.encode() + (ENTRY % "1.0.0").encode() + data
        with pytest.raises(FormatError, match=why):
            read_index(index, ["web"], "https://x")
