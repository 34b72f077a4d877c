"""Stock cosign, which is not ours, on a bundle's attestations and detached signatures."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from bundle.base.digest import hex_of
from bundle.cli.main import cli
from bundle.trust.attestations.checked import CHANGES_NAME, PROVENANCE_NAME, approval_name, key_name
from tests.support.documents.verify_text import steps_of_document, type_steps
from tests.support.programs.go_tools import BUILD_SECONDS, go_tool
from tests.support.programs.needs import requires_tool
from tests.support.trust.release_kit import ReleaseKit, make_release, trusted_bundle

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(BUILD_SECONDS + 300)]

STEP = steps_of_document()[6]
TYPES = {
    PROVENANCE_NAME: "slsaprovenance1",
    CHANGES_NAME: "urn:isoward:changes:v1",
}


@pytest.fixture(scope="module")
def cosign() -> Path:
    return go_tool("cosign")


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> ReleaseKit:
    """A vendor with keys of both types that cosign takes."""
    directory = tmp_path_factory.mktemp("vendor")
    return make_release(directory, type_="ecdsa-p256", approver_types=("ed25519", "ecdsa-p256"))


@pytest.fixture
def bundle(tmp_path: Path, kit: ReleaseKit) -> Path:
    return trusted_bundle(tmp_path / "bundle", kit)


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def verify(cosign: Path, bundle: Path) -> Run:
    """Run a verification by cosign in the bundle's folder."""

    def run(command: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [cosign, command, "--insecure-ignore-tlog", *map(str, arguments), "bundle.json"],
            cwd=bundle,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run


def key_ids(kit: ReleaseKit) -> list[str]:
    """Return who signed: the builder and the first two approvers."""
    keys = (kit.builder, *kit.approvers[:2])
    return [key.signer.public_key.keyid for key in keys]


def attestation(verify: Run, key_id: str, name: str, type_: str) -> int:
    done = verify(
        "verify-blob-attestation", "--key", key_name(key_id), "--signature", name, "--type", type_
    )
    assert ("Verified OK" in done.stderr) == (done.returncode == 0), done.stderr
    return done.returncode


def test_the_documented_step_verifies_all(bundle: Path, cosign: Path) -> None:
    done = type_steps([STEP], bundle, "", [cosign.parent])
    assert done.returncode == 0
    assert done.stderr.count("Verified OK") == 3 + 4
    assert "NOT" not in done.stdout
    assert '"ticket": "CHG-1234"' in done.stdout


def test_the_documented_step_needs_no_network(bundle: Path, cosign: Path) -> None:
    requires_tool("unshare")
    step = f"unshare --net --map-root-user bash <<'EOF_STEP'\n{STEP}EOF_STEP\n"
    done = type_steps([step], bundle, "", [cosign.parent])
    assert done.stderr.count("Verified OK") == 3 + 4, done.stderr


def test_a_wrong_key_is_refused(bundle: Path, kit: ReleaseKit, verify: Run) -> None:
    builder, ada, ben = key_ids(kit)
    assert attestation(verify, builder, PROVENANCE_NAME, TYPES[PROVENANCE_NAME]) == 0
    for other in (ada, ben):
        assert attestation(verify, other, PROVENANCE_NAME, TYPES[PROVENANCE_NAME]) != 0
    name = f"attestations/bundle.json.{ada[:16]}.sig"
    assert verify("verify-blob", "--key", key_name(ada), "--signature", name).returncode == 0
    for other in (builder, ben):
        assert verify("verify-blob", "--key", key_name(other), "--signature", name).returncode != 0


def test_another_bundle_json_is_refused(bundle: Path, kit: ReleaseKit, verify: Run) -> None:
    path = bundle / "bundle.json"
    path.write_bytes(path.read_bytes().replace(b"tiny", b"tinz"))
    builder, ada, _ = key_ids(kit)
    for name, type_ in TYPES.items():
        assert attestation(verify, builder, name, type_) != 0
    assert attestation(verify, ada, approval_name(ada), "urn:isoward:approval:v1") != 0
    for key_id in key_ids(kit):
        name = f"attestations/bundle.json.{key_id[:16]}.sig"
        assert verify("verify-blob", "--key", key_name(key_id), "--signature", name).returncode != 0


def test_an_altered_statement_is_refused(bundle: Path, kit: ReleaseKit, verify: Run) -> None:
    _, ada, ben = key_ids(kit)
    for key_id in (ada, ben):
        path = bundle / approval_name(key_id)
        envelope = json.loads(path.read_bytes())
        payload = base64.b64decode(envelope["payload"]).replace(b"CHG-1234", b"CHG-9999")
        envelope["payload"] = base64.b64encode(payload).decode()
        path.write_text(json.dumps(envelope))
        assert attestation(verify, key_id, approval_name(key_id), "urn:isoward:approval:v1") != 0


def test_a_statement_of_another_type_is_refused(kit: ReleaseKit, verify: Run) -> None:
    builder, *_ = key_ids(kit)
    assert attestation(verify, builder, PROVENANCE_NAME, "urn:isoward:changes:v1") != 0
    assert attestation(verify, builder, CHANGES_NAME, "slsaprovenance1") != 0


def test_the_attestation_of_another_release_is_refused(
    tmp_path: Path, bundle: Path, kit: ReleaseKit, verify: Run
) -> None:
    other = trusted_bundle(tmp_path / "other", kit, "2.0.0")
    builder, *_ = key_ids(kit)
    for name, type_ in TYPES.items():
        shutil.copy(other / name, bundle / name)
        assert attestation(verify, builder, name, type_) != 0


def test_a_receipt_is_verified(tmp_path: Path, bundle: Path, kit: ReleaseKit, verify: Run) -> None:
    requires_tool("openssl")
    receipt, public = tmp_path / "receipt.json", tmp_path / "public.pem"
    key = str(kit.stranger.path)
    done = CliRunner().invoke(
        cli,
        [
            *("verify", str(bundle), "--fingerprint", hex_of(kit.fingerprint)),
            *("--receipt", str(receipt), "--key", key),
        ],
    )
    assert done.exit_code == 0, done.output
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    asked = ("--type", "https://slsa.dev/verification_summary/v1", "--signature", receipt)
    said = verify("verify-blob-attestation", "--key", public, *asked)
    assert said.returncode == 0, said.stderr
    wrong = verify("verify-blob-attestation", "--key", key_name(key_ids(kit)[0]), *asked)
    assert wrong.returncode != 0


def test_which_key_types_cosign_takes(tmp_path: Path, cosign: Path) -> None:
    """As docs/VERIFY.md says; a cosign that takes more makes this fail, and the table better."""
    taken = {}
    for type_ in ("ed25519", "ecdsa-p256", "ecdsa-p384", "ml-dsa-65"):
        kit = make_release(tmp_path / type_, type_=type_)
        bundle = trusted_bundle(tmp_path / type_ / "bundle", kit)
        done = type_steps([STEP], bundle, "", [cosign.parent])
        taken[type_] = done.stderr.count("Verified OK")
    assert taken == {"ed25519": 7, "ecdsa-p256": 7, "ecdsa-p384": 0, "ml-dsa-65": 0}
