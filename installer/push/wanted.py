"""What a registry is to have of one repository, in the order in which it can take it.

Pure. A registry takes an index only with all that it lists. Of one of which not every platform
travelled, the manifests that did are pushed; its tags go to the one image that there is, or to an
index of those that there are, which is made here. Whatever refers to the index itself, a signature
above all, refers to nothing then, and is not pushed: it is said before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from bundle.base.content import Content
from bundle.base.digest import digest_of
from bundle.base.errors import FormatError
from bundle.base.oci import (
    ATTESTATION_DIGEST,
    OciIndex,
    OciManifest,
    parse_oci,
    referrer_descriptor,
)
from bundle.base.reference import fallback_tag
from installer.depot.catalogue import Repository

_KIND: Final = "vnd.docker.reference.type"
"""Says in an index of BuildKit's what an entry is that is no image, such as an attestation."""

Read = Callable[[str, int], bytes]
"""Reads a small blob, and checks it by its digest."""


@dataclass(frozen=True, slots=True)
class OciDocument:
    """A manifest or an index.

    Attributes:
        digest: Of its bytes.
        media_type: As bundle.json has it.
        refers: Whether it is one that refers to another, such as a signature.
        made: Its bytes, if it was made here.
    """

    digest: str
    media_type: str
    refers: bool = False
    made: bytes = b""


@dataclass(frozen=True, slots=True)
class Lost:
    """An index that the registry cannot have, and what goes with it.

    Attributes:
        digest: Of the index.
        tags: That it had.
        missing: The platforms that did not travel.
        signatures: Tags or kinds of what refers to it, and is not pushed either.
        instead: Digest of what has its tags now; empty where nothing has.
    """

    digest: str
    tags: tuple[str, ...]
    missing: tuple[str, ...]
    signatures: tuple[str, ...]
    instead: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a registry is to have of one repository.

    Attributes:
        name: With the registry that it came from as its first component.
        blobs: Configs and layers.
        documents: Each after all that it names.
        lists: Descriptors of referrers by subject, for a registry that makes no such lists itself.
        tags: Digest by tag.
        lost: What is not pushed.
    """

    name: str
    blobs: tuple[Content, ...]
    documents: tuple[OciDocument, ...]
    lists: Mapping[str, tuple[dict[str, Any], ...]]
    tags: Mapping[str, str]
    lost: tuple[Lost, ...]


def wanted_of(repository: Repository, sizes: Mapping[str, int], read: Read) -> Wanted:
    """Say what a registry is to have of a repository.

    Args:
        repository: Of the catalogue.
        sizes: Of every blob by its digest.
        read: For its manifests.
    Raises:
        IntegrityError: A manifest is missing or damaged.
        FormatError: One is malformed.
    """
    return _Graph(repository, sizes, read).wanted()


class _Graph:
    """The manifests and indexes of a repository, and what names what."""

    def __init__(self, repository: Repository, sizes: Mapping[str, int], read: Read) -> None:
        self._repository = repository
        self._sizes = sizes
        self._data = {digest: read(digest, sizes[digest]) for digest in repository.manifests}
        self._parsed = {
            digest: parse_oci(self._data[digest], media_type, f"{repository.full_name}@{digest}")
            for digest, media_type in repository.manifests.items()
        }
        self._subjects: dict[str, list[str]] = {}
        for subject, referrers in sorted(repository.referrers.items()):
            for digest in referrers:
                self._subjects.setdefault(digest, []).append(subject)
        order = TopologicalSorter({d: self._before(d) for d in sorted(self._parsed)})
        try:
            self._order = tuple(order.static_order())
        except CycleError as error:
            raise FormatError(
                f"{repository.full_name}: its manifests refer to one another in a circle",
                "Ask whoever built the bundle to leave them out.",
            ) from error
        self._whole = self._find_whole()

    def _before(self, digest: str) -> list[str]:
        """Return what must be there before a document: what it lists and what it refers to."""
        body = self._parsed[digest]
        children = body.manifests if isinstance(body, OciIndex) else ()
        named = [*(child.digest for child in children), *self._about(digest)]
        return [one for one in named if one in self._parsed]

    def _about(self, digest: str) -> list[str]:
        """Return what a document refers to, but for an index that lists it and so comes after."""
        found = []
        for subject in self._subjects.get(digest, ()):
            body = self._parsed.get(subject)
            listed = body.manifests if isinstance(body, OciIndex) else ()
            if digest not in {entry.digest for entry in listed}:
                found.append(subject)
        return found

    def _find_whole(self) -> frozenset[str]:
        """Find what the registry can have: with all that it lists, and what it is about."""
        whole: set[str] = set()
        for digest in self._order:
            body = self._parsed[digest]
            if isinstance(body, OciIndex):
                complete = not body.unusable
                complete &= all(child.digest in whole for child in body.manifests)
            else:
                complete = all(part.digest in self._sizes for part in body.parts)
            about = self._about(digest)
            if complete and (not about or not whole.isdisjoint(about)):
                whole.add(digest)
        return frozenset(whole)

    def wanted(self) -> Wanted:
        documents = [
            OciDocument(digest, self._repository.manifests[digest], digest in self._subjects)
            for digest in self._order
            if digest in self._whole
        ]
        tags = {tag: d for tag, d in self._repository.tags.items() if d in self._whole}
        lost: list[Lost] = []
        for digest in self._order:
            body = self._parsed[digest]
            if digest in self._whole or digest in self._subjects or not isinstance(body, OciIndex):
                continue
            instead = self._instead(digest, body)
            named = tuple(sorted(t for t, d in self._repository.tags.items() if d == digest))
            if instead is not None and named:
                tags.update(dict.fromkeys(named, instead.digest))
                documents += [instead] if instead.made else []
            lost.append(self._lost(digest, body, named, instead))
        blobs = {
            part.digest: Content(digest=part.digest, size=self._sizes[part.digest])
            for document in documents
            for part in _parts(self._parsed.get(document.digest))
        }
        ordered = tuple(blobs[digest] for digest in sorted(blobs))
        name = self._repository.full_name
        return Wanted(
            name, ordered, tuple(documents), lists=self._lists(), tags=tags, lost=tuple(lost)
        )

    def _instead(self, digest: str, body: OciIndex) -> OciDocument | None:
        """Return what the tags of an index go to, of which not all is there."""
        there = [entry for entry in body.manifests if entry.digest in self._whole]
        images = [entry for entry in there if entry.digest not in self._subjects]
        if not images:
            return None
        if len(images) == 1:
            # Approved as it is; what lists it and its attestation would be nobody's.
            return OciDocument(images[0].digest, images[0].media_type)
        value = json.loads(self._data[digest])
        kept = {entry.digest for entry in there}
        entries = (entry for entry in value["manifests"] if isinstance(entry, dict))
        value["manifests"] = [entry for entry in entries if entry.get("digest") in kept]
        data = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
        return OciDocument(digest_of(data), self._repository.manifests[digest], made=data)

    def _lost(
        self, digest: str, body: OciIndex, tags: tuple[str, ...], instead: OciDocument | None
    ) -> Lost:
        missing = {
            str(entry.platform) if entry.platform else entry.digest
            for entry in body.manifests
            if entry.digest not in self._whole and ATTESTATION_DIGEST not in entry.annotations
        }
        about = self._repository.referrers.get(digest, {}).values()
        signatures = {entry.tag or entry.artifact_type or entry.digest for entry in about}
        if instead is None or not instead.made:
            listed = (entry for entry in body.manifests if entry.digest in self._subjects)
            signatures |= {entry.annotations.get(_KIND, entry.digest) for entry in listed}
        now = instead.digest if instead is not None else ""
        return Lost(digest, tags, tuple(sorted(missing)), tuple(sorted(signatures)), now)

    def _lists(self) -> dict[str, tuple[dict[str, Any], ...]]:
        """Describe what names a subject itself, as the referrers API of a registry does."""
        lists = {}
        for subject, referrers in sorted(self._repository.referrers.items()):
            found = [
                referrer_descriptor(body, digest, self._sizes[digest], entry.media_type)
                for digest, entry in sorted(referrers.items())
                for body in (self._parsed[digest],)
                if {digest, subject} <= self._whole
                if body.subject is not None and body.subject.digest == subject
            ]
            if found:
                lists[fallback_tag(subject)] = tuple(found)
        return lists


def _parts(body: OciManifest | OciIndex | None) -> tuple[Any, ...]:
    return body.parts if isinstance(body, OciManifest) else ()
