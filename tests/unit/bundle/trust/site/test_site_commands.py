"""The site's commands, as its people type them, and two processes at once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bundle.base.digest import hex_of
from bundle.trust.site import state as state_module
from bundle.trust.site.authority import load_authority
from bundle.trust.site.state import TrustState, load_readable_states, load_states, state_path
from tests.architecture.source import ROOT
from tests.support.depot.imported import ISOWARD, import_now
from tests.support.sites.people import PEOPLE, expired_bundle, old_release
from tests.support.trust.commands import Isoward
from tests.support.trust.release_kit import KeyFile, ReleaseKit, make_key, trusted_bundle


@pytest.fixture
def isoward(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Isoward:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    return Isoward(capsys)


@pytest.fixture
def people(tmp_path: Path) -> tuple[KeyFile, ...]:
    return tuple(make_key(tmp_path / "people", name) for name in PEOPLE)


@pytest.fixture
def vendor(tmp_path: Path) -> ReleaseKit:
    return old_release(tmp_path / "old vendor")


def enrol(isoward: Isoward, kit: ReleaseKit, depot: Path, people: tuple[KeyFile, ...]) -> None:
    keys = [option for key in people for option in ("--site-key", key.public)]
    done = isoward(
        "enroll", kit.release, "--depot", depot, "--fingerprint", hex_of(kit.fingerprint),
        "--site", "north", *keys, "--site-threshold", "2", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.json["site"] == "north"
    assert done.json["siteKeys"] == [k.name for k in sorted(people, key=_key_id)]
    assert done.json["siteThreshold"] == 2


def _key_id(key: KeyFile) -> str:
    return key.signer.public_key.keyid


def test_a_waiver_from_its_making_to_every_report(
    tmp_path: Path, isoward: Isoward, vendor: ReleaseKit, people: tuple[KeyFile, ...]
) -> None:
    depot, file = tmp_path / "depot", tmp_path / "waiver.json"
    bundle = expired_bundle(tmp_path / "bundle", vendor)
    enrol(isoward, vendor, depot, people)
    assert isoward("import", bundle, "--depot", depot).code == 34
    made = isoward(
        "waiver", "new", bundle, "--depot", depot, "--reason", "Vendor out of reach",
        "--ticket", "CHG-7", "--days", "3", "-o", file,
    )  # fmt: skip
    assert made.code == 0, made.err
    assert "expired      trust/timestamp.json" in made.out
    assert "signed by    nobody yet" in made.out
    assert isoward("import", bundle, "--depot", depot, "--waiver", file).code == 39
    first = isoward("waiver", "sign", file, "--key", people[0].path)
    assert (first.code, "1 more signature(s)" in first.out) == (0, True)
    twice = isoward("waiver", "sign", file, "--key", people[0].path)
    assert "nothing to do" in twice.out
    second = isoward("waiver", "sign", file, "--key", people[1].path, "--json")
    assert (second.json["missing"], second.json["signatures"]) == (0, 2)
    shown = isoward("waiver", "show", file)
    assert "signed by    " in shown.out
    assert all(key.name in shown.out for key in people)
    done = isoward("import", bundle, "--depot", depot, "--waiver", file)
    assert done.code == 0, done.err
    assert "NOTICE: release 1 of tiny came in EXPIRED, by a waiver of" in done.out
    assert "NOTICE: release 1" in isoward("import", bundle, "--depot", depot).out
    verified = isoward("verify", bundle, "--depot", depot)
    assert verified.code == 0, verified.err
    assert re.search(r"expiry +WAIVED by Olga Operator and Otto Officer until", verified.out)
    assert "thresholds and expiry" not in verified.out
    facts = isoward("verify", bundle, "--depot", depot, "--json").json
    assert facts["waiver"]["ticket"] == "CHG-7"
    assert next(entry["what"] for entry in facts["notChecked"]) == "expiry"
    assert isoward("verify", bundle, "--fingerprint", hex_of(vendor.fingerprint)).code == 34


def test_a_recovery_from_the_loss_to_the_next_import(
    tmp_path: Path, isoward: Isoward, kit: ReleaseKit, people: tuple[KeyFile, ...]
) -> None:
    depot, file = tmp_path / "depot", tmp_path / "request.json"
    enrol(isoward, kit, depot, people)
    first = trusted_bundle(tmp_path / "1", kit, "1.0.0")
    second = trusted_bundle(tmp_path / "2", kit, "2.0.0")
    assert isoward("import", second, "--depot", depot).code == 0
    state_path(depot / "trust", kit.fingerprint).unlink()
    lost = isoward("import", second, "--depot", depot, "--json")
    assert (lost.code, lost.json["error"]) == (36, "lost-state")
    assert "isoward recover" in lost.json["hint"]
    made = isoward(
        "recover", "--depot", depot, "--fingerprint", hex_of(kit.fingerprint), "--floor", "2",
        "--reason", "The disk failed", "-o", file,
    )  # fmt: skip
    assert made.code == 0, made.err
    assert "floor        release 2: nothing older may come in again" in made.out
    assert isoward("recover", "apply", file, "--depot", depot).code == 39
    for key in people[:2]:
        assert isoward("recover", "sign", file, "--key", key.path).code == 0
    assert isoward("recover", "show", file).code == 0
    done = isoward("recover", "apply", file, "--depot", depot, "--json")
    assert done.code == 0, done.out
    assert done.json["signers"] == ["Olga Operator", "Otto Officer"]
    assert (done.json["accepted"], done.json["floor"]) == (1, 2)
    assert Path(done.json["record"]).is_file()
    assert isoward("import", first, "--depot", depot).code == 35
    assert isoward("import", second, "--depot", depot).code == 0
    assert isoward("recover", "apply", file, "--depot", depot).code == 39


BAD: dict[str, tuple[list[str], int]] = {
    "recover without anything": (["recover"], 2),
    "recover without a reason": (
        ["recover", "--depot", "d", "--fingerprint", "ab" * 32, "--floor", "1", "-o", "f"],
        2,
    ),
    "a floor of nought": (["recover", "--floor", "0"], 2),
    "a waiver of 31 days": (["waiver", "new", "b", "--days", "31"], 2),
    "a waiver without a ticket": (["waiver", "new", "b", "--reason", "r", "--days", "1"], 2),
    "no such waiver": (["waiver", "show", "none.json"], 23),
    "no such request": (["recover", "show", "none.json"], 23),
    "keys without a site": (["enroll", "r", "--depot", "d", "--site-key", "k.pub"], 2),
    "a site's name in capitals": (["enroll", "r", "--depot", "d", "--site", "North"], 2),
    "a threshold of one": (["enroll", "r", "--depot", "d", "--site-threshold", "1"], 2),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(
    tmp_path: Path, isoward: Isoward, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, code = BAD[name]
    assert isoward(*arguments).code == code
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_not_overwritten(
    tmp_path: Path, isoward: Isoward, vendor: ReleaseKit, people: tuple[KeyFile, ...]
) -> None:
    depot, file = tmp_path / "depot", tmp_path / "waiver.json"
    file.write_text("precious")
    enrol(isoward, vendor, depot, people)
    bundle = expired_bundle(tmp_path / "bundle", vendor)
    arguments = ("--reason", "r", "--ticket", "t", "--days", "1", "-o", file)
    assert isoward("waiver", "new", bundle, "--depot", depot, *arguments).code == 2
    assert file.read_text() == "precious"


def test_a_root_for_a_product(tmp_path: Path, isoward: Isoward, kit: ReleaseKit) -> None:
    keys = kit.roots[0].path.parent
    done = isoward(
        "root", "new", tmp_path / "release", "--product", "imaging", "--root-threshold", "1",
        "--root-key", keys / "rhea.pub", "--builder", keys / "build.pub",
        "--approver", keys / "ada.pub", "--approver", keys / "bob.pub",
        "--sign-with", keys / "rhea.pem", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.json["product"] == "imaging"
    assert "product: imaging only" in isoward("root", "show", tmp_path / "release").out


def test_the_fingerprint_is_shown_in_groups_to_read_aloud(
    isoward: Isoward, kit: ReleaseKit
) -> None:
    out = isoward("root", "show", kit.release).out
    groups = re.findall(r"\b[0-9a-f]{4}\b(?: [0-9a-f]{4})+", out)
    assert [len(line.split()) for line in groups] == [8, 8]
    assert "".join("".join(groups).split()) == hex_of(kit.fingerprint)


def test_two_processes_enrol_at_once(tmp_path: Path, kit: ReleaseKit) -> None:
    """One of them enrols; the others find it enrolled, or busy; the record is whole."""
    depot = tmp_path / "depot"
    argv = [
        *ISOWARD, "enroll", str(kit.release), "--depot", str(depot),
        "--fingerprint", hex_of(kit.fingerprint), "--json",
    ]  # fmt: skip
    children = [start(argv) for _ in range(4)]
    results = [child.communicate(timeout=120) for child in children]
    codes = [child.returncode for child in children]
    assert set(codes) <= {0, 14}, results
    said = [json.loads(out) for (out, _), code in zip(results, codes, strict=True) if code == 0]
    assert [entry["added"] for entry in said].count(True) == 1
    assert load_states(depot / "trust")[0].fingerprint == kit.fingerprint


def test_two_processes_import_at_once(
    tmp_path: Path, kit: ReleaseKit, people: tuple[KeyFile, ...], isoward: Isoward
) -> None:
    """An older and a newer release come at once: whichever is first, the newer one stays."""
    depot = tmp_path / "depot"
    enrol(isoward, kit, depot, people)
    releases = [trusted_bundle(tmp_path / n, kit, f"{n}.0.0") for n in ("1", "2")]
    argvs = [[*ISOWARD, "import", str(path), "--depot", str(depot)] for path in releases * 2]
    children = [start(argv) for argv in argvs]
    results = [child.communicate(timeout=120) for child in children]
    codes = [child.returncode for child in children]
    assert set(codes) <= {0, 14, 35}, results
    assert 0 in codes
    seen = max(entry.release for entry in load_states(depot / "trust")[0].accepted)
    assert import_now(releases[1], depot).record.release == 2
    assert seen in {1, 2}
    assert isoward("import", releases[0], "--depot", depot).code == 35
    assert load_authority(depot / "trust") is not None


def test_an_import_that_ends_while_records_are_read_is_no_damage(
    tmp_path: Path,
    kit: ReleaseKit,
    people: tuple[KeyFile, ...],
    isoward: Isoward,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever reads without the depot's lock meets a state from before it, a record from after."""
    depot = tmp_path / "depot"
    enrol(isoward, kit, depot, people)
    left = [trusted_bundle(tmp_path / "1", kit, "1.0.0")]
    real = state_module._load

    def load(directory: Path, name: str) -> TrustState:
        read = real(directory, name)
        if left:
            import_now(left.pop(), depot)
        return read

    monkeypatch.setattr(state_module, "_load", load)
    (read,) = load_states(depot / "trust")
    assert not read.accepted
    left.append(trusted_bundle(tmp_path / "2", kit, "2.0.0"))
    states, problems = load_readable_states(depot / "trust")
    assert (len(states[0].accepted), problems) == (1, ())
    left.append(trusted_bundle(tmp_path / "3", kit, "3.0.0"))
    state = state_module.load_state(depot / "trust", kit.fingerprint)
    assert state is not None
    assert max(entry.release for entry in state.accepted) == 2


def start(argv: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
