"""Tickets, summaries, copies brought together, and receipts, as a person types them."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from bundle.base.digest import digest_of, hex_of
from bundle.model.attestation import VERIFICATION_SUMMARY
from bundle.trust.attestations.envelope import open_envelope
from bundle.trust.verify.receipt import LEVELS
from tests.support.trust.commands import Isoward, descriptor_with, on_a_terminal
from tests.support.trust.release_kit import (
    COMMIT,
    ReleaseKit,
    enrolled,
    make_bundle,
    release_bundle,
)

PASSPHRASE = "correct horse battery"


@pytest.fixture
def isoward(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Isoward:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    return Isoward(capsys)


@pytest.fixture
def fresh(tmp_path: Path, kit: ReleaseKit) -> Path:
    path = make_bundle(tmp_path / "fresh")
    release_bundle(path, kit)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "ticket", ["", "   ", "x" * 257, "CHG\n1", "CHG\x1b[31m", " CHG-1"], ids=repr
)
def test_a_ticket_must_be_one(fresh: Path, kit: ReleaseKit, isoward: Isoward, ticket: str) -> None:
    before = tree(fresh)
    key = kit.approvers[0].path
    done = isoward("approve", fresh, "--key", key, "--ticket", ticket, "--yes")
    assert done.code == 2
    assert "ticket" in done.err
    assert tree(fresh) == before


def test_no_approval_without_a_ticket(fresh: Path, kit: ReleaseKit, isoward: Isoward) -> None:
    before = tree(fresh)
    done = isoward("approve", fresh, "--key", kit.approvers[0].path, "--yes")
    assert done.code == 2
    assert "--ticket" in done.err
    assert tree(fresh) == before


def test_the_summary_is_shown_before_the_question(fresh: Path, kit: ReleaseKit) -> None:
    key = kit.approvers[0].path
    done = on_a_terminal("n\n", "approve", fresh, "--key", key, "--ticket", "CHG-77")
    assert done.code == 130
    for said in (
        f"commit {COMMIT}",
        "signed with a valid signature",
        "no uncommitted changes",
        "first release in this release folder",
        "+ file https://files.example.org/file: added",
        "vulnerabilities: not scanned",
    ):
        assert said in done.out
    assert "Approve this release as Ada Example, ticket CHG-77?" in done.err
    done = on_a_terminal("y\n", "approve", fresh, "--key", key, "--ticket", "CHG-77")
    assert done.code == 0


def test_the_result_names_ticket_and_source(fresh: Path, kit: ReleaseKit, isoward: Isoward) -> None:
    key = kit.approvers[0].path
    done = isoward("approve", fresh, "--key", key, "--ticket", "CHG-77", "--yes", "--json")
    (approval,) = done.json["approvals"]
    assert (approval["name"], approval["ticket"]) == ("Ada Example", "CHG-77")
    assert done.json["source"]["commit"] == COMMIT
    assert done.json["changes"][0].startswith("first release")


def test_bundle_json_trust_and_attestations_are_enough(
    tmp_path: Path, fresh: Path, kit: ReleaseKit, isoward: Isoward
) -> None:
    shutil.rmtree(fresh / "blobs")
    key = kit.approvers[0].path
    assert isoward("approve", fresh, "--key", key, "--ticket", "CHG-1", "--yes").code == 0


def test_copies_are_brought_together(
    tmp_path: Path, fresh: Path, kit: ReleaseKit, isoward: Isoward
) -> None:
    copies = []
    for key in kit.approvers[:2]:
        copies.append(shutil.copytree(fresh, tmp_path / key.path.stem))
        shutil.rmtree(copies[-1] / "blobs")
        ticket = f"CHG-{key.path.stem}"
        asked = ("approve", copies[-1], "--key", key.path, "--ticket", ticket, "--yes")
        assert isoward(*asked).code == 0
    done = isoward("approve", fresh, "--collect", *copies, "--json")
    assert (done.code, done.json["collected"]) == (0, ["Ada Example", "Bob Example"])
    assert done.json["missing"] == 0
    again = isoward("approve", fresh, "--collect", *copies)
    assert "nothing new found; the release has all required approvals" in again.out
    verified = isoward("verify", fresh, "--fingerprint", hex_of(kit.fingerprint))
    assert "Ada Example: CHG-ada" in verified.out
    assert "Bob Example: CHG-bob" in verified.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--collect",),
        ("--collect", "copy", "--key", "ada.pem"),
        ("--collect", "copy", "--ticket", "CHG-1"),
        ("--ticket", "CHG-1"),
        ("copy", "--key", "ada.pem", "--ticket", "CHG-1"),
    ],
    ids=" ".join,
)
def test_what_does_not_go_together(
    fresh: Path, isoward: Isoward, arguments: tuple[str, ...]
) -> None:
    before = tree(fresh)
    assert isoward("approve", fresh, *arguments).code == 2
    assert tree(fresh) == before


def test_the_page_says_what_was_checked_and_what_not(
    bundle: Path, kit: ReleaseKit, isoward: Isoward
) -> None:
    done = isoward("verify", bundle, "--fingerprint", hex_of(kit.fingerprint))
    assert done.code == 0
    checked, _, unchecked = done.out.partition("\nnot checked\n")
    for said in (
        "verified: tiny 1.0.0, release 1",
        "built by     Build System",
        f"commit {COMMIT}",
        "Ada Example: CHG-1234, ",
        "root         version 1, signed by Rhea Root, Rolf Root",
        "\nchecked\n",
        "no extra files",
    ):
        assert said in checked
    for said in ("the bundle contains no scans", "no root is enrolled here"):
        assert said in unchecked
    assert "vulnerabilities" not in checked


def test_what_is_not_checked_depends_on_where(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, isoward: Isoward
) -> None:
    depot = tmp_path / "site"
    enrolled(depot, kit)
    done = isoward("verify", bundle, "--depot", depot, "--json")
    found = {entry["what"]: entry["why"] for entry in done.json["notChecked"]}
    assert found["the site's own policy"] == "this site has none"
    assert "older releases" not in found
    auditor = isoward("verify", bundle, "--fingerprint", hex_of(kit.fingerprint), "--json")
    found = {entry["what"]: entry["why"] for entry in auditor.json["notChecked"]}
    assert {"older releases", "the site's own policy", "vulnerabilities"} <= set(found)


def test_a_receipt_says_what_was_verified(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, isoward: Isoward
) -> None:
    path, auditor = tmp_path / "receipt.json", kit.stranger
    asked = ("--fingerprint", hex_of(kit.fingerprint), "--receipt", path, "--key", auditor.path)
    done = isoward("verify", bundle, *asked, "--json")
    assert (done.code, done.json["receipt"]) == (0, str(path))
    key = auditor.signer.public_key
    opened = open_envelope(path.read_bytes(), {key.keyid: key}, "receipt")
    assert opened.statement.predicate_type == VERIFICATION_SUMMARY
    (subject,) = opened.statement.subject
    assert subject.digest["sha256"] == hex_of(digest_of((bundle / "bundle.json").read_bytes()))
    said = opened.statement.predicate
    assert said["verificationResult"] == "PASSED"
    assert said["verifiedLevels"] == list(LEVELS)
    assert said["resourceUri"] == "urn:isoward:bundle:tiny:1.0.0"
    assert said["policy"]["digest"]["sha256"] == hex_of(kit.fingerprint)
    inputs = {entry["uri"]: entry["digest"]["sha256"] for entry in said["inputAttestations"]}
    assert len(inputs) == 4
    for name, digest in inputs.items():
        assert digest == hex_of(digest_of((bundle / name).read_bytes()))
    own = said["x-isoward"]
    assert [given["ticket"] for given in own["approvals"]] == ["CHG-1234", "CHG-1234"]
    assert {entry["what"] for entry in own["notChecked"]} >= {"vulnerabilities"}


def test_a_receipt_is_never_overwritten(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, isoward: Isoward
) -> None:
    path = tmp_path / "receipt.json"
    path.write_text("another")
    asked = ("--fingerprint", hex_of(kit.fingerprint), "--key", kit.stranger.path)
    assert isoward("verify", bundle, *asked, "--receipt", path).code == 2
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "nowhere")
    assert isoward("verify", bundle, *asked, "--receipt", link).code == 2
    assert path.read_text() == "another"
    assert not (tmp_path / "nowhere").exists()


def test_no_receipt_of_a_bundle_that_is_not_good(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, isoward: Isoward
) -> None:
    blob = next((bundle / "blobs/sha256").iterdir())
    blob.write_bytes(b"content of 1.0.1")
    path = tmp_path / "receipt.json"
    asked = ("--fingerprint", hex_of(kit.fingerprint), "--key", kit.stranger.path)
    assert isoward("verify", bundle, *asked, "--receipt", path).code == 21
    assert not path.exists()


def test_a_receipt_does_not_go_into_the_bundle(
    bundle: Path, kit: ReleaseKit, isoward: Isoward
) -> None:
    asked = ("--fingerprint", hex_of(kit.fingerprint), "--key", kit.stranger.path)
    for path in (bundle / "receipt.json", bundle / "trust/../attestations/receipt.json"):
        assert isoward("verify", bundle, *asked, "--receipt", path).code == 2
    assert isoward("verify", bundle, *asked[:2]).code == 0


def test_receipt_and_key_belong_together(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, isoward: Isoward
) -> None:
    fingerprint = ("--fingerprint", hex_of(kit.fingerprint))
    assert isoward("verify", bundle, *fingerprint, "--receipt", tmp_path / "r").code == 2
    assert isoward("verify", bundle, *fingerprint, "--key", kit.stranger.path).code == 2


def test_the_auditor_s_passphrase_comes_by_a_descriptor(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, isoward: Isoward
) -> None:
    key, path = tmp_path / "auditor.pem", tmp_path / "receipt.json"
    with descriptor_with(f"{PASSPHRASE}\n") as fd:
        made = isoward("keys", "new", "Auditor", "-o", key, "--passphrase-fd", fd)
    assert made.code == 0
    asked = ("--fingerprint", hex_of(kit.fingerprint), "--receipt", path, "--key", key)
    assert isoward("verify", bundle, *asked).code == 2
    with descriptor_with(f"{PASSPHRASE}\n") as fd:
        assert isoward("verify", bundle, *asked, "--passphrase-fd", fd).code == 0
    assert json.loads(path.read_bytes())["payloadType"] == "application/vnd.in-toto+json"
