"""install.sh of a medium, run by each of the shells that a bare machine may have."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from bundle.base.digest import digest_of
from tests.support.programs.needs import requires_root, requires_tool
from tests.support.sites.start_medium import VERSION, WHEEL, Medium, bare_path, make_medium

_SHELLS = [("dash",), ("bash",), ("busybox", "sh")]
_SECONDS = 60.0


@pytest.fixture
def medium(tmp_path: Path) -> Medium:
    return make_medium(tmp_path / "my medium")


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    return tmp_path / "a place" / "isoward"


def _state(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


def _refused(medium: Medium, prefix: Path, code: int, *words: str, **environment: str) -> str:
    """Install, which must be refused and leave nothing; return what was said."""
    done = medium.install(prefix, **environment)
    assert done.returncode == code, done.stdout + done.stderr
    for word in words:
        assert word in done.stderr
    assert not prefix.exists() or not list(prefix.iterdir())
    assert not list(Path(environment.get("TMPDIR", "/nowhere")).glob("isoward.*"))
    return done.stderr


@pytest.mark.parametrize("shell", _SHELLS, ids=" ".join)
def test_it_installs_and_says_so_the_second_time(
    medium: Medium, prefix: Path, shell: tuple[str, ...], tmp_path: Path
) -> None:
    requires_tool(shell[0])
    before, scratch = _state(medium.path), tmp_path / "scratch"
    scratch.mkdir()
    hostile = {
        "PIP_TARGET": str(tmp_path / "elsewhere"), "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PYTHONPATH": "/nowhere", "PYTHONHOME": "/nowhere", "CDPATH": "/usr", "LC_ALL": "tr_TR",
        "TMPDIR": str(scratch),
    }  # fmt: skip
    done = medium.install(prefix, shell, **hostile)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"isoward {VERSION}\n" in done.stdout
    said = subprocess.run([prefix / "current/bin/isoward"], capture_output=True, check=True)
    assert said.stdout.decode() == f"isoward {VERSION}\n"
    again = medium.install(prefix, shell)
    assert again.returncode == 0, again.stderr
    assert f"isoward {VERSION} of this medium is in {prefix} already" in again.stdout
    assert len(list(prefix.iterdir())) == 2
    assert _state(medium.path) == before
    assert not list(scratch.iterdir())


def test_a_flipped_bit_in_a_wheel_is_found_before_anything_is_run(
    medium: Medium, prefix: Path, tmp_path: Path
) -> None:
    blob = medium.blob(WHEEL)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.write_bytes(data)
    said = _refused(medium, prefix, 20, "is damaged", TMPDIR=str(tmp_path))
    assert f"blobs/sha256/{blob.name}: FAILED" in said


def test_a_flipped_bit_in_install_sh_is_found(medium: Medium, prefix: Path) -> None:
    script = medium.path / "install.sh"
    script.write_text(script.read_text().replace("# Exit codes", "# Exit Codes"))
    assert "install.sh: FAILED" in _refused(medium, prefix, 20)


@pytest.mark.parametrize(
    ("changed", "moment"),
    [("pip", "sha256sum"), ("pip", "cp"), ("pip", "python3"), ("isoward", "python3"),
     ("install.sh", "python3")],
)  # fmt: skip
def test_a_medium_that_changes_meanwhile_never_runs(
    medium: Medium, prefix: Path, tmp_path: Path, moment: str, changed: str
) -> None:
    """As root: whoever holds the medium may exchange a file once it was checked."""
    ran, other = tmp_path / "ran", tmp_path / "other"
    wheel = medium.start.pip if changed == "pip" else WHEEL
    target = medium.path / "install.sh" if changed == "install.sh" else medium.blob(wheel)
    if changed == "install.sh":
        other.write_text(f"{target.read_text()}touch '{ran}'\n")
    else:
        with zipfile.ZipFile(other, "w") as archive:
            for member in ("pip/__main__.py", "isoward_tiny.py"):
                archive.writestr(member, f"open({str(ran)!r}, 'w')\ndef main(): pass\n")
    real = sys.executable if moment == "python3" else shutil.which(moment)
    # The program does its work, and then the medium is another one.
    exchange = f'"{real}" "$@"; code=$?; cat "{other}" >"{target}"; exit $code'
    programs = {"python3": f'exec "{sys.executable}" "$@"', moment: exchange}
    done = medium.install(prefix, PATH=bare_path(tmp_path / "bin", **programs))
    assert target.read_bytes() == other.read_bytes()
    assert not ran.exists()
    assert done.returncode in {0, 20}, done.stdout + done.stderr
    if done.returncode == 0:
        subprocess.run([prefix / "current/bin/isoward"], capture_output=True, check=True)
        assert not ran.exists()
    else:
        assert "is damaged" in done.stderr


def test_the_copies_are_nobody_elses_and_fit(medium: Medium, prefix: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    look = f'ls -ld "{scratch}"/isoward.* >>"{seen}"; exec "{sys.executable}" "$@"'
    path = bare_path(tmp_path / "bin", python3=look)
    done = medium.install(prefix, PATH=path, TMPDIR=str(scratch))
    assert done.returncode == 0, done.stderr
    assert {line[:10] for line in seen.read_text().splitlines()} == {"drwx------"}
    scratch.chmod(0o777)
    other = tmp_path / "elsewhere"
    _refused(medium, other, 2, "everybody may rename", PATH=path, TMPDIR=str(scratch))
    scratch.chmod(0o1777)
    little = "printf 'x\\n/dev/x 9 8 1000 90%% /\\n'"
    small = bare_path(tmp_path / "small", python3=look, df=little)
    said = _refused(medium, other, 12, "Set TMPDIR", PATH=small, TMPDIR=str(scratch))
    assert re.search(r"expected \d{4} KiB of space in .*, found 1000 KiB", said)


@pytest.mark.parametrize("missing", ["SHA256SUMS", "bundle.json"])
def test_a_file_that_is_missing_is_named(medium: Medium, prefix: Path, missing: str) -> None:
    (medium.path / missing).unlink()
    _refused(medium, prefix, 23, f"my medium has no {missing}")


def test_a_wheel_that_is_missing_is_named(medium: Medium, prefix: Path) -> None:
    medium.blob(WHEEL).unlink()
    assert medium.blob(WHEEL).name in _refused(medium, prefix, 20)


def test_a_list_that_was_changed_with_the_blob_does_not_help(medium: Medium, prefix: Path) -> None:
    blob = medium.blob(WHEEL)
    blob.write_bytes(blob.read_bytes() + b" ")
    medium.write_sums()
    _refused(medium, prefix, 23, "SHA256SUMS does not list all that install.sh uses")


def test_pip_refuses_a_wheel_of_another_digest(medium: Medium, prefix: Path) -> None:
    wrong = f"isoward=={VERSION} --hash={digest_of(b'other')}\n"
    changed = medium.with_start(requirements=wrong)
    assert "DO NOT MATCH THE HASHES" in _refused(changed, prefix, 15, "nothing was changed")


def test_a_set_that_lacks_something_is_not_half_installed(medium: Medium, prefix: Path) -> None:
    changed = medium.with_start(requirements="no-such-thing==1 --hash=sha256:" + "0" * 64 + "\n")
    assert "no-such-thing" in _refused(changed, prefix, 15, "could not be installed")


def test_an_isoward_that_needs_more_than_the_set_has_is_not_installed(
    tmp_path: Path, prefix: Path
) -> None:
    medium = make_medium(tmp_path / "lacking", requires="Requires-Dist: no-such-thing\n")
    _refused(medium, prefix, 15, "requires no-such-thing, which is not installed")


def test_another_machine_is_refused(medium: Medium, prefix: Path, tmp_path: Path) -> None:
    path = bare_path(tmp_path / "bin", uname="echo riscv64")
    _refused(medium, prefix, 16, "found riscv64", "Take a medium for it.", PATH=path)


@pytest.mark.parametrize("version", ["none", "3.9"])
def test_without_root_a_python_must_be_there(
    medium: Medium, prefix: Path, tmp_path: Path, version: str
) -> None:
    # The old one exits as the question about its version makes it.
    programs = {"id": "echo 1000"} if version == "none" else {"id": "echo 1000", "python3": "false"}
    path = bare_path(tmp_path / "bin", **programs)
    _refused(medium, prefix, 16, "expected Python (3.11 3.12", "Run this as root", PATH=path)


def test_a_medium_without_packages_for_the_system_says_so(
    medium: Medium, prefix: Path, tmp_path: Path
) -> None:
    path = bare_path(tmp_path / "bin", id="echo 0")
    _refused(medium, prefix, 16, "the medium has none for", PATH=path)


def test_a_bare_set_of_programs_is_enough(medium: Medium, prefix: Path, tmp_path: Path) -> None:
    path = bare_path(tmp_path / "bin", python3=f'exec {sys.executable} "$@"')
    done = medium.install(prefix, PATH=path)
    assert done.returncode == 0, done.stderr


def test_a_place_that_cannot_be_written_is_named(medium: Medium, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    done = medium.install(file / "below")
    assert (done.returncode, done.stdout) == (12, "")
    assert f"cannot write {file}/below" in done.stderr
    assert "use --prefix" in done.stderr


@pytest.mark.parametrize("arguments", [["--prefix"], ["--prefix", ""], ["--unknown"], ["x"]])
def test_a_wrong_call_is_refused(medium: Medium, arguments: list[str]) -> None:
    done = subprocess.run(
        ["sh", medium.path / "install.sh", *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("install.sh: ")


def test_help_says_what_it_does(medium: Medium) -> None:
    done = subprocess.run(
        ["sh", medium.path / "install.sh", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"Installs isoward {VERSION} from this medium")
    assert "--prefix FOLDER" in done.stdout


def _begin(medium: Medium, prefix: Path) -> subprocess.Popen[bytes]:
    """Start install.sh in a process group of its own, and wait until it installs."""
    process = subprocess.Popen(
        medium.command(prefix), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        # One that is killed leaves its links behind.
        env={**os.environ, "TMPDIR": str(medium.path.parent)}, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + _SECONDS
    while not list(prefix.glob("*/unfinished")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_leaves_nothing(
    medium: Medium, prefix: Path, sent: signal.Signals
) -> None:
    # A shell starts what it puts into the background with SIGINT ignored, which no sh can undo.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = _begin(medium, prefix)
    finally:
        signal.signal(signal.SIGINT, before)
    os.killpg(process.pid, sent)
    assert process.wait(_SECONDS) == 130
    assert list(prefix.iterdir()) == []


def test_a_run_that_is_killed_is_cleared_away_by_the_next(medium: Medium, prefix: Path) -> None:
    process = _begin(medium, prefix)
    (half,) = prefix.iterdir()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(_SECONDS)
    assert (half / "unfinished").exists()
    done = medium.install(prefix)
    assert done.returncode == 0, done.stderr
    assert not half.exists()
    assert (prefix / "current/bin/isoward").exists()


def test_a_newer_medium_takes_the_place_of_one_that_may_still_be_in_use(
    medium: Medium, prefix: Path
) -> None:
    assert medium.install(prefix).returncode == 0
    first = (prefix / "current").resolve()
    newer = medium.with_start(pythons=(*medium.start.pythons, "3.99"))
    assert newer.install(prefix).returncode == 0
    assert (prefix / "current").resolve() != first
    assert (first / "bin/isoward").exists()
    # And one that no longer runs is made anew.
    (prefix / "current/bin/isoward").unlink()
    assert newer.install(prefix).returncode == 0
    assert (prefix / "current/bin/isoward").exists()


def test_a_full_disk_and_a_medium_that_runs_nothing(medium: Medium, tmp_path: Path) -> None:
    requires_root()
    requires_tool("unshare")
    disk = tmp_path / "disk"
    disk.mkdir()
    script = (
        'mount --bind "$1" "$1" && mount -o remount,bind,ro,noexec "$1" && '
        'mount -t tmpfs -o size="$3" none "$2" && sh "$1/install.sh" --prefix "$2/p"; code=$?; '
        'ls -A "$2/p"; exit $code'
    )

    def install(size: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "sh", medium.path, disk, size],
            capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip

    full = install("40k")
    assert full.returncode == 15, full.stdout + full.stderr
    assert "No space left on device" in full.stderr
    assert "KiB are free" in full.stderr
    assert not full.stdout.partition("into")[2].partition("\n")[2]
    large = install("64m")
    assert large.returncode == 0, large.stdout + large.stderr
    assert "current" in large.stdout
