"""Looking for images in data whose form only its reader knows: fields, settings, texts in texts.

Whatever can be read as YAML or JSON is read, since parts of an image stand beside each other there;
the rest is looked at as words and lines. All that is found is a question to a person, never taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from bundle.base.errors import FormatError
from bundle.base.reference import is_tag
from bundler.model.image_holes import filled, has_holes, plain_reference
from bundler.sources.rendering.image_grammar import (
    is_bare_name,
    is_in_registry,
    is_short_reference,
    is_versioned_name,
    looks_like_image,
    says_image,
    says_only_image,
    shown,
    words_of,
)
from bundler.sources.rendering.image_parts import NOWHERE, Joined, Scope, images_in_parts
from bundler.sources.rendering.image_text import expanded, filled_in, images_in_text
from bundler.sources.rendering.rendered_yaml import rendered_documents

_DEEPEST: Final = 4
"""Texts within texts within texts."""
_LABELS: Final = frozenset({".metadata.annotations", ".metadata.labels"})
_GLOBAL: Final = "global"
_OCI: Final = "oci://"
_HINT: Final = re.compile(r"[/:@={$\n]|\bimage", re.IGNORECASE)
"""Without any of these no text names an image."""
_COMMANDS: Final = (["args"], ["command"], ["arguments"], ["cmd"], ["entrypoint"])
_SET: Final = frozenset({"--set", "--set-string", "--set-literal"})
_FLOW: Final = re.compile(r"^[A-Za-z_][\w.-]{0,99}:\s{1,9}[\[{]")
"""YAML in one line."""
_LISTED: Final = re.compile(r"\s*,\s*")
_REGISTRIES: Final = frozenset(
    {"registry", "registries", "hub", "mirror", "mirrors", "endpoint", "endpoints", "host", "hosts"}
)
_IMAGES: Final = "images"
_SETTINGS: Final = _REGISTRIES | {
    "pull", "policy", "secret", "secrets", "repository", "repo", "tag", "version", "digest",
    "enabled", "type", "format", "path", "size", "name",
}  # fmt: skip
"""Words of fields of a mapping called `images` that hold for all of them, and are none."""
_FEW: Final = 4
"""Fields of a variable: it has a name, a value, and perhaps what it is for."""
_AT: Final = ("tag", "version", "targetRevision", "revision")

Found = tuple[str, str]
"""An image, and the path of the field that named it."""


class Search:
    """Searches, and counts what it looks at."""

    def __init__(self, count: Callable[[], None]) -> None:
        """Count by a function that raises when it was too much."""
        self._count = count

    def fields(
        self,
        tree: Any,
        path: str = "",
        scope: Scope = NOWHERE,
        depth: int = 0,
        *,
        listed: bool = False,
    ) -> Iterator[Found]:
        """Yield what a tree of fields names.

        Args:
            tree: Untrusted; aliases may make it a graph.
            path: Of the fields, such as `.spec`.
            scope: What holds for images in it.
            depth: Of texts in texts.
            listed: Whether the fields are an item of a list of that path.
        """
        self._count()
        if isinstance(tree, list):
            yield from self._list(tree, path, scope, depth)
            return
        if not isinstance(tree, dict) or path in _LABELS:
            return
        texts = {str(key): value for key, value in tree.items() if isinstance(value, str)}
        shared = tree.get(_GLOBAL)
        if isinstance(shared, dict):
            scope = scope.within({str(k): v for k, v in shared.items() if isinstance(v, str)})
        named = _by_key((*images_in_parts(texts, _parent(path), scope), *_artifacts(tree)))
        inner = scope.within(texts)
        by_name = not listed and path.lower().endswith(_IMAGES)
        for key, value in tree.items():
            if key in named:
                yield from ((image, f"{path}.{key}") for image in named[key])
            else:
                said = "image" if by_name and _is_one(str(key), value) else ""
                yield from self._value(value, f"{path}.{key}", inner, depth=depth, said=said)

    def settings(self, fields: Mapping[str, str]) -> Iterator[Found]:
        """Yield what names with texts name, such as variables: the image and the one's name."""
        self._count()
        named = _by_key(images_in_parts(fields))
        scope = NOWHERE.within(fields)
        for key, text in fields.items():
            if key in named:
                yield from ((image, key) for image in named[key])
            else:
                yield from ((image, key) for image, _ in self._text(text, key, scope, 0))

    def words(self, words: Sequence[str], variables: Mapping[str, str]) -> Iterator[str]:
        """Yield what the words of a command name.

        Args:
            words: A program and its arguments.
            variables: Of the container, which a kubelet fills in.
        """
        options: dict[str, str] = {}
        rest: list[str] = []
        waiting = ""
        for word in _each_set(words):
            name, equals, value = word.partition("=")
            value = value.strip("\"'")
            plain = name.lstrip("-")
            is_name = plain.replace("-", "").replace("_", "").replace(".", "").isalnum()
            if equals and is_name and "\n" not in word and plain not in options:
                options[plain] = value
            elif waiting and not word.startswith("-") and waiting not in options:
                options[waiting] = word
            elif waiting and not word.startswith("-"):
                rest.append(f"--{waiting}={word}")
            else:
                rest.append(word)
            waiting = plain if word.startswith("--") and not equals and is_name else ""
        known = expanded({**variables, **options})
        for image, _ in self.settings({name: known[name] for name in options}):
            yield image
        yield from (known[name] for name in options if is_versioned_name(known[name]))
        text = "\n".join(rest)
        yield from images_in_text(filled_in(text, known))

    def _list(self, items: list[Any], path: str, scope: Scope, depth: int) -> Iterator[Found]:
        """Look at a list: of a command's words, of names with values, or of anything."""
        texts = [item for item in items if isinstance(item, str)]
        if any(text.startswith("-") for text in texts) or words_of(path)[-1:] in _COMMANDS:
            yield from ((image, path) for image in self.words(texts, {}))
            items = [item for item in items if not isinstance(item, str)]
        settings = {}
        for item in items:
            name, value = _setting(item)
            if name and name not in settings:
                settings[name] = value
            elif isinstance(item, dict):
                yield from self.fields(item, path, scope, depth, listed=True)
            else:
                yield from self._value(item, path, scope, depth)
        if settings:
            for image, name in self.settings(expanded(settings)):
                yield image, f"{path}.{name}"

    def _value(
        self, value: Any, path: str, scope: Scope, depth: int, said: str = ""
    ) -> Iterator[Found]:
        """Look at a value; `said` is what it is, where its own key does not say that."""
        if isinstance(value, dict | list):
            yield from self.fields(value, path, scope, depth)
        elif isinstance(value, str):
            key = said or path.rpartition(".")[2]
            for image, below in self._text(value, key, scope, depth):
                yield image, f"{path}{below}"

    def _text(self, text: str, key: str, scope: Scope, depth: int) -> Iterator[Found]:
        """Yield what the text of a field names."""
        self._count()
        plain = text.strip()
        if not says_image(key) and _HINT.search(plain) is None:
            return
        tree = _parsed(plain) if depth < _DEEPEST else None
        if tree is not None:
            yield from ((image, "") for image, _ in self.fields(tree, f".{key}", scope, depth + 1))
            return
        for image in _whole(plain, key):
            yield image, ""
            return
        listed = says_only_image(key) and _LISTED.split(plain)
        if (
            listed
            and len(listed) > 1
            and all(is_bare_name(i) or looks_like_image(i) for i in listed)
        ):
            yield from ((shown(image), "") for image in listed)
            return
        yield from ((i, "") for i in images_in_text(text, named=says_image(key), scope=scope))


def _whole(text: str, key: str) -> Iterator[str]:
    """Yield the image that the whole of a field's text is."""
    if any(c.isspace() for c in text) and not has_holes(text):
        return
    image = plain_reference(text)
    if says_only_image(key):
        if is_bare_name(image) or looks_like_image(image):
            yield shown(image)
    elif is_short_reference(image) or (is_in_registry(image) and not _names_registry(key)):
        yield shown(image)


def _parent(path: str) -> str:
    """Return the key that says what fields are: of images by their names it is not the name."""
    above, _, key = path.rpartition(".")
    return _IMAGES if above.lower().endswith(_IMAGES) and not _is_setting(key) else key


def _is_setting(key: str) -> bool:
    return not _SETTINGS.isdisjoint(words_of(key))


def _is_one(key: str, value: Any) -> bool:
    """Return whether an entry of a mapping of images is one of them, and no setting of all."""
    return isinstance(value, str) and not _is_setting(key) and len(value.split()) == 1


def _names_registry(key: str) -> bool:
    return not _REGISTRIES.isdisjoint(words_of(key))


def _setting(item: Any) -> tuple[str, str]:
    """Return the name and the value of a variable, a parameter or an option; else empty texts."""
    if not isinstance(item, dict):
        return "", ""
    names = [item[key] for key in ("name", "key") if isinstance(item.get(key), str)]
    values = [item[key] for key in ("value", "default") if isinstance(item.get(key), str)]
    return (names[0], values[0]) if names and len(values) == 1 and len(item) <= _FEW else ("", "")


def _each_set(words: Iterable[str]) -> Iterator[str]:
    """Yield the words of a command, each value that Helm is told to set as an option."""
    waiting = False
    for word in words:
        name, _, value = word.partition("=")
        if waiting or (name in _SET and value):
            yield from (f"--{pair}" for pair in (word if waiting else value).split(","))
            waiting = False
        elif name in _SET:
            waiting = True
        else:
            yield word


def _parsed(text: str) -> Any:
    """Read a text as JSON or YAML; None where it is neither, or one text."""
    if text.startswith(("{", "[")) and not text.startswith("{{"):
        try:
            return json.loads(text, parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            pass
    elif "\n" not in text and _FLOW.search(text) is None:
        return None
    try:
        documents = rendered_documents(text.encode("utf-8", "replace"), "a text")
    except FormatError:
        return None
    trees = [document for document in documents if isinstance(document, dict | list)]
    return trees if trees and len(trees) == len([d for d in documents if d is not None]) else None


def _by_key(found: Iterable[Joined]) -> dict[str, list[str]]:
    """Return the images by the key of their name; other keys that they are made of have none."""
    by_key: dict[str, list[str]] = {}
    for joined in found:
        for key in joined.used:
            by_key.setdefault(key, [])
        by_key[joined.key].append(shown(joined.image))
    return by_key


def _artifacts(tree: Mapping[Any, Any]) -> Iterator[Joined]:
    """Yield what is named by an address `oci://`, as in Flux's and Argo's objects."""
    for key, text in tree.items():
        if not isinstance(text, str):
            continue
        chart = tree.get("chart")
        # Argo has a chart of a registry without the scheme.
        bare = key == "repoURL" and isinstance(chart, str) and "://" not in text
        if not bare and not text.startswith(_OCI):
            continue
        base = plain_reference(text).rstrip("/")
        if isinstance(chart, str) and chart and not base.endswith(f"/{chart}"):
            base = f"{base}/{chart}"
        ref = tree.get("ref")
        at = ref if isinstance(ref, dict) else tree
        tags = [at[name] for name in _AT if isinstance(at.get(name), str) and at[name]]
        digest = at.get("digest")
        image = f"{base}:{tags[0]}" if tags and is_tag(filled(tags[0])) else base
        image += f"@{digest}" if isinstance(digest, str) and digest else ""
        if looks_like_image(image):
            yield Joined(image, str(key), frozenset({str(key)}))
