"""`isoward root`, `sign` and `release`, as persons of a vendor type them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bundle.base.digest import hex_of
from tests.support.trust.commands import Isoward, on_a_terminal
from tests.support.trust.release_kit import KeyFile, ReleaseKit, make_key, trusted_bundle


@pytest.fixture
def isoward(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Isoward:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    return Isoward(capsys)


@pytest.fixture
def dora(tmp_path: Path) -> KeyFile:
    return make_key(tmp_path / "more", "Dora Example", "ecdsa-p384")


@pytest.fixture
def request_file(tmp_path: Path, kit: ReleaseKit, dora: KeyFile, isoward: Isoward) -> Path:
    assert isoward("root", "add", kit.release, "--approver", dora.public).code == 0
    path = tmp_path / "request.json"
    assert isoward("root", "request", kit.release, "-o", path).code == 0
    return path


def test_a_ceremony_apart(
    tmp_path: Path, kit: ReleaseKit, request_file: Path, isoward: Isoward
) -> None:
    first, second = kit.roots
    done = isoward("sign", request_file, "--key", first.path, "--yes", "-o", tmp_path / "1.json")
    assert done.code == 0
    assert "Dora Example is an approver, and decides with others what is released" in done.out
    assert "every site that trusts the present root accepts" in done.out
    assert "signed as Rhea Root; it counts for the present root (version 1) and for" in done.out
    done = isoward("root", "collect", kit.release, tmp_path / "1.json")
    assert (done.code, "not complete yet" in done.out) == (0, True)
    done = isoward("sign", request_file, "--key", second.path, "--yes", "--json")
    assert (done.json["signer"], done.json["added"]) == ("Rolf Root", True)
    assert done.json["file"] == str(request_file)
    done = isoward("root", "collect", kit.release, request_file, "--json")
    assert (done.json["taken"], done.json["complete"]) == (["Rolf Root"], True)
    shown = isoward("root", "show", kit.release, "--json")
    assert (shown.json["version"], shown.json["fingerprint"]) == (2, done.json["fingerprint"])


def test_what_is_signed_is_confirmed_on_a_terminal(
    kit: ReleaseKit, request_file: Path, isoward: Isoward
) -> None:
    key = kit.roots[0].path
    before = request_file.read_bytes()
    assert isoward("sign", request_file, "--key", key).code == 2
    refused = on_a_terminal("n\n", "sign", request_file, "--key", key)
    assert (refused.code, request_file.read_bytes() == before) == (130, True)
    assert "What changes:" in refused.out
    assert on_a_terminal("y\n", "sign", request_file, "--key", key).code == 0
    assert request_file.read_bytes() != before
    again = isoward("sign", request_file, "--key", key)
    assert (again.code, "already signed by" in again.out) == (0, True)


def test_a_holder_may_name_the_present_root(
    kit: ReleaseKit, request_file: Path, isoward: Isoward
) -> None:
    asked = ["sign", str(request_file), "--key", str(kit.roots[0].path), "--yes"]
    before = request_file.read_bytes()
    assert isoward(*asked, "--present", "ab" * 32).code == 30
    assert isoward(*asked, "--present", "ab").code == 2
    assert request_file.read_bytes() == before
    assert isoward(*asked, "--present", hex_of(kit.fingerprint)).code == 0


def test_a_holder_needs_nothing_but_the_request(
    tmp_path: Path, kit: ReleaseKit, request_file: Path, isoward: Isoward
) -> None:
    """No release folder is there, and no network."""
    kit.release.rename(tmp_path / "elsewhere")
    assert isoward("sign", request_file, "--key", kit.roots[0].path, "--yes").code == 0


def test_the_wrong_person_does_not_sign(
    kit: ReleaseKit, request_file: Path, isoward: Isoward
) -> None:
    before = request_file.read_bytes()
    for key, code in ((kit.approvers[0].path, 33), (kit.roots[0].public, 2)):
        assert isoward("sign", request_file, "--key", key, "--yes").code == code
    assert request_file.read_bytes() == before


def test_a_ceremony_in_one_place(
    tmp_path: Path, kit: ReleaseKit, dora: KeyFile, isoward: Isoward
) -> None:
    release = kit.release
    assert isoward("root", "add", release, "--root-key", dora.public).code == 0
    done = isoward("root", "threshold", release, "--approvals", "3", "--json")
    assert done.json["missing"] == {"present": 2, "new": 2}
    assert len(done.json["changes"]) == 2
    assert "a draft is waiting for signatures" in isoward("root", "show", release).out
    first = isoward("root", "sign", release, "--key", kit.roots[0].path)
    assert (first.code, "1 of version 1's" in first.out) == (0, True)
    last = isoward("root", "sign", release, "--key", kit.roots[1].path, "--json")
    assert (last.json["version"], last.json["missingSignatures"]) == (2, 0)
    new = make_key(tmp_path / "new", "Rhea Root", "ml-dsa-65")
    assert isoward("root", "rotate", release, "Rhea Root", "--new", new.public).code == 0
    assert isoward("root", "retire", release, "Rolf Root", "--from", "root").code == 0
    done = isoward("root", "refresh", release, "--expires-days", "999", "--json")
    assert len(done.json["changes"]) == 3
    for key in (*kit.roots, dora, new):
        done = isoward("root", "sign", release, "--key", key.path)
        assert done.code == 0
    assert (release / "3.root.json").is_file()


def test_dropped_signatures_are_said(kit: ReleaseKit, request_file: Path, isoward: Isoward) -> None:
    assert isoward("root", "sign", kit.release, "--key", kit.roots[0].path).code == 0
    done = isoward("root", "refresh", kit.release)
    assert (done.code, "1 signature(s)" in done.err) == (0, True)
    assert isoward("root", "discard", kit.release).code == 0
    assert isoward("root", "discard", kit.release).code == 2


def test_a_request_is_not_overwritten(
    kit: ReleaseKit, request_file: Path, isoward: Isoward
) -> None:
    before = request_file.read_bytes()
    assert isoward("root", "request", kit.release, "-o", request_file).code == 2
    assert request_file.read_bytes() == before


def test_a_request_says_who_has_to_sign(
    tmp_path: Path, kit: ReleaseKit, dora: KeyFile, isoward: Isoward
) -> None:
    """Who gets another root key signs with both."""
    new = make_key(tmp_path / "new", "Rhea Root")
    assert isoward("root", "rotate", kit.release, "Rhea Root", "--new", new.public).code == 0
    done = isoward("root", "request", kit.release, "-o", tmp_path / "q.json", "--json")
    assert [text.partition(" (")[0] for text in done.json["waitingFor"]] == [
        "Rhea Root",
        "Rolf Root",
        "Rhea Root",
    ]


def test_looking_after_a_release_folder(tmp_path: Path, kit: ReleaseKit, isoward: Isoward) -> None:
    release = kit.release
    assert "nothing released yet" in isoward("release", "show", release).out
    bundle = trusted_bundle(tmp_path / "1", kit, "1.0.0")
    asked = ["release", "refresh", str(release), "--key", str(kit.builder.path)]
    done = isoward(*asked, "--bundle", bundle, "--json")
    assert (done.code, done.json["release"]) == (0, 1)
    assert isoward("verify", bundle, "--fingerprint", hex_of(kit.fingerprint)).code == 0
    assert isoward("release", "revoke", release, "2", "--reason", "bad").code == 2
    done = isoward("release", "revoke", release, "1", "--reason", "a bad driver")
    assert (done.code, "Sites learn about it from the next release" in done.out) == (0, True)
    shown = isoward("release", "show", release)
    assert "revoked from the next release on:\n  release 1" in shown.out
    assert "timestamp.json   valid until" in shown.out
    as_json = isoward("release", "show", release, "--json").json
    assert (as_json["release"], as_json["toRevoke"][0]["reason"]) == (1, "a bad driver")
    trusted_bundle(tmp_path / "2", kit, "2.0.0")
    as_json = isoward("release", "show", release, "--json").json
    assert (as_json["revoked"][0]["release"], as_json["toRevoke"]) == (1, [])


BAD: dict[str, tuple[list[str], int]] = {
    "add nobody": (["root", "add", "release"], 2),
    "add without a folder": (["root", "add", "none", "--approver", "x.pub"], 38),
    "retire without a folder": (["root", "retire", "none", "Ada"], 2),
    "rotate without a key": (["root", "rotate", "none", "Ada"], 2),
    "no threshold": (["root", "threshold", "none"], 2),
    "threshold of zero": (["root", "threshold", "none", "--approvals", "0"], 2),
    "refresh for ever": (["root", "refresh", "none", "--expires-days", "99999"], 2),
    "request without a folder": (["root", "request", "none", "-o", "q.json"], 2),
    "collect nothing": (["root", "collect", "none"], 2),
    "collect without a folder": (["root", "collect", "none", "q.json"], 2),
    "sign nothing": (["sign", "none.json", "--key", "x.pem"], 12),
    "show without a folder": (["release", "show", "none"], 2),
    "refresh without a key": (["release", "refresh", "none"], 2),
    "revoke without a reason": (["release", "revoke", "none", "1"], 2),
    "revoke without a folder": (["release", "revoke", "none", "1", "--reason", "x"], 2),
    "key of no type": (["keys", "new", "Ada", "-o", "a.pem", "--type", "rsa"], 2),
    "no cosign key": (["keys", "import-cosign", "none.key", "Ada", "-o", "a.pem"], 38),
    "no module": (
        [
            "keys",
            "import-hsm",
            "A",
            "--module",
            "/none.so",
            "--token",
            "t",
            "--key",
            "1",
            "-o",
            "a",
        ],
        38,
    ),
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
