"""The commands of docs/runbooks/ceremony.md are commands, with options that exist."""

from __future__ import annotations

import shlex

import click
import pytest

from bundle.cli.main import cli
from tests.architecture.source import ROOT

RUNBOOK = ROOT / "docs/runbooks/ceremony.md"


def commands() -> list[str]:
    text = RUNBOOK.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    return [line for line in lines if line.startswith("isoward ")]


@pytest.mark.parametrize("line", commands())
def test_a_command_can_be_typed(line: str) -> None:
    _, *arguments = shlex.split(line, comments=True)
    context = click.Context(cli, info_name="isoward")
    command: click.Command = cli
    while isinstance(command, click.Group):
        found = command.get_command(context, arguments[0])
        assert found is not None, arguments
        command, arguments = found, arguments[1:]
    # Parsed, and not run.
    command.make_context(command.name, arguments, parent=context)


def test_there_are_commands() -> None:
    assert len(commands()) >= 12
