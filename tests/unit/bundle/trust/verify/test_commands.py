"""The commands, as a person types them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bundle.base.digest import hex_of
from bundle.trust.keys.stored import load_key
from tests.support.trust.commands import Isoward, descriptor_with, on_a_terminal
from tests.support.trust.release_kit import ReleaseKit, make_bundle, release_bundle

PASSPHRASE = "correct horse battery"
TICKET = ("--ticket", "CHG-1234")


@pytest.fixture
def isoward(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Isoward:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    return Isoward(capsys)


@pytest.fixture
def fresh(tmp_path: Path, kit: ReleaseKit) -> Path:
    path = make_bundle(tmp_path / "fresh")
    release_bundle(path, kit)
    return path


def test_a_ceremony_from_keys_to_a_root(tmp_path: Path, isoward: Isoward) -> None:
    for name in ("ada", "bob", "rhea"):
        with descriptor_with(f"{PASSPHRASE}\n") as fd:
            path = tmp_path / f"{name}.pem"
            done = isoward("keys", "new", name.title(), "-o", path, "--passphrase-fd", fd, "--json")
        assert (done.code, done.json["encrypted"]) == (0, True)
        assert load_key(path, PASSPHRASE.encode()).public_key.keyid == done.json["keyId"]
    assert isoward("keys", "new", "CI", "-o", tmp_path / "ci.pem", "--no-passphrase").code == 0
    release = tmp_path / "release"
    asked: list[str | Path] = ["root", "new", release, "--builder", tmp_path / "ci.pub"]
    asked += ["--root-key", tmp_path / "rhea.pub", "--root-key", tmp_path / "ada.pub"]
    asked += ["--root-threshold", "2"]
    asked += ["--approver", tmp_path / "ada.pub", "--approver", tmp_path / "bob.pub"]
    asked += ["--sign-with", tmp_path / "rhea.pem", "--sign-with", tmp_path / "ada.pem"]
    with descriptor_with(f"{PASSPHRASE}\n{PASSPHRASE}\n") as fd:
        done = isoward(*asked, "--passphrase-fd", fd, "--json")
    assert (done.code, done.json["missingSignatures"]) == (0, 0)
    shown = isoward("root", "show", release)
    assert done.json["fingerprint"] in shown.out.replace(" ", "").replace("\n", "")
    assert "approvers: 2 of Ada, Bob" in shown.out
    assert isoward("root", "show", release / "1.root.json", "--json").json == done.json


def test_a_root_signed_apart(tmp_path: Path, kit: ReleaseKit, isoward: Isoward) -> None:
    release = tmp_path / "apart"
    asked: list[str | Path] = ["root", "new", release, "--builder", kit.builder.public]
    for key in kit.roots:
        asked += ["--root-key", key.public]
    for key in kit.approvers:
        asked += ["--approver", key.public]
    done = isoward(*asked, "--root-threshold", "2", "--json")
    assert (done.json["missingSignatures"], done.json["fingerprint"]) == (2, None)
    for missing, key in ((1, kit.roots[0]), (0, kit.roots[1])):
        done = isoward("root", "sign", release, "--key", key.path, "--json")
        assert (done.code, done.json["missingSignatures"]) == (0, missing)
    again = isoward("root", "sign", release, "--key", kit.roots[0].path, "--json")
    assert (again.code, again.json["added"]) == (0, False)


def test_approving_to_the_threshold(fresh: Path, kit: ReleaseKit, isoward: Isoward) -> None:
    first = isoward("approve", fresh, "--key", kit.approvers[0].path, *TICKET, "--yes")
    assert first.code == 0
    assert "tiny 1.0.0, release 1" in first.out
    assert " content       1 file: 1 blob with" in first.out
    assert "approved by Ada Example; 1 more approval(s) needed" in first.out
    again = isoward("approve", fresh, "--key", kit.approvers[0].path, *TICKET, "--yes")
    assert (again.code, "already" in again.out) == (0, True)
    refused = isoward("verify", fresh, "--fingerprint", hex_of(kit.fingerprint))
    assert (refused.code, "1 of 2 approvals" in refused.err) == (32, True)
    second = isoward("approve", fresh, "--key", kit.approvers[1].path, *TICKET, "--yes", "--json")
    assert (second.json["missing"], second.json["added"]) == (0, True)
    assert isoward("verify", fresh, "--fingerprint", hex_of(kit.fingerprint)).code == 0


def test_wrong_keys_do_not_approve(fresh: Path, kit: ReleaseKit, isoward: Isoward) -> None:
    before = (fresh / "trust/targets.json").read_bytes()
    for key, code in (
        (kit.builder.path, 33),
        (kit.stranger.path, 33),
        (kit.approvers[0].public, 2),
        (fresh / "bundle.json", 2),
        (fresh / "none.pem", 38),
    ):
        assert isoward("approve", fresh, "--key", key, *TICKET, "--yes").code == code
    assert (fresh / "trust/targets.json").read_bytes() == before


def test_an_approval_is_confirmed_on_a_terminal(
    fresh: Path, kit: ReleaseKit, isoward: Isoward
) -> None:
    key = kit.approvers[0].path
    before = (fresh / "trust/targets.json").read_bytes()
    assert isoward("approve", fresh, "--key", key, *TICKET).code == 2
    assert on_a_terminal("n\n", "approve", fresh, "--key", key, *TICKET).code == 130
    assert (fresh / "trust/targets.json").read_bytes() == before
    assert on_a_terminal("y\n", "approve", fresh, "--key", key, *TICKET).code == 0
    assert (fresh / "trust/targets.json").read_bytes() != before


def test_a_key_that_others_can_read_gets_a_note(
    fresh: Path, kit: ReleaseKit, isoward: Isoward
) -> None:
    key = kit.approvers[0].path
    key.chmod(0o644)
    done = isoward("approve", fresh, "--key", key, *TICKET, "--yes")
    assert (done.code, "chmod 600" in done.err) == (0, True)


def test_enrolling_by_fingerprint(tmp_path: Path, kit: ReleaseKit, isoward: Isoward) -> None:
    depot = tmp_path / "depot"
    spoken = hex_of(kit.fingerprint).upper()
    spoken = " ".join(spoken[i : i + 4] for i in range(0, 64, 4))
    done = isoward("enroll", kit.release, "--depot", depot, "--fingerprint", spoken, "--json")
    assert (done.code, done.json["added"]) == (0, True)
    assert (depot / "trust" / f"{hex_of(kit.fingerprint)}.json").is_file()
    again = isoward("enroll", kit.release, "--depot", depot)
    assert (again.code, "already" in again.out) == (0, True)


@pytest.mark.parametrize(("fingerprint", "code"), [("ab" * 32, 30), ("ab", 2), ("", 2), (None, 2)])
def test_enrolling_needs_the_right_fingerprint(
    tmp_path: Path, kit: ReleaseKit, isoward: Isoward, fingerprint: str | None, code: int
) -> None:
    given = [] if fingerprint is None else ["--fingerprint", fingerprint]
    assert isoward("enroll", kit.release, "--depot", tmp_path / "depot", *given).code == code
    assert not (tmp_path / "depot").exists()


def test_enrolling_on_a_terminal(tmp_path: Path, fresh: Path, kit: ReleaseKit) -> None:
    depot = tmp_path / "depot"
    last = kit.fingerprint[-4:]
    wrong = on_a_terminal(
        "0000\n" if last != "0000" else "1111\n", "enroll", fresh, "--depot", depot
    )
    assert wrong.code == 30
    assert not depot.exists()
    # The last group is not shown, so that it has to come from the vendor.
    assert "????" in wrong.out
    assert last not in wrong.out.split()
    done = on_a_terminal(f"{last}\n", "enroll", fresh, "--depot", depot)
    assert (done.code, len(list((depot / "trust").glob("?*.json")))) == (0, 2)


@pytest.mark.parametrize("typed", ["whole", "WHOLE", "sha256:", "groups", "two groups"])
def test_the_whole_fingerprint_may_be_typed_as_one_has_it(
    tmp_path: Path, fresh: Path, kit: ReleaseKit, typed: str
) -> None:
    told = hex_of(kit.fingerprint)
    groups = " ".join(told[i : i + 4] for i in range(0, len(told), 4))
    forms = {
        "whole": told,
        "WHOLE": told.upper(),
        "sha256:": f"SHA256:{told}",
        "groups": groups.upper(),
        "two groups": groups[-9:],
    }
    depot = tmp_path / "depot"
    assert on_a_terminal(f"{forms[typed]}\n", "enroll", fresh, "--depot", depot).code == 0


@pytest.mark.parametrize("spoil", ["first", "last", "short"])
def test_another_fingerprint_that_is_typed_whole_is_refused(
    tmp_path: Path, fresh: Path, kit: ReleaseKit, spoil: str
) -> None:
    told = hex_of(kit.fingerprint)
    flipped = {"0": "1"}.get(told[0], "0"), {"0": "1"}.get(told[-1], "0")
    typed = {"first": flipped[0] + told[1:], "last": told[:-1] + flipped[1], "short": told[-3:]}
    depot = tmp_path / "depot"
    assert on_a_terminal(f"{typed[spoil]}\n", "enroll", fresh, "--depot", depot).code == 30
    assert not depot.exists()


BAD: dict[str, tuple[list[str], int]] = {
    "no terminal": (["keys", "new", "Ada", "-o", "ada.pem"], 2),
    "both ways": (
        ["keys", "new", "Ada", "-o", "a.pem", "--no-passphrase", "--passphrase-fd", "3"],
        2,
    ),
    "closed descriptor": (["keys", "new", "Ada", "-o", "ada.pem", "--passphrase-fd", "987"], 2),
    "bad name": (["keys", "new", "Ada\n", "-o", "ada.pem", "--no-passphrase"], 38),
    "no such folder": (["keys", "new", "Ada", "-o", "none/ada.pem", "--no-passphrase"], 12),
    "no output": (["keys", "new", "Ada"], 2),
    "no release": (["root", "show", "none"], 12),
    "no release to sign": (["root", "sign", "none", "--key", "ada.pem"], 2),
    "no root keys": (["root", "new", "release"], 2),
    "no bundle": (["approve", "none", "--key", "ada.pem", *TICKET], 11),
    "no root to enrol": (["enroll", "none", "--depot", "depot"], 12),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_input_gives_its_exit_code_and_leaves_nothing(
    tmp_path: Path, isoward: Isoward, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    arguments, code = BAD[case]
    monkeypatch.chdir(tmp_path)
    done = isoward(*arguments)
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("isoward: error: ")
    assert list(tmp_path.iterdir()) == []
    as_json = isoward(*arguments, "--json")
    assert (as_json.code, as_json.json["exitCode"]) == (code, code)


def test_passphrases_that_do_not_fit(tmp_path: Path, isoward: Isoward) -> None:
    path = tmp_path / "ada.pem"
    for text, code in (("", 2), ("\n", 2), ("short\n", 38), ("x" * 2000, 2)):
        with descriptor_with(text) as fd:
            assert isoward("keys", "new", "Ada", "-o", path, "--passphrase-fd", fd).code == code
    assert list(tmp_path.iterdir()) == []
