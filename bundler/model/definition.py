"""The definition: what a vendor asks for, typed by a person in YAML."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

import msgspec

from bundle.base.documents import each_once
from bundle.base.errors import DefinitionError
from bundle.base.problem import Problem
from bundle.base.yaml.problems import collect_problems
from bundle.kinds.policy import SignatureRule, check_rule
from bundle.kinds.registry import KINDS, DefinitionContent


class Definition(DefinitionContent, frozen=True, kw_only=True):
    """A bundle definition.

    Source: docs/FORMAT.md, "Definition".
    """

    signatures: tuple[SignatureRule, ...] = ()
    """By whom images must be signed; the first rule that matches counts, and one must."""


def check_definition(definition: Definition) -> None:
    """Check what the type alone cannot express.

    Raises:
        DefinitionError: A reference is malformed, an entry is a duplicate, or there is no content.
    """
    for check in _checks(definition):
        check()


def definition_problems(definition: Definition) -> list[Problem]:
    """Return everything that `check_definition` would refuse, each check with its first problem."""
    return collect_problems(_checks(definition))


def entry_problems(tree: Mapping[str, Any]) -> list[Problem]:
    """Return what is refused of the entries that are well formed, where others are not.

    Args:
        tree: A definition as YAML gives it, of which `structural_problems` told the rest.
    """

    def checks() -> Iterator[Callable[[], object]]:
        for name, (type_, *several) in _ENTRIES.items():
            entries = tree.get(name)
            for i, entry in enumerate(entries if isinstance(entries, list) else ()):
                with suppress(msgspec.ValidationError):
                    made = msgspec.convert(entry, type_, strict=True)
                    yield from (partial(check, made, f"{name}[{i}]") for check in several)

    return collect_problems(checks())


def _checks(definition: Definition) -> Iterator[Callable[[], object]]:
    """Yield the checks of a definition, each of one entry or of one list."""
    for kind in KINDS:
        for i, one in enumerate(kind.asked(definition)):
            where = kind.key if kind.single else f"{kind.key}[{i}]"
            yield from (partial(check, one, where) for check in kind.checks)
    for i, rule in enumerate(definition.signatures):
        yield partial(check_rule, rule, f"signatures[{i}]")
    for kind in KINDS:
        yield from (partial(check, definition) for check in kind.checks_together)
    yield partial(_check_content, definition)


_ENTRIES: Final[Mapping[str, tuple[Any, *tuple[Callable[[Any, str], object], ...]]]] = {
    **{kind.key: (kind.source, *kind.checks) for kind in KINDS if not kind.single},
    "signatures": (SignatureRule, check_rule),
}
"""Of a definition's lists: what an entry is, and what checks each on its own."""


def _check_content(definition: Definition) -> None:
    """Check that no platform stands twice, and that there is something.

    Raises:
        DefinitionError: One does, or there is nothing.
    """
    each_once(list(definition.platforms), "platforms")
    kinds = [kind for kind in KINDS if kind.is_content]
    if not any(kind.asked(definition) for kind in kinds):
        *first, last = (f"{kind.key}:" for kind in kinds)
        raise DefinitionError(
            "the definition has no content: expected at least one image, file, chart or package",
            f"Add an entry under {', '.join(first)} or {last}.",
        )
