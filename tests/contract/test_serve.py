"""`isoward serve` and `isoward import` as processes: readiness, signals, kills and errors."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest
import urllib3

from bundle.base.digest import digest_of
from installer.depot.accepted import accepted_bundles
from installer.depot.directory import create_depot, open_depot
from tests.support.depot.imported import (
    ISOWARD,
    change_lock,
    import_now,
    rich_sample,
    serving,
    signed_bundle,
)
from tests.support.documents.content import Maker, sample
from tests.support.trust.release_kit import ReleaseKit, enrolled, make_release


def _run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    argv = [*ISOWARD, *(str(argument) for argument in arguments)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)


def _until(condition: Callable[[], bool]) -> None:
    for _ in range(1500):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("it did not happen")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_cleanly(
    depot_path: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    with serving(depot_path, tmp_path) as served:
        workers = psutil.Process(served.child.pid).children()
        served.child.process.send_signal(number)
        assert served.child.process.wait(60) == code
        assert not any(worker.is_running() for worker in workers)
        text = served.child.log.read_text()
        assert "Traceback" not in text
        assert text.startswith(f"serving {served.url}  CA ")


def test_a_download_does_not_hold_up_the_end(depot_path: Path, tmp_path: Path) -> None:
    with serving(depot_path, tmp_path) as served:
        made = served.pool.request(
            "GET", f"{served.url}/files/example.org/large.bin", preload_content=False
        )
        made.read(10)
        served.child.process.terminate()
        assert served.child.process.wait(60) == 0
        made.close()


def test_a_failed_worker_is_replaced(depot_path: Path, tmp_path: Path) -> None:
    with serving(depot_path, tmp_path, ["--workers", "1"]) as served:
        (worker,) = psutil.Process(served.child.pid).children()
        os.kill(worker.pid, signal.SIGKILL)

        def answers() -> bool:
            try:
                return served.request("/healthz").status == 200
            except urllib3.exceptions.HTTPError:
                return False

        _until(lambda: not psutil.pid_exists(worker.pid))
        _until(answers)


def test_workers_do_not_outlive_a_parent_that_was_killed(depot_path: Path, tmp_path: Path) -> None:
    with serving(depot_path, tmp_path) as served:
        workers = psutil.Process(served.child.pid).children()
        assert len(workers) == 2
        os.kill(served.child.pid, signal.SIGKILL)
        psutil.wait_procs(workers, timeout=30)
        assert not any(worker.is_running() for worker in workers)


def test_an_empty_depot_is_served_and_filled_without_a_restart(tmp_path: Path) -> None:
    kit = make_release(tmp_path / "vendor")
    enrolled(tmp_path / "depot", kit)
    bundle = signed_bundle(tmp_path / "bundle", kit, *rich_sample())
    with serving(tmp_path / "depot", tmp_path) as served:
        assert "the depot is empty" in served.child.log.read_text()
        assert served.json("/v2/_catalog") == {"repositories": []}
        # One connection to each worker at least, so that both have loaded nothing yet.
        for _ in range(8):
            served.pool.clear()
            assert served.json("/healthz")["bundles"] == 0
        done = _run("import", bundle, "--depot", tmp_path / "depot", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["imported"] is True
        for _ in range(8):
            served.pool.clear()
            assert len(served.json("/v2/_catalog")["repositories"]) == 11


def test_the_sites_own_certificate_is_shown(depot_path: Path, tmp_path: Path) -> None:
    with serving(depot_path, tmp_path) as served:
        shutil.copytree(served.ca.parent, tmp_path / "site")
    given = [
        "--tls-cert",
        tmp_path / "site" / "server.pem",
        "--tls-key",
        tmp_path / "site" / "server.key",
    ]
    with serving(depot_path, tmp_path, [str(part) for part in given]) as served:
        assert not served.ca.exists()
        assert f"certificate {given[1]}" in served.child.log.read_text()
        served.pool.connection_pool_kw["ca_certs"] = str(tmp_path / "site" / "ca.pem")
        assert served.request("/v2/").status == 200


def test_a_port_that_is_taken_is_said_so(depot_path: Path, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        done = _run("serve", "--depot", depot_path, "--address", "127.0.0.1", "--port", port)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_two_depots_do_not_share_a_port(depot_path: Path, tmp_path: Path) -> None:
    with serving(depot_path, tmp_path) as served:
        port = served.host.split(":")[1]
        done = _run("serve", "--depot", depot_path, "--address", "127.0.0.1", "--port", port)
    assert done.returncode == 2
    assert "in use" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["serve", "--depot", "{tmp}/none"], 11, "not a depot"),
        (["serve", "--depot", "{tmp}/foreign"], 11, "not a depot"),
        (["serve", "--depot", "{depot}", "--address", "localhost"], 2, "expected an IP address"),
        (["serve", "--depot", "{depot}", "--address", "203.0.113.9"], 2, "cannot listen"),
        (["serve", "--depot", "{depot}", "--port", "70000"], 2, "70000"),
        (["serve", "--depot", "{depot}", "--name", "a b"], 2, "--name"),
        (["serve", "--depot", "{depot}", "--tls-cert", "{tmp}/x"], 2, "given together"),
        (["serve", "--depot", "{depot}", "--tls-cert", "{tmp}/x", "--tls-key", "{tmp}/y"], 10, "x"),
        (["serve", "--depot", "{depot}", "--workers", "0"], 2, "workers"),
        (["import", "{tmp}/none", "--depot", "{depot}"], 11, "not a bundle"),
        (["import", "{tmp}/foreign", "--depot", "{depot}"], 11, "not a bundle"),
        (["import", "{bundle}", "--depot", "{tmp}/elsewhere"], 37, "not enrolled any root"),
    ],
)
def test_bad_input_ends_with_its_code_and_one_message(
    depot_path: Path, tmp_path: Path, arguments: Sequence[str], code: int, says: str
) -> None:
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.odt").touch()
    before = sorted(tmp_path.rglob("*"))
    bundle = depot_path.parent / "bundle"
    filled = [a.format(tmp=tmp_path, depot=depot_path, bundle=bundle) for a in arguments]
    done = _run(*filled)
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before


def _large_bundle(path: Path, kit: ReleaseKit) -> Path:
    """A bundle that takes long enough to be killed in the middle."""
    make = Maker()
    lock, _ = sample(make)
    template = lock.files[0]
    files = []
    chance = random.Random(7)
    for i in range(24):
        content = make.put(chance.randbytes(6_000_000))
        url = f"https://example.org/{i}.bin"
        files.append(type(template)(url=url, digest=content.digest, size=content.size))
    return signed_bundle(path, kit, change_lock(lock, files=tuple(files)), make.blobs)


def _state(depot: Path) -> dict[str, str]:
    """Return every file but those that bear times, or say which run brought a blob."""
    files = {str(path.relative_to(depot)): path for path in depot.rglob("*") if path.is_file()}
    return {
        name: digest_of(path.read_bytes())
        for name, path in sorted(files.items())
        if path.name not in {"import.json", ".lock"} and not name.startswith("trust/")
    }


def _arrived(depot: Path) -> int:
    """Count blobs that are in the depot, or on their way."""
    try:
        return sum(len(list(depot.glob(f"{folder}/*"))) for folder in ("blobs/sha256", "staging"))
    except FileNotFoundError:
        return 0  # staging is just being made anew


def test_killed_at_any_moment_an_import_goes_on(tmp_path: Path) -> None:
    kit = make_release(tmp_path / "vendor")
    bundle = _large_bundle(tmp_path / "bundle", kit)
    # Others may write these files, so that they are copied and not linked.
    for path in (bundle / "blobs" / "sha256").iterdir():
        path.chmod(0o666)
    enrolled(tmp_path / "whole", kit)
    import_now(bundle, tmp_path / "whole")
    enrolled(tmp_path / "depot", kit)
    argv = [*ISOWARD, "import", str(bundle), "--depot", str(tmp_path / "depot")]
    killed = 0
    for wanted in range(1, 21):
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # By how far it is, not by time: this machine may be fast or slow.
        while process.poll() is None and _arrived(tmp_path / "depot") < wanted:
            time.sleep(0.001)
        killed += process.poll() is None
        process.kill()
        process.wait()
        depot = create_depot(tmp_path / "depot")
        # Whole, or not there.
        assert len(accepted_bundles(depot)) == len(depot.bundle_names())
    done = _run("import", bundle, "--depot", tmp_path / "depot")
    assert done.returncode == 0, done.stderr
    assert killed, "no import was caught alive"
    assert _state(tmp_path / "depot") == _state(tmp_path / "whole")
    assert len(accepted_bundles(open_depot(tmp_path / "depot"))) == 1
