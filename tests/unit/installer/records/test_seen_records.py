"""What is kept of a run can be looked at with any program: nothing in it moves a cursor."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path

from bundle.base.digest import digest_of
from bundle.base.plain import visible_json
from installer.ansible_run.run_log import RunLog
from installer.base.redact import Redactor
from installer.kubespray.inventory import render_html
from installer.records.journal import Journal, StepEvent

HOSTILE = "ok\x1b[2J\x9b2K\u202egpj\x7f\ud800"
BAD = "\x1b\x9b\u202e\x7f\ud800"


def test_ansible_s_log_and_events() -> None:
    events, log = io.StringIO(), io.StringIO()
    event = {"event": "runner_on_ok", "stdout": f"\x1b[0;32m{HOSTILE}\r\nsecond\x1b[0m\tx"}
    RunLog(events, log, Redactor()).take(event)
    for text in (events.getvalue(), log.getvalue()):
        assert not set(BAD) & set(text)
        text.encode()
    assert json.loads(events.getvalue()) == event
    assert log.getvalue().splitlines() == [
        "ok\\x1b[2J\\x9b2K\\u202egpj\\x7f\\ud800",
        "second  x",
    ]


def test_json_says_the_same_with_escapes() -> None:
    for text in (HOSTILE, "\U000e0041", "Zo\u00eb \u6f22", "a\nb"):
        shown = visible_json(json.dumps({"a": text}, ensure_ascii=False))
        assert json.loads(shown) == {"a": text}
        assert not set(BAD + "\U000e0041") & set(shown)
    assert "Zo\u00eb \u6f22" in visible_json(json.dumps(["Zo\u00eb \u6f22"], ensure_ascii=False))


def test_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path).write(
        datetime(2027, 1, 1, tzinfo=UTC),
        StepEvent("20270101-000000", "step", "finished", digest_of(b"")),
        result={"said": [HOSTILE]},
    )
    data = path.read_text()
    assert not set(BAD) & set(data)
    assert "\\\\x9b2K" in data


def test_a_page_shows_what_would_not_be_seen() -> None:
    page = render_html(
        "preflight.html.j2", site=HOSTILE, nodes=[], when="now", counts=[], ready=True, todo=[]
    )
    assert not set(BAD) & set(page)
    assert "\\u202egpj" in page
