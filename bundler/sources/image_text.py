"""Text that looks like a reference to an image, where nothing says that it is one.

Wrong in both directions it costs something: an image that is passed over is missing at the site,
and each that is not one must be declared as left out by a person. So a field, variable or option
that says `image` is believed sooner than any other text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from bundle.model.digest import is_digest
from bundle.model.reference import is_host, is_repository, is_tag

_SPLIT: Final = re.compile(r"([\s\"'`,;=\[\]{}()<>|\\]+)")
_OTHERS: Final = (
    "dir", "format", "path", "policy", "pull", "registry", "secret", "size", "type",
)  # fmt: skip
"""What a name that says `image` says besides, when its value is none."""
_LONGEST: Final = 512
_PORT: Final = re.compile(r"[0-9]{4,5}")
"""Of `cache:6379`; a version such as that of `postgres:16` is shorter."""


def images_in_text(text: str, *, named: bool = False) -> Iterator[str]:
    """Yield the words of a text that look like images.

    Args:
        text: A variable's value, an argument, or a whole configuration file.
        named: What the text is the value of says `image`.
    """
    parts = _SPLIT.split(text)
    before, bound = "", False
    for separator, word in zip(["", *parts[1::2]], parts[::2], strict=True):
        plain = word.rstrip(":.")
        if not plain:
            # The colon of `"image": "x"` binds; an empty word at an edge does nothing.
            bound = bound or bool(word)
            continue
        said = named or (says_image(before) and (bound or "=" in separator))
        if looks_like_image(plain) if said else _is_full_reference(plain):
            yield plain
        # What follows `image:` and `--image` is its value; what follows the mere word is not.
        before, bound = plain, word.endswith(":") or word.startswith("-")


def says_image(name: str) -> bool:
    """Say whether a field, variable or option of this name may have an image as its value."""
    plain = name.lower()
    return "image" in plain and not any(word in plain for word in _OTHERS)


def looks_like_image(text: str) -> bool:
    """Say whether the value of something that says `image` may be one.

    Names of one part without a tag, such as `true` and `Always`, are not.
    """
    name, tag, digest = _parts(text)
    if not name or not (tag or digest or "/" in name):
        return False
    return "/" in name or bool(digest) or _PORT.fullmatch(tag) is None


def joined_image(fields: Mapping[Any, Any]) -> str:
    """Put together an image that is written as `registry`, `repository`, `tag` and `digest`.

    Returns:
        An empty string if it is no such thing.
    """
    texts = {key: value for key, value in fields.items() if isinstance(value, str) and value}
    name = texts.get("repository") or texts.get("name") or texts.get("image") or ""
    if not name:
        return ""
    registry = texts.get("registry") or texts.get("hub") or ""
    image = f"{registry.rstrip('/')}/{name}" if registry else name
    tag = texts.get("tag") or texts.get("version") or ""
    digest = texts.get("digest") or texts.get("sha") or ""
    image += f":{tag}" if tag and ":" not in image.rpartition("/")[2] else ""
    image += f"@{digest}" if digest and "@" not in image else ""
    return image if looks_like_image(image) else ""


def _is_full_reference(text: str) -> bool:
    """Say whether the text names a registry, a repository and which of its images."""
    name, tag, digest = _parts(text)
    host, slash, _ = name.partition("/")
    return bool(slash and "." in host and (tag or digest))


def _parts(text: str) -> tuple[str, str, str]:
    """Return name, tag and digest of what could be a reference, else three empty texts."""
    if len(text) > _LONGEST or "//" in text:
        return "", "", ""
    rest, at, digest = text.partition("@")
    head, slash, last = rest.rpartition("/")
    leaf, colon, tag = last.partition(":")
    name = f"{head}{slash}{leaf}"
    host, _, path = name.partition("/")
    has_host = "/" in name and ("." in host or ":" in host or host == "localhost")
    good = is_host(host) and is_repository(path) if has_host else is_repository(name)
    if not good or (colon and not is_tag(tag)) or (at and not is_digest(digest)):
        return "", "", ""
    return name, tag, digest
