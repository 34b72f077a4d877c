from __future__ import annotations

import time
from pathlib import Path

import pytest

from bundle.base.errors import MissingProgramError, ProgramError
from bundle.store import programs
from bundle.store.programs import Bounds, Streams, require_success, run_program


def test_output_environment_and_folder(tmp_path: Path) -> None:
    done = run_program(
        ["/bin/sh", "-c", "pwd; echo $ONE-$HOME"],
        folder=tmp_path,
        environment={"ONE": "1", "HOME": ""},
    )
    assert require_success(done, "sh", "") == f"{tmp_path}\n1-\n".encode()


def test_output_into_a_file(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        assert run_program(["/bin/echo", "hello"], streams=Streams(into=out)).output == b""
    assert (tmp_path / "out").read_bytes() == b"hello\n"


def test_a_failure_has_the_last_words() -> None:
    done = run_program(["/bin/sh", "-c", "echo no such thing >&2; exit 3"])
    with pytest.raises(
        ProgramError, match="expected exit code 0, found 3: no such thing"
    ) as raised:
        require_success(done, "sh", "Look.")
    assert raised.value.context == {"exitCode": 3}


def test_what_is_not_there_or_does_not_end(tmp_path: Path) -> None:
    with pytest.raises(MissingProgramError, match="cannot find the program 'isoward-none'"):
        run_program(["isoward-none"])
    with pytest.raises(ProgramError, match="not a usable working directory"):
        run_program(["/bin/true"], folder=tmp_path / "none")
    with pytest.raises(ProgramError, match="did not finish within 0 s"):
        run_program(["/bin/sleep", "20"], bounds=Bounds(0.05))


@pytest.mark.parametrize("where", ["", ">&2"])
def test_what_prints_without_end_is_ended(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "MAX_PROGRAM_BYTES", 100_000)
    with pytest.raises(ProgramError, match="at most 100000 bytes of output"):
        run_program(["/bin/sh", "-c", f"yes {where}"])


def test_what_a_program_started_ends_with_it(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    begun = time.monotonic()
    with pytest.raises(ProgramError, match="did not finish within"):
        run_program(
            ["/bin/sh", "-c", f"(while sleep 0.05; do echo x >> {alive}; done) & wait"],
            bounds=Bounds(0.4),
        )
    assert time.monotonic() - begun < 5
    size = alive.stat().st_size
    time.sleep(0.2)
    assert alive.stat().st_size == size > 0


def test_a_program_that_closes_its_output_is_still_waited_for() -> None:
    assert run_program(["/bin/sh", "-c", "exec >&- 2>&-; sleep 0.1; exit 4"]).code == 4


def test_a_file_without_end_is_ended(tmp_path: Path) -> None:
    done = run_program(
        ["/bin/sh", "-c", f"sleep 0.1; exec cat /dev/zero > {tmp_path / 'file'}"],
        bounds=Bounds(file_bytes=50_000),
    )
    assert done.code != 0
    assert (tmp_path / "file").stat().st_size == 50_000


def test_nothing_is_asked_of_a_person() -> None:
    assert run_program(["/bin/cat"]).output == b""


def test_what_it_is_given_needs_nobody_to_read_it() -> None:
    given = bytes(1_000_000)
    assert run_program(["/bin/cat"], streams=Streams(given)).output == given
    assert run_program(["/bin/true"], streams=Streams(given)).code == 0
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(MissingProgramError):
        run_program(["isoward-none"], streams=Streams(given))
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
