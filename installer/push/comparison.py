"""What the registry has of what it is to have: the plan of a push, made before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bundle.base.errors import UsageError
from bundle.base.progress import Progress
from installer.push.oras_client import SiteRegistry
from installer.push.target import Target
from installer.push.wanted import OciDocument, Wanted


@dataclass(frozen=True, slots=True)
class Compared:
    """One repository here and there.

    Attributes:
        name: In the registry.
        wanted: What it is to have.
        blobs: Digests of blobs that it has.
        documents: Digests of manifests and indexes that it has.
        tags: Digest by tag, of the wanted tags that it has.
    """

    name: str
    wanted: Wanted
    blobs: frozenset[str]
    documents: frozenset[str]
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def conflicts(self) -> tuple[str, ...]:
        """Tags that name other content there, sorted."""
        wanted = self.wanted.tags
        return tuple(sorted(tag for tag, found in self.tags.items() if wanted[tag] != found))

    @property
    def missing_tags(self) -> tuple[str, ...]:
        """Tags that are to be put, sorted."""
        wanted = self.wanted.tags
        return tuple(sorted(tag for tag in wanted if self.tags.get(tag) != wanted[tag]))

    @property
    def present_tags(self) -> tuple[str, ...]:
        """Tags that are as they are to be, sorted."""
        return tuple(sorted(self.wanted.tags.keys() - self.missing_tags))

    @property
    def missing_documents(self) -> tuple[OciDocument, ...]:
        """Manifests and indexes that are to be put, in their order."""
        return tuple(d for d in self.wanted.documents if d.digest not in self.documents)

    @property
    def missing_bytes(self) -> int:
        """Of the blobs that it has not."""
        return sum(blob.size for blob in self.wanted.blobs if blob.digest not in self.blobs)


def compare(
    registry: SiteRegistry, target: Target, wanted: Sequence[Wanted], progress: Progress
) -> list[Compared]:
    """Ask the registry for everything by its digest or tag; nothing is changed there.

    Raises:
        UsageError: A name does not fit below the target's prefix.
        TransportError: The registry does not answer, or refuses.
    """
    names = [target.repository(one.name) for one in wanted]
    count = sum(len(one.blobs) + len(one.documents) + len(one.tags) for one in wanted)
    progress.start("asking the registry", count, "name")
    try:
        pairs = zip(names, wanted, strict=True)
        return [_compare_one(registry, name, one, progress) for name, one in pairs]
    finally:
        progress.finish()


def _compare_one(registry: SiteRegistry, name: str, wanted: Wanted, progress: Progress) -> Compared:
    blobs, documents, tags = set(), set(), {}
    for blob in wanted.blobs:
        if registry.has_blob(name, blob.digest):
            blobs.add(blob.digest)
        progress.advance(1)
    for document in wanted.documents:
        if registry.manifest_digest(name, document.digest) == document.digest:
            documents.add(document.digest)
        progress.advance(1)
    for tag in sorted(wanted.tags):
        found = registry.manifest_digest(name, tag)
        if found is not None:
            tags[tag] = found
        progress.advance(1)
    return Compared(name, wanted, frozenset(blobs), frozenset(documents), tags)


def refuse_conflicts(target: Target, compared: Sequence[Compared]) -> None:
    """Refuse a push that would give tags to other content than they name now.

    Raises:
        UsageError: It would; the error lists the tags, and nothing was changed.
    """
    details = [
        f"{target.host}/{one.name}:{tag} is {one.tags[tag]}, to be {one.wanted.tags[tag]}"
        for one in compared
        for tag in one.conflicts
    ]
    if details:
        raise UsageError(
            f"{target.host}: tags name other content there already: {len(details)}",
            "Nothing was pushed. Choose another prefix, or give them the new content with "
            "--replace-tags.",
            details=details,
        )
