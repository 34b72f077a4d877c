"""The source tree as the architecture tests see it: files, modules and what they import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("bundle", "bundler", "installer")


@dataclass(frozen=True)
class Import:
    """One import statement, wherever it stands, also inside a function or `if TYPE_CHECKING`."""

    module: str
    line: int
    lazy: bool
    """Whether it stands inside a function."""


@dataclass(frozen=True)
class Module:
    """One Python file of ours."""

    name: str
    path: Path
    tree: ast.Module
    source: tuple[str, ...]

    @property
    def layer(self) -> str:
        """The folder that it lies in, such as `bundler.sources.os.apt`."""
        return ".".join(self.path.relative_to(ROOT).parent.parts)

    @property
    def lines(self) -> int:
        """How many lines it has."""
        return len(self.source)

    @property
    def where(self) -> str:
        """The path to print."""
        return str(self.path.relative_to(ROOT))


@cache
def modules() -> tuple[Module, ...]:
    """Parse every Python file of the three packages."""
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            text = path.read_text(encoding="utf-8")
            found.append(Module(name, path, ast.parse(text), tuple(text.splitlines())))
    return tuple(found)


def imports(module: Module) -> Iterator[Import]:
    """Yield what `module` imports, by full name; `from a import b` gives both `a` and `a.b`."""
    lazy = {
        id(inner)
        for outer in ast.walk(module.tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(outer)
    }
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, id(node) in lazy)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module.where}:{node.lineno}: relative import"
            assert node.module is not None
            yield Import(node.module, node.lineno, id(node) in lazy)
            for alias in node.names:
                yield Import(f"{node.module}.{alias.name}", node.lineno, id(node) in lazy)


def under(name: str, *tops: str) -> bool:
    """Say whether module `name` is one of `tops` or lies below one."""
    return any(name == top or name.startswith(f"{top}.") for top in tops)
