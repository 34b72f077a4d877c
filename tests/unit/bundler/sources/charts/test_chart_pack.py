"""A chart's folder becomes the same archive everywhere, of the files that Helm would take."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
from pathlib import Path

import pytest

from bundle.base.digest import digest_of
from bundle.base.errors import DefinitionError, FormatError
from bundle.base.limits import MAX_CHART_BYTES
from bundle.kinds.git import GitSource
from bundler.build.cache import BlobCache
from bundler.sources.charts import tree as chart_tree
from bundler.sources.charts.helmignore import IgnoreRules
from bundler.sources.charts.pack import pack_chart
from bundler.sources.charts.tree import ChartFolder, read_folder
from tests.support.charts.folders import listed, unpacked, write_chart
from tests.support.charts.git_repositories import commit_files, git, new_repository
from tests.support.documents.sources import context
from tests.support.programs.helm import run_helm
from tests.support.registries.connecting import client

GOLDEN = "sha256:8a27aa1f06aba2dda06ee80960764fbd6588bf32dec52a166b221d7359ad5ba8"

TREE = (
    "README.md", "notes.txt", "a.bak", "sub/a.bak", "sub/b.txt", "sub/deep/c.txt", "ci/test.yaml",
    "templates/NOTES.txt", "templates/.hidden", "templates/sub/.kept", "templates/_helpers.tpl",
    "files/[x].txt", "files/x.txt", "files/y.txt", "files/-.txt", ".git/config", ".env",
    "docs/api/index.md", "docs/a b.md", "secret", "tests/secret", "crds/crd.yaml", "charts.txt",
)  # fmt: skip

CORPUS = (
    "",
    "# a comment\n\n  *.bak  \n",
    "*.bak\n!sub/a.bak\n",
    "!*.yaml\n",
    "!templates/\n",
    "ci/\n.git/\n",
    "/secret\n",
    "secret\n",
    "sub/*.txt\n",
    "sub/deep/\n",
    "files/[a-x].txt\n",
    "files/[^x].txt\n",
    "files/\\[x\\].txt\n",
    "files/?.txt\n",
    "docs\n",
    "docs/*\n",
    "/docs/\n",
    "docs/a b.md\n",
    "*\n",
    "templates/*.tpl\n",
    ".*\n",
    "\ufeff*.bak\nREADME.md\r\n",
    "sub\n!sub/b.txt\n",
    "[st]e*\n",
    "/\n",
    "files/*/\n",
)


def _folder(root: Path) -> Path:
    folder = write_chart(root / "web", "web", "1.2.3")
    for path in TREE:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"# {path}\n")
    return folder


def _read(root: Path, path: str = "web") -> dict[str, bytes]:
    made = context(client(), BlobCache(root / "cache"), root)
    return read_folder(ChartFolder(path, None), made)


@pytest.mark.parametrize("rules", CORPUS)
def test_what_is_packed_is_what_helm_packs(rules: str, tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    (folder / ".helmignore").write_bytes(rules.encode())
    try:
        ours = pack_chart("web", _read(tmp_path))
    except DefinitionError:
        done = run_helm(["package", str(folder), "-d", str(tmp_path)], tmp_path, check=False)
        assert "Chart.yaml file is missing" in done.stderr
        return
    run_helm(["package", str(folder), "-d", str(tmp_path)], tmp_path)
    theirs = (tmp_path / "web-1.2.3.tgz").read_bytes()
    assert sorted(listed(ours)) == sorted(listed(theirs))


@pytest.mark.parametrize("rules", ["a/**\n", "[a\n", "[]a]\n", "[z-\n", "a\\\n", "[-a]\n"])
def test_a_rule_that_helm_refuses_is_refused(rules: str, tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    (folder / ".helmignore").write_text(rules)
    with pytest.raises(FormatError, match="refused"):
        _read(tmp_path)
    assert run_helm(["package", str(folder)], tmp_path, check=False).returncode != 0


def test_a_range_of_characters_may_be_empty_or_negated() -> None:
    rules = IgnoreRules("x[z-a]\ny[^z-a]\n", "test")
    assert not rules.leaves_out("xb", folder=False)
    assert rules.leaves_out("yb", folder=False)


def test_an_archive_is_the_same_bytes_whatever_the_folder_looks_like(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "one")
    first = pack_chart("web", _read(tmp_path / "one"))
    other = tmp_path / "two" / "web"
    names = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    random.Random(4).shuffle(names)
    for name in names:
        (other / name).parent.mkdir(parents=True, exist_ok=True)
        (other / name).write_bytes((folder / name).read_bytes())
        (other / name).chmod(0o700)
        os.utime(other / name, (12345, 67890))
    (other / "empty").mkdir()
    assert pack_chart("web", _read(tmp_path / "two")) == first


def test_the_bytes_of_an_archive_never_change() -> None:
    """A lock names them: another Python, another zlib or another machine makes the same."""
    files = {
        "values.yaml": b"a: 1\n",
        "Chart.yaml": b"apiVersion: v2\nname: web\nversion: 1.2.3\n",
        "files/" + "long/" * 30 + "näme.txt": b"x" * 70000,
    }
    archive = pack_chart("web", files)
    assert digest_of(archive) == GOLDEN
    assert gzip.decompress(archive)
    assert listed(archive)[0] == "web/Chart.yaml"
    assert unpacked(archive) == {f"web/{path}": data for path, data in files.items()}


def test_stock_tar_and_gzip_read_an_archive(tmp_path: Path) -> None:
    archive = tmp_path / "web.tgz"
    archive.write_bytes(pack_chart("web", {"Chart.yaml": b"name: web\n", "big": bytes(200000)}))
    subprocess.run(["gzip", "--test", str(archive)], check=True)
    done = subprocess.run(["tar", "tvzf", str(archive)], check=True, capture_output=True, text=True)
    assert "-rw-r--r-- 0/0" in done.stdout
    assert "1970-01-01" in done.stdout


def test_a_folder_in_git_gives_the_same_archive_as_on_disk(tmp_path: Path) -> None:
    repository = new_repository(tmp_path / "repo")
    folder = _folder(repository / "deploy")
    (folder / ".git" / "config").unlink()
    (folder / ".git").rmdir()
    (folder / ".helmignore").write_text("*.bak\nci/\n")
    (folder / "link.md").symlink_to("README.md")
    commit = commit_files(repository, {})
    made = context(client(), BlobCache(tmp_path / "cache"), tmp_path)
    in_git = read_folder(
        ChartFolder("deploy/web", GitSource(repository="repo", commit=commit)), made
    )
    assert in_git == read_folder(ChartFolder("repo/deploy/web", None), made)
    assert in_git["link.md"] == in_git["README.md"]
    (folder / "later.txt").write_text("not yet committed")
    again = read_folder(
        ChartFolder("deploy/web", GitSource(repository="repo", commit=commit)), made
    )
    assert again == in_git


def test_links_within_the_chart_are_followed(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    (folder / "sub" / "link").symlink_to("../README.md")
    (folder / "second").symlink_to("sub/link")
    files = _read(tmp_path)
    assert files["sub/link"] == files["second"] == files["README.md"]


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("/etc/hostname", "leads out"),
        ("../../outside", "leads out"),
        ("../web/README.md", "leads out"),
        ("nothing", "not lead to a file of the chart"),
        ("sub", "not lead to a file of the chart"),
        ("link", "not lead to a file of the chart"),
        ("secret.bak", "not lead to a file of the chart"),
    ],
)
def test_a_link_that_leads_elsewhere_is_refused(target: str, why: str, tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    (tmp_path / "outside").write_text("outside")
    (folder / "secret.bak").write_text("left out")
    (folder / ".helmignore").write_text("*.bak\n")
    (folder / "link").symlink_to(target)
    with pytest.raises(FormatError, match=why):
        _read(tmp_path)
    (folder / ".helmignore").write_text("*.bak\nlink\n")
    assert "link" not in _read(tmp_path)


@pytest.mark.parametrize("what", ["pipe", "name", "name-bytes"])
def test_what_is_no_file_is_refused(what: str, tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    if what == "pipe":
        os.mkfifo(folder / "pipe")
    elif what == "name":
        (folder / "a\nb").write_text("x")
    else:
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_text("x")
    with pytest.raises(FormatError, match="cannot be"):
        _read(tmp_path)


def test_a_chart_folder_behind_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    write_chart(tmp_path / "elsewhere", "web", "1.0.0")
    inner = tmp_path / "definition"
    write_chart(inner / "real", "web", "1.0.0")
    (inner / "out").symlink_to("../elsewhere")
    (inner / "in").symlink_to("real")
    at = context(client(), BlobCache(tmp_path / "cache"), inner)
    assert read_folder(ChartFolder("in", None), at) == read_folder(ChartFolder("real", None), at)
    with pytest.raises(DefinitionError, match="out: a link leads out"):
        read_folder(ChartFolder("out", None), at)


def test_a_folder_that_is_far_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _folder(tmp_path)
    with (folder / "huge").open("wb") as file:
        file.truncate(MAX_CHART_BYTES + 1)
    with pytest.raises(FormatError, match="found more"):
        _read(tmp_path)
    (folder / "huge").unlink()
    monkeypatch.setattr(chart_tree, "MAX_CHART_MEMBERS", 5)
    with pytest.raises(FormatError, match="found more"):
        _read(tmp_path)


def test_a_folder_that_is_too_deep_is_refused(tmp_path: Path) -> None:
    (_folder(tmp_path) / ("d/" * 40)).mkdir(parents=True)
    with pytest.raises(FormatError, match="nested deeper"):
        _read(tmp_path)


@pytest.mark.parametrize("path", ["nothing", "empty"])
def test_a_folder_without_a_chart_is_refused(path: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DefinitionError, match=r"no such folder|no Chart\.yaml"):
        _read(tmp_path, path)


def test_a_submodule_in_a_chart_is_refused(tmp_path: Path) -> None:
    inner = new_repository(tmp_path / "inner")
    commit_files(inner, {"x": b"1"})
    repository = new_repository(tmp_path / "repo")
    _folder(repository / "d")
    git(repository, "submodule", "--quiet", "add", str(inner), "d/web/charts/inner")
    commit = commit_files(repository, {})
    made = context(client(), BlobCache(tmp_path / "cache"), tmp_path)
    with pytest.raises(FormatError, match="submodule"):
        read_folder(ChartFolder("d/web", GitSource(repository="repo", commit=commit)), made)
