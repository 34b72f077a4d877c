"""Every line that is printed goes through one writer: no other module can write to a terminal."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

import pytest

from tests.architecture.source import Module, modules, under

_STREAMS = {"stdout", "stderr", "__stdout__", "__stderr__"}
_DEVICES = {"/dev/tty", "/dev/stdout", "/dev/stderr", "/proc/self/fd/1", "/proc/self/fd/2"}
_CLICK = {"echo", "secho", "prompt", "confirm", "echo_via_pager", "pause", "progressbar", "edit",
          "style", "get_text_stream", "get_binary_stream", "open_file"}  # fmt: skip
_CALLS = {"print", "input", "getpass", "print_exc", "print_exception", "print_last", "print_stack",
          "print_tb", "basicConfig", "StreamHandler", "show"}  # fmt: skip
_RUNS = {"run", "Popen", "call", "check_call", "check_output"}

# Who may, and by what.
_MAY = {
    "bundle/cli/writer.py": {"stdout", "stderr", "echo"},
    "bundle/cli/colour.py": {"style"},
    "bundle/cli/questions.py": {"prompt", "confirm"},
    # Which of the two looks a person in the eye; the writer writes.
    "bundle/cli/progress_bar.py": {"stderr"},
    "bundle/cli/output.py": {"stderr"},
    "bundle/cli/stray.py": {"stderr"},
    # Fields of Ansible's events.
    "installer/ansible_run/events.py": {"stdout", "stderr"},
    "installer/ansible_run/run_log.py": {"stdout"},
}


def test_every_printed_line_goes_through_the_one_writer() -> None:
    around = [
        f"{module.where}:{getattr(node, 'lineno', 0)} {name}"
        for module in modules()
        for node in module.nodes
        for name in _ways_to_write(node)
        if name not in _MAY.get(module.where, ())
    ]
    assert not around


def test_nobody_may_more_than_is_used() -> None:
    used: dict[str, set[str]] = {where: set() for where in _MAY}
    for module in modules():
        if module.where in used:
            used[module.where].update(*map(_found, module.nodes))
    assert used == _MAY


@pytest.mark.parametrize(
    "source",
    [
        "print('x')",
        "input('x')",
        "click.echo(x)",
        "click.secho(x)",
        "from click import echo as say",
        "click.confirm(x)",
        "click.prompt(x)",
        "click.echo_via_pager(x)",
        "error.show()",
        "sys.stdout.write(x)",
        "sys.stderr.writelines(x)",
        "out = sys.stdout",
        "getattr(sys, 'stdout')",
        "from sys import stderr",
        "sys.__stderr__.write(x)",
        "os.write(1, x)",
        "os.write(2, x)",
        "os.fdopen(2, 'w')",
        "open(1, 'w')",
        "open('/dev/tty', 'w')",
        "Path('/dev/stderr').open('w')",
        "traceback.print_exc()",
        "tqdm.write(x)",
        "logging.basicConfig()",
        "logging.StreamHandler()",
        "getpass.getpass('x')",
        "from getpass import getpass",
        "subprocess.run(['x'])",
        "subprocess.run(['x'], stdout=subprocess.PIPE)",
        "subprocess.Popen(['x'], stderr=subprocess.PIPE)",
        "os.system('x')",
        "os.execv('x', y)",
    ],
)
def test_the_guard_sees_every_way(source: str) -> None:
    assert any(_ways_to_write(node) for node in ast.walk(ast.parse(source)))


def _ways_to_write(node: ast.AST) -> set[str]:
    return set(_found(node))


def _found(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom):
        names = {alias.name for alias in node.names}
        if node.module in {"click", "sys", "builtins", "getpass"}:
            yield from names & (_STREAMS | _CLICK | _CALLS)
    elif isinstance(node, ast.Attribute):
        owner = getattr(node.value, "id", "")
        if owner in {"sys", "click"}:
            yield from {node.attr} & (_STREAMS if owner == "sys" else _CLICK)
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield from {node.value} & (_STREAMS | _DEVICES)
    elif isinstance(node, ast.Call):
        yield from _called(node)


def _called(node: ast.Call) -> Iterator[str]:
    owner = getattr(getattr(node.func, "value", None), "id", "")
    name = str(getattr(node.func, "id", getattr(node.func, "attr", "")))
    first = node.args[0] if node.args else None
    to_number = isinstance(first, ast.Constant) and first.value in {1, 2}
    yield from {name} & _CALLS
    if (owner, name) == ("tqdm", "write"):
        yield "tqdm.write"
    if name in {"write", "fdopen", "open"} and to_number:
        yield f"{name} to {ast.dump(node.args[0])}"
    if owner == "subprocess" and name in _RUNS:
        given = {keyword.arg for keyword in node.keywords}
        if not given >= {"stdout", "stderr"} and "capture_output" not in given:
            yield f"subprocess.{name}"
    if owner == "os" and name.startswith(("system", "popen", "exec", "spawn", "posix_spawn")):
        yield f"os.{name}"


# What these put together is a file, or is read from one.
_FILES = {"bundle/cli/writer.py", "bundle/cli/passphrase.py", "bundle/cli/help/man.py",
          "bundle/cli/given.py", "bundle/cli/help/schema_line.py", "bundler/cli/lock.py",
          "bundler/cli/convert.py"}  # fmt: skip


def test_commands_give_lines_and_join_none() -> None:
    joined = [
        f"{module.where}:{node.lineno}"
        for module in modules()
        if under(module.name, "bundle.cli", "bundler.cli", "installer.cli")
        and module.where not in _FILES
        for node in module.nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" in node.value
        if id(node) not in _docstrings(module)
    ]
    assert not joined


@cache
def _docstrings(module: Module) -> set[int]:
    return {
        id(node.value)
        for node in module.nodes
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
