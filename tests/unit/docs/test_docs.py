"""The documents point at things that exist, and the README at commands that exist."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from bundle.cli.commands import COMMANDS
from bundle.cli.main import cli
from tests.support.documents.readme import command_blocks
from tests.vectors.hostile.families import large_cases, small_cases

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md"))
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_PATH = re.compile(r"(?<![\w/])(?:tests|tools|bundle|bundler|installer)(?:/\w+)+\.py(?:::\w+)?")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    missing = [link for link in _LINK.findall(text) if not (document.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_are_named_exist(document: Path) -> None:
    """The threat model says which test shows a defence: a test that is gone shows nothing."""
    missing = []
    for found in _PATH.findall(document.read_text(encoding="utf-8")):
        path, _, function = found.partition("::")
        file = ROOT / path
        defined = rf"(?m)^ *(async )?(def|class) {function}[(:]"
        if not file.is_file() or (function and not re.search(defined, file.read_text())):
            missing.append(found)
    assert not missing


def test_every_defence_names_a_test() -> None:
    text = (ROOT / "docs" / "THREAT_MODEL.md").read_text(encoding="utf-8")
    rows = [row for row in re.findall(r"^\| .* \|$", text, re.MULTILINE) if row.count("|") == 4]
    attacks = text.count("| attack | what stops it | shown by |")
    defences = [row for row in rows if "tests/" in row]
    assert attacks == 6
    assert len(defences) >= 30


def test_hostile_cases_that_are_named_exist() -> None:
    text = (ROOT / "docs" / "THREAT_MODEL.md").read_text(encoding="utf-8")
    cases = {
        "test_corpus.py": [str(bad) for bad in small_cases()],
        "test_sizes.py": [str(bad) for bad in large_cases()],
    }
    named = re.findall(r"hostile/(test_(?:corpus|sizes)\.py): ((?:`[a-z0-9*-]+`(?:, )?)+)", text)
    assert len(named) >= 15
    missing = [
        pattern
        for file, patterns in named
        for pattern in re.findall(r"`([^`]+)`", patterns)
        if not fnmatch.filter(cases[file], pattern)
    ]
    assert not missing


def test_decisions_are_numbered_once_and_say_what_a_decision_must() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    numbers = [int(path.name[:4]) for path in decisions]
    assert len(set(numbers)) == len(numbers)
    for path in decisions:
        text = path.read_text(encoding="utf-8")
        assert re.match(rf"# (ADR )?0*{int(path.name[:4])}\b", text), path.name
        for part in ("## Context", "## Decision", "## Consequences"):
            assert part in text, f"{path.name}: {part}"


def test_the_picture_is_well_formed_and_reads_without_it() -> None:
    svg = ET.parse(ROOT / "docs" / "journey.svg").getroot()
    namespace = "{http://www.w3.org/2000/svg}"
    assert svg.tag == f"{namespace}svg"
    assert svg.find(f"{namespace}title") is not None
    assert svg.find(f"{namespace}desc") is not None
    style = svg.findtext(f"{namespace}style") or ""
    assert "prefers-color-scheme: dark" in style


def test_the_readme_uses_options_that_the_help_knows() -> None:
    runner = CliRunner()
    for command in (line for block in command_blocks() for line in block.commands):
        if not command.startswith("isoward "):
            continue
        words = command.split()[1:]
        names = words[: 2 if words[0] in {"keys", "root"} else 1]
        shown = runner.invoke(cli, [*names, "--help"])
        assert shown.exit_code == 0, shown.output
        for option in re.findall(r"(?<=\s)--?[a-z][a-z-]*", command):
            assert option in shown.output, f"isoward {' '.join(names)}: {option}"


def test_every_command_is_in_the_changelog_and_has_help() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"`isoward {name}" in changes
        shown = CliRunner().invoke(cli, [name, "--help"])
        assert shown.exit_code == 0, shown.output
        assert "Usage:" in shown.output
