"""Images that stand in parts beside each other: a registry, a name, a tag, a digest.

Fields of one mapping, variables of one container, options of one command and lines of one script
are all names with values. What the names have in common says which of them belong together, such as
`SIDECAR_REGISTRY`, `SIDECAR_NAME` and `SIDECAR_TAG`, or `repository` and `tag`. What an image lacks
it may have from further out, as Istio's `hub` and `tag` are for all its images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from bundle.base.digest import PREFIX, is_digest
from bundle.base.reference import is_host, is_tag
from bundler.model.image_holes import filled, has_holes, plain_reference
from bundler.sources.rendering.image_grammar import (
    is_bare_name,
    is_source_code,
    looks_like_image,
    says_image,
    words_of,
)

_ROLES: Final = {
    "registry": "registry",
    "hub": "registry",
    "repository": "repository",
    "repo": "repository",
    "image": "image",
    "img": "image",
    "name": "name",
    "path": "path",
    "org": "owner",
    "organization": "owner",
    "organisation": "owner",
    "owner": "owner",
    "namespace": "namespace",
    "project": "owner",
    "tag": "tag",
    "version": "version",
    "ver": "version",
    "hash": "digest",
    "digest": "digest",
    "sha": "digest",
    "sha256": "digest",
}
_PLACES: Final = frozenset(
    {"url", "uri", "host", "hostname", "server", "address", "prefix", "domain"}
)
"""What may follow `registry` in a name, and changes nothing."""
_REFERS: Final = frozenset({"name", "ref", "reference", "url", "uri", *_PLACES})
_ALL: Final = frozenset(
    {"image", "images", "img", "container", "default", "global", "docker", "oci", "new", "base"}
)
"""Words that do not tell one image of many from the others."""
_WHICH: Final = frozenset({"tag", "version", "digest"})
_NO_IMAGES: Final = frozenset({"chart", "charts", "git", "github", "gitlab", "helm", "source"})
"""Of what a mapping is, when its repository is not of images."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What holds for all images further in.

    Attributes:
        registry: Where they are; empty where it is not said.
        tag: Their tag, likewise.
    """

    registry: str = ""
    tag: str = ""

    def within(self, fields: Mapping[str, str]) -> Scope:
        """Return what holds within a mapping of these fields."""
        found = _groups(fields).get((), _Group()).texts
        if "image" in found:
            return self
        registry = _host(found.get("registry", ""))
        return Scope(registry or self.registry, found.get("tag") or self.tag)


@dataclass(frozen=True, slots=True)
class Joined:
    """An image that was put together.

    Attributes:
        image: With what was found of registry, tag and digest.
        key: Of the field in which its name is.
        used: The keys of all fields that it is made of.
    """

    image: str
    key: str
    used: frozenset[str]


@dataclass(slots=True)
class _Group:
    """What belongs together: texts and their keys by role, and whether some name says `image`."""

    says: bool = False
    texts: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)


NOWHERE: Final = Scope()


def images_in_parts(
    fields: Mapping[str, str], parent: str = "", scope: Scope = NOWHERE
) -> Iterator[Joined]:
    """Yield the images that fields name together.

    Args:
        fields: Names and texts, untrusted.
        parent: The name of what the fields are in.
        scope: What holds for it.
    """
    if not _NO_IMAGES.isdisjoint(words_of(parent)):
        return
    groups = _groups(fields)
    common = groups.get((), _Group()).texts
    for prefix, group in groups.items():
        outer = scope
        if prefix:
            # A name without a prefix, such as that of a pod, is not for what has one.
            registry = common.get("registry") or (
                "" if common.get("image") else common.get("repository", "")
            )
            outer = Scope(_host(registry) or scope.registry, common.get("tag") or scope.tag)
        image = _joined(group, says_image(parent), outer)
        if image:
            role = _naming(group.texts)
            others = {"name", "path", "owner", "namespace"} - {role}
            used = [key for name, key in group.keys.items() if name not in others]
            yield Joined(image, group.keys[role], frozenset(used))


def _groups(fields: Mapping[str, str]) -> dict[tuple[str, ...], _Group]:
    found: dict[tuple[str, ...], _Group] = {}
    for key, text in fields.items():
        words = words_of(key)
        says = _says(key)
        while len(words) > 1 and words[-1] in _PLACES and words[-2] in _ROLES:
            words.pop()
        if len(words) > 1 and words[-1] in _REFERS and words[-2] in {"image", "img"}:
            words.pop()
        role = _ROLES.get(words[-1]) if words else None
        if role is None or not text:
            continue
        prefix = tuple(word for word in words[:-1] if word not in _ALL)
        group = found.setdefault(prefix, _Group())
        group.says = group.says or says
        if role not in group.texts or words[0] == "new":
            group.texts[role] = text
            group.keys[role] = key
    return found


def _says(key: str) -> bool:
    return not {"image", "images", "img"}.isdisjoint(words_of(key))


def _naming(texts: Mapping[str, str]) -> str:
    for role in ("image", "repository", "name"):
        if role in texts:
            return role
    # A path of an address or of a file is everywhere; beside a registry and a tag it is a name.
    is_name = {"path", "registry"} <= texts.keys() and not texts.keys().isdisjoint(_WHICH)
    return "path" if is_name and not texts["path"].startswith("/") else ""


def _joined(group: _Group, parent_says: bool, outer: Scope) -> str:  # noqa: FBT001 - internal
    """Put one image together; an empty text where it is none."""
    texts = group.texts
    role = _naming(texts)
    name = plain_reference(texts.get(role, ""))
    registry = _host(texts.get("registry", ""))
    if not name or "//" in name or (is_source_code(name) and not texts.get("digest")):
        return ""
    repository = plain_reference(texts.get("repository", ""))
    if role == "image" and repository and "/" not in name and ":" not in name:
        if "//" in repository:
            return ""
        name = f"{repository.rstrip('/')}/{name}"
    owner = _owner(texts, role)
    if owner and registry and "/" not in registry and "/" not in name:
        name = f"{owner}/{name}"
    says = group.says or parent_says or (role == "image")
    if role == "name" and not (registry or says):
        return ""
    tag, digest = _version(texts, versioned=bool(says or registry or _has_host(name)))
    if role != "name":
        tag = tag or ("" if digest or _is_tagged(name) else outer.tag.removeprefix(":"))
        registry = registry or ("" if _has_host(name) or _is_tagged(name) else outer.registry)
    if not (tag or digest or _is_tagged(name) or says or (_has_host(name) and "/" in name)):
        return ""
    if not (tag or digest or _is_tagged(name)) and role == "image" and not registry:
        # A name alone is for who knows whether its field says nothing but `image`.
        return name if looks_like_image(name) else ""
    # `imageRegistry` beside an image that is whole is for others.
    whole = role == "image" and _is_tagged(name) and _says(group.keys.get("registry", ""))
    image = name if whole or _within(name, registry) else f"{registry}/{name}"
    image += f":{tag}" if tag and not _is_tagged(name) else ""
    image += f"@{digest}" if digest and "@" not in image else ""
    good = looks_like_image(image) or (parent_says and is_bare_name(image))
    return image if good else ""


def _owner(texts: Mapping[str, str], role: str) -> str:
    """Return what stands between a registry and the last part of a name.

    Beside a whole `repository` a namespace is that of Kubernetes.
    """
    owner = texts.get("owner", "")
    if not owner and role != "repository":
        owner = texts.get("namespace", "")
    return owner.strip("/") if is_bare_name(owner.strip("/")) else ""


def _version(texts: Mapping[str, str], *, versioned: bool) -> tuple[str, str]:
    """Return a tag and a digest."""
    # Charts write a tag also with the colon before it, and with the digest behind it.
    tag, _, pinned = texts.get("tag", "").removeprefix(":").partition("@")
    version, _, _ = texts.get("version", "").removeprefix(":").partition("@")
    pinned = pinned or texts.get("version", "").partition("@")[2]
    if not tag and versioned and any(c.isdigit() for c in filled(version)):
        tag = version
    digest = texts.get("digest", "").removeprefix("@") or pinned
    if digest and not digest.startswith(PREFIX) and is_digest(PREFIX + digest):
        digest = PREFIX + digest
    if tag.startswith(PREFIX):
        tag, digest = "", tag
    return (
        tag if is_tag(filled(tag)) else "",
        digest if is_digest(digest) or (digest and has_holes(digest)) else "",
    )


def _within(name: str, registry: str) -> bool:
    return not registry or name == registry or name.startswith(f"{registry}/") or _has_host(name)


def _has_host(name: str) -> bool:
    host, slash, _ = name.partition("/")
    return bool(slash) and ("." in host or ":" in host or host == "localhost")


def _is_tagged(name: str) -> bool:
    return "@" in name or ":" in filled(name).rpartition("/")[2]


def _host(text: str) -> str:
    """Return a registry, with what it has of a path; an empty text where it is none."""
    plain = plain_reference(text).strip("/")
    for scheme in ("https://", "http://"):
        plain = plain.removeprefix(scheme)
    host, _, path = filled(plain).partition("/")
    good = is_host(host) and all(part and part.isprintable() for part in path.split("/") if path)
    return plain if good and " " not in plain else ""
