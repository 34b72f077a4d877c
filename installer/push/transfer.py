"""Sending what the registry lacks, so that a tag never names what is not all there.

Of each repository in turn: blobs, then manifests, each after all that it names, then indexes, then
what refers to them, then lists of referrers where the registry makes none, then tags. Whatever is
interrupted is asked for again by the next push, which sends the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bundle.base.content import Content
from bundle.base.digest import digest_of
from bundle.base.errors import TransportRefusedError
from bundle.base.oci import OCI_INDEX
from bundle.base.progress import Progress, counted
from installer.push.comparison import Compared
from installer.push.oras_client import SiteRegistry
from installer.push.refusals import KIND
from installer.push.source import PushSource
from installer.push.wanted import OciDocument


@dataclass(slots=True)
class Pushed:
    """What a push did; filled as it goes.

    Attributes:
        names: Of what was put: `repository@digest` and `repository:tag`.
        blobs: How many were sent.
        mounted: How many the registry took from another of its repositories.
        size: Bytes that were sent.
        refused: What refers to something and is of a kind that the registry does not take.
    """

    names: list[str] = field(default_factory=list)
    blobs: int = 0
    mounted: int = 0
    size: int = 0
    refused: list[str] = field(default_factory=list)


class Transfer:
    """One push into one registry."""

    def __init__(self, registry: SiteRegistry, source: PushSource, progress: Progress) -> None:
        """Send from `source` to `registry`."""
        self._registry = registry
        self._source = source
        self._progress = progress
        self._where: dict[str, str] = {}
        self.done = Pushed()

    def run(self, compared: Sequence[Compared]) -> Pushed:
        """Send what is missing.

        Raises:
            IntegrityError: A blob is damaged; no tag was given to what it belongs to.
            TransportError: The registry does not answer, or refuses; run again, it goes on.
        """
        for one in compared:
            self._where.update(dict.fromkeys(one.blobs, one.name))
        self._progress.start("pushing", sum(one.missing_bytes for one in compared))
        try:
            for one in compared:
                self._push(one)
        finally:
            self._progress.finish()
        if self.done.refused:
            count = counted(len(self.done.refused), "manifest")
            raise TransportRefusedError(
                f"the registry takes no content of the kind of {count}; all else was pushed",
                "They are signatures or reports in an old form. Images and tags are there; take "
                "another registry if you need these as well.",
                details=self.done.refused,
            )
        return self.done

    def _push(self, one: Compared) -> None:
        for blob in one.wanted.blobs:
            if blob.digest not in one.blobs:
                self._send_blob(one.name, blob)
        for document in one.missing_documents:
            self._put_document(one.name, document)
        self._put_lists(one.name, one.wanted.lists)
        made = {document.digest: document for document in one.wanted.documents}
        refused = {name.rpartition("@")[2] for name in self.done.refused}
        for tag in one.missing_tags:
            document = made[one.wanted.tags[tag]]
            if document.digest not in refused:
                self._put(one.name, tag, document)

    def _send_blob(self, name: str, blob: Content) -> None:
        origin = self._where.get(blob.digest)
        if origin is not None and self._registry.mount(name, blob.digest, origin):
            self._progress.advance(blob.size)
            self.done.mounted += 1
            return
        path = self._source.blobs.blob_name(blob.digest)
        with self._source.blobs.open_blob(blob.digest) as file:
            self._registry.upload(name, blob, file, name=path, advance=self._progress.advance)
        self._where.setdefault(blob.digest, name)
        self.done.blobs += 1
        self.done.size += blob.size

    def _put_document(self, name: str, document: OciDocument) -> None:
        try:
            self._put(name, document.digest, document)
        except TransportRefusedError as error:
            if not document.refers or error.context.items().isdisjoint(KIND.items()):
                raise
            # Old registries take no artifact manifests: an image is not held up by that.
            self.done.refused.append(f"{name}@{document.digest}")

    def _put(self, name: str, target: str, document: OciDocument) -> None:
        size = self._source.sizes.get(document.digest, 0)
        data = document.made or self._source.read(document.digest, size)
        self._registry.put_manifest(name, target, data, document.media_type)
        self.done.names.append(f"{name}{'@' if ':' in target else ':'}{target}")

    def _put_lists(self, name: str, lists: Mapping[str, tuple[dict[str, Any], ...]]) -> None:
        """Keep lists of referrers by their tags, where the registry makes none itself.

        Source: OCI distribution-spec, "Pushing Manifests with Subject".
        """
        if not lists or self._registry.knows_referrers(name, next(iter(lists)).replace("-", ":")):
            return
        refused = {one.rpartition("@")[2] for one in self.done.refused}
        for tag, descriptors in lists.items():
            found = self._registry.manifest(name, tag)
            known = _entries(found, f"{name}:{tag}") if found is not None else []
            listed = {entry.get("digest") for entry in known if isinstance(entry, dict)}
            new = [d for d in descriptors if d["digest"] not in listed | refused]
            if new:
                value = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*known, *new]}
                data = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
                self._put(name, tag, OciDocument(digest_of(data), OCI_INDEX, made=data))


def _entries(data: bytes, where: str) -> list[Any]:
    """Read the list that somebody has under a tag of the referrers' schema.

    Raises:
        TransportRefusedError: It is something else, which is not to be written over.
    """
    try:
        entries = msgspec.json.decode(data, type=dict[str, Any]).get("manifests")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        entries = None
    if not isinstance(entries, list):
        raise TransportRefusedError(
            f"{where}: expected a list of referrers under this tag, found something else",
            "Find out who put it there, and remove it; nothing was written over it.",
        )
    return entries
