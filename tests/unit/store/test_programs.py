from __future__ import annotations

from pathlib import Path

import pytest

from bundle.model.errors import MissingProgramError, ProgramError
from bundle.store.programs import require_success, run_program


def test_output_environment_and_folder(tmp_path: Path) -> None:
    done = run_program(
        ["/bin/sh", "-c", "pwd; echo $ONE-$HOME"],
        folder=tmp_path,
        environment={"ONE": "1", "HOME": ""},
    )
    assert require_success(done, "sh", "") == f"{tmp_path}\n1-\n".encode()


def test_output_into_a_file(tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        assert run_program(["/bin/echo", "hello"], into=out).output == b""
    assert (tmp_path / "out").read_bytes() == b"hello\n"


def test_a_failure_has_the_last_words() -> None:
    done = run_program(["/bin/sh", "-c", "echo no such thing >&2; exit 3"])
    with pytest.raises(
        ProgramError, match="expected exit code 0, found 3: no such thing"
    ) as raised:
        require_success(done, "sh", "Look.")
    assert raised.value.context == {"exitCode": 3}


def test_what_is_not_there_or_does_not_end(tmp_path: Path) -> None:
    with pytest.raises(MissingProgramError, match="no 'isoward-none'"):
        run_program(["isoward-none"])
    with pytest.raises(ProgramError, match="not a folder"):
        run_program(["/bin/true"], folder=tmp_path / "none")
    with pytest.raises(ProgramError, match="expected an end within 0 s"):
        run_program(["/bin/sleep", "20"], seconds=0.05)


def test_nothing_is_asked_of_a_person() -> None:
    assert run_program(["/bin/cat"]).output == b""
