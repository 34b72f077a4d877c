"""What an installation and a depot that is served say of waivers and of releases taken back."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from bundle.base.canonical import canonical_json
from bundle.trust.metadata.restrictions import RevokedRelease
from bundle.trust.site.state import load_states, save_state
from installer.depot.directory import DepotDirectory, RecordedWaiver
from installer.serving.tls.certificate import made_identity
from tests.lab.content import lab_depot
from tests.support.depot.imported import serving
from tests.support.sites.plain import HOST_KEY, node_data, site_data, write_site
from tests.unit.installer.installation.test_install_command import _isoward

WAIVER = RecordedWaiver(
    digest=f"sha256:{'ab' * 32}",
    reason="The vendor cannot be reached",
    ticket="CHG-7",
    expires="2099-01-01T00:00:00Z",
    signers=("Olga Operator", "Otto Officer"),
)
SAID = "by a waiver of Olga Operator and Otto Officer until 2099-01-01T00:00:00Z (CHG-7: The vendor"

# What is said of a waiver does not hang on the steps, and those with Ansible take ten seconds.
_REHEARSAL = ("--connection", "local", "--dry-run", "--until", "preflight")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = lab_depot(tmp_path_factory.mktemp("exceptions"))
    made_identity(path / "tls", ["127.0.0.1"], lambda: datetime.now(UTC))
    return path


@pytest.fixture
def depot(tmp_path: Path, good: Path) -> DepotDirectory:
    shutil.copytree(good, tmp_path / "depot")
    return DepotDirectory(tmp_path / "depot")


def waive(depot: DepotDirectory) -> None:
    (record,) = depot.records()
    path = depot.bundle_path(record.digest) / "import.json"
    path.write_bytes(canonical_json(record.with_waiver(WAIVER)))


def revoke(depot: DepotDirectory) -> None:
    (record,) = depot.records()
    entry = RevokedRelease(release=record.release, digest=record.digest, reason="it loses data")
    (state,) = load_states(depot.trust)
    save_state(depot.trust, msgspec.structs.replace(state, revoked=(entry,)))


def site_file(tmp_path: Path) -> Path:
    return write_site(tmp_path, site_data(nodes=[node_data(HOST_KEY, 9)]))


def test_an_installation_says_that_it_lives_on_a_waiver(
    tmp_path: Path, depot: DepotDirectory
) -> None:
    waive(depot)
    arguments = (site_file(tmp_path), "--depot", depot.path, *_REHEARSAL)
    done = _isoward(*arguments)
    assert done.returncode == 0, done.stderr
    assert f"WAIVER: release 1 of {depot.records()[0].metadata.name} came in EXPIRED" in done.stdout
    assert SAID in done.stdout
    assert SAID in json.loads(_isoward(*arguments, "--json").stdout)["waiver"]
    for receipt in depot.runs.glob("*/receipt.json"):
        assert SAID in json.loads(receipt.read_bytes())["bundle"]["waiver"]


def test_without_one_it_says_nothing(tmp_path: Path, depot: DepotDirectory) -> None:
    arguments = (site_file(tmp_path), "--depot", depot.path, *_REHEARSAL)
    done = _isoward(*arguments, "--json")
    assert json.loads(done.stdout)["waiver"] is None
    assert "WAIVER" not in _isoward(*arguments).stdout


def test_a_revoked_release_is_not_installed(tmp_path: Path, depot: DepotDirectory) -> None:
    revoke(depot)
    done = _isoward(site_file(tmp_path), "--depot", depot.path, "--json")
    assert done.returncode == 39
    said = json.loads(done.stdout)
    assert said["error"] == "revoked-release"
    assert "it loses data" in said["message"]
    assert "newer release" in said["hint"]


def test_what_is_served_is_said_at_the_start(tmp_path: Path, depot: DepotDirectory) -> None:
    """A release that was taken back is served on, since nodes restart from it."""
    waive(depot)
    revoke(depot)
    with serving(depot.path, tmp_path) as running:
        catalogue = running.json("/v2/_catalog")
        assert catalogue["repositories"]
        ready = json.loads((tmp_path / "ready.json").read_bytes())
        # Beside them it may say that this address is of no use to nodes.
        assert sum("release 1" in said for said in ready["notices"]) == 2
        log = running.child.log.read_text()
    assert f"NOTICE: {ready['notices'][0]}" in log
    assert SAID in log
    assert "was REVOKED by its approvers: it loses data" in log
