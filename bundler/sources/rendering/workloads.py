"""The images that Kubernetes objects ask for, and what else in them looks like one.

A pod's specification says which images the cluster will be asked to run, and Kubernetes' own kinds
say where they have one: nothing is guessed there. In other places (resources of an operator, the
environment and arguments that an operator reads, configuration) text may name an image that
somebody starts later, or may not; it is only reported, for a person to decide.

Source: Kubernetes API reference, PodSpec: `containers`, `initContainers`, `ephemeralContainers`,
`volumes[].image`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any, Final

from bundle.base.errors import FormatError
from bundle.base.limits import MAX_RENDERED_NODES
from bundle.kinds.closure import Named
from bundler.sources.rendering.image_search import Search
from bundler.sources.rendering.image_text import expanded

_POD_PATHS: Final[Mapping[str, tuple[str, ...]]] = {
    "Pod": ("spec",),
    "PodTemplate": ("template", "spec"),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    **dict.fromkeys(
        ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "ReplicationController"),
        ("spec", "template", "spec"),
    ),
}
_POD_GROUPS: Final = frozenset({"", "apps", "batch", "extensions"})
_CONTAINERS: Final = ("initContainers", "containers", "ephemeralContainers")
_HANDLERS: Final = ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")
"""Where a container has commands besides its own."""
_TEXTS: Final = frozenset({"ConfigMap", "Secret"})


def images_of(documents: list[Any], what: str) -> Iterator[Named]:
    """Yield the images of parsed documents, with repeats.

    Args:
        documents: Untrusted; aliases may make them graphs.
        what: What they are of, for messages.
    Raises:
        FormatError: Something is no Kubernetes object, or a pod's specification is malformed.
    """
    walk = _Walk(what)
    try:
        for document in documents:
            if document is not None:
                yield from walk.object(document)
    except RecursionError as error:
        raise walk.refuse("a reference to itself") from error


class _Walk:
    """Looks at objects, and counts what it looks at."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._left = MAX_RENDERED_NODES
        self._search = Search(self._count)

    def object(self, tree: Any) -> Iterator[Named]:
        if not isinstance(tree, dict) or not isinstance(tree.get("kind"), str):
            raise self.refuse("an object without a kind")
        self._count()
        kind, version = tree["kind"], tree.get("apiVersion")
        group = version.rpartition("/")[0] if isinstance(version, str) else ""
        if kind.endswith("List") and isinstance(tree.get("items"), list):
            for item in tree["items"]:
                yield from self.object(item)
            return
        where = f"{kind} {_name(tree)}"
        yield from self._annotations(tree, where)
        if kind in _POD_PATHS and group in _POD_GROUPS:
            yield from self._pod(tree, _POD_PATHS[kind], where)
        elif kind in _TEXTS and not group:
            yield from self._texts(tree, where)
        elif kind == "CustomResourceDefinition":
            yield from self._defaults(tree.get("spec"), "", where)
        else:
            yield from self._fields(tree, "", where)

    def _pod(self, tree: Any, path: tuple[str, ...], where: str) -> Iterator[Named]:
        spec = tree
        for step in path:
            spec = spec.get(step) if isinstance(spec, dict) else None
            if step in ("template", "jobTemplate") and isinstance(spec, dict):
                yield from self._annotations(spec, where)
        if not isinstance(spec, dict):
            raise self.refuse(f"{where}: missing {'.'.join(path)}")
        for field in _CONTAINERS:
            for container in self._list(spec, field, where):
                place = f"{where}, {field[:-1]} {container.get('name')}"
                yield Named(self._text(container.get("image"), place), "rendered", place)
                yield from self._inputs(container, place)
        for volume in self._list(spec, "volumes", where):
            source = volume.get("image")
            if isinstance(source, dict):
                place = f"{where}, volume {volume.get('name')}"
                yield Named(self._text(source.get("reference"), place), "rendered", place)

    def _inputs(self, container: dict[Any, Any], place: str) -> Iterator[Named]:
        """Look at what a container is told: an operator learns there what it is to start."""
        variables = {
            str(variable.get("name")): variable["value"]
            for variable in self._list(container, "env", place)
            if isinstance(variable.get("value"), str)
        }
        for field in ("command", "args"):
            words = container.get(field)
            self._count()
            given = (
                [word for word in words if isinstance(word, str)] if isinstance(words, list) else []
            )
            for image in self._search.words(given, variables):
                yield Named(image, "found", f"{place}, {field}")
        for field in _HANDLERS:
            for image, path in self._search.fields(container.get(field)):
                yield Named(image, "found", f"{place}, {field}{path}")
        for image, name in self._search.settings(expanded(variables)):
            yield Named(image, "found", f"{place}, env {name}")

    def _annotations(self, tree: dict[Any, Any], where: str) -> Iterator[Named]:
        metadata = tree.get("metadata")
        found = metadata.get("annotations") if isinstance(metadata, dict) else None
        for image, name in self._search.settings(_texts(found)):
            yield Named(image, "found", f"{where}, annotation {name}")

    def _texts(self, tree: dict[Any, Any], where: str) -> Iterator[Named]:
        for field in ("data", "stringData", "binaryData"):
            coded = field == "binaryData" or (field == "data" and tree["kind"] == "Secret")
            texts = _texts(tree.get(field))
            if coded:
                texts = {name: _decoded(value) for name, value in texts.items()}
            for image, name in self._search.settings(texts):
                yield Named(image, "found", f"{where}, {field} {name}")

    def _fields(self, tree: Any, path: str, where: str) -> Iterator[Named]:
        """Look for images in a resource whose kind only its operator knows."""
        for image, place in self._search.fields(tree, path):
            yield Named(image, "found", f"{where}, {place[1:]}")

    def _defaults(self, tree: Any, name: str, where: str, *, held: bool = False) -> Iterator[Named]:
        """Look at the defaults in a CRD's schemas: the API server fills them in.

        Args:
            tree: Of the CRD.
            name: Of the field that it is in.
            where: The CRD.
            held: Its own default was looked at, with those beside it.
        """
        self._count()
        if isinstance(tree, list):
            for item in tree:
                yield from self._defaults(item, name, where)
            return
        if not isinstance(tree, dict):
            return
        given = {name: tree["default"]} if "default" in tree and not held else {}
        if name == "properties":
            # What stands beside each other in an object stands so in its schema.
            given = {
                str(field): schema["default"]
                for field, schema in tree.items()
                if isinstance(schema, dict) and "default" in schema
            }
        for image, place in self._search.fields(given):
            field = place[1:].partition(".")[0]
            yield Named(image, "found", f"{where}, default of {field}")
        for key, value in tree.items():
            if isinstance(value, dict | list) and (key != "default" or name == "properties"):
                yield from self._defaults(value, str(key), where, held=name == "properties")

    def _list(self, tree: dict[Any, Any], field: str, where: str) -> list[dict[Any, Any]]:
        items = tree.get(field)
        self._count()
        if items is None:
            return []
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise self.refuse(f"{where}: {field} is not a list of objects")
        return items

    def _text(self, value: Any, place: str) -> str:
        if not isinstance(value, str) or not value:
            raise self.refuse(f"{place}: missing image")
        return value

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise self.refuse("too many elements")

    def refuse(self, why: str) -> FormatError:
        """Describe what is wrong with what is rendered."""
        return FormatError(
            f"{self._what}: it renders {why[:300]}",
            "Render it with `helm template`, and correct its values or ask its publisher.",
        )


def _texts(tree: Any) -> dict[str, str]:
    entries = tree.items() if isinstance(tree, dict) else ()
    return {str(name): value for name, value in entries if isinstance(value, str)}


def _decoded(value: str) -> str:
    try:
        return base64.b64decode(value).decode("utf-8")
    except (binascii.Error, ValueError):
        return ""


def _name(tree: dict[Any, Any]) -> str:
    metadata = tree.get("metadata")
    name = (
        metadata.get("name") or metadata.get("generateName") if isinstance(metadata, dict) else ""
    )
    return name[:253] if isinstance(name, str) else ""
