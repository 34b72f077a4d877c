"""Free text: scripts, templates and files of unknown form, of which words and lines are looked at.

It is not understood, and so a name of one part is believed only where it stands alone behind an
option, a variable or a field that says `image`. Variables that a script sets itself are filled in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from bundler.model.image_holes import has_holes, holes_in, plain_reference
from bundler.sources.rendering.image_grammar import (
    is_bare_name,
    is_full_reference,
    is_short_reference,
    is_template,
    is_versioned_name,
    looks_like_image,
    says_image,
    says_only_image,
    shown,
)
from bundler.sources.rendering.image_parts import NOWHERE, Scope, images_in_parts

_SPLIT: Final = re.compile(r"([\s\"'`,;=\[\]{}()<>|\\]+)")
_MARK: Final = re.compile("\ue000([0-9]+)\ue001")
"""Stands for a hole while words are told apart: a template has spaces and braces of its own."""

_LINE: Final = re.compile(
    r"^([ \t]*)(-[ \t]+|)(?:(?:export|readonly|local)[ \t]+)?"
    r"[\"']?([A-Za-z_][\w.-]{0,99})[\"']?[ \t]*[:=][ \t]*"
    r"([\"'`]?)([^\s\"'`#,;]{1,512})\4[ \t]*[,;]?[ \t]*(?:#.*)?$"
)
_VARIABLE: Final = re.compile(
    r"\$(?:\{([A-Za-z_]\w*)(?::?[-=]([^{}\s]*))?\}|\(([A-Za-z_]\w*)\)|([A-Za-z_]\w*))"
)
"""Also with what it is where nobody sets it: `${IMAGE:-busybox}`."""
_PAIR: Final = re.compile(
    r"[\"']?([A-Za-z_][\w.-]{0,99})[\"']?\s{0,9}[:=]\s{0,9}[\"']([^\s\"']{1,512})[\"']"
    r"|<([A-Za-z_][\w.-]{0,99})>\s{0,9}([^\s<>]{1,512})\s{0,9}</"
)
"""Two of them in one line belong together: `{"repository": "x", "tag": "1"}`, and in XML."""
_TOOL: Final = re.compile(
    r"\b(?:docker|podman|nerdctl|crictl|ctr|buildah|crane|skopeo|oras|regctl|kubectl\s+set\s+image)\s"
    r"[^\n;|&]{0,1000}"
)
"""A command that has images among its words."""
_PULL: Final = re.compile(r"\bpull\s+(?:-\S+\s+){0,9}[\"']?([^\s\"']{1,512})")
_FROM: Final = re.compile(
    r"^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)?(\S{1,512})(?:[ \t]+[Aa][Ss][ \t]+(\S+))?[ \t]*$",
    re.MULTILINE,
)
"""What a Dockerfile builds upon; a later stage may name an earlier one."""
_STEP: Final = re.compile(r"^[ \t]*(?:RUN|COPY|ADD|CMD|ENTRYPOINT)[ \t]", re.MULTILINE)
_PROPERTY: Final = re.compile(r"^[ \t]*([\w-]+(?:\.[\w-]+)+)[ \t]+(\S{1,512})[ \t]*$", re.MULTILINE)
"""A setting with nothing but white space before its value, as Spark has it."""
_FORMAT: Final = re.compile(r"[\"'`]%[sv]/[a-z0-9._/%-]*[a-z0-9]:[^\"'`\s]+[\"'`]")
"""What a template prints an image by."""
_MAX_ROUNDS: Final = 4
"""Variables that are made of variables."""
_MAX_LINE: Final = 1000
"""Characters of a line that a person wrote."""
_MAX_GROWTH: Final = 65_536


def images_in_text(text: str, *, named: bool = False, scope: Scope = NOWHERE) -> Iterator[str]:
    """Yield the words of a text that look like images, and what its lines make of parts.

    Args:
        text: A variable's value, an argument, or a whole file.
        named: What the text is the value of says `image`.
        scope: What holds for images in it.
    """
    text = filled_in(text.replace("\ue000", "").replace("\ue001", ""), {})
    joined: set[str] = set()
    if "\n" in text or len(_PAIR.findall(text[:_MAX_LINE])) > 1:
        blocks = _blocks(text)
        yield from _in_blocks(blocks, scope, joined)
        text = filled_in(text, blocks[0])
    holes = holes_in(text)
    kept = [text[start:end] for start, end in holes]
    for number, (start, end) in reversed(list(enumerate(holes))):
        text = f"{text[:start]}\ue000{number}\ue001{text[end:]}"

    def whole(word: str) -> str:
        return _MARK.sub(lambda found: kept[int(found[1])], word)

    for image, word in _words(text, whole, named=named):
        if word not in joined:
            yield image
    yield from _of_tools(text, whole)
    yield from _of_files(text, whole)
    yield from (shown(hole) for hole in kept if _FORMAT.search(hole))


def _of_tools(text: str, whole: Callable[[str], str]) -> Iterator[str]:
    """Yield the images among the words of commands that work with them."""
    for command in _TOOL.finditer(text):
        pulled = [found[1] for found in _PULL.finditer(command[0])]
        for word in (*pulled, *_SPLIT.split(command[0])):
            image = plain_reference(whole(word).rstrip(".:"))
            sure = word in pulled and (is_bare_name(image) or looks_like_image(image))
            if sure or is_short_reference(image) or is_versioned_name(image):
                yield shown(image)


def _of_files(text: str, whole: Callable[[str], str]) -> Iterator[str]:
    """Yield what files of two well-known forms name without a sign between name and value."""
    stages = {"scratch"}
    if _STEP.search(text):
        for base in _FROM.finditer(text):
            image = whole(base[1])
            if image not in stages and (is_bare_name(image) or looks_like_image(image)):
                yield shown(image)
            stages.add(base[2] or "")
    for setting in _PROPERTY.finditer(text):
        image = plain_reference(whole(setting[2]))
        if says_only_image(setting[1]) and (is_bare_name(image) or looks_like_image(image)):
            yield shown(image)


def expanded(fields: Mapping[str, str]) -> dict[str, str]:
    """Return variables with those filled in that are among them, as a kubelet and a shell do."""
    known = dict(fields)
    for _ in range(_MAX_ROUNDS):
        known = {name: filled_in(text, known) for name, text in known.items()}
    return known


def filled_in(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with the variables filled in that are known."""
    if "$" not in text:
        return text

    def fill(found: re.Match[str]) -> str:
        default = found[0] if found[2] is None else found[2]
        return variables.get(found[1] or found[3] or found[4], default)

    made = _VARIABLE.sub(fill, text)
    # Variables of variables grow without end where somebody means it.
    return made if len(made) <= len(text) + _MAX_GROWTH else text


def _words(text: str, whole: Callable[[str], str], *, named: bool) -> Iterator[tuple[str, str]]:
    """Yield images, and the words that they are."""
    parts = _SPLIT.split(text)
    before, bound = "", False
    for separator, word in zip(["", *parts[1::2]], parts[::2], strict=True):
        plain = word.rstrip(":.")
        if not plain:
            # The colon of `"image": "x"` binds; an empty word at an edge does nothing.
            bound = bound or bool(word)
            continue
        full = whole(plain)
        said = named or (says_image(before) and (bound or "=" in separator or separator == ">"))
        if looks_like_image(full) if said else is_full_reference(full) or is_template(full):
            yield shown(plain_reference(full)), full
        elif not named and says_only_image(before) and _alone(before, separator, full, bound):
            yield shown(full), full
        # What follows `image:` and `--image` is its value; what follows the mere word is not.
        before, bound = plain, word.endswith(":") or word.startswith("-")


def _alone(before: str, separator: str, word: str, bound: bool) -> bool:  # noqa: FBT001 - internal
    """Return whether a name of one part is the value of what stands before it."""
    if has_holes(word):
        return bound or "=" in separator
    if separator == ">":
        return is_bare_name(word)
    if bound and not before.startswith("-"):
        return any(quote in separator for quote in "\"'`") and is_bare_name(word)
    option = before.startswith("-") and "\n\n" not in separator
    variable = separator in {"=", '="', "='"} and before.isupper()
    return (option or variable) and is_bare_name(word)


def _blocks(text: str) -> list[dict[str, str]]:
    """Return the settings of each block of lines, those without an indent first."""
    top: dict[str, str] = {}
    open_blocks: list[tuple[int, dict[str, str]]] = [(0, top)]
    blocks = [top]
    for line in text.splitlines():
        found = _LINE.match(line) if len(line) <= _MAX_LINE else None
        if found is None:
            if line.lstrip().startswith("["):
                # The settings of a table are not those above it.
                open_blocks = [(0, {})]
                blocks.append(open_blocks[0][1])
            if len(line) <= _MAX_LINE:
                blocks += _pairs(line)
            continue
        lead, item, key, _, value = found.groups()
        depth = len(lead.expandtabs())
        while len(open_blocks) > 1 and (
            open_blocks[-1][0] > depth or (item and open_blocks[-1][0] == depth)
        ):
            open_blocks.pop()
        if item or open_blocks[-1][0] < depth:
            # What follows the dash of an item is indented by it.
            open_blocks.append((depth + len(item.expandtabs()), {}))
            blocks.append(open_blocks[-1][1])
        if key in open_blocks[-1][1]:
            open_blocks[-1] = (open_blocks[-1][0], {})
            blocks.append(open_blocks[-1][1])
        open_blocks[-1][1][key] = value
    return blocks


def _pairs(line: str) -> list[dict[str, str]]:
    """Return the names with values of one line, those that stand again in a block of their own."""
    blocks: list[dict[str, str]] = [{}]
    for found in _PAIR.finditer(line):
        key, value = found[1] or found[3], found[2] or found[4]
        if key in blocks[-1]:
            blocks.append({})
        blocks[-1][key] = value
    return [block for block in blocks if len(block) > 1]


def _in_blocks(blocks: list[dict[str, str]], scope: Scope, joined: set[str]) -> Iterator[str]:
    """Yield the images that lines of one block name together: `tag: x` below `repository: y`."""
    variables = expanded(blocks[0])
    for block in blocks:
        fields = {key: filled_in(text, variables) for key, text in block.items()}
        named: set[str] = set()
        for found in images_in_parts(fields, "", scope):
            named |= found.used
            joined |= {text for key in found.used for text in (block[key], fields[key])}
            yield shown(found.image)
        for key, text in fields.items():
            if key not in named and says_only_image(key) and is_bare_name(text):
                yield shown(text)
