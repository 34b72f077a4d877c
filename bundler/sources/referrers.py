"""Everything that refers to an image: signatures, attestations, SBOMs.

Looked for in every place where tools put them. "Not found" means none; any other failure is an
error, for a bundle that silently lost a signature looks like one that never had it.

Source: OCI distribution-spec v1.1, "Listing Referrers" and "Referrers Tag Schema"; cosign's
signature specification, "Tag-based discovery".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from bundle.model.digest import hex_of
from bundle.model.errors import FormatError
from bundle.model.limits import MAX_REFERRER_DEPTH, MAX_REFERRERS
from bundle.model.lock import LockedIndex, LockedManifest, LockedReferrer
from bundle.model.oci import OCI_INDEX, OciDescriptor, OciIndex, OciManifest
from bundle.model.reference import Reference
from bundle.registry.client import by_tag
from bundler.sources.manifests import ManifestSource, Parsed, locked_manifest

COSIGN_SUFFIXES: Final = (".att", ".sbom", ".sig")
_MAX_TOTAL: Final = MAX_REFERRERS * MAX_REFERRER_DEPTH
Via = Literal["api", "fallback-tag", "cosign-tag", "index"]


@dataclass(frozen=True, slots=True)
class Found:
    """What refers to an artefact.

    Attributes:
        referrers: Sorted by subject, tag and digest.
        manifests: Below those referrers that are indexes.
        indexes: Likewise.
    """

    referrers: tuple[LockedReferrer, ...]
    manifests: tuple[LockedManifest, ...]
    indexes: tuple[LockedIndex, ...]


class ReferrerSearch:
    """Collects the referrers of one artefact."""

    def __init__(self, source: ManifestSource, reference: Reference) -> None:
        """Search in the repository of `reference`."""
        self._source = source
        self._reference = reference
        self._found: dict[tuple[str, str, str], LockedReferrer] = {}
        self._manifests: dict[str, LockedManifest] = {}
        self._indexes: dict[str, LockedIndex] = {}

    def search(
        self, subjects: Iterable[str], attestations: Iterable[tuple[str, OciDescriptor]]
    ) -> Found:
        """Find all referrers, and theirs.

        Args:
            subjects: Digests of the indexes and the chosen manifests.
            attestations: BuildKit's, from the index: the subject's digest and the entry.
        Raises:
            FormatError: A referrer is not what it claims, or there are too many.
            TransportError: And its subclasses, when a place could not be asked.
        """
        pending = list(subjects)
        known = set(pending)
        given = [(subject, self._source.below(self._reference, d)) for subject, d in attestations]
        for depth in range(1, MAX_REFERRER_DEPTH + 2):
            found = [
                self._add(subject, parsed, via, tag, depth)
                for subject in pending
                for parsed, via, tag in self._of(subject)
            ]
            if depth == 1:
                found += [self._add(s, parsed, "index", "", depth) for s, parsed in given]
            pending = sorted(set(found) - known)
            known.update(pending)
        return Found(
            tuple(self._found[key] for key in sorted(self._found)),
            tuple(self._manifests[key] for key in sorted(self._manifests)),
            tuple(self._indexes[key] for key in sorted(self._indexes)),
        )

    def _of(self, subject: str) -> Iterator[tuple[Parsed, Via, str]]:
        listed = self._source.listed_referrers(self._reference, subject)
        yield from ((self._claimed(subject, entry), "api", "") for entry in listed)
        tag = f"sha256-{hex_of(subject)}"
        fallback = self._source.at_tag(by_tag(self._reference, tag))
        if fallback is not None:
            yield from (
                (self._claimed(subject, entry), "fallback-tag", "")
                for entry in self._fallback_entries(fallback, tag)
            )
        for suffix in COSIGN_SUFFIXES:
            parsed = self._source.at_tag(by_tag(self._reference, tag + suffix))
            if parsed is not None:
                yield parsed, "cosign-tag", tag + suffix

    def _fallback_entries(self, fallback: Parsed, tag: str) -> tuple[OciDescriptor, ...]:
        where = f"{self._reference.name}:{tag}"
        if not isinstance(fallback.body, OciIndex) or fallback.media_type != OCI_INDEX:
            raise FormatError(
                f"{where}: expected a list of referrers ({OCI_INDEX}), found {fallback.media_type}",
                "Something else was pushed under a tag that is kept for referrers; remove it.",
            )
        if len(fallback.body.manifests) > MAX_REFERRERS:
            raise self._too_many(where)
        return fallback.body.manifests

    def _claimed(self, subject: str, entry: OciDescriptor) -> Parsed:
        """Fetch a referrer that a list names, and check that it does refer to the subject."""
        parsed = self._source.below(self._reference, entry)
        claims = parsed.body.subject.digest if parsed.body.subject else "nothing"
        if claims != subject:
            raise FormatError(
                f"{self._reference.name}@{parsed.digest}: expected a referrer of {subject}, "
                f"found one of {claims}",
                "The registry's list of referrers is wrong; ask its operator.",
            )
        return parsed

    def _add(self, subject: str, parsed: Parsed, via: Via, tag: str, depth: int) -> str:
        """Keep a referrer and return its digest; the first place where it was found counts."""
        where = f"{self._reference.name}@{parsed.digest}"
        if depth > MAX_REFERRER_DEPTH:
            raise FormatError(
                f"{where}: referrers of referrers deeper than {MAX_REFERRER_DEPTH} levels",
                "Remove some upstream; no tool makes so many.",
            )
        if parsed.digest == subject:
            raise FormatError(f"{where}: it refers to itself by the tag {tag}", "Remove that tag.")
        self._found.setdefault(
            (subject, tag, parsed.digest), self._locked(subject, parsed, via, tag)
        )
        if len(self._found) > _MAX_TOTAL:
            raise self._too_many(self._reference.name)
        return parsed.digest

    def _locked(self, subject: str, parsed: Parsed, via: Via, tag: str) -> LockedReferrer:
        body = parsed.body
        if isinstance(body, OciManifest):
            kind = body.effective_artifact_type
            config = None if body.config is None else body.config.content
            layers = tuple(layer.content for layer in body.layers)
        else:
            kind, config, layers = body.artifact_type, None, ()
            self._keep_below(parsed)
        return LockedReferrer(
            digest=parsed.digest,
            size=parsed.size,
            media_type=parsed.media_type,
            config=config,
            layers=layers,
            subject=subject,
            artifact_type=kind,
            via=via,
            tag=tag,
        )

    def _keep_below(self, index: Parsed) -> None:
        """Keep what a referrer that is an index holds."""
        for child in self._source.tree(self._reference, index):
            if isinstance(child.body, OciManifest):
                self._manifests[child.digest] = locked_manifest(child, child.body, None)
            else:
                self._indexes[child.digest] = child.locked_index()
            if len(self._manifests) + len(self._indexes) > MAX_REFERRERS:
                raise self._too_many(self._reference.name)

    def _too_many(self, where: str) -> FormatError:
        return FormatError(
            f"{where}: more referrers than any real image has", "Ask the registry's operator."
        )
