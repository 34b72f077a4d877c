"""The size and the manners of the code: small folders, files and functions, silent libraries."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

from tests.architecture.calls import Callee, callees, parameters_of
from tests.architecture.source import PACKAGES, ROOT, Module, modules, under

MAX_FOLDER_FILES = 20
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 59
MEDIAN_FILE_LINES = 200
MAX_PARAMETERS = 5
MAX_POSITIONAL = 4
"""Arguments without a name, in a call; one more for a value, whose fields have an order."""

# The console, and the end of the process, belong to the commands.
_CLI = ("bundle.cli", "bundler.cli", "installer.cli")
_EXITS = {"exit", "quit", "_exit"}
# A user would meet these as a traceback; NotImplementedError would be a stub.
_NOT_OURS = {"Exception", "RuntimeError", "OSError", "IOError", "KeyError", "NotImplementedError"}
_UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
_SHELL = re.compile(r"shell\s*=\s*True|os\.system\(|os\.popen\(")
_LOADER = re.compile(r"\byaml\.(unsafe_|full_)?load\(|\bpickle\.|\bmarshal\.")
# These look at every event first, then choose a safe loader by name.
_CHECKED_LOADERS = {"bundle/base/yaml/strict.py", "bundler/model/chart.py"}

_FOLDERS = (".ci", "bench", "demo", "docs", "fuzz", "inventory", "manifests", "requirements",
            "tests", "tools", *PACKAGES)  # fmt: skip
_TEXT = {".py", ".md", ".txt", ".toml", ".yaml", ".yml", ".json", ".j2", ".cfg", ".sh", ".svg",
         ".service", ""}  # fmt: skip
# Put together here, so that this file does not hold what it forbids.
_LOCAL = re.compile("|".join(("/" + "work/", "py" + r"pi\.org", "thon" + "hosted", "/opt/" + "wh")))


def test_folders_are_small() -> None:
    large = [
        f"{folder.relative_to(ROOT)}: {len(files)}"
        for folder in _folders(*PACKAGES, "tests", "fuzz", "bench", "demo", "tools")
        if len(files := [path for path in folder.iterdir() if path.is_file()]) > MAX_FOLDER_FILES
        and folder.parent.name != "corpus"
    ]
    assert not large


def test_a_module_has_a_name_of_its_own() -> None:
    """Within its package, so that it can be spoken of; and it does not repeat its folder's."""
    wrong = []
    for package in PACKAGES:
        seen: dict[str, str] = {}
        for module in modules():
            path = module.path
            if not under(module.name, package) or path.name == "__init__.py":
                continue
            if path.name in seen:
                wrong.append(f"{module.where} and {seen[path.name]}")
            seen[path.name] = module.where
            folder = path.parent.name.removesuffix("s")
            if {folder, f"{folder}s"} & set(path.stem.split("_")):
                wrong.append(f"{module.where} repeats its folder's name")
    assert not wrong


def test_files_are_small() -> None:
    """Also those of tests and tools."""
    large = [
        f"{path.relative_to(ROOT)}: {lines}"
        for path in _text_files()
        if path.suffix == ".py"
        and (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_FILE_LINES
    ]
    assert not large


def test_the_median_file_is_smaller_still() -> None:
    sizes = [module.lines for module in modules() if module.path.name != "__init__.py"]
    assert statistics.median(sizes) <= MEDIAN_FILE_LINES


def test_functions_are_small() -> None:
    large = [
        f"{module.where}:{node.lineno} {node.name}"
        for module, node in _nodes()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert not large


def test_what_takes_much_takes_a_value() -> None:
    """Of a command's parameters each is an option; else several that belong together are one."""
    long = [
        f"{module.where}:{node.lineno} {node.name}: {count}"
        for module, node in _nodes()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (count := parameters_of(node)) > MAX_PARAMETERS
        and not _is_command(module, node)
    ]
    assert not long


def test_arguments_of_a_long_call_are_named() -> None:
    known = callees()
    bare = [
        f"{module.where}:{node.lineno} {_called(node)}: {len(node.args)}"
        for module, node in _nodes()
        if isinstance(node, ast.Call)
        and len(node.args) > MAX_POSITIONAL
        and _is_confusing(node, known.get(_called(node), []))
    ]
    assert not bare


def test_libraries_neither_print_nor_exit() -> None:
    loud = []
    for module, node in _nodes():
        if under(module.name, *_CLI):
            continue
        name = _called(node)
        if name == "print" or name in _EXITS:
            loud.append(f"{module.where}:{getattr(node, 'lineno', 0)} {name}()")
        if isinstance(node, ast.Raise) and "SystemExit" in ast.dump(node):
            loud.append(f"{module.where}:{node.lineno} SystemExit")
        if isinstance(node, ast.Attribute) and node.attr in {"stdout", "stderr"} and _is_sys(node):
            loud.append(f"{module.where}:{node.lineno} sys.{node.attr}")
    assert not loud


def test_what_is_public_has_a_docstring() -> None:
    bare = []
    for module in modules():
        if not ast.get_docstring(module.tree):
            bare.append(module.where)
        bare += [f"{module.where}:{node.lineno} {node.name}" for node in _public(module)
                 if not ast.get_docstring(node)]  # fmt: skip
    assert not bare


def test_errors_are_ours() -> None:
    foreign = [
        f"{module.where}:{node.lineno}"
        for module, node in _nodes()
        if isinstance(node, ast.Raise)
        and getattr(getattr(node.exc, "func", node.exc), "id", "") in _NOT_OURS
    ]
    assert not foreign


def test_no_check_can_be_optimised_away() -> None:
    """`python -O` drops assert; where one is right, a comment on its line says why."""
    bare = [
        f"{module.where}:{node.lineno}"
        for module, node in _nodes()
        if isinstance(node, ast.Assert) and " - " not in module.source[node.lineno - 1]
    ]
    assert not bare


def test_nothing_is_unfinished_or_unsafe() -> None:
    found = []
    for module in modules():
        for number, line in enumerate(module.source, start=1):
            unsafe = _LOADER.search(line) and module.where not in _CHECKED_LOADERS
            if unsafe or _UNFINISHED.search(line) or _SHELL.search(line):
                found.append(f"{module.where}:{number} {line.strip()}")
    assert not found


def test_no_file_of_the_repository_names_one_machine_or_an_index() -> None:
    """What is written here must work anywhere."""
    wrong = [
        str(path.relative_to(ROOT))
        for path in _text_files()
        if _LOCAL.search(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert not wrong


def _nodes() -> Iterator[tuple[Module, ast.AST]]:
    for module in modules():
        for node in module.nodes:
            yield module, node


def _folders(*names: str) -> Iterator[Path]:
    for name in names:
        yield ROOT / name
        yield from (
            path
            for path in (ROOT / name).rglob("*")
            if path.is_dir() and "__pycache__" not in path.parts
        )


def _is_command(module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    decorators = {_called(decorator) for decorator in node.decorator_list}
    return under(module.name, *_CLI) and not decorators.isdisjoint({"command", "group"})


def _is_confusing(call: ast.Call, candidates: list[Callee]) -> bool:
    """Say whether so many arguments fill one parameter each; a row of a table explains itself."""
    if all(isinstance(argument, ast.Constant | ast.Tuple) for argument in call.args):
        return False
    return any(
        len(call.args) <= callee.positional and len(call.args) > MAX_POSITIONAL + callee.is_value
        for callee in candidates
    )


def _called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return str(getattr(node.func, "id", getattr(node.func, "attr", "")))


def _is_sys(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "sys"


def _public(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Yield what is public at the top of a module and in its public classes."""
    for node in module.tree.body:
        if not _is_public(node):
            continue
        yield node
        if isinstance(node, ast.ClassDef):
            yield from (inner for inner in node.body if _is_public(inner))


def _is_public(
    node: ast.stmt,
) -> TypeGuard[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    return isinstance(
        node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    ) and not node.name.startswith("_")


def _text_files() -> Iterator[Path]:
    paths = [path for path in ROOT.iterdir() if path.name != ".git"]
    for folder in _FOLDERS:
        paths += (ROOT / folder).rglob("*")
    for path in paths:
        if path.suffix in _TEXT and path.is_file() and "__pycache__" not in path.parts:
            yield path
