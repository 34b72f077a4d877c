"""The command line as a person meets it: help, mistypes, colour, quiet, pages and full disks."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import CompletionItem

from bundle.cli.colour import coloured
from bundle.cli.commands import COMMANDS, GROUPS
from bundle.cli.help.man import page
from bundle.cli.main import cli, run
from tests.support.programs.needs import requires_tool

WIDTH = 80


def isoward(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bundle.cli.main", *arguments]
    return subprocess.run(command, text=True, check=False, timeout=60, **more)  # type: ignore[call-overload,no-any-return]


def every_command() -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command and sub-command by its words."""

    def below(
        words: tuple[str, ...], found: click.Command
    ) -> Iterator[tuple[tuple[str, ...], click.Command]]:
        yield words, found
        if isinstance(found, click.Group):
            context = click.Context(found)
            for name in found.list_commands(context):
                inner = found.get_command(context, name)
                assert inner is not None
                yield from below((*words, name), inner)

    yield from below((), cli)


ALL = list(every_command())
IDS = [" ".join(words) or "isoward" for words, _ in ALL]


def test_commands_are_listed_by_role(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    said = capsys.readouterr().out
    places = [said.index(f"\n{role}:") for role in GROUPS]
    assert places == sorted(places)
    assert all(f"\n  {name}" in said for name in COMMANDS)


@pytest.mark.parametrize(("words", "found"), ALL, ids=IDS)
def test_a_summary_fits_a_line_and_every_command_has_the_same_options(
    words: tuple[str, ...], found: click.Command
) -> None:
    if not words:
        return
    summary = COMMANDS[words[0]].summary if len(words) == 1 else found.get_short_help_str(500)
    assert len(summary) + 14 <= WIDTH, summary
    assert summary[0].isupper()
    assert summary.endswith(".")
    names = {option for parameter in found.params for option in parameter.opts}
    assert {"--json", "--quiet", "--no-color"} <= names


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["instal"], "isoward install"),
        (["verfy"], "isoward verify"),
        (["pre"], "isoward preflight"),
        (["keys", "nwe"], "isoward keys new"),
        (["root", "rotat"], "isoward root rotate"),
        (["build", "--relaese"], "--release"),
    ],
)
def test_what_was_mistyped_is_suggested(
    typed: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(typed) == 2
    said = capsys.readouterr().err
    assert f"Did you mean `{meant}`?" in said or f"Did you mean '{meant}'?" in said, said


def test_an_option_without_its_value_names_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "x", "--fingerprint"]) == 2
    assert "Run `isoward verify --help`." in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--version", "--json"],
        ["--json", "--version"],
        ["site", "--json"],
        ["keys", "--json", "nwe"],
        ["depot", "--json", "check", "--depot", "/nonexistent"],
        ["docs", "--quiet", "--json", "--no-color"],
    ],
)
def test_json_is_understood_at_every_place(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(arguments)
    said = json.loads(capsys.readouterr().out)
    assert said.get("exitCode", 0) == code
    assert said.get("message", "").startswith("No such option") is False


def test_nothing_is_suggested_for_what_is_like_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["xyzzy"]) == 2
    said = capsys.readouterr().err
    assert said == "isoward: error: unknown command: isoward xyzzy\n  Run `isoward --help`.\n"


def test_a_name_is_completed_without_its_role() -> None:
    context = click.Context(cli, info_name="isoward")
    items: list[CompletionItem] = cli.shell_complete(context, "in")
    assert [item.value for item in items] == ["inspect", "install"]


def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    requires_tool("bash")
    script = isoward("completion", "bash", capture_output=True).stdout
    program = tmp_path / "isoward"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m bundle.cli.main "$@"\n')
    program.chmod(0o755)

    def complete(line: str) -> list[str]:
        words = line.split(" ")
        typed = (
            f"{script}\nCOMP_WORDS=({line})\n[ -n '{words[-1]}' ] || COMP_WORDS+=('')\n"
            f"COMP_CWORD={len(words) - 1}\n_isoward_completion isoward\n"
            "printf '%s\\n' \"${COMPREPLY[@]}\""
        )
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", typed],
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.stdout.split()

    assert complete("isoward inst") == ["install"]
    assert "new" in complete("isoward keys ")
    assert "--fingerprint" in complete("isoward verify --f")


@pytest.mark.parametrize(("words", "found"), ALL, ids=IDS)
def test_a_manual_page_says_all_that_the_help_says(
    words: tuple[str, ...], found: click.Command
) -> None:
    text = page(words, found)
    for parameter in found.params:
        for option in parameter.opts:
            if option.startswith("--") and not getattr(parameter, "hidden", False):
                assert option.replace("-", "\\-") in text
    assert not [line for line in text.splitlines() if line.startswith("'")]


def test_manual_pages_are_good_roff(tmp_path: Path) -> None:
    requires_tool("groff")
    assert isoward("man", "-o", str(tmp_path), capture_output=True).returncode == 0
    pages = sorted(tmp_path.glob("*.1"))
    assert {"isoward.1", "isoward-lock.1", "isoward-keys-new.1"} <= {path.name for path in pages}
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", *map(str, pages)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Resolve every reference of DEFINITION" in done.stdout


def on_terminal(arguments: list[str], environment: dict[str, str]) -> bytes:
    """Run isoward with a terminal for its output, and return all that it wrote."""
    ours, theirs = pty.openpty()
    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM")}
    child = subprocess.Popen(
        [sys.executable, "-m", "bundle.cli.main", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**clean, "TERM": "xterm", **environment},
    )
    os.close(theirs)
    said = b""
    try:
        while data := os.read(ours, 65536):
            said += data
    except OSError:
        # The terminal's other end is closed.
        pass
    child.wait(timeout=60)
    os.close(ours)
    return said


@pytest.mark.parametrize(
    ("more", "environment", "colour"),
    [
        ([], {}, True),
        (["--no-color"], {}, False),
        ([], {"NO_COLOR": "1"}, False),
        ([], {"NO_COLOR": ""}, True),
        ([], {"TERM": "dumb"}, False),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    more: list[str], environment: dict[str, str], colour: bool
) -> None:
    said = on_terminal(["inspect", "/nonexistent", *more], environment)
    assert b"isoward: error:" in said
    assert (b"\x1b[31m" in said) is colour


def test_a_pipe_gets_no_colour() -> None:
    assert "\x1b" not in isoward("inspect", "/nonexistent", capture_output=True).stderr


def test_what_comes_from_elsewhere_brings_no_colour() -> None:
    assert coloured("  ok  fine") == "\x1b[32m  ok\x1b[0m  fine"
    assert coloured("okay") == "okay"
    assert coloured("nothing of that") == "nothing of that"


def test_quiet_leaves_the_result_and_errors(tmp_path: Path) -> None:
    key = str(tmp_path / "ada.pem")
    done = isoward(
        "keys", "new", "Ada", "-o", key, "--no-passphrase", "--quiet", capture_output=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert key in done.stdout
    wrong = isoward("--quiet", "inspect", "/nonexistent", capture_output=True)
    assert wrong.stderr.startswith("isoward: error: ")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["lock", "--help"], ["docs"]])
def test_a_full_disk_behind_the_output_is_told(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = isoward(*arguments, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 12
    assert "cannot write to standard output: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_behind_everything_leaves_the_exit_code() -> None:
    with Path("/dev/full").open("w") as full:
        done = isoward("inspect", "/nonexistent", stdout=full, stderr=full)
        assert done.returncode == isoward("inspect", "/nonexistent", capture_output=True).returncode


def test_a_reader_that_goes_away_is_no_error() -> None:
    done = subprocess.run(
        [
            "bash",
            "-c",
            f"{sys.executable} -m bundle.cli.main docs format | head -n 1; echo ${{PIPESTATUS[0]}}",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout == "# The formats\n0\n"
    assert done.stderr == ""


def test_a_full_disk_behind_progress_stops_nothing(tmp_path: Path) -> None:
    said = tmp_path / "said"
    script = (
        "import sys\nfrom bundle.cli.output import Output\n"
        "progress = Output().progress\nprogress.start('phase', 1)\n"
        "progress.note('a note')\nprogress.finish()\nOutput().result({}, 'done')\n"
    )
    with Path("/dev/full").open("w") as full, said.open("w") as out:
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=out, stderr=full, check=False, timeout=60
        )
    assert (done.returncode, said.read_text()) == (0, "done\n")


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_reader_that_goes_away_changes_no_exit_code(tmp_path: Path, more: list[str]) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("apiVersion: isoward/v1\nkind: Site\nnodez: []\n")
    wanted = isoward("site", "check", str(site), capture_output=True).returncode
    assert wanted not in (0, 1)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = isoward("site", "check", str(site), *more, stdout=writer, stderr=writer)
    finally:
        os.close(writer)
    assert done.returncode == wanted


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_opened_onto_nothing(tmp_path: Path, closed: str) -> None:
    program = f"{sys.executable} -m bundle.cli.main"
    key = tmp_path / "ada.pem"
    script = (
        f"({program} docs format {closed}) >/dev/null && "
        f"({program} keys new Ada -o {key} --no-passphrase {closed}) >/dev/null"
    )
    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert key.read_text().startswith("-----BEGIN PRIVATE KEY-----\n")
    asked = subprocess.run(
        ["sh", "-c", f"({program} keys new Ada -o {key}2 {closed}) </dev/null"],
        check=False,
        timeout=60,
    )
    assert asked.returncode == 2


@pytest.mark.parametrize("arguments", [["completion"], ["man", "lokc"]])
def test_a_mistake_is_told_in_plain_lines(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    said = capsys.readouterr().err
    assert "\\" not in said
    assert ("bash, zsh, fish" in said) or ("Did you mean `isoward lock`?" in said)


def test_the_documents_are_carried(capsys: pytest.CaptureFixture[str]) -> None:
    root = Path(__file__).resolve().parents[4] / "docs"
    assert run(["docs", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["documents"]
    wanted = {
        str(path.relative_to(root)).removesuffix(".md").lower() for path in root.rglob("*.md")
    }
    assert set(listed) == wanted
    assert run(["docs", "runbooks/install"]) == 0
    text = (root / "runbooks/install.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out.splitlines() == text.splitlines()
    assert run(["docs", "recover"]) == 2
    assert "unknown document" in capsys.readouterr().err


def test_schemas_are_printed_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(__file__).resolve().parents[4] / "manifests" / "schema"
    assert run(["schema", "site"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((folder / "site.json").read_text())
    assert run(["schema", "--write", str(tmp_path / "schema")]) == 0
    written = {path.name: path.read_bytes() for path in (tmp_path / "schema").iterdir()}
    assert written == {path.name: path.read_bytes() for path in folder.glob("*.json")}
    assert run(["schema", "sit"]) == 2
    assert "Did you mean site?" in capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in GROUPS["Help"]])
def test_the_depot_has_one_default(name: str) -> None:
    for words, found in ALL:
        for parameter in found.params if words[:1] == (name,) else ():
            if parameter.name == "depot" and words != ("site", "new"):
                assert not parameter.required, words
                assert str(parameter.default) in ("/var/lib/isoward", "None", "Sentinel.UNSET"), (
                    words
                )
