"""What a real build attests of itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bundle.store.layout import BundleDirectory
from bundler.release.review import review
from tests.support.programs.needs import requires_tool
from tests.support.registries.journey import BUILDER, Journey, build
from tests.support.trust.release_kit import now


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    command = ["git", *identity, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_build_without_git_says_so(journey: Journey) -> None:
    builder = review(BundleDirectory(journey.bundle), now()).builder
    provenance = builder.provenance
    manifest = journey.manifest()
    assert builder.name == BUILDER
    assert list(provenance.hosts) == manifest["sources"]
    assert provenance.source.kind == "none"
    named = {found.digest.sha256 for found in provenance.build_definition.resolved_dependencies}
    wanted = [*manifest["images"], *manifest["files"]]
    assert {entry["digest"].removeprefix("sha256:") for entry in wanted} <= named
    asked = provenance.build_definition.external_parameters
    assert f"sha256:{asked.lock.digest.sha256}" == manifest["lock"]
    times = provenance.run_details.metadata
    assert times.started_on <= times.finished_on


def test_a_build_in_a_work_tree_names_the_commit_and_gives_the_same_bundle_json(
    journey: Journey, tmp_path: Path
) -> None:
    requires_tool("git")
    git(tmp_path, "init", "--quiet")
    lock = tmp_path / "platform.lock.yaml"
    lock.write_bytes(journey.lock.read_bytes())
    git(tmp_path, "add", lock.name)
    git(tmp_path, "commit", "--quiet", "--message=lock")
    bundle = tmp_path / "bundle"
    build(journey.machine, lock, bundle, journey.release, journey.keys)
    seen = review(BundleDirectory(bundle), now())
    source = seen.builder.provenance.source
    assert source.commit == git(tmp_path, "rev-parse", "HEAD")
    assert (source.clean, source.lock_committed, source.signature) == (True, True, "none")
    assert (bundle / "bundle.json").read_bytes() == (journey.bundle / "bundle.json").read_bytes()
    assert seen.builder.changes.previous is None
    assert not seen.approvals
