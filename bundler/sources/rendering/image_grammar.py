"""Text that looks like a reference to an image, where nothing says that it is one.

Wrong in both directions it costs something: an image that is passed over is missing at the site,
and each that is not one must be declared as left out by a person. So a field, variable or option
that says `image` is believed sooner than any other text. What a template or a script puts together
is no image yet, and is a question all the same: it is shown as it stands there, with its holes.
"""

from __future__ import annotations

import re
from typing import Final

from bundle.base.digest import is_digest
from bundle.base.reference import is_host, is_repository, is_tag
from bundler.model.image_holes import FILLER, filled, has_holes, literal_of, plain_reference

_OTHERS: Final = (
    "dir", "format", "path", "policy", "pull", "registry", "secret", "size", "type",
)  # fmt: skip
"""What a name that says `image` says besides, when its value is none."""
_LONGEST: Final = 512
_PORT: Final = re.compile(r"[0-9]{4,5}")
"""Of `cache:6379`; a version such as that of `postgres:16` is shorter."""
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_LAST: Final = frozenset({"image", "images", "img"})
_NAMING: Final = frozenset(
    {"name", "names", "ref", "reference", "uri", "url", "repository", "repo"}
)
_NO_NAMES: Final = frozenset(
    {
        "all", "always", "any", "auto", "custom", "default", "disabled", "enabled", "false", "from",
        "in", "is", "never", "no", "none", "null", "of", "off", "on", "string", "the", "to", "true",
        "undefined", "unknown", "yes",
    }
)  # fmt: skip
"""What a field called image may hold instead of an image."""
_BARE: Final = re.compile(r"[a-z][a-z0-9]*(?:[._-]+[a-z0-9]+)*")
_PICTURE: Final = re.compile(r"\.(?:avif|bmp|gif|ico|iso|jpe?g|png|qcow2|raw|svg|vmdk|webp)$")
_MEDIA: Final = re.compile(r"(?:image|application|audio|text|video)/[a-z0-9.+-]+")
_VERSION: Final = re.compile(r"v?[0-9]+\.[0-9]+(?:\.[0-9]+)?(?:[-_][A-Za-z0-9_.-]+)?")
_KNOWN: Final = re.compile(
    r"(?:(?:index\.)?docker\.io|quay\.io|(?:[a-z-]+\.)?ghcr\.io|(?:[a-z]+\.)?gcr\.io"
    r"|registry\.[a-z0-9.-]+|[a-z0-9-]+\.azurecr\.io|mcr\.microsoft\.com|public\.ecr\.aws"
    r"|nvcr\.io|docker\.elastic\.co|[a-z0-9-]+-docker\.pkg\.dev|xpkg\.[a-z0-9.-]+)/"
)
_CODE: Final = ("github.com/", "gitlab.com/", "bitbucket.org/")
"""Hosts of source code, which serve no images."""


def words_of(name: str) -> list[str]:
    """Return the words of a field's, variable's or option's name, in lower case."""
    return [word.lower() for word in _WORDS.findall(name)]


def says_image(name: str) -> bool:
    """Return whether a field, variable or option of this name may have an image as its value."""
    plain = name.lower()
    said = "image" in plain or "img" in words_of(name)
    return said and not any(word in plain for word in _OTHERS)


def says_only_image(name: str) -> bool:
    """Return whether its value is an image and can hardly be anything else, such as a mode."""
    words = words_of(name)
    while len(words) > 1 and words[-1] in _NAMING:
        words.pop()
    return bool(words) and words[-1] in _LAST and says_image(name)


def looks_like_image(text: str) -> bool:
    """Return whether the value of something that says `image` may be one.

    Names of one part without a tag, such as `true` and `Always`, are not; see `is_bare_name`.
    """
    name, tag, digest = _parts(filled(text))
    if not name or not (tag or digest or "/" in name):
        return False
    if not tag and not digest and (_PICTURE.search(name) or _MEDIA.fullmatch(name)):
        return False
    return "/" in name or bool(digest) or _PORT.fullmatch(tag) is None


def is_bare_name(text: str) -> bool:
    """Return whether the value of what says nothing but `image` is one, such as `busybox`."""
    plain = filled(text)
    if len(plain) > _LONGEST or plain in _NO_NAMES or _PICTURE.search(plain):
        return False
    return _BARE.fullmatch(plain) is not None


def is_full_reference(text: str) -> bool:
    """Return whether the text names a registry, a repository and which of its images."""
    name, tag, digest = _parts(text)
    host, slash, path = name.partition("/")
    lettered = any(character.isalpha() for character in path)
    return bool(slash and "." in host and lettered and (tag or digest))


def is_short_reference(text: str) -> bool:
    """Return whether the text, which is a whole value, is a name in two parts and a version.

    Such as `rancher/mirrored-pause:3.6`; neither `10.0.0.0/8:1` nor `pods/proxy:get`.
    """
    name, tag, digest = _parts(text)
    leaf = name.rpartition("/")[2]
    versioned = any(c.isdigit() for c in tag) and _PORT.fullmatch(tag) is None
    return "/" in name and any(c.isalpha() for c in leaf) and (bool(digest) or versioned)


def is_versioned_name(text: str) -> bool:
    """Return whether an option's value is a name and a version with a point in it.

    Such as `busybox:1.36`; neither `web:80` nor `node:10.0.0.1`.
    """
    name, tag, _ = _parts(text)
    return _VERSION.fullmatch(tag) is not None and sum(c.isalpha() for c in name) > 1


def is_in_registry(text: str) -> bool:
    """Return whether the text, a complete value, is a repository of a well-known registry."""
    name, _, _ = _parts(filled(text))
    return _KNOWN.match(name) is not None


def is_template(text: str) -> bool:
    """Return whether it has the shape of a reference, of which some part is filled in later."""
    if not has_holes(text) or "{{" not in text:
        return False
    name, tag, digest = _parts(filled(text))
    literal = "".join(c for c in literal_of(name) if c.isalnum())
    named = "/" in name and any(c.isalnum() for c in literal_of(text.rpartition("@")[0] or text))
    return bool(literal and named and (tag or digest))


def is_source_code(text: str) -> bool:
    """Return whether a repository is of source code."""
    return text.startswith(_CODE) or text.endswith(".git")


def shown(text: str) -> str:
    """Return it as it can be written into a definition: one word, not too long."""
    return "".join(c for c in text if c.isprintable() and not c.isspace())[:_LONGEST]


def _parts(text: str) -> tuple[str, str, str]:
    """Return name, tag and digest of what could be a reference, else three empty texts."""
    text = plain_reference(text)
    if len(text) > _LONGEST or "//" in text:
        return "", "", ""
    rest, at, digest = text.partition("@")
    head, slash, last = rest.rpartition("/")
    leaf, colon, tag = last.partition(":")
    name = f"{head}{slash}{leaf}"
    host, _, path = name.partition("/")
    has_host = "/" in name and ("." in host or ":" in host or host == "localhost")
    good = is_host(host) and is_repository(path) if has_host else is_repository(name)
    good_digest = not at or is_digest(digest) or digest == FILLER
    if not good or (colon and not is_tag(tag)) or not good_digest:
        return "", "", ""
    return name, tag, digest
