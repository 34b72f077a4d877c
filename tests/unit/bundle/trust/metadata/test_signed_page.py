"""An approver is shown all that they sign, whatever a taken-over build system wrote into it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, TargetFile

from bundle.base.errors import (
    AttestationError,
    CouldNotVerifyError,
    LifetimeError,
    SignatureError,
)
from bundle.model.attestation import make_statement
from bundle.store.layout import BundleDirectory
from bundle.trust.attestations.checked import CHANGES_NAME, PROVENANCE_NAME
from bundle.trust.attestations.envelope import sign_statement
from bundle.trust.metadata.restrictions import REVOKED_FIELD, SITES_FIELD
from bundle.trust.site.state import TrustState
from bundle.trust.verify.verification import verify_trust
from bundler.cli.approve_page import page, page_data
from bundler.release.approval import approve
from bundler.release.review import review
from tests.support.trust.edit import edit, reissue
from tests.support.trust.release_kit import (
    TICKET,
    ReleaseKit,
    approve_all,
    make_bundle,
    now,
    release_bundle,
)

DIGEST = "sha256:" + "ab" * 32
REVOKED = [{"release": 3, "digest": DIGEST, "reason": "a good release"}]


@pytest.fixture
def fresh(tmp_path: Path, kit: ReleaseKit) -> Path:
    path = make_bundle(tmp_path / "fresh")
    release_bundle(path, kit)
    return path


def shown(bundle: Path, previous: bytes | None = None) -> list[str]:
    moment = now()
    return page(review(BundleDirectory(bundle), moment, previous), moment)


def alter(bundle: Path, change: Callable[[Any], None]) -> None:
    """Change targets.json before anybody approves, as whoever has the build system can."""
    edit(bundle, "targets.json", lambda metadata: change(metadata.signed))


def row(lines: list[str], title: str) -> str:
    (found,) = (line for line in lines if line.startswith(f"  {title} "))
    return found


def test_an_honest_release_says_what_it_does_not_do(fresh: Path) -> None:
    lines = shown(fresh)
    assert "revokes       no release" in row(lines, "revokes")
    assert "any site may import it" in row(lines, "only for")
    assert "365 days from now" in row(lines, "valid until") or "364 days" in row(
        lines, "valid until"
    )
    assert "LONGER" not in "".join(lines)
    assert "files.example.org" in row(lines, "hosts")


def test_a_revocation_is_on_the_page(fresh: Path) -> None:
    alter(fresh, lambda signed: signed.unrecognized_fields.update({REVOKED_FIELD: REVOKED}))
    lines = shown(fresh)
    assert f"release 3 ({DIGEST}): a good release" in row(lines, "revokes")
    assert any("for ever" in line for line in lines)
    assert page_data(review(BundleDirectory(fresh), now()))["revokes"] == REVOKED


def test_every_revocation_is_on_the_page(fresh: Path) -> None:
    many = [{"release": n, "digest": f"sha256:{n:064x}", "reason": f"r{n}"} for n in range(1, 300)]
    alter(fresh, lambda signed: signed.unrecognized_fields.update({REVOKED_FIELD: many}))
    text = "\n".join(shown(fresh))
    assert all(f"release {entry['release']} ({entry['digest']})" in text for entry in many)


def test_sites_and_expiry_are_on_the_page(fresh: Path) -> None:
    alter(fresh, lambda signed: signed.unrecognized_fields.update({SITES_FIELD: ["else"]}))
    alter(fresh, lambda signed: setattr(signed, "expires", datetime(2099, 1, 1, tzinfo=UTC)))
    lines = shown(fresh)
    assert "else" in row(lines, "only for")
    assert "2099-01-01" in row(lines, "valid until")
    assert "LONGER than a build sets" in row(lines, "valid until")


def _second_target(signed: Any) -> None:
    signed.targets["other"] = TargetFile.from_data("other", b"x", ["sha256"])


NOT_SHOWN: dict[str, Callable[[Any], None]] = {
    "a field of its own": lambda s: s.unrecognized_fields.update({"x-new": "y"}),
    "a custom field of the target": lambda s: s.targets["bundle.json"].unrecognized_fields.update(
        {"custom": {"run": "x"}}
    ),
    "another digest": lambda s: s.targets["bundle.json"].hashes.update(sha512="ab" * 64),
    "another target": _second_target,
    "a field of a revocation": lambda s: s.unrecognized_fields.update(
        {REVOKED_FIELD: [{**REVOKED[0], "also": "x"}]}
    ),
    "no revocation": lambda s: s.unrecognized_fields.update({REVOKED_FIELD: []}),
    "a line break in a reason": lambda s: s.unrecognized_fields.update(
        {REVOKED_FIELD: [{**REVOKED[0], "reason": "x\nvalid until 2027"}]}
    ),
    "another order of reading": lambda s: s.unrecognized_fields.update(
        {REVOKED_FIELD: [{**REVOKED[0], "reason": "x\u202egpj"}]}
    ),
    "another specification": lambda s: setattr(s, "spec_version", "1.0.31\n"),
}


@pytest.mark.parametrize("case", NOT_SHOWN)
def test_what_cannot_be_shown_whole_is_not_signed(fresh: Path, kit: ReleaseKit, case: str) -> None:
    before = review(BundleDirectory(fresh), now())
    alter(fresh, NOT_SHOWN[case])
    data = (fresh / "trust/targets.json").read_bytes()
    with pytest.raises(SignatureError):
        review(BundleDirectory(fresh), now())
    with pytest.raises(SignatureError):
        approve(BundleDirectory(fresh), before, kit.approvers[0].signer, TICKET, now())
    assert (fresh / "trust/targets.json").read_bytes() == data


def test_what_was_not_shown_is_not_signed(fresh: Path, kit: ReleaseKit) -> None:
    """Between the page and the answer the medium may be another one."""
    seen = review(BundleDirectory(fresh), now())
    alter(fresh, lambda signed: signed.unrecognized_fields.update({REVOKED_FIELD: REVOKED}))
    with pytest.raises(CouldNotVerifyError, match="changed while it was being approved"):
        approve(BundleDirectory(fresh), seen, kit.approvers[0].signer, TICKET, now())
    assert not Metadata[Any].from_bytes((fresh / "trust/targets.json").read_bytes()).signatures


def restate(bundle: Path, kit: ReleaseKit, name: str, change: Callable[[Any], None]) -> None:
    """Let the build system say something else in one of its statements."""
    path = bundle / name
    payload = json.loads(base64.b64decode(json.loads(path.read_bytes())["payload"]))
    change(payload["predicate"])
    digest = f"sha256:{payload['subject'][0]['digest']['sha256']}"
    made = make_statement("bundle.json", digest, payload["predicateType"], payload["predicate"])
    path.write_bytes(sign_statement(made, kit.builder.signer))


def _internal(predicate: Any) -> Any:
    return predicate["buildDefinition"]["internalParameters"]


LIES: dict[str, tuple[str, Callable[[Any], None]]] = {
    "another host": (PROVENANCE_NAME, lambda p: _internal(p).update(hosts=["good.example.org"])),
    "other content": (
        PROVENANCE_NAME,
        lambda p: p["buildDefinition"].update(resolvedDependencies=[]),
    ),
    "content left out": (PROVENANCE_NAME, lambda p: _internal(p).update(dependenciesLeftOut=5)),
    "nothing added": (
        CHANGES_NAME,
        lambda p: p.update(files={"added": [], "removed": [], "moved": []}),
    ),
    "unsigned images": (CHANGES_NAME, lambda p: p.update(unsigned=["a:1"])),
    "more unsigned images": (CHANGES_NAME, lambda p: p.update(unsignedLeftOut=1)),
    "platforms": (
        CHANGES_NAME,
        lambda p: p.update(platforms={"added": ["linux/arm64"], "removed": []}),
    ),
    "waivers": (
        CHANGES_NAME,
        lambda p: p["waivers"].update(
            new=[
                {
                    "images": ["a"],
                    "reason": "r",
                    "approvedBy": "A",
                    "expires": "2030-01-01",
                    "ticket": "T",
                }
            ]
        ),
    ),
}


@pytest.mark.parametrize("case", LIES)
def test_a_statement_that_contradicts_the_bundle_is_refused(
    fresh: Path, kit: ReleaseKit, case: str
) -> None:
    name, change = LIES[case]
    restate(fresh, kit, name, change)
    with pytest.raises(AttestationError, match="contradicts the bundle"):
        review(BundleDirectory(fresh), now())


@pytest.fixture
def second(tmp_path: Path, kit: ReleaseKit, fresh: Path) -> Path:
    path = make_bundle(tmp_path / "second", b"other content", "2.0.0")
    release_bundle(path, kit)
    return path


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("added", [{"name": "https://files.example.org/never", "digest": DIGEST}]),
        ("removed", [{"name": "https://files.example.org/file", "digest": DIGEST}]),
        ("moved", [{"name": "https://files.example.org/file", "old": DIGEST, "new": DIGEST}]),
    ],
)
def test_a_later_release_claims_nothing_false(
    second: Path, kit: ReleaseKit, what: str, value: Any
) -> None:
    restate(second, kit, CHANGES_NAME, lambda p: p["files"].update({what: value}))
    with pytest.raises(AttestationError, match="contradicts the bundle"):
        review(BundleDirectory(second), now())


def test_with_the_release_before_nothing_can_be_left_out(
    fresh: Path, second: Path, kit: ReleaseKit
) -> None:
    before = (fresh / "bundle.json").read_bytes()
    assert any("moved from" in line for line in shown(second, before))
    restate(second, kit, CHANGES_NAME, lambda p: p["files"].update(moved=[]))
    lines = shown(second)
    assert "as the build system claims" in row(lines, "changes")
    assert any("--previous" in line for line in lines)
    with pytest.raises(AttestationError, match="contradicts the bundle"):
        shown(second, before)


def test_the_release_before_must_be_the_one_that_was_compared(second: Path) -> None:
    with pytest.raises(AttestationError, match="compared with release 1"):
        shown(second, (second / "bundle.json").read_bytes())


def _sign_for(bundle: Path, kit: ReleaseKit, name: str, days: int) -> None:
    """Let whoever has the build system's key sign for longer."""
    end = now() + timedelta(days=days)
    if name == "snapshot.json":
        reissue(bundle, kit, lambda signed: setattr(signed, "expires", end))
    else:
        edit(bundle, name, lambda m: setattr(m.signed, "expires", end), kit.builder.signer)


@pytest.mark.parametrize(("name", "most"), [("timestamp.json", 91), ("snapshot.json", 366)])
def test_a_stolen_key_of_the_build_system_cannot_hold_a_site_for_ever(
    fresh: Path, kit: ReleaseKit, state: TrustState, name: str, most: int
) -> None:
    approve_all(fresh, kit)
    _sign_for(fresh, kit, name, most)
    verify_trust(BundleDirectory(fresh), state)
    for days in (most + 1, 3650):
        _sign_for(fresh, kit, name, days)
        with pytest.raises(LifetimeError, match=f"{name}: expected it to expire within {most}"):
            verify_trust(BundleDirectory(fresh), state)
        with pytest.raises(LifetimeError):
            review(BundleDirectory(fresh), now())
