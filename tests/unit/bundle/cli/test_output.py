"""What commands say: one document with --json, one clear line without, and nothing that bites."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Callable

import click
import pytest

from bundle.base.errors import DigestMismatchError
from bundle.cli import questions
from bundle.cli.main import cli, run
from bundle.cli.output import Output, report_error, wants_json
from bundle.cli.progress_bar import LineProgress, TerminalProgress
from bundle.cli.stray import tame_libraries
from bundle.cli.writer import write_lines

HOSTILE = "x\x1b[2J\nverified: all\u2028of it\u202e\x9b31m\ud800"
SHOWN = "x\\x1b[2J\\nverified: all\\u2028of it\\u202e\\x9b31m\\ud800"


def _result() -> None:
    Output().result({}, HOSTILE)


def _say() -> None:
    Output().say(HOSTILE)


def _warn() -> None:
    Output().warn(HOSTILE)


def _error() -> None:
    report_error(DigestMismatchError(HOSTILE, HOSTILE), as_json=False)


def _lines() -> None:
    progress = LineProgress(sys.stderr, lambda: 0.0)
    progress.start(HOSTILE, 3, HOSTILE)
    progress.note(HOSTILE)
    progress.finish()


def _bar() -> None:
    progress = TerminalProgress()
    progress.start(HOSTILE, 3, HOSTILE)
    progress.note(HOSTILE)
    progress.finish()


def _told() -> None:
    questions.tell(HOSTILE)


def _library() -> None:
    tame_libraries()
    logging.getLogger("some.library").warning("%s", HOSTILE)
    warnings.warn(HOSTILE, stacklevel=1)


@pytest.mark.parametrize("way", [_result, _say, _warn, _error, _lines, _bar, _told, _library])
@pytest.mark.filterwarnings("default")
def test_text_from_elsewhere_makes_no_line_and_moves_no_cursor(
    way: Callable[[], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    way()
    said = capsys.readouterr()
    text = said.out + said.err
    assert SHOWN in text
    assert not any(line.startswith("verified") for line in text.splitlines())
    for bad in "\x1b\x9b\u2028\u202e\ud800":
        assert bad not in text


def test_lines_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    write_lines(["one", "", "two"])
    assert capsys.readouterr().out == "one\n\ntwo\n"


def test_no_lines_are_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Output().result({})
    assert capsys.readouterr().out == ""


def test_a_narrow_encoding_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(data, encoding="ascii"))
    write_lines(["Zoë 漢"])
    assert data.getvalue() == b"Zo\\xeb \\u6f22\n"


def test_an_answer_that_is_refused_is_shown_as_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answered(question: str) -> str:
        asked.append(question)
        return "bad" if len(asked) == 1 else "good"

    def refuse(answer: str) -> str:
        if answer == "bad":
            raise click.BadParameter(HOSTILE)
        return answer

    monkeypatch.setattr(click.termui, "visible_prompt_func", answered)
    assert questions.ask(HOSTILE, HOSTILE, refuse) == "good"
    assert asked == [f"{SHOWN} [{SHOWN}]:" + " "] * 2
    assert capsys.readouterr().err == f"Error: {SHOWN}\n"


def test_a_question_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answered(question: str) -> str:
        asked.append(question)
        return "y"

    monkeypatch.setattr(click.termui, "visible_prompt_func", answered)
    monkeypatch.setattr(click.termui, "hidden_prompt_func", answered)
    assert questions.confirm(HOSTILE)
    assert questions.ask_hidden(HOSTILE, twice=False) == "y"
    assert [text.startswith(SHOWN) for text in asked] == [True, True]


def test_a_thread_s_end_is_marked_as_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ValueError(HOSTILE)

    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    tame_libraries()
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    text = capsys.readouterr().err
    assert "\x1b" not in text
    assert all(line.startswith("  | ") for line in text.splitlines())


def test_a_bug_s_traceback_is_marked_as_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise ValueError(HOSTILE)

    monkeypatch.setattr(cli, "main", fail)
    assert run(["inspect"]) == 70
    *traceback, last = capsys.readouterr().err.splitlines()
    assert last.startswith("isoward: this is a bug")
    assert traceback[0] == "  | Traceback (most recent call last):"
    assert all(line.startswith("  | ") for line in traceback)
    assert "\x1b" not in "".join(traceback)


def test_an_error_is_one_line_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    error = DigestMismatchError("blob \x1b[31mx: expected a, found b", "Copy it again.")
    report_error(error, as_json=False)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "isoward: error: blob \\x1b[31mx: expected a, found b\n  Copy it again.\n"


def test_an_error_as_json_is_all_of_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    found = "expected a, found \x9b\x7f\u202e\u2028"
    error = DigestMismatchError(found, "Copy it again.", {"file": "blobs/x"})
    report_error(error, as_json=True)
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.isascii()
    assert said.out.replace("\n", "").isprintable()
    assert json.loads(said.out) == {
        "error": "digest-mismatch",
        "exitCode": 21,
        "message": found,
        "hint": "Copy it again.",
        "context": {"file": "blobs/x"},
    }


def test_json_is_recognised_before_parsing() -> None:
    assert wants_json(["verify", "x", "--json"])
    assert not wants_json(["verify", "--", "--json"])
