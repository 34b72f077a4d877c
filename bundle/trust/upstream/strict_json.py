"""JSON that is part of a signature: small, shallow, and without duplicate keys.

Two readers of a document with a duplicate key may see two documents, so it is refused. Go's reader,
which cosign uses, also treats keys that differ only in case as the same.
"""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from bundle.trust.upstream.verdict import NotGoodError

MAX_DEPTH: Final = 64


def strict_object(data: bytes, what: str, *, any_keys: bool = False) -> dict[str, Any]:
    """Parse a JSON object.

    Args:
        data: Of a size that the caller has bounded.
        what: For the message.
        any_keys: Whether keys may differ in letter case alone below the top, as in a predicate,
            which holds whatever its author wants.
    Raises:
        NotGoodError: Not JSON, not an object, a key twice, not a number of JSON, or too deep.
    """
    try:
        hook = _once if any_keys else _once_in_any_case
        value = json.loads(data.decode("utf-8"), object_pairs_hook=hook, parse_constant=_constant)
        if isinstance(value, dict):
            _once_in_any_case(list(value.items()))
    except NotGoodError as error:
        raise NotGoodError(f"{what}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise NotGoodError(f"{what}: not JSON") from error
    if not isinstance(value, dict):
        raise NotGoodError(f"{what}: not an object")
    _check_depth(value, what)
    return value


def text_at(value: Any, *path: str) -> str:
    """Return the text at a path of keys; empty where there is none."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise NotGoodError("duplicate key")
    return found


def _once_in_any_case(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key.casefold() for key, _ in pairs}) != len(pairs):
        raise NotGoodError("duplicate key")
    return dict(pairs)


def _constant(name: str) -> NoReturn:
    raise NotGoodError(f"{name} is not a JSON number")


def _check_depth(value: Any, what: str) -> None:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        children: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                children += node.values()
            elif isinstance(node, list):
                children += node
        if not children:
            return
        level = children
    raise NotGoodError(f"{what}: nested deeper than {MAX_DEPTH} levels")
