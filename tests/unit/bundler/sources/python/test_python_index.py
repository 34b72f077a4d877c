"""Which index this machine's pip has, as pip itself says it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from bundle.base.errors import DefinitionError, ProgramError
from bundle.store.programs import (
    USUAL_BOUNDS,
    USUAL_STREAMS,
    Bounds,
    Finished,
    Streams,
    run_program,
)
from bundler.sources.python.simple_index import pip_index


class Pip:
    """Answers as `pip download --help`."""

    def __init__(self, address: str, code: int = 0) -> None:
        self.text = (
            f"  -i, --index-url <url>  Base URL of the Python Package Index (default {address})."
        )
        self.code = code

    def __call__(
        self,
        command: Sequence[str],
        *,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        streams: Streams = USUAL_STREAMS,
        bounds: Bounds = USUAL_BOUNDS,
    ) -> Finished:
        assert command[:3] == [sys.executable, "-m", "pip"]
        return Finished(self.code, self.text.encode(), b"No module named pip")


def test_real_pip_says_its_default_and_what_it_is_configured_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    assert pip_index(run_program).startswith("https://")
    config = tmp_path / "pip.conf"
    address = f"https://index.example.org/{'long/' * 30}simple"
    config.write_text(f"[global]\nindex-url = {address}\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    assert pip_index(run_program) == address
    monkeypatch.setenv("PIP_INDEX_URL", "https://other.example.org/simple")
    assert pip_index(run_program) == "https://other.example.org/simple"
    monkeypatch.setenv("PIP_INDEX_URL", "https://xenia:s3cret@other.example.org/simple")
    with pytest.raises(DefinitionError, match="without a user") as caught:
        pip_index(run_program)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("address", ["file:///srv/simple", "/srv/simple", "https://a/../b", ""])
def test_what_is_no_web_server_is_refused(address: str) -> None:
    with pytest.raises(DefinitionError):
        pip_index(Pip(address))


def test_a_python_without_pip() -> None:
    with pytest.raises(ProgramError, match="No module named pip") as caught:
        pip_index(Pip("https://example.org/simple", code=1))
    assert caught.value.hint == "Set index: in the definition."
