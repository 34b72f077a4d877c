"""Each role's environment has what that role needs; another's command says what to install."""

from __future__ import annotations

import subprocess
from pathlib import Path

import click
import pytest

from bundle.base.errors import UsageError
from bundle.cli.commands import COMMANDS
from bundle.cli.main import cli
from bundle.cli.roles import ROLE_OF
from tests.support.programs.roles import ROLES, RoleEnvironment, role_environment

_DEFINITION = """\
apiVersion: isoward/v1
kind: BundleDefinition
metadata: {name: empty, version: 1.0.0}
platforms: [linux/amd64]
"""


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RoleEnvironment]:
    folder = tmp_path_factory.mktemp("roles")
    return {role: role_environment(folder / role, role) for role in ROLES}


def _all_commands() -> list[list[str]]:
    """Return every command that somebody can type, with its group before it."""
    found: list[list[str]] = []

    def walk(command: click.Command, words: list[str]) -> None:
        found.append([*words, "--help"])
        if isinstance(command, click.Group):
            with click.Context(command) as context:
                for name in command.list_commands(context):
                    inner = command.get_command(context, name)
                    assert inner is not None
                    walk(inner, [*words, name])

    walk(cli, [])
    return found


@pytest.mark.parametrize("role", ROLES)
def test_every_command_works_or_says_what_to_install(
    environments: dict[str, RoleEnvironment], role: str, tmp_path: Path
) -> None:
    said = environments[role].run_each(tmp_path, _all_commands())
    assert len(said) > len(COMMANDS)
    for command, (code, out, errors) in said.items():
        needed = ROLE_OF.get(command.split()[0], role)
        if needed == role:
            assert (code, errors) == (0, ""), (command, errors)
            assert "Usage:" in out
            continue
        assert code == UsageError.exit_code, (command, errors)
        lines = errors.splitlines()
        assert len(lines) == 2, errors
        assert f"`isoward {command.split()[0]}` needs " in lines[0]
        assert f"'.[{needed}]'" in lines[1]


@pytest.mark.parametrize("role", ["auditor", "operator"])
def test_a_lock_without_the_vendors_libraries_is_one_line_and_no_file(
    environments: dict[str, RoleEnvironment], role: str, tmp_path: Path
) -> None:
    (tmp_path / "hospital.yaml").write_text(_DEFINITION)
    done = environments[role].run(tmp_path, "lock", "hospital.yaml")
    assert done.returncode == UsageError.exit_code
    assert "which is not installed here" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["hospital.yaml"]
    as_json = environments[role].run(tmp_path, "lock", "hospital.yaml", "--json")
    assert '"exitCode":2' in as_json.stdout.replace(" ", "")


def test_a_library_that_is_missing_at_depth_is_said_in_one_line(
    environments: dict[str, RoleEnvironment], tmp_path: Path
) -> None:
    (tmp_path / "ada.key").write_text("")
    # Nothing of the command's own module needs the library.
    said = environments["operator"].run_each(tmp_path, [["keys", "import-cosign", "--help"]])
    assert said["keys import-cosign --help"][0] == 0
    code = (
        "import sys; import bundle.cli.auditor.inspect as module; from bundle.cli.main import run\n"
        "def deep(*a, **k):\n    import zstandard\n"
        "module.command.callback = deep\n"
        "sys.exit(run(['inspect', '.']))"
    )
    done = subprocess.run(
        [environments["operator"].bin / "python", "-I", "-c", code],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == UsageError.exit_code
    lines = done.stderr.splitlines()
    assert lines[0].endswith("`isoward inspect` needs zstandard, which is not installed here")
    assert len(lines) == 2
