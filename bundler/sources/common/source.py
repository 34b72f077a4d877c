"""What the vendor's side does with a kind of content: find it out, fetch it, compare it.

It goes with the kind's value in bundle/kinds; `bundler.sources.known.SOURCES` lists them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from bundle.base.documents import Document
from bundle.kinds.protocol import Kind, nothing
from bundler.model.definition import Definition
from bundler.sources.common.blame import Blame
from bundler.sources.common.context import FileWant, OsWant, SourceContext
from bundler.sources.common.manifests import ManifestSource
from bundler.sources.common.opener import Opener

L = TypeVar("L", bound=Document)
ChangeKind = Literal["added", "removed", "moved", "changed"]
_SIGNS: dict[ChangeKind, str] = {"added": "+", "removed": "-", "moved": "~", "changed": "~"}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two locks.

    Attributes:
        kind: `moved` says that the same name means other bytes now.
        thing: What it is about, such as `image registry.example.org/app/web:2.1`.
        old: Before; an empty string for something added.
        new: After; an empty string for something removed.
    """

    kind: ChangeKind
    thing: str
    old: str
    new: str

    @property
    def line(self) -> str:
        """One line for a person."""
        sign = _SIGNS[self.kind]
        if self.kind == "added":
            return f"{sign} {self.thing}: added, {self.new}"
        if self.kind == "removed":
            return f"{sign} {self.thing}: removed, was {self.old}"
        return f"{sign} {self.thing}: {self.kind} from {self.old} to {self.new}"


@dataclass(frozen=True, slots=True)
class Resolving:
    """What is resolved before images, all of it at once, since it may want some.

    Attributes:
        definition: Checked.
        context: What sources work with.
        manifests: Asks registries, each question once.
        files: What other content wants.
        systems: The same of packages of operating systems.
    """

    definition: Definition
    context: SourceContext
    manifests: ManifestSource
    files: Sequence[FileWant] = ()
    systems: Sequence[OsWant] = ()


@dataclass(frozen=True, kw_only=True)
class Source(Generic[L]):
    """Where one kind of content comes from.

    Attributes:
        kind: The content.
        tasks: Resolve what a definition asks for, each one thing of a lock; none for a kind that
            has a place of its own in the order of `bundler.lock.resolve`.
        order: What those are sorted by in a lock.
        openers: The digest of each blob that is fetched for one in a lock, and how it is opened.
        blames: What those blobs are; without, they are called as the kind is.
        changes: Between what two locks have of it; without, what `digests` names is compared.
        digests: Names and digests of one in a lock.
    """

    kind: Kind[Any, L, Any]
    tasks: Callable[[Resolving], Iterable[Callable[[], L]]] = nothing
    order: Callable[[L], Any] = str
    openers: Callable[[L, SourceContext], Iterable[tuple[str, Opener]]] = nothing
    blames: Callable[[L], Iterable[tuple[str, Blame]]] | None = None
    changes: Callable[[Sequence[L], Sequence[L]], Iterable[Change]] | None = None
    digests: Callable[[L], Iterable[tuple[str, str]]] = nothing

    def compare(self, old: Sequence[L], new: Sequence[L]) -> Iterable[Change]:
        """Return what changed from one lock to the next."""
        if self.changes is not None:
            return self.changes(old, new)
        before, after = (
            {n: d for one in all_ for n, d in self.digests(one)} for all_ in (old, new)
        )
        return pairs(self.kind.title, before, after)


def pairs(what: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    """Compare digests by the name of what they are of."""
    yield from compare_digests(
        {f"{what} {name}": digest for name, digest in old.items()},
        {f"{what} {name}": digest for name, digest in new.items()},
    )


def compare_digests(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    """Compare digests by name."""
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before is None and after is not None:
            yield Change("added", name, "", after)
        elif after is None and before is not None:
            yield Change("removed", name, before, "")
        elif before is not None and after is not None and before != after:
            yield Change("moved", name, before, after)


def changed(thing: str, old: str, new: str) -> Iterator[Change]:
    """Yield the change of something that is said in words, if it did change."""
    if old != new:
        yield Change("changed", thing, old, new)
