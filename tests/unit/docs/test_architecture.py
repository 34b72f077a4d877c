"""docs/ARCHITECTURE.md and docs/adr/README.md say what is there: no more, and no less."""

from __future__ import annotations

import ast
import re

from tests.architecture.source import ROOT, modules

TEXT = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
# A function or class after `::` is looked for by test_docs.py.
_PATH = re.compile(r"`((?:bundle|bundler|installer|tests|docs|manifests|inventory)/[^`]*)`")


def test_every_folder_of_the_product_is_listed_with_its_own_words() -> None:
    """The words are those of the folder's docstring; change both together."""
    rows = dict(
        re.findall(r"^\| `((?:bundle|bundler|installer)[^`]*)/` \| (.+) \|$", TEXT, re.MULTILINE)
    )
    folders = {
        str(module.path.parent.relative_to(ROOT)): ast.get_docstring(module.tree)
        for module in modules()
        if module.path.name == "__init__.py"
    }
    assert rows == folders


def test_every_path_exists() -> None:
    named = [found.partition("::")[0] for found in _PATH.findall(TEXT)]
    assert len(named) > 100
    missing = [path for path in named if not list(ROOT.glob(path.rstrip("/")))]
    assert not missing


def test_every_decision_is_listed_by_its_title() -> None:
    folder = ROOT / "docs" / "adr"
    text = (folder / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\d+) \| \[(.+)\]\((.+)\) \|$", text, re.MULTILINE)
    titles = {
        path.name: path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        for path in folder.glob("[0-9]*.md")
    }
    assert {file: f"{number}. {title}" for number, title, file in listed} == titles
    assert [int(number) for number, _, _ in listed] == sorted(int(name[:4]) for name in titles)
