"""The step `depot`, against real depots on the loopback interface."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bundle.base.errors import StepError, UnreachableError, UsageError
from bundle.kinds.kubespray import KubesprayFile, KubesprayImage, LockedKubespray
from bundle.kinds.python_packages import LockedPythonSet, LockedWheel, PythonEnvironment
from bundle.store.programs import Finished
from installer.core.step import Context
from installer.depot.client.expected_content import wanted_of
from installer.depot.client.service import ThisMachine, lasting_python
from installer.depot.client.unit import MARK, Service, unit_text
from installer.serving.listening import CONNECTIONS, FILES
from installer.steps.start_depot import DepotStep
from tests.support.depot.imported import (
    RunningDepot,
    change_lock,
    import_now,
    rich_sample,
    serving,
    signed_bundle,
)
from tests.support.documents.content import Maker
from tests.support.programs.processes import free_port
from tests.support.registries.tls import make_server_tls
from tests.support.sites.plain import site_data, site_of
from tests.support.sites.step_context import step_context
from tests.support.trust.release_kit import enrolled, make_release

_WHEEL = "example-1.0-py3-none-any.whl"
_NOBODY = ThisMachine(booted=Path("/nowhere"))


@dataclass(frozen=True)
class World:
    """A depot with the bundle, and another one without it."""

    depot: Path
    poor: Path

    def context(self, folder: Path, *depots: RunningDepot) -> Context:
        """Return what the step is given for a site of these depots."""
        addresses = [_address(depot.url) for depot in depots]
        data = site_data(**dict(zip(("depot", "secondDepot"), addresses, strict=False)))
        ca = b"".join(depot.ca.read_bytes() for depot in depots)
        return step_context(self.depot, site_of(data), folder, ca=ca, ssh_key=folder / "key")


def _second(depot: Path, folder: Path) -> AbstractContextManager[RunningDepot]:
    """Serve a second depot: at another address, as a site file demands."""
    return serving(depot, folder, ["--address", "127.0.0.2"])


def _address(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {"address": parts.hostname, "port": parts.port}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    work = tmp_path_factory.mktemp("depots")
    kit, made = make_release(work), World(work / "depot", work / "poor")
    lock, blobs = rich_sample()
    make = Maker(blobs)
    tree, wheel = make.put(b"tar"), make.put(b"wheel")
    (first, *_) = lock.files
    kubespray = LockedKubespray(
        version="v9.1.0",
        path="kubespray",
        tree=tree.digest,
        tree_size=tree.size,
        inventory=tree.digest,
        files=(
            KubesprayFile(
                name="tool", path="tool", url=first.url or "", digest=first.digest,
                checksum=first.digest, platforms=("linux/amd64",),
            ),
        ),
        images=(KubesprayImage(name="pause", reference=lock.images[0].reference),),
    )  # fmt: skip
    python = LockedPythonSet(
        name="control",
        files=(
            LockedWheel(
                name=_WHEEL, url=f"https://example.org/{_WHEEL}",
                digest=wheel.digest, size=wheel.size,
            ),
        ),
        environments=(
            PythonEnvironment(
                name="kubespray", python="3.11", platform="linux/amd64", wheels=(_WHEEL,)
            ),
        ),
    )  # fmt: skip
    full = change_lock(lock, kubespray=kubespray, python_packages=(python,))
    for depot, what in ((made.poor, lock), (made.depot, full)):
        signed_bundle(work / f"bundle-{depot.name}", kit, what, make.blobs)
        enrolled(depot, kit)
        import_now(work / f"bundle-{depot.name}", depot)
    return made


@pytest.fixture(scope="module")
def rich(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDepot]:
    with serving(world.depot, tmp_path_factory.mktemp("rich")) as running:
        yield running


@pytest.fixture(scope="module")
def poor(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDepot]:
    with _second(world.poor, tmp_path_factory.mktemp("poor")) as running:
        yield running


def test_a_depot_that_has_everything(world: World, rich: RunningDepot, tmp_path: Path) -> None:
    context = world.context(tmp_path, rich)
    said = DepotStep(machine=_NOBODY).run(context)
    paths = {wanted.path for wanted in wanted_of(context.bundle)}
    assert said["service"] == "answers"
    assert [(d["url"], d["has"]) for d in said["depots"]] == [(rich.url, len(paths))]
    assert {
        "/files/example.org/tool-1.4.tar.gz",
        "/v2/library/busybox/manifests/1.36?ns=docker.io",
        "/v2/team/tool/manifests/v1?ns=registry.example.org%3A5000",
        "/os/debian-12/debian/dists/bookworm/InRelease",
        "/os/debian-12/keyring.gpg",
        "/pypi/control/simple/",
    } < paths
    assert not any("/pool/" in path for path in paths)


def test_what_is_asked_changes_nothing_and_is_asked_again_when_it_may_differ(
    world: World, rich: RunningDepot, poor: RunningDepot, tmp_path: Path
) -> None:
    context = world.context(tmp_path, rich)
    step = DepotStep(machine=_NOBODY)
    assert list(step.changes(context)) == []
    inputs = step.inputs(context)
    assert inputs["depots"] == [rich.url]
    other = world.context(tmp_path / "other", rich, poor)
    assert step.inputs(other) != inputs


def test_a_second_depot_without_the_bundle_is_named(
    world: World, rich: RunningDepot, poor: RunningDepot, tmp_path: Path
) -> None:
    context = world.context(tmp_path, rich, poor)
    with pytest.raises(StepError) as caught:
        DepotStep(machine=_NOBODY).run(context)
    assert caught.value.message.startswith(f"{poor.url}: expected the index control")
    assert "found HTTP status 404" in caught.value.message
    assert f"lacks 1 of {len(wanted_of(context.bundle))}" in caught.value.message
    assert "isoward import" in caught.value.hint


def test_a_second_depot_that_is_down_is_named(
    world: World, rich: RunningDepot, tmp_path: Path
) -> None:
    with _second(world.poor, tmp_path) as second:
        context = world.context(tmp_path / "c", rich, second)
    with pytest.raises(UnreachableError, match=f"{second.url}: nothing answers as a depot"):
        DepotStep(machine=_NOBODY).run(context)


def test_content_that_is_damaged_on_the_depot_s_disk_is_found(
    world: World, rich: RunningDepot, tmp_path: Path
) -> None:
    context = world.context(tmp_path, rich)
    entry = context.bundle.manifest.kubespray
    assert entry is not None
    blob = context.depot.blob_path(entry.files[0].digest)
    kept = blob.read_bytes()
    try:
        blob.write_bytes(kept[:-1])
        with pytest.raises(StepError, match=r"the file tool .* found HTTP status 500") as caught:
            DepotStep(machine=_NOBODY).run(context)
    finally:
        blob.write_bytes(kept)
    assert caught.value.context["missing"] == 1


def test_another_ca_is_not_believed(world: World, rich: RunningDepot, tmp_path: Path) -> None:
    stranger = make_server_tls(tmp_path / "tls").ca
    context = world.context(tmp_path, rich)
    changed = replace(context, ca=stranger.read_bytes())
    with pytest.raises(UnreachableError, match="expected a certificate by the site's CA"):
        DepotStep(machine=_NOBODY).run(changed)
    DepotStep(machine=_NOBODY).run(context)


def test_a_server_that_is_no_depot_or_falls_silent_is_told_from_one(
    world: World, rich: RunningDepot, tmp_path: Path
) -> None:
    with _silent_server() as port:
        site = site_of(site_data(depot={"address": "127.0.0.1", "port": port}))
        context = replace(world.context(tmp_path, rich), site=site)
        with pytest.raises(UnreachableError, match=f"127.0.0.1:{port}"):
            DepotStep(machine=_NOBODY).run(context)


def test_nothing_is_started_where_it_is_not_for_us(
    world: World, rich: RunningDepot, tmp_path: Path
) -> None:
    port = free_port()
    units = tmp_path / "units"
    units.mkdir()
    here = site_of(site_data(depot={"address": "127.0.0.1", "port": port}))
    elsewhere = site_of(site_data(depot={"address": "198.51.100.7", "port": port}))
    context = world.context(tmp_path / "c", rich)
    for site, machine, why in (
        (here, ThisMachine(units=units, booted=tmp_path / "no"), "systemd does not run"),
        (here, ThisMachine(units=units, booted=tmp_path, root=False), "only root"),
        (elsewhere, ThisMachine(units=units, booted=tmp_path), "not this machine's address"),
    ):
        with pytest.raises(UnreachableError, match=why) as caught:
            DepotStep(machine=machine).run(replace(context, site=site))
        assert "isoward serve" in caught.value.hint
    assert list(units.iterdir()) == []


@contextmanager
def _silent_server() -> Iterator[int]:
    """Take connections and close them at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def close_all() -> None:
            while not ended.is_set():
                connection, _ = listener.accept()
                connection.close()

        thread = threading.Thread(target=close_all, daemon=True)
        thread.start()
        port = int(listener.getsockname()[1])
        try:
            yield port
        finally:
            ended.set()
            socket.create_connection(("127.0.0.1", port)).close()
            thread.join(5)


def test_a_service_that_does_not_start_says_why_and_a_strangers_is_left_alone(
    world: World, rich: RunningDepot, tmp_path: Path
) -> None:
    asked: list[list[str]] = []

    def run(command: Sequence[str], **_: Any) -> Finished:
        asked.append(list(command))
        return Finished(1, b"", b"Unit is masked.\n")

    site = site_of(site_data(depot={"address": "127.0.0.1", "port": free_port()}))
    context = replace(world.context(tmp_path / "c", rich), site=site)
    machine = ThisMachine(units=tmp_path, booted=tmp_path, root=True, run=run)
    step = DepotStep(machine=machine)
    assert [change.where for change in step.changes(context)] == ["this machine"]
    with pytest.raises(StepError, match="daemon-reload failed: Unit is masked"):
        step.run(context)
    assert asked == [["systemctl", "daemon-reload"]]
    text = machine.unit.read_text()
    assert f'ReadWritePaths="{world.depot}"\n' in text
    assert list(step.changes(context)) == []
    for stranger in ("[Service]\n", text.replace(str(world.depot), "/srv/another")):
        machine.unit.write_text(stranger)
        with pytest.raises(StepError, match="expected a unit of ours"):
            step.run(context)
        assert machine.unit.read_text() == stranger


def test_a_path_is_written_as_systemd_reads_it(tmp_path: Path) -> None:
    python = tmp_path / "1.0" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    assert lasting_python(python) == python
    (tmp_path / "current").symlink_to("1.0")
    assert lasting_python(python) == tmp_path / "current" / "bin" / "python"
    depot = Path('/srv/50% "here" $HOME\\x')
    text = unit_text(Service(python, depot, 0, "10.0.0.5", 443, "depot.example"))
    assert text.startswith(f"{MARK} ")
    # Files for as many connections as the depot takes, and a certificate without a restart.
    assert f"\nLimitNOFILE={FILES}\n" in text
    assert FILES > 2 * CONNECTIONS
    assert "\nExecReload=/bin/kill -HUP $MAINPID\n" in text
    assert 'ReadWritePaths="/srv/50%% \\"here\\" $HOME\\\\x"\n' in text
    assert '"--depot" "/srv/50%% \\"here\\" $$HOME\\\\x" "--address" "10.0.0.5"' in text
    with pytest.raises(UsageError, match="printable"):
        unit_text(Service(python, Path("/srv/a\nExecStartPre=x"), 0, "10.0.0.5", 443, "d"))
