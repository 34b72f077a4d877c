"""The engine: steps in order, each in the journal, and never one that is finished twice."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bundle.base.errors import (
    AuditError,
    BusyError,
    DefinitionError,
    DigestMismatchError,
    FormatError,
    InterruptedByUserError,
    NotEnrolledError,
    StepError,
    UsageError,
)
from bundle.store.atomic import directory_lock
from installer.core.step import Change, Context, Step
from installer.depot.directory import create_depot, open_depot
from installer.installation.context import InstallRequest, state_folder
from installer.installation.run import Clock, InstallResult, install, plan_installation
from installer.records.journal import JOURNAL_NAME, Record, read_journal
from installer.serving.tls.certificate import made_identity
from installer.site.load import load_site
from installer.steps.verify_medium import VerifyStep
from tests.lab.content import lab_depot
from tests.support.depot.imported import import_now
from tests.support.sites.clusters import cluster_data
from tests.support.sites.plain import site_data, write_site
from tests.support.sites.with_cluster import cluster_bundle


@dataclass
class Writing:
    """A step that appends its name to a file, or fails before."""

    name: str
    log: Path
    title: str = "Write a name"
    error: BaseException | None = None
    depends: dict[str, Any] = field(default_factory=dict)

    def changes(self, context: Context) -> Sequence[Change]:
        return (Change(context.site.nodes[0].name, f"appends {self.name}"),)

    def inputs(self, context: Context) -> Mapping[str, Any]:
        return self.depends

    def run(self, context: Context) -> Mapping[str, Any]:
        assert context.run.is_dir()
        assert context.run.stat().st_mode & 0o777 == 0o700
        if self.error is not None:
            raise self.error
        with self.log.open("a") as file:
            file.write(f"{self.name}\n")
        return {"wrote": self.name}


@dataclass
class World:
    request: InstallRequest
    bundle: Path
    log: Path

    @property
    def state(self) -> Path:
        return state_folder(open_depot(self.request.depot), self.request.site)

    def steps(self, *names: str) -> list[Writing]:
        return [Writing(name, self.log) for name in names]

    def install(self, steps: Sequence[Step], **changes: Any) -> InstallResult:
        return install(replace(self.request, **changes), steps, clock=Clock(_now, _ticks()))

    def written(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []

    def records(self) -> list[Record]:
        return read_journal(self.state / JOURNAL_NAME)


def _now() -> datetime:
    return datetime.now(UTC)


def _ticks() -> Any:
    return iter(range(1_000_000)).__next__


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """A depot and a site that fits it: of a cluster, unless a test asks for one without."""
    depot = tmp_path / "depot"
    if getattr(request, "param", "cluster") == "plain":
        lab_depot(tmp_path)
        made_identity(depot / "tls", ["127.0.0.1"], _now)
        site = load_site(write_site(tmp_path, site_data()))
        return World(InstallRequest(site, depot, who="me"), tmp_path / "bundle", tmp_path / "log")
    bundle = cluster_bundle(tmp_path / "bundle", depot)
    import_now(bundle, depot)
    made_identity(depot / "tls", ["127.0.0.1"], _now)
    site = load_site(write_site(tmp_path, cluster_data(3, "calico")))
    return World(InstallRequest(site, depot, who="me"), bundle, tmp_path / "log")


BOTH = pytest.mark.parametrize("world", ["cluster", "plain"], indirect=True)


@BOTH
def test_each_step_is_done_once_and_recorded_before_and_after(world: World) -> None:
    steps: list[Step] = [VerifyStep(), *world.steps("hosts", "cluster")]
    done = world.install(steps)
    assert world.written() == ["hosts", "cluster"]
    assert [step.name for step in done.steps] == ["verify", "hosts", "cluster"]
    assert not any(step.done_before for step in done.steps)
    blobs = list((world.request.depot / "blobs" / "sha256").iterdir())
    assert done.steps[0].result["blobs"] == len(blobs)
    assert [(r.step, r.event) for r in world.records()] == [
        ("verify", "began"), ("verify", "finished"), ("hosts", "began"), ("hosts", "finished"),
        ("cluster", "began"), ("cluster", "finished"),
    ]  # fmt: skip
    assert done.run is not None
    receipt = json.loads((done.run / "receipt.json").read_bytes())
    assert (receipt["result"], receipt["who"]) == ("ok", "me")
    assert [step["step"] for step in receipt["steps"]] == ["verify", "hosts", "cluster"]
    assert receipt["steps"][1]["wrote"] == "hosts"
    assert [step["result"] for step in receipt["steps"]] == ["ok"] * 3
    again = world.install(steps)
    assert again.run is None
    assert all(step.done_before for step in again.steps)
    assert world.written() == ["hosts", "cluster"]
    assert world.state.stat().st_mode & 0o777 == 0o700


@BOTH
def test_it_goes_on_with_the_step_that_failed(world: World) -> None:
    steps = world.steps("hosts", "cluster", "proofs")
    steps[1].error = StepError("node1: it broke", "Mend it.")
    with pytest.raises(StepError, match="it broke"):
        world.install(steps)
    assert world.records()[-1].result == {"error": "step", "message": "node1: it broke"}
    plan = plan_installation(world.request, steps, now=_now)
    assert [(p.done, p.stopped) for p in plan.steps] == [
        (True, False), (False, True), (False, False),
    ]  # fmt: skip
    steps[1].error = None
    done = world.install(steps)
    assert [step.done_before for step in done.steps] == [True, False, False]
    assert world.written() == ["hosts", "cluster", "proofs"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), InterruptedByUserError("stopped", "")])
def test_a_step_that_was_interrupted_is_done_again(world: World, error: BaseException) -> None:
    steps = world.steps("hosts", "cluster")
    steps[1].error = error
    with pytest.raises(type(error)):
        world.install(steps)
    assert world.records()[-1].event == "interrupted"
    steps[1].error = None
    world.install(steps)
    assert world.written() == ["hosts", "cluster"]


def test_a_step_whose_inputs_changed_is_done_again_with_all_after_it(world: World) -> None:
    steps = world.steps("hosts", "cluster", "proofs")
    world.install(steps)
    steps[1].depends = {"version": 2}
    done = world.install(steps)
    assert [step.done_before for step in done.steps] == [True, False, False]
    assert world.written() == ["hosts", "cluster", "proofs", "cluster", "proofs"]


def test_a_step_can_be_done_again_by_its_name(world: World) -> None:
    steps = world.steps("hosts", "cluster", "proofs")
    world.install(steps)
    world.install(steps, again_from="cluster")
    assert world.written() == ["hosts", "cluster", "proofs", "cluster", "proofs"]
    with pytest.raises(UsageError, match=r"--from: expected one of hosts, .* found 'all'"):
        world.install(steps, again_from="all")


@BOTH
def test_a_rehearsal_does_all_anew_and_leaves_no_word_that_it_is_done(world: World) -> None:
    steps = world.steps("hosts", "cluster")
    world.install(steps[:1])
    before = world.records()
    done = world.install(steps, rehearsal=True)
    assert world.written() == ["hosts", "hosts", "cluster"]
    assert done.run is not None
    assert json.loads((done.run / "receipt.json").read_bytes())["dryRun"] is True
    assert [r.event for r in read_journal(done.run / JOURNAL_NAME)] == ["began", "finished"] * 2
    assert world.records() == before
    assert [p.done for p in plan_installation(world.request, steps, now=_now).steps] == [
        True,
        False,
    ]


@BOTH
def test_it_stops_after_a_step_and_goes_on_from_there(world: World) -> None:
    steps = world.steps("hosts", "cluster", "proofs")
    done = world.install(steps, until="cluster")
    assert [step.name for step in done.steps] == ["hosts", "cluster"]
    assert world.written() == ["hosts", "cluster"]
    world.install(steps)
    assert world.written() == ["hosts", "cluster", "proofs"]
    with pytest.raises(UsageError, match="not before --from proofs"):
        world.install(steps, until="hosts", again_from="proofs")
    with pytest.raises(UsageError, match="--until: expected one of hosts"):
        world.install(steps, until="x")


def test_a_plan_changes_nothing_and_knows_how_long_it_took_before(world: World) -> None:
    steps: list[Step] = [VerifyStep(), *world.steps("hosts", "unheard-of")]
    plan = plan_installation(world.request, steps, now=_now)
    assert not world.state.exists()
    assert [p.done for p in plan.steps] == [False] * 3
    assert plan.steps[1].changes == (Change("node1", "appends hosts"),)
    assert plan.steps[0].expected is not None
    assert not plan.steps[0].expected.recorded_here
    assert plan.steps[2].expected is None
    world.install(steps)
    after = plan_installation(world.request, steps, now=_now)
    assert [p.done for p in after.steps] == [True] * 3
    assert after.steps[2].changes == ()
    assert after.steps[2].expected is not None
    assert after.steps[2].expected.recorded_here
    assert after.steps[2].expected.seconds == world.records()[-1].seconds > 0
    assert after.seconds == 0
    assert after.data()["steps"][0]["done"] is True


def test_a_medium_is_imported_by_the_first_step(tmp_path: Path) -> None:
    depot = tmp_path / "depot"
    bundle = cluster_bundle(tmp_path / "bundle", depot)
    made_identity(depot / "tls", ["127.0.0.1"], _now)
    site = load_site(write_site(tmp_path, cluster_data(1, "calico")))
    world = World(InstallRequest(site, depot, medium=bundle), bundle, tmp_path / "log")
    steps: list[Step] = [VerifyStep(bundle), *world.steps("hosts")]
    # Planned where nothing was ever imported: only the root is enrolled there.
    assert not (depot / "depot.json").exists()
    before = plan_installation(world.request, steps, now=_now)
    assert [p.done for p in before.steps] == [False, False]
    assert before.steps[0].changes
    assert not (depot / "depot.json").exists()
    done = world.install(steps)
    assert done.steps[0].result["imported"] is True
    assert open_depot(depot).records()[0].digest == done.bundle
    plan = plan_installation(world.request, steps, now=_now)
    assert all(p.done for p in plan.steps)
    # Without the medium it is the same installation, and as done.
    assert world.install([VerifyStep(), steps[1]], medium=None).run is None


def test_a_damaged_blob_of_the_depot_is_found_before_any_machine_is_changed(world: World) -> None:
    blob = next((world.request.depot / "blobs" / "sha256").iterdir())
    blob.chmod(0o600)
    data = blob.read_bytes()
    blob.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(DigestMismatchError):
        world.install([VerifyStep(), *world.steps("hosts")])
    assert world.written() == []


@BOTH
def test_a_second_installer_of_the_same_site_is_refused(world: World) -> None:
    world.install(world.steps("hosts"))
    with directory_lock(world.state), pytest.raises(BusyError):
        world.install(world.steps("hosts", "cluster"))
    assert world.written() == ["hosts"]


def test_a_journal_that_was_changed_ends_it_before_anything(world: World) -> None:
    world.install(world.steps("hosts"))
    path = world.state / JOURNAL_NAME
    path.write_bytes(path.read_bytes().replace(b'"began"', b'"failed"'))
    with pytest.raises(AuditError):
        world.install(world.steps("hosts", "cluster"))
    assert world.written() == ["hosts"]


def test_a_depot_and_a_medium_without_what_the_site_needs_are_refused(
    world: World, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    site = load_site(write_site(other, site_data()))
    for medium in (None, world.bundle):
        with pytest.raises(DefinitionError, match=r"firstImage\.reference: expected an image of"):
            world.install(world.steps("hosts"), site=site, medium=medium)
    none = tmp_path / "none"
    with pytest.raises(FormatError, match="not a depot"):
        world.install(world.steps("hosts"), depot=none)
    assert not none.exists()
    empty = create_depot(tmp_path / "empty")
    before = sorted(empty.path.rglob("*"))
    with pytest.raises(DefinitionError, match="expected a bundle with Kubespray"):
        world.install(world.steps("hosts"), depot=empty.path)
    with pytest.raises(NotEnrolledError):
        world.install(world.steps("hosts"), depot=empty.path, medium=world.bundle)
    assert sorted(empty.path.rglob("*")) == before
    with pytest.raises(UsageError):
        world.install(world.steps("hosts"), again_from="x")
    assert not world.state.exists()
    assert world.written() == []
