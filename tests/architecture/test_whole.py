"""What `make test` shortens runs whole in `make e2e`, so that nothing is left out everywhere."""

from __future__ import annotations

import re

from tests.architecture.source import ROOT

_TAKES_IT = re.compile(r"\bwhole: bool\b")


def test_make_e2e_has_every_test_that_make_test_shortens() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    given = re.search(r"^WHOLE +:= (.+)$", text, re.MULTILINE)
    assert given is not None
    assert "--whole tests/e2e $(WHOLE)" in text
    shortened = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("test_*.py")
        if _TAKES_IT.search(path.read_text(encoding="utf-8"))
    }
    assert shortened == set(given.group(1).split())
