"""The source tree as the architecture tests see it: files, modules and what they import."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache, cached_property
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

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All of its tree. Walking is what costs the time here, and it does not change."""
        return tuple(ast.walk(self.tree))

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """What it imports, by full name; `from a import b` gives both `a` and `a.b`."""
        lazy = {
            id(inner)
            for outer in self.nodes
            if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
            for inner in ast.walk(outer)
        }
        found = []
        for node in self.nodes:
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.where}:{node.lineno}: relative import"
                assert node.module is not None
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            else:
                continue
            found += [Import(name, node.lineno, id(node) in lazy) for name in names]
        return tuple(found)

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


@cache
def by_name() -> dict[str, Module]:
    """Return the same by their full names."""
    return {module.name: module for module in modules()}


def under(name: str, *tops: str) -> bool:
    """Say whether module `name` is one of `tops` or lies below one."""
    return any(name == top or name.startswith(f"{top}.") for top in tops)
