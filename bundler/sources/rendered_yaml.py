"""What Helm prints: many YAML documents, made by templates that are not ours.

They may have what our own documents may not: anchors, merge keys, keys that stand twice (the API
server takes the last one, and so does this). All scalars but null are text.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

import yaml

from bundle.model.errors import FormatError
from bundle.model.limits import MAX_REASON, MAX_RENDERED_DEPTH, MAX_RENDERED_EVENTS

_SAFE_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL: Final = ("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"))
_MERGE: Final = ("tag:yaml.org,2002:merge", re.compile(r"^<<$"))


class _Loader(_SAFE_LOADER):  # type: ignore[misc]  # chosen at run time
    """Knows null and merge keys; what else would be a number or a date stays as it was written."""

    yaml_implicit_resolvers: ClassVar[dict[str, list[Any]]] = {
        **{first: [_NULL] for first in ("", "~", "n", "N")},
        "<": [_MERGE],
    }


def rendered_documents(data: bytes, where: str) -> list[Any]:
    """Parse a stream of YAML documents.

    Args:
        data: Untrusted, of bounded size.
        where: What it is, for messages.
    Raises:
        FormatError: Not YAML, or too deep or too large.
    """
    try:
        text = data.decode("utf-8")
        _check_events(text, where)
        return list(yaml.load_all(text, Loader=_Loader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _refuse(where, f"it is not YAML ({str(error)[:MAX_REASON]})") from error


def _check_events(text: str, where: str) -> None:
    """Walk the parser's events, which needs no memory, before any tree is built."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_RENDERED_DEPTH:
            raise _refuse(where, f"it is nested deeper than {MAX_RENDERED_DEPTH} levels")
        if count > MAX_RENDERED_EVENTS:
            raise _refuse(where, "it has too many elements")


def _refuse(where: str, why: str) -> FormatError:
    return FormatError(
        f"{where}: what it renders cannot be read: {why}",
        "Render it with `helm template`, and correct its values or ask its publisher.",
    )
