"""The safe subset of YAML: no aliases, no tags, no duplicate keys, bounded size and depth.

Aliases can make a small file huge, tags can name types, and a duplicate key hides the intent.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Any, Final, TypeVar

import msgspec
import yaml

from bundle.base.documents import Document
from bundle.base.errors import IsowardError
from bundle.base.limits import MAX_PROBLEMS, MAX_YAML_DEPTH, MAX_YAML_EVENTS
from bundle.base.patterns import in_words
from bundle.base.queries import concealed

T = TypeVar("T")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SAFE_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
# PyYAML follows YAML 1.1, where 0443 is 291, 1:30 is 90 and 1_0 is 10: nobody expects that.
_SURPRISING: Final = re.compile(
    r"[-+]?(0b[01_]+|0[0-7_]+|0x[0-9a-fA-F_]+|[1-9][0-9]*_[0-9_]*|[1-9][0-9_]*(:[0-5]?[0-9])+)"
)
# Beyond 18 digits, readers silently lose the last ones.
_LONG: Final = re.compile(r"[-+]?[0-9]{19,}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{1,2}-")


class _Dumper(_SAFE_DUMPER):  # type: ignore[misc]  # chosen at run time
    """Writes texts with several lines, such as a key in PEM, as block scalars."""


def _text(dumper: Any, text: str) -> Any:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def load_yaml(
    data: bytes, type_: type[T], *, where: str, limit: int, error: type[IsowardError]
) -> T:
    """Parse one YAML document into `type_`.

    Args:
        data: Untrusted.
        type_: A frozen structure.
        where: The file's name, for messages.
        limit: Maximum size in bytes.
        error: The class to raise, since a definition is hand-written and a lock is generated.
    Raises:
        IsowardError: As `error`, naming the line or the field.
    """
    if len(data) > limit:
        raise error(f"{where}: expected at most {limit} bytes, found more", "Is it the right file?")
    try:
        text = data.decode("utf-8")
        check_yaml_events(text, where, error)
        tree = yaml.load(text, Loader=_LOADER)  # noqa: S506 - a safe loader, chosen above
    except UnicodeDecodeError as cause:
        raise error(
            f"{where}: expected UTF-8 text ({cause.reason})", "Save it as UTF-8."
        ) from cause
    except (yaml.YAMLError, ValueError, RecursionError) as cause:
        raise error(f"{where}: {_describe(cause)}", "Correct the YAML at that place.") from cause
    try:
        value = msgspec.convert(tree, type_, strict=True)
    except msgspec.ValidationError as cause:
        from bundle.base.yaml.problems import problems_error, structural_problems

        lines = yaml_lines(text)
        found = [problem.at(lines) for problem in structural_problems(tree, type_)]
        if not found:
            message = f"{where}: {readable_problem(str(cause), tree)}"
            raise error(message, "See docs/FORMAT.md.") from cause
        raise problems_error(error, where, found[:MAX_PROBLEMS]) from cause
    # Anything but our structures is another project's document, or contains passwords.
    if isinstance(value, Document):
        from bundle.base.yaml.problems import problems_error, text_problems

        seen = list(islice(text_problems(tree), MAX_PROBLEMS))
        if seen:
            lines = yaml_lines(text)
            raise problems_error(error, where, [problem.at(lines) for problem in seen])
    return value


def yaml_lines(text: str) -> dict[str, int]:
    """Return the line, from 1, of each field and each item of a document, by its path.

    The document itself, whose path is empty, starts at its first field.

    Args:
        text: Accepted by `check_yaml_events`; it holds no alias, so this terminates.
    """
    root = yaml.compose(text, Loader=_LOADER)
    lines: dict[str, int] = {"": root.start_mark.line + 1} if root is not None else {}
    pending = [("", root)]
    while pending:
        path, node = pending.pop()
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                inner = f"{path}.{key.value}" if path else str(key.value)
                lines[inner] = key.start_mark.line + 1
                pending.append((inner, value))
        elif isinstance(node, yaml.SequenceNode):
            for i, value in enumerate(node.value):
                lines[f"{path}[{i}]"] = value.start_mark.line + 1
                pending.append((f"{path}[{i}]", value))
    return lines


def dump_yaml(value: Any) -> str:
    """Write `value` as YAML: fields in declaration order, no aliases, long lines."""
    plain = msgspec.to_builtins(value)
    return str(
        yaml.dump(
            plain,
            Dumper=_Dumper,
            sort_keys=False,
            width=200,
            allow_unicode=True,
            default_flow_style=False,
        )
    )


def check_yaml_events(
    text: str, where: str, error: type[IsowardError], *, many: bool = False
) -> None:
    """Check the parser's event stream, in constant memory, before any tree is built.

    Args:
        text: Untrusted.
        where: The file's name, for messages.
        error: The class to raise.
        many: Whether several documents are allowed, as in other projects' files. There, an
            unquoted digest may consist of decimal digits alone: it is read as text.
    Raises:
        IsowardError: As `error`: an alias, tag or duplicate key, or too deep or too large.
        yaml.YAMLError: Not YAML.
    """
    checker = _EventChecker(where, error, many=many)
    for count, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        if count > MAX_YAML_EVENTS:
            raise error(f"{where}: it has too many elements", "Is it the right file?")
        checker.see(event)


class _EventChecker:
    """Refuses aliases, tags, duplicate keys and excessive nesting, naming the line."""

    def __init__(self, where: str, error: type[IsowardError], *, many: bool) -> None:
        self._where = where
        self._many = many
        self._error = error
        # One frame per collection: the keys seen (None for a sequence), and whether a key is next.
        self._frames: list[tuple[set[str] | None, list[bool]]] = []
        self._documents = 0

    def see(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1 and not self._many:
                raise self._refuse(event, "expected one document, found another one")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self._refuse(event, "anchors and aliases are not accepted; write the value out")
        tag = getattr(event, "tag", None)
        if tag:
            raise self._refuse(event, f"tags are not accepted, found {tag!r}")
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._open(event)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._frames.pop()

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        if event.implicit[0]:
            self._plain(event)
        if not self._toggle():
            return
        keys = self._frames[-1][0]
        assert keys is not None  # noqa: S101 - _toggle is true for a mapping's key only
        if event.value == "<<":
            raise self._refuse(event, "merge keys are not accepted; write the keys out")
        if event.value in keys:
            raise self._refuse(event, f"duplicate key {event.value[:100]!r}")
        keys.add(event.value)

    def _plain(self, event: yaml.ScalarEvent) -> None:
        """Refuse unquoted values that would be read as something else, or not at all."""
        long = not self._many and _LONG.fullmatch(event.value)
        if long or _SURPRISING.fullmatch(event.value):
            raise self._refuse(
                event,
                "expected a number of at most 18 plain digits without leading zeros, or "
                f"quoted text, found {event.value[:100]!r}",
            )
        if _DATE.match(event.value):
            reader: Any = yaml.SafeLoader("")
            tag = reader.resolve(yaml.ScalarNode, event.value, (True, False))
            try:
                reader.construct_object(yaml.ScalarNode(tag, event.value))
            except ValueError as error:
                raise self._refuse(
                    event, f"expected a date, or quoted text, found {event.value[:100]!r}"
                ) from error

    def _open(self, event: yaml.Event) -> None:
        if self._toggle():
            raise self._refuse(event, "a key must be plain text")
        if len(self._frames) >= MAX_YAML_DEPTH:
            raise self._refuse(event, f"nested deeper than {MAX_YAML_DEPTH} levels")
        mapping = isinstance(event, yaml.MappingStartEvent)
        self._frames.append((set() if mapping else None, [mapping]))

    def _toggle(self) -> bool:
        """Return whether this node is a key, and expect the other kind next."""
        if not self._frames or self._frames[-1][0] is None:
            return False
        flag = self._frames[-1][1]
        was_key = flag[0]
        flag[0] = not was_key
        return was_key

    def _refuse(self, event: yaml.Event, why: str) -> IsowardError:
        line = event.start_mark.line + 1 if event.start_mark else 0
        return self._error(f"{self._where}: line {line}: {why}", "Correct the YAML at that place.")


def _describe(cause: Exception) -> str:
    mark = getattr(cause, "problem_mark", None)
    problem = getattr(cause, "problem", None) or str(cause).splitlines()[0]
    return f"line {mark.line + 1}: {problem}" if mark else str(problem)


def readable_problem(message: str, tree: Any) -> str:
    """Turn msgspec's `... - at `$.images[0]`` into `images[0]: ..., found '...'`."""
    what, _, path = message.partition(" - at `")
    is_key, what = path.startswith("key` in `"), in_words(what)
    place = path.removeprefix("key` in `").removeprefix("$").rstrip("`").lstrip(".")
    found = None if is_key else _value_at(tree, place)
    shown = f", found {concealed(found)[:100]!r}" if isinstance(found, str) else ""
    what = f"one of its names: {what}" if is_key else what
    return f"{place}: {what}{shown}" if place else f"{what}{shown}"


def _value_at(tree: Any, place: str) -> Any:
    """Follow a path such as `images[0].reference`; None if it leads nowhere."""
    for name, index in re.findall(r"([^.\[\]]+)|\[(\d+)\]", place):
        if name and isinstance(tree, dict):
            tree = tree.get(name)
        elif index and isinstance(tree, list) and int(index) < len(tree):
            tree = tree[int(index)]
        else:
            return None
    return tree
