"""What commands say: one document with --json, one clear line without, and nothing that bites."""

from __future__ import annotations

import json

import pytest

from bundle.cli.output import printable, report_error, wants_json
from bundle.model.errors import DigestMismatchError


def test_control_characters_are_made_visible() -> None:
    assert printable("plain\ntext é") == "plain\ntext é"
    assert printable("\x1b[2J\x07\r\x9b") == "\\x1b[2J\\x07\\r\\x9b"
    assert printable("\u202egpj") == "\\u202egpj"  # a right-to-left override


def test_an_error_is_one_line_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    error = DigestMismatchError("blob \x1b[31mx: expected a, found b", "Copy it again.")
    report_error(error, as_json=False)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "isoward: error: blob \\x1b[31mx: expected a, found b\n  Copy it again.\n"


def test_an_error_as_json_is_all_of_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    error = DigestMismatchError("expected a, found \x9b", "Copy it again.", {"file": "blobs/x"})
    report_error(error, as_json=True)
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.isascii()
    assert json.loads(said.out) == {
        "error": "digest-mismatch",
        "exitCode": 21,
        "message": "expected a, found \x9b",
        "hint": "Copy it again.",
        "context": {"file": "blobs/x"},
    }


def test_json_is_recognised_before_parsing() -> None:
    assert wants_json(["verify", "x", "--json"])
    assert not wants_json(["verify", "--", "--json"])
