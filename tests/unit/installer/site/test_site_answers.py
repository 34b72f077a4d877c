"""Answers of `isoward site new` are kept, however it ends before the site file is written."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pexpect
import pytest
import yaml

from installer.site.saved_answers import SiteAnswers, answers_path, read_answers, write_answers
from tests.support.sites.plain import new_key
from tests.unit.installer.site.test_site_new import CLUSTER, FIRST, LAST, NODE, ZONE, Dialogue

KEY = "-----BEGIN OPENSSH PRIVATE KEY-----"
BEGUN = [("Name of node 1", "node1"), ("Its zone", "clinical")]
"""Half a node."""


def _interrupted(child: pexpect.spawn[str]) -> Any:
    child.sendintr()
    child.expect_exact("the answers so far are in ")
    child.expect_exact("Run the same command again to continue with them.")
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus


def _at_its_end(child: pexpect.spawn[str]) -> Any:
    child.sendeof()
    child.expect_exact("the answers so far are in ")
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus


def _killed(child: pexpect.spawn[str]) -> Any:
    child.kill(signal.SIGKILL)
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus


def _closed(child: pexpect.spawn[str]) -> Any:
    child.close(force=True)
    return child.exitstatus


@pytest.mark.parametrize(
    ("end", "code"),
    [(_interrupted, 130), (_at_its_end, 130), (_killed, None), (_closed, None)],
)
def test_the_next_run_goes_on_where_the_last_one_ended(
    tmp_path: Path, end: Callable[[pexpect.spawn[str]], Any], code: int | None
) -> None:
    new_key(tmp_path / "id_ed25519")
    path = tmp_path / "asked.yaml"
    first = Dialogue(path)
    first.answer([*FIRST, *CLUSTER, *ZONE, *BEGUN])
    first.child.expect_exact("Its roles")
    found = end(first.child)
    assert code is None or found == code
    kept = answers_path(path)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert not path.exists()
    again = Dialogue(path)
    again.child.expect_exact("has the answers of an earlier time")
    again.answer([("Continue with them?", "")])
    # The half node's answers are the defaults; nothing before it is asked.
    again.answer([("Name of node 1 [node1]", ""), ("Its zone [clinical]", ""), *NODE[2:], *LAST])
    again.ends()
    assert not kept.exists()
    site = yaml.safe_load(path.read_text())
    assert site["metadata"]["name"] == "north"
    assert site["zones"][0]["egress"] == [{"to": "10.9.0.0/24", "ports": [443]}]
    assert site["nodes"][0]["roles"] == ["control-plane", "etcd", "worker"]


def test_whoever_begins_anew_loses_nothing_either(tmp_path: Path) -> None:
    new_key(tmp_path / "id_ed25519")
    path = tmp_path / "asked.yaml"
    first = Dialogue(path)
    first.answer(FIRST[:1])
    first.child.expect_exact("Address of the depot")
    assert _interrupted(first.child) == 130
    again = Dialogue(path)
    again.answer([("Continue with them?", "n")])
    again.child.expect_exact("asked.yaml.draft.old now")
    again.child.expect_exact("Name of the site")
    again.child.sendintr()
    again.child.expect(pexpect.EOF)
    assert (tmp_path / "asked.yaml.draft.old").exists()
    assert not answers_path(path).exists()


@pytest.mark.parametrize("mode", [0o600, 0o666])
def test_answers_that_cannot_be_used_are_not_written_over(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "asked.yaml"
    data = b"{" if mode == 0o600 else msgspec.json.encode(SiteAnswers(kind="SiteAnswers"))
    answers_path(path).write_bytes(data)
    answers_path(path).chmod(mode)
    dialogue = Dialogue(path)
    dialogue.child.expect_exact("asked.yaml.draft.old now")
    dialogue.answer(FIRST[:1])
    dialogue.child.expect_exact("Address of the depot")
    assert _interrupted(dialogue.child) == 130
    assert (tmp_path / "asked.yaml.draft.old").read_bytes() == data


def test_a_private_key_in_the_wrong_place_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml.draft"
    answers = SiteAnswers(
        kind="SiteAnswers",
        answers={"name": "north", "ssh_key": KEY},
        zones=({"name": KEY, "networks": "10.0.0.0/24"},),
        nodes=({"name": "n1", "hostKey": f"AGE-SECRET-KEY-1{'Q' * 20}"},),
        begun={"name": "n2", "hostKey": KEY},
    )
    write_answers(path, answers)
    assert "PRIVATE" not in path.read_text()
    assert "SECRET" not in path.read_text()
    read = read_answers(path)
    assert read is not None
    assert read.answers == {"name": "north"}
    assert (read.zones, read.begun) == (({"networks": "10.0.0.0/24"},), {"name": "n2"})


def test_only_a_whole_file_of_ones_own_is_taken_for_answers(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml.draft"
    assert read_answers(path) is None
    good = SiteAnswers(kind="SiteAnswers", answers={"name": "north"})
    write_answers(path, good)
    assert read_answers(path) == good
    path.chmod(0o622)
    assert read_answers(path) is None
    for data in (b"", b"{", b'{"kind": "Other"}', b"\xff", msgspec.json.encode([good])):
        path.write_bytes(data)
        path.chmod(0o600)
        assert read_answers(path) is None
    write_answers(tmp_path / "other", good)
    path.unlink()
    path.symlink_to(tmp_path / "other")
    assert read_answers(path) is None
    path.unlink()
    path.mkdir()
    assert read_answers(path) is None


def test_a_folder_that_is_not_there_is_said_at_the_first_answer(tmp_path: Path) -> None:
    dialogue = Dialogue(tmp_path / "no" / "asked.yaml")
    dialogue.answer(FIRST[:1])
    dialogue.child.expect_exact("cannot write")
    dialogue.child.expect(pexpect.EOF)
