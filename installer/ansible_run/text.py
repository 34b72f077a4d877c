"""The one way by which a value reaches Ansible: as YAML in which no text is ever evaluated.

Ansible templates every text of an inventory and of variables when it is used. What a person, a
bundle or a folder is called must not be code to it, so every text is marked (`!unsafe`), by the
writer and not by whoever wrote the template: what a template prints passes by here whether its
author thought of it or not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import PurePath
from typing import Any, Final

import jinja2

_ESCAPES: Final = {'"': '\\"', "\\": "\\\\"}
_PLAIN: Final = (0x20, 0x7E)
_SHORT: Final = 0xFFFF
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*")


class _Name(str):
    """A text that is part of a template's own structure: checked, and written as it is."""

    __slots__ = ()


def ansible_value(value: object) -> str:
    """Write a value as YAML of one line, every text marked as data.

    Args:
        value: Text, a path, a number, nothing, or lists and mappings of these.
    Raises:
        TypeError: It is of another kind, which would be written by its own idea.
    """
    if isinstance(value, _Name):
        return str(value)
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, Mapping):
        pairs = (f"{ansible_value(key)}: {ansible_value(inner)}" for key, inner in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, str | PurePath):
        return f'!unsafe "{"".join(_quoted(character) for character in str(value))}"'
    if isinstance(value, Sequence):
        return f"[{', '.join(ansible_value(item) for item in value)}]"
    raise TypeError(f"no way to write a {type(value).__name__} for Ansible")


def ansible_variables(variables: Mapping[str, Any]) -> str:
    """Write a file of variables, whose names are ours."""
    lines = [f"{plain_name(name)}: {ansible_value(value)}\n" for name, value in variables.items()]
    # To Ansible an empty file is no mapping, and an error.
    return "".join(lines) or "{}\n"


def plain_name(text: str) -> str:
    """Return a name that a template may write as it is, such as the key of a mapping.

    Raises:
        ValueError: It has anything in it that YAML or Ansible could take for more than a name.
    """
    if _NAME.fullmatch(text) is None:
        raise ValueError(f"{text[:100]!r} is no name to be written without quotes")
    return _Name(text)


def render_ansible(name: str, **values: object) -> str:
    """Render a template of the package `inventory` for Ansible.

    Whatever it prints is written by `ansible_value`, but for names that it says are plain.

    Args:
        name: Its path there.
        values: What it needs; one that is missing is a mistake of ours.
    """
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 - YAML, where every value is quoted by `finalize`
        finalize=ansible_value,
        keep_trailing_newline=True,
    )
    environment.filters["plain"] = plain_name
    return environment.from_string(read_template(name)).render(**values)


def read_template(name: str) -> str:
    """Return a file of the package `inventory`."""
    return resources.files("inventory").joinpath(name).read_text(encoding="utf-8")


def _quoted(character: str) -> str:
    code = ord(character)
    if character in _ESCAPES:
        return _ESCAPES[character]
    if _PLAIN[0] <= code <= _PLAIN[1]:
        return character
    return f"\\u{code:04x}" if code <= _SHORT else f"\\U{code:08x}"
