"""The renderer of texts: nothing is left open, nothing goes nowhere, and values keep their form."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle.texts.render import render

Render = Callable[..., str]


@pytest.fixture
def of_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Render:
    """Renders a text that is put into a package of its own."""
    package = tmp_path / "made_texts"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "made_texts", raising=False)

    def made(text: str, words: dict[str, str], lines: dict[str, str] | None = None) -> str:
        (package / "a.txt").write_text(text)
        return render("made_texts", "a.txt", words, lines or {})

    return made


def test_words_and_lines_are_filled_in_once_each_time_they_stand(of_text: Render) -> None:
    text = "@A@ and @A@, a@b.example, @system-service\n#@B@\n  #@A@\n#@C@\nend\n"
    made = of_text(text, {"A": "@A@"}, {"B": "one\ntwo\n", "C": ""})
    assert made == "@A@ and @A@, a@b.example, @system-service\none\ntwo\n  #@A@\nend\n"


@pytest.mark.parametrize(
    ("words", "lines", "named"),
    [
        ({}, {"B": ""}, "@A@"),
        ({"A": "a"}, {}, "#@B@"),
        ({"A": "a", "C": "c"}, {"B": ""}, "@C@"),
        ({"A": "a"}, {"B": "", "C": ""}, "#@C@"),
        ({"A": "a", "B": "b"}, {}, "@B@"),
        ({"A": "two\nlines"}, {"B": ""}, "@A@"),
        ({"A": "\x1b"}, {"B": ""}, "@A@"),
        ({"A": "a"}, {"B": "without an end"}, "#@B@"),
        ({"A": "a"}, {"B": "\x1b\n"}, "#@B@"),
    ],
)
def test_a_place_or_a_value_alone_or_of_another_form_is_refused(
    of_text: Render, words: dict[str, str], lines: dict[str, str], named: str
) -> None:
    with pytest.raises(ValueError, match=f"a.txt: .*'{named}"):
        of_text("@A@\n#@B@\n", words, lines)
