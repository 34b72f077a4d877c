"""What the functions and values of ours take, as the architecture tests see it."""

from __future__ import annotations

import ast
from collections import defaultdict
from dataclasses import dataclass

from tests.architecture.source import modules

_SELVES = {"self", "cls"}


@dataclass(frozen=True)
class Callee:
    """A function or a class.

    Attributes:
        positional: How many arguments it takes without a name; each is a parameter of its own.
        is_value: It is a class whose arguments are its fields.
    """

    positional: int
    is_value: bool


def parameters_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count what a function takes, `*words` as one."""
    arguments = function.args
    return _positional(function) + len(arguments.kwonlyargs) + bool(arguments.vararg)


def callees() -> dict[str, list[Callee]]:
    """Return what can be called, by its name; not what takes `*words`, which are many of one kind.

    Several of one name stand beside each other: which of them a call means is not known here.
    """
    found: defaultdict[str, list[Callee]] = defaultdict(list)
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                if not node.args.vararg:
                    found[node.name].append(Callee(_positional(node), is_value=False))
            elif isinstance(node, ast.ClassDef):
                made = next((inner for inner in node.body if _is_init(inner)), None)
                fields = sum(isinstance(inner, ast.AnnAssign) for inner in node.body)
                found[node.name].append(
                    Callee(_positional(made), is_value=False)
                    if isinstance(made, ast.FunctionDef)
                    else Callee(fields, is_value=True)
                )
    return found


def _positional(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    names = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    return len(names) - (names[:1] != [] and names[0] in _SELVES)


def _is_init(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "__init__"
