"""Blobs that the depot's disk changed: found, told by name, not served, restored by an import."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bundle.base.digest import hex_of
from bundle.base.limits import MIB
from installer.depot.check_pass import CheckResult, PassRecord, Settings, run_pass
from installer.depot.marks import Marks
from installer.serving.live import LiveDepot
from installer.serving.watch import Pace, Watch
from tests.support.depot.imported import import_now
from tests.support.sites.depot_site import WEB, Site
from tests.support.trust.commands import Isoward

NOW = datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)
FILE = "/files/example.org/large.bin"


def flip(path: Path) -> None:
    """Change one bit in the middle, as a disk does: neither size nor time tell."""
    found = path.stat()
    mode = found.st_mode
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(found.st_size // 2)
        byte = file.read(1)[0]
        file.seek(found.st_size // 2)
        file.write(bytes([byte ^ 4]))
    path.chmod(mode)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def check(
    site: Site, *, batch: int = MIB, pace: Callable[[int], None] = lambda _: None
) -> CheckResult:
    record = PassRecord(site.depot, "test")
    return run_pass(site.depot, record, lambda: NOW, Settings(2, batch, pace))


def anew(site: Site) -> Site:
    """The same depot, served by a new process."""
    return Site(site.kit, site.depot, LiveDepot(site.depot))


@pytest.fixture
def large(site: Site) -> Path:
    return site.depot.blob_path(site.ask(FILE).header("docker-content-digest"))


@pytest.fixture
def layer(site: Site) -> Path:
    """A blob that only an OCI manifest names."""
    index = json.loads(site.ask(f"/v2/{WEB}/manifests/2.1").body)
    child = site.ask(f"/v2/{WEB}/manifests/{index['manifests'][0]['digest']}").body
    return site.depot.blob_path(json.loads(child)["layers"][0]["digest"])


def test_a_good_depot_is_good(site: Site) -> None:
    result = check(site)
    assert (result.marks, result.content.broken, result.unwritten) == ([], (), "")
    assert len(result.content.targets) == len(list(site.depot.blobs.iterdir()))
    health = json.loads(site.ask("/healthz").body)
    assert (health["status"], health["damaged"], health["damagedBlobs"]) == ("ok", 0, [])


def test_one_flipped_bit_is_found_and_told_by_what_it_is_of(
    site: Site, large: Path, layer: Path
) -> None:
    for path in (large, layer):
        flip(path)
    found = {mark.digest: mark for mark in check(site).marks}
    assert {hex_of(digest) for digest in found} == {large.name, layer.name}
    assert {mark.problem for mark in found.values()} == {"digest"}
    of = {name for mark in found.values() for name in mark.of}
    assert any(name.startswith(f"{WEB}:2.1 (") for name in of)
    assert any("example.org/large.bin (" in name for name in of)


@pytest.mark.parametrize("problem", ["missing", "size", "unreadable"])
def test_what_else_can_happen_to_a_blob(site: Site, problem: str, large: Path) -> None:
    path = large
    path.chmod(0o644)
    if problem == "size":
        path.write_bytes(b"short")
    else:
        path.unlink()
    if problem == "unreadable":
        path.symlink_to("/etc/hostname")
    (mark,) = check(site).marks
    assert (hex_of(mark.digest), mark.problem) == (path.name, problem)


def test_what_was_found_damaged_is_not_served_until_an_import_restores_it(
    site: Site, base: Path, caplog: pytest.LogCaptureFixture, large: Path, layer: Path
) -> None:
    for path in (large, layer):
        flip(path)
    asked = [FILE, f"/v2/{WEB}/blobs/sha256:{layer.name}"]
    assert [site.ask(target).status for target in asked] == [200, 200]
    check(site)
    with caplog.at_level(logging.ERROR, "isoward.depot"):
        for target in asked:
            for method in ("GET", "HEAD"):
                refused = site.ask(target, method)
                assert (refused.status, refused.file) == (500, None)
                assert b"damaged" in refused.body
    assert layer.name in caplog.text
    health = json.loads(site.ask("/healthz").body)
    assert (health["status"], health["damaged"]) == ("degraded", 2)
    assert {hex_of(blob["digest"]) for blob in health["damagedBlobs"]} == {
        large.name,
        layer.name,
    }
    outcome = import_now(base / "bundle", site.depot.path)
    assert len(outcome.healed) == 2
    assert [site.ask(target).status for target in asked] == [200, 200]
    assert json.loads(site.ask("/healthz").body)["status"] == "ok"
    assert list((site.depot.path / "damaged").iterdir()) == []
    assert check(site).marks == []


def test_a_mark_is_of_one_file_and_says_nothing_of_the_next(site: Site, large: Path) -> None:
    """An import may restore a blob between its reading and its mark."""
    flip(large)
    check(site)
    data = large.read_bytes()
    large.unlink()
    large.write_bytes(data)
    assert site.ask(FILE).status == 200
    assert Marks(site.depot).standing() == []


def test_a_mark_that_cannot_be_read_is_no_praise(site: Site, large: Path) -> None:
    flip(large)
    check(site)
    (mark,) = (site.depot.path / "damaged").iterdir()
    mark.write_text("{}")
    assert site.ask(FILE).status == 500


def test_a_blob_that_is_good_again_is_served_again(site: Site, large: Path) -> None:
    flip(large)
    check(site)
    flip(large)
    assert check(site).marks == []
    assert site.ask(FILE).status == 200


@pytest.mark.parametrize(
    "target",
    [
        f"/v2/{WEB}/manifests/2.1",
        "/os/debian-12/keyring.gpg",
        "/os/debian-12/debian/dists/bookworm/InRelease",
    ],
)
def test_what_clients_parse_is_checked_before_it_is_sent(
    site: Site, target: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = site.ask(target)
    path = site.depot.blob_path(good.header("docker-content-digest"))
    assert good.body == path.read_bytes()
    assert good.file is None
    assert site.ask(target, range="bytes=1-3").body == path.read_bytes()[1:4]
    flip(path)
    with caplog.at_level(logging.ERROR, "isoward.depot"):
        refused = anew(site).ask(target)
    assert refused.status == 500
    assert path.name in caplog.text
    assert json.loads(anew(site).ask("/healthz").body)["damaged"] == 1


def test_a_large_list_is_checked_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("installer.serving.content.MAX_OCI_MANIFEST_BYTES", 8)
    target = "/os/debian-12/debian/dists/bookworm/InRelease"
    good = site.ask(target)
    assert good.file is not None
    assert site.ask(target).status == 200
    flip(good.file.path)
    assert anew(site).ask(target).status == 500


def test_an_interrupted_pass_goes_on_where_it_was_and_forgets_nothing(site: Site) -> None:
    paths = sorted(site.depot.blobs.iterdir())
    flip(paths[0])
    flip(paths[-1])
    read = []

    def stop_later(_: int) -> None:
        read.append(1)
        if len(read) == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_pass(
            site.depot, PassRecord(site.depot, "test"), lambda: NOW, Settings(1, 1, stop_later)
        )
    count: list[int] = []
    result = check(site, pace=lambda _: count.append(1))
    assert result.resumed
    assert len(count) < len(paths) - 5
    assert [hex_of(mark.digest) for mark in result.marks] == [paths[0].name, paths[-1].name]
    assert not check(site).resumed


def test_a_depot_that_cannot_be_written_to_is_checked_all_the_same(site: Site, large: Path) -> None:
    flip(large)
    (site.depot.path / "damaged").write_text("in the way")
    (site.depot.path / "check").write_text("in the way")
    result = check(site)
    assert result.unwritten
    assert [hex_of(mark.digest) for mark in result.marks] == [large.name]


def test_the_rate_is_bounded_and_a_pause_earns_nothing() -> None:
    clock = [100.0]
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock[0] += seconds

    pace = Pace(MIB, lambda: clock[0], sleep)
    for _ in range(10):
        pace(MIB)
    assert clock[0] == pytest.approx(110)
    clock[0] += 1000
    pace(4 * MIB)
    assert clock[0] == pytest.approx(1114)


def test_the_watch_reads_everything_once_a_day(
    site: Site, caplog: pytest.LogCaptureFixture, large: Path
) -> None:
    moment = [NOW]
    slept: list[float] = []
    watch = Watch(site.depot, clock=lambda: moment[0], monotonic=lambda: 0.0, sleep=slept.append)
    assert watch.look() is not None
    total = sum(path.stat().st_size for path in site.depot.blobs.iterdir())
    assert slept[-1] == pytest.approx(total / (32 * MIB))
    flip(large)
    assert watch.look() is None
    moment[0] += timedelta(hours=25)
    with caplog.at_level(logging.ERROR, "isoward.depot"):
        result = watch.look()
    assert result is not None
    assert [hex_of(mark.digest) for mark in result.marks] == [large.name]
    assert "example.org/large.bin" in caplog.text
    health = json.loads(site.ask("/healthz").body)
    assert health["check"]["finished"] == "2027-01-03T04:04:05Z"
    moment[0] -= timedelta(days=300)
    assert watch.look() is not None


def test_the_command_names_what_is_hit(
    site: Site, capsys: pytest.CaptureFixture[str], large: Path, layer: Path
) -> None:
    isoward = Isoward(capsys)
    good = isoward("depot", "check", "--depot", site.depot.path)
    assert (good.code, good.out.startswith("the depot is intact: ")) == (0, True)
    flip(layer)
    bad = isoward("depot", "check", "--depot", site.depot.path)
    assert bad.code == 21
    assert layer.name in bad.out
    assert f"{WEB}:2.1" in bad.out
    assert "isoward import" in bad.out
    large.unlink()
    data = isoward("depot", "check", "--depot", site.depot.path, "--json").json
    assert {entry["problem"] for entry in data["damaged"]} == {"digest", "missing"}
    assert not data["good"]
    assert isoward("depot", "check", "--depot", site.depot.path).code == 20


def test_a_damaged_record_of_an_import_is_told_as_well(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    (name,) = site.depot.bundle_names()
    (site.depot.bundles / name / "bundle.json").write_text("{}")
    bad = Isoward(capsys)("depot", "check", "--depot", site.depot.path)
    assert (bad.code, name in bad.out) == (20, True)


def test_what_is_no_depot_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Isoward(capsys)("depot", "check", "--depot", tmp_path).code == 11
