"""Programs that this machine lacks are said at once, before anything is resolved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bundle.base.errors import MissingProgramError
from bundle.cli.main import run as isoward
from bundle.store.programs import Finished
from bundler.lock.programs import require_programs
from tests.support.documents.right import DEFINITION, read_definition

HEAD = DEFINITION.partition("images:")[0]
CONTENT = """\
charts:
  - {name: a, repository: 'https://e.org', version: '1'}
  - {name: b, version: '1', git: {repository: 'https://e.org/b.git', commit: 'COMMIT'}, path: b}
osPackages:
  - {name: d, release: debian-12, keyring: k, packages: [p],
     repositories: [{url: 'https://e.org/d', suite: s, components: [main]}]}
  - {name: r, release: rocky-9, keyring: k, packages: [p], repositories: [{url: 'https://e.org/r'}]}
""".replace("COMMIT", "0" * 40)


def lacking(*programs: str) -> Any:
    def run(command: Sequence[str], **_: object) -> Finished:
        if command[0] in programs:
            raise MissingProgramError(f"no {command[0]}", "Install it.")
        if "import dnf, hawkey" in command and "dnf" in programs:
            return Finished(1, b"", b"")
        return Finished(0, b"", b"")

    return run


@pytest.mark.parametrize(
    ("program", "named"),
    [
        ("helm", "helm (for charts[0], charts[1])"),
        ("git", "git (for charts[1])"),
        ("apt-get", "apt-get (for osPackages[0])"),
        ("gpgv", "gpgv (for osPackages[0], osPackages[1])"),
        ("rpmkeys", "rpmkeys (for osPackages[1])"),
        ("dnf", "python3-dnf (for osPackages[1])"),
    ],
)
def test_a_missing_program_is_named_with_what_needs_it(program: str, named: str) -> None:
    definition = read_definition(HEAD + CONTENT)
    require_programs(definition, lacking())
    with pytest.raises(MissingProgramError) as caught:
        require_programs(definition, lacking(program))
    assert named in caught.value.message


def test_all_are_named_at_once() -> None:
    with pytest.raises(MissingProgramError, match=r"helm .*; git .*; apt-get .*; python3-dnf"):
        require_programs(read_definition(HEAD + CONTENT), lacking("helm", "git", "apt-get", "dnf"))


def test_nothing_is_asked_of_a_server_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The hosts do not exist: whoever asked them first would say that."""
    path = tmp_path / "hospital.yaml"
    path.write_text(HEAD + CONTENT.partition("osPackages")[0])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert isoward(["lock", str(path), "--cache", str(tmp_path / "cache")]) == 16
    said = capsys.readouterr().err
    assert (
        "missing on this machine, but needed by the definition: helm (for charts[0], charts[1])"
        in said
    )
    assert "named under helm:" in said
