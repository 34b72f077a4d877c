"""Everything that refers to an image: signatures, attestations, SBOMs.

Looked for in every place where tools put them. "Not found" means none. Any other answer is kept
with the image: a bundle that silently lost a signature looks like one that never had it.

Source: OCI distribution-spec v1.1, "Listing Referrers" and "Referrers Tag Schema"; cosign's
signature specification, "Tag-based discovery".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeVar

from msgspec.structs import replace

from bundle.base.errors import FormatError, IntegrityError, TransportError
from bundle.base.limits import MAX_REFERRER_DEPTH, MAX_REFERRERS
from bundle.base.oci import OCI_INDEX, OciDescriptor, OciIndex, OciManifest
from bundle.base.reference import Reference, fallback_tag
from bundle.kinds.artifacts import LockedIndex, LockedManifest, LockedReferrer, Place, Unasked
from bundler.registry.client import by_tag
from bundler.sources.common.manifests import ManifestSource, Parsed, locked_manifest
from bundler.sources.images.answers import answer_of, plain_answer

COSIGN_PLACES: Final[tuple[Place, ...]] = ("att", "sbom", "sig")
"""Ends of cosign's tags, which are also the names of these places."""

T = TypeVar("T")
_MAX_TYPE: Final = 255
_THREADS: Final = 6
"""For one image; the transport holds each host to fewer in all."""

_MAX_TOTAL: Final = MAX_REFERRERS * MAX_REFERRER_DEPTH
Via = Literal["api", "fallback-tag", "cosign-tag", "index"]


@dataclass(frozen=True, slots=True)
class Found:
    """What refers to an artifact.

    Attributes:
        referrers: Sorted by subject, tag and digest.
        manifests: Below those referrers that are indexes.
        indexes: Likewise.
        unasked: Where the registry did not say whether there are any, sorted.
    """

    referrers: tuple[LockedReferrer, ...]
    manifests: tuple[LockedManifest, ...]
    indexes: tuple[LockedIndex, ...]
    unasked: tuple[Unasked, ...]


class ReferrerSearch:
    """Collects the referrers of one artifact."""

    def __init__(self, source: ManifestSource, reference: Reference) -> None:
        """Search in the repository of `reference`."""
        self._source = source
        self._reference = reference
        self._found: dict[tuple[str, str, str], LockedReferrer] = {}
        self._manifests: dict[str, LockedManifest] = {}
        self._indexes: dict[str, LockedIndex] = {}
        self._unasked: dict[tuple[Place, str], Unasked] = {}

    def search(
        self, subjects: Iterable[str], attestations: Iterable[tuple[str, OciDescriptor]]
    ) -> Found:
        """Find all referrers, and theirs.

        Args:
            subjects: Digests of the indexes and the chosen manifests.
            attestations: BuildKit's, from the index: the subject's digest and the entry.
        Raises:
            FormatError: There are more referrers of referrers than anybody makes.
            TransportError: And its subclasses, when a place gave no answer at all.
        """
        pending = list(subjects)
        known = set(pending)
        given = [
            (subject, parsed)
            for subject, entry in attestations
            if (parsed := self._entry(entry.digest, partial(self._below, entry))) is not None
        ]
        for depth in range(1, MAX_REFERRER_DEPTH + 2):
            found = [
                self._add(subject, parsed, via, tag=tag, depth=depth)
                for subject, of_it in zip(pending, self._of_all(pending), strict=True)
                for parsed, via, tag in of_it
            ]
            if depth == 1:
                found += [self._add(s, parsed, "index", tag="", depth=depth) for s, parsed in given]
            pending = sorted(set(found) - known)
            known.update(pending)
        return Found(
            tuple(sorted(self._found.values(), key=lambda r: (r.subject, r.tag, r.digest))),
            tuple(self._manifests[key] for key in sorted(self._manifests)),
            tuple(self._indexes[key] for key in sorted(self._indexes)),
            tuple(self._unasked[key] for key in sorted(self._unasked)),
        )

    def _of_all(self, subjects: list[str]) -> list[list[tuple[Parsed, Via, str]]]:
        """Ask for each subject, several at a time: an image may have hundreds of signatures."""
        if not self._source.is_registry or len(subjects) == 1:
            return [list(self._of(subject)) for subject in subjects]
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(lambda subject: list(self._of(subject)), subjects))

    def _of(self, subject: str) -> Iterator[tuple[Parsed, Via, str]]:
        tag = fallback_tag(subject)
        listed = self._ask(
            "referrers",
            lambda: self._source.listed_referrers(self._reference, subject, self._pass_over),
        )
        for entry in listed or ():
            yield from ((parsed, "api", "") for parsed in self._claimed(subject, entry))
        fallback = self._ask("fallback-tag", lambda: self._fallback_entries(subject, tag))
        for entry in fallback or ():
            yield from ((parsed, "fallback-tag", tag) for parsed in self._claimed(subject, entry))
        for place in COSIGN_PLACES:
            found = self._ask(place, partial(self._other_at, subject, f"{tag}.{place}"))
            if found is not None:
                yield found, "cosign-tag", f"{tag}.{place}"

    def _ask(self, place: Place, ask: Callable[[], T], what: str = "") -> T | None:
        """Return what a place says, or None when its answer is neither that nor "not found"."""
        try:
            return ask()
        except (TransportError, FormatError, IntegrityError) as error:
            answer = answer_of(error) if self._source.is_registry else None
            if answer is None:
                raise
            said = plain_answer(f"{what}: {answer}" if what else answer)
            self._unasked[place, said] = Unasked(place=place, answer=said)
            return None

    def _entry(self, digest: str, ask: Callable[[], T]) -> T | None:
        return self._ask("referrer", ask, digest)

    def _pass_over(self, reason: str) -> None:
        """Remember an entry of a list that names nothing which can be asked for."""
        said = plain_answer(reason)
        self._unasked["referrer", said] = Unasked(place="referrer", answer=said)

    def _below(self, entry: OciDescriptor) -> Parsed:
        return self._source.below(self._reference, entry)

    def _other_at(self, subject: str, tag: str) -> Parsed | None:
        """Return what a tag names, unless a registry finds the subject itself by it.

        GitLab takes every tag that begins with a digest for that digest.
        """
        parsed = self._source.at_tag(by_tag(self._reference, tag))
        if parsed is not None and parsed.digest == subject:
            raise FormatError(
                f"{self._reference.name}:{tag}: expected referrers of {subject}, found itself",
                "The registry cannot store such tags; ask its operator.",
                {"answer": "the image itself"},
            )
        return parsed

    def _fallback_entries(self, subject: str, tag: str) -> tuple[OciDescriptor, ...]:
        fallback = self._other_at(subject, tag)
        if fallback is None:
            return ()
        where = f"{self._reference.name}:{tag}"
        if not isinstance(fallback.body, OciIndex) or fallback.media_type != OCI_INDEX:
            raise FormatError(
                f"{where}: expected a list of referrers ({OCI_INDEX}), found {fallback.media_type}",
                "Something else was pushed under a tag reserved for referrers; remove it.",
                {"answer": fallback.media_type},
            )
        if len(fallback.body.manifests) > MAX_REFERRERS:
            raise self._too_many(where)
        for reason in fallback.body.unusable:
            self._pass_over(reason)
        return fallback.body.manifests

    def _claimed(self, subject: str, entry: OciDescriptor) -> Iterator[Parsed]:
        """Fetch a referrer that a list names, and check that it does refer to the subject."""
        parsed = self._entry(entry.digest, lambda: self._claiming(subject, entry))
        if parsed is not None:
            yield parsed

    def _claiming(self, subject: str, entry: OciDescriptor) -> Parsed:
        parsed = self._below(entry)
        claims = parsed.body.subject.digest if parsed.body.subject else "nothing"
        if claims != subject:
            raise FormatError(
                f"{self._reference.name}@{parsed.digest}: expected a referrer of {subject}, "
                f"found one of {claims}",
                "The registry's list of referrers is wrong; ask its operator.",
                {"answer": f"it refers to {claims}"},
            )
        return parsed

    def _add(self, subject: str, parsed: Parsed, via: Via, tag: str, depth: int) -> str:
        """Keep a referrer and return its digest; the first place where it was found counts.

        A list that a fallback tag names may have what the API listed too: it is kept once, with the
        tag, so that the depot has that tag for whoever looks for referrers by it.
        """
        if depth > MAX_REFERRER_DEPTH:
            raise FormatError(
                f"{self._reference.name}@{parsed.digest}: referrers of referrers deeper than "
                f"{MAX_REFERRER_DEPTH} levels",
                "Remove some upstream; no tool creates that many.",
            )
        made = self._entry(parsed.digest, lambda: self._locked(subject, parsed, via, tag))
        if made is not None:
            key = (subject, tag if via == "cosign-tag" else "", parsed.digest)
            first = self._found.setdefault(key, made)
            if tag and not first.tag:
                self._found[key] = replace(first, tag=tag)
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
            artifact_type=kind if len(kind) <= _MAX_TYPE and kind.isprintable() else "",
            via=via,
            tag=tag,
        )

    def _keep_below(self, index: Parsed) -> None:
        """Keep what a referrer that is an index holds: all of it, or nothing."""
        manifests: dict[str, LockedManifest] = {}
        indexes: dict[str, LockedIndex] = {}
        for child in self._source.tree(self._reference, index):
            if isinstance(child.body, OciManifest):
                manifests[child.digest] = locked_manifest(child, child.body, None)
            else:
                indexes[child.digest] = child.locked_index()
            if len(self._manifests | manifests) + len(self._indexes | indexes) > MAX_REFERRERS:
                raise self._too_many(self._reference.name)
        self._manifests |= manifests
        self._indexes |= indexes

    def _too_many(self, where: str) -> FormatError:
        return FormatError(
            f"{where}: more referrers than any real image has",
            "Ask the registry's operator.",
            {"answer": "more than any real image has"},
        )
