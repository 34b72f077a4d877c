"""What a kind of content is to everything that handles all of them.

A kind is a value: its name in the three documents, and functions over one thing of it, such as one
image. Whoever handles all kinds loops over `bundle.kinds.registry.KINDS` and knows none by name.
What only one side of the gap does with a kind, such as fetching it, stands on that side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, Literal, TypeVar, cast

import msgspec

from bundle.base.content import Content
from bundle.base.digest import Digest
from bundle.base.documents import Document, Metadata, Text
from bundle.base.patterns import formed
from bundle.base.platform import Platform
from bundle.base.progress import counted
from bundle.kinds.artifacts import Artifact, LockedArtifact

S = TypeVar("S", bound=Document)
"""What a definition has of a kind."""
L = TypeVar("L", bound=Document)
"""What a lock has."""
E = TypeVar("E", bound=Document)
"""What bundle.json has."""

Served = tuple[str, str, str]
"""The first part of a path that the depot answers, the rest of it, and the digest of its bytes."""
Dependency = tuple[str, str, str]
"""A digest, what it is of, and where that is from, as provenance has it."""


def nothing(*_: object) -> tuple[Any, ...]:
    """Yield nothing, of whatever it is asked."""
    return ()


LayoutPath = Annotated[
    str,
    formed(
        r"^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$(?!\n)",
        "the name of a file at the top of the bundle: letters, digits, '.' and '-'",
        "README.txt",
    ),
]
"""A file at the top of the bundle; a single component, so that it cannot leave the bundle."""


class LayoutFile(Content, frozen=True, kw_only=True):
    """A file at the top of the bundle, next to bundle.json."""

    path: LayoutPath


class DefinitionHead(Document, frozen=True, kw_only=True):
    """What a definition has besides its content."""

    api_version: Literal["isoward/v1"]
    kind: Literal["BundleDefinition"]
    metadata: Metadata
    platforms: Annotated[tuple[Platform, ...], msgspec.Meta(min_length=1)]


class LockHead(Document, frozen=True, kw_only=True):
    """What a lock has besides its content."""

    api_version: Literal["isoward/v1"]
    kind: Literal["BundleLock"]
    metadata: Metadata
    definition: Digest
    """Digest of the canonical JSON of the definition that was resolved."""
    platforms: tuple[Platform, ...]


class BundleHead(Document, frozen=True, kw_only=True):
    """What bundle.json has besides its content."""

    api_version: Literal["isoward/v1"]
    kind: Literal["Bundle"]
    metadata: Metadata
    lock: Digest
    """Digest of the canonical JSON of the lock."""
    platforms: tuple[Platform, ...]
    blobs: tuple[Content, ...]
    layout: tuple[LayoutFile, ...]


@dataclass(frozen=True, kw_only=True)
class Kind(Generic[S, L, E]):
    """One kind of content.

    Attributes:
        field: In all three documents, as Python has it.
        title: Of one thing, for a person.
        source: The type of one in a definition.
        entry: Makes one in bundle.json of one in a lock.
        single: A document has one at most, and no list.
        is_content: A definition that has nothing else has content.
        checks: Of one in a definition; given its place, each raises its own first problem.
        checks_together: The same of all in a definition, and what it has besides.
        check_lock: Of all in a lock.
        check_bundle: Of all in bundle.json.
        contents: The blobs of one in a lock, without those of its artifacts.
        locked_artifacts: What one in a lock has in OCI form.
        artifacts: What one in bundle.json has in OCI form.
        asked_hosts: Where one in a definition may be fetched from; None for this machine.
        hosts: Where one in a lock is fetched from; None for this machine.
        named_hosts: Those that one in bundle.json names.
        layout: Files at the top of the bundle of a lock.
        named: The blobs that one in bundle.json names, each with what a person calls it; not those
            of its artifacts.
        held: Which of these an artifact must hold as well, and what is wrong if it does not.
        served: What the depot gives out by its path alone.
        wants: Who wants which image because of one in a lock or bundle.json.
        compared: Names and digests of one in bundle.json, for what changed between two.
        compared_in: The field of `Changes`, if it is another kind's.
        dependencies: Of one in bundle.json; what is compared, unless it says otherwise.
        number: For how many one counts, where a person is told of a number.
        told: What a person is told of one instead.
        lines: What `inspect` says of one: the first line with its digest, and more below it.
        page: What it says of all in bundle.json, if that is not a list of `lines`.
        facts: What it says of one in JSON.
    """

    field: str
    title: str
    source: type[S]
    entry: Callable[[L], E]
    single: bool = False
    is_content: bool = True
    checks: tuple[Callable[[S, str], object], ...] = ()
    checks_together: tuple[Callable[[DefinitionHead], object], ...] = ()
    check_lock: Callable[[LockHead], object] = nothing
    check_bundle: Callable[[BundleHead], object] = nothing
    contents: Callable[[L], Iterable[Content]] = nothing
    locked_artifacts: Callable[[L], Iterable[LockedArtifact]] = nothing
    artifacts: Callable[[E], Iterable[Artifact]] = nothing
    asked_hosts: Callable[[S], Iterable[str | None]] = nothing
    hosts: Callable[[L], Iterable[str | None]] = nothing
    named_hosts: Callable[[E], Iterable[str | None]] = nothing
    layout: Callable[[LockHead], Iterable[tuple[str, bytes]]] = nothing
    named: Callable[[E], Iterable[tuple[str, str]]] = nothing
    held: Callable[[E], Iterable[tuple[Artifact, str, str]]] = nothing
    served: Callable[[E], Iterable[Served]] = nothing
    wants: Callable[[L | E], Iterable[tuple[str, str]]] = nothing
    compared: Callable[[E], Iterable[tuple[str, str]]] = nothing
    compared_in: str = ""
    dependencies: Callable[[E], Iterable[Dependency]] | None = None
    number: Callable[[Any], int] = lambda _: 1
    told: Callable[[Any], str] | None = None
    lines: Callable[[E], Iterable[str]] = nothing
    page: Callable[[BundleHead], Iterable[str]] | None = None
    facts: Callable[[E], Any] = msgspec.to_builtins

    @property
    def key(self) -> str:
        """The field as the documents have it."""
        first, *others = self.field.split("_")
        return first + "".join(map(str.capitalize, others))

    def asked(self, definition: DefinitionHead) -> tuple[S, ...]:
        """Return what a definition has of it."""
        return cast("tuple[S, ...]", self._all(definition))

    def locked(self, lock: LockHead) -> tuple[L, ...]:
        """Return what a lock has of it."""
        return cast("tuple[L, ...]", self._all(lock))

    def entries(self, bundle: BundleHead) -> tuple[E, ...]:
        """Return what bundle.json has of it."""
        return cast("tuple[E, ...]", self._all(bundle))

    def carried(self, content: LockHead | BundleHead) -> tuple[L | E, ...]:
        """Return what a lock or bundle.json has of it."""
        return cast("tuple[L | E, ...]", self._all(content))

    def _all(self, document: Document) -> tuple[Any, ...]:
        found = getattr(document, self.field)
        if not self.single:
            return tuple(found)
        return () if found is None else (found,)

    def value(self, things: Iterable[Any]) -> Any:
        """Return things as the field of a document has them."""
        made = tuple(things)
        return (made[0] if made else None) if self.single else made

    def count(self, content: LockHead | BundleHead) -> int:
        """Count what a lock or a bundle has."""
        return sum(map(self.number, self._all(content)))

    def said(self, content: LockHead | BundleHead) -> str:
        """Say how many a lock or a bundle has; empty for none."""
        if self.told is not None:
            return ", ".join(map(self.told, self._all(content)))
        count = self.count(content)
        return counted(count, self.title) if count else ""

    def shown(self, bundle: BundleHead) -> Iterator[str]:
        """Yield what `inspect` says of all of them to a person."""
        if self.page is not None:
            yield from self.page(bundle)
        else:
            yield from section(f"{self.title}s", [self.lines(one) for one in self.entries(bundle)])

    def in_json(self, bundle: BundleHead) -> Any:
        """Return what `inspect` says of all of them in JSON."""
        return self.value(self.facts(one) for one in self.entries(bundle))

    def resources(self, bundle: BundleHead) -> Iterator[Dependency]:
        """Yield what provenance says of all of them."""
        for one in self.entries(bundle):
            if self.dependencies is not None:
                yield from self.dependencies(one)
            else:
                for name, digest in self.compared(one):
                    yield digest, f"{self.title} {name}", ""


def section(title: str, things: list[Iterable[str]]) -> Iterator[str]:
    """Yield the lines of one kind: the first line of each item with its digest, the rest below."""
    if things:
        yield f"{title} ({len(things)})"
    for first, *others in things:
        yield f"  {first}"
        yield from (f"                {line}" for line in others)


class Item(Document, frozen=True, kw_only=True):
    """Something that is only in one of the releases."""

    name: Text
    digest: Digest


class Move(Document, frozen=True, kw_only=True):
    """A name that refers to different bytes now."""

    name: Text
    old: Digest
    new: Digest


class Differences(Document, frozen=True, kw_only=True):
    """The changes of one kind of content, each list sorted by name."""

    added: tuple[Item, ...]
    removed: tuple[Item, ...]
    moved: tuple[Move, ...]
    left_out: int = 0
    """How many are not listed."""

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.added) + len(self.removed) + len(self.moved) + self.left_out


NO_DIFFERENCES: Final = Differences(added=(), removed=(), moved=())
