"""The closure gate: every image that content wants is pinned, answered for, and will be there.

It refuses what a person has to decide, all of it at once, and says who wants what: an image under a
tag that names no version, what looks like an image that something starts, and what upstream lacks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bundle.base.documents import API_VERSION
from bundle.base.errors import ClosureError, DefinitionError
from bundle.base.reference import Reference, parse_reference
from bundle.base.yaml.strict import dump_yaml
from bundle.kinds.closure import MissingImage, MissingImages, Named
from bundle.kinds.images import ImageSource
from bundle.kinds.rendering import ChartImage, How, LeftOut, plain_image
from bundler.gates.templates import answered
from bundler.model.image_holes import has_holes

_WORD: Final = re.compile(r"[a-z]+")
_MOVING: Final = frozenset(
    {"latest", "edge", "nightly", "canary", "snapshot", "main", "master", "head", "stable"}
)
_MAX_WHERE: Final = 20
_HEADER: Final = (
    "# Images that are needed but missing. Written by isoward lock instead of a lock;\n"
    "# correct the definition, then run it again.\n"
)
_PIN: Final = (
    "name a version in the chart's values, or add this image with its digest under images:, "
    "as repository:tag@sha256:..."
)
_DECIDE: Final = (
    "add it to the chart's images: if something starts it, otherwise to its leaveOut: with a reason"
)
_FILLED: Final = "it is assembled at run time, so the image is unknown"
_DECIDE_FILLED: Final = (
    "add the resulting images to the chart's images:, and this text to its leaveOut: with a reason"
)


@dataclass(frozen=True, slots=True)
class Wanting:
    """What a chart names, and what a person declared about it.

    Attributes:
        who: Such as `chart web 1.2.3`.
        named: What rendering showed.
        declared: What its operator starts.
        left_out: What is not carried, and why.
    """

    who: str
    named: Sequence[Named]
    declared: Sequence[str]
    left_out: Sequence[LeftOut]


@dataclass(frozen=True, slots=True)
class Closed:
    """What a chart wants, once all is decided, sorted; each is a full reference."""

    who: str
    images: tuple[ChartImage, ...]


def is_moving(tag: str) -> bool:
    """Return whether a tag names no version, so that it is bound to mean something else one day.

    A version has a digit in it: `bookworm` and `alpine` have none. `latest-amd64` has, and moves.
    """
    words = set(_WORD.findall(tag.lower()))
    return not any(character.isdigit() for character in tag) or not _MOVING.isdisjoint(words)


def moving_images(images: Iterable[tuple[str, Sequence[str]]]) -> Iterator[MissingImage]:
    """Yield the images that have a moving tag and no digest.

    Args:
        images: Full references, and who wants each; nobody but the definition if that is empty.
    """
    for image, wanted_by in images:
        reference = parse_reference(image)
        if not reference.digest and is_moving(reference.tag):
            who = wanted_by or ("the definition",)
            yield unobtainable(image, who, _moves(reference), _PIN)


def close(
    charts: Iterable[Wanting], images: Iterable[ImageSource]
) -> tuple[list[Closed], list[MissingImage]]:
    """Decide for all charts which images they want.

    Args:
        charts: What each names.
        images: The definition's own; one with tag and digest pins that tag for the charts too.
    Returns:
        What each chart wants, and what a person has to decide first.
    Raises:
        DefinitionError: An image is left out that the chart does not name.
    """
    gate = _Gate(images)
    known = [(chart, dict(gate.certain(chart))) for chart in charts]
    closed = [Closed(chart.who, _images(gate.with_found(chart, sure))) for chart, sure in known]
    return closed, gate.missing


def require_closed(missing: Iterable[MissingImage]) -> None:
    """Refuse a definition that is not closed.

    Raises:
        ClosureError: With the document that says who wants what.
    """
    merged: dict[tuple[str, str], MissingImage] = {}
    for entry in missing:
        key = (entry.image, entry.why)
        merged[key] = _merged(merged[key], entry) if key in merged else entry
    if not merged:
        return
    found = tuple(merged[key] for key in sorted(merged))
    document = MissingImages(api_version=API_VERSION, kind="MissingImages", missing=found)
    first = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    error = ClosureError(
        f"{', '.join(first.wanted_by[:3])}: {first.image[:200]}: {first.why}{more}",
        f"{first.add[0].upper()}{first.add[1:]}"[:500].rstrip(".") + ".",
        {"missing": len(found)},
    )
    error.missing = (_HEADER + dump_yaml(document)).encode()
    raise error


def unobtainable(image: str, wanted_by: Sequence[str], why: str, add: str) -> MissingImage:
    """Describe an image that is wanted, and that upstream did not give."""
    return MissingImage(image=image, wanted_by=tuple(wanted_by), why=why, add=add)


class _Gate:
    """Goes through what charts name, twice: what is certain answers for what is found."""

    def __init__(self, images: Iterable[ImageSource]) -> None:
        references = [parse_reference(image.reference) for image in images]
        self._pinned = {(r.name, r.tag) for r in references if r.digest and r.tag}
        self._known = {str(reference) for reference in references}
        self._names = {reference.name for reference in references}
        self._known |= {f"{name}:{tag}" for name, tag in self._pinned}
        self.missing: list[MissingImage] = []

    def certain(self, chart: Wanting) -> Iterator[tuple[str, set[How]]]:
        """Yield what a chart surely wants, each full reference with how that was found out."""
        wanted: dict[str, set[How]] = {}
        declared = [Named(image, "declared", "images:") for image in chart.declared]
        for named in (*declared, *_kept(chart)):
            if named.how == "found":
                continue
            reference = _reference(named.image)
            why = self._why_not(reference, named.image)
            if why:
                add = _PIN if reference is not None else _DECIDE
                self.missing.append(_missing(named.image, chart.who, named.where, why=why, add=add))
            elif reference is not None:
                wanted.setdefault(str(reference), set()).add(named.how)
                self._known.add(str(reference))
                self._names.add(reference.name)
        yield from wanted.items()

    def with_found(self, chart: Wanting, wanted: dict[str, set[How]]) -> dict[str, set[How]]:
        """Add what only looks like an image and is carried anyhow; ask a person about the rest."""
        declared = {text for image in chart.declared for text in (image, plain_image(image))}
        for named in _kept(chart):
            if named.how != "found":
                continue
            full = plain_image(named.image)
            if full in self._known:
                wanted.setdefault(full, set()).add("found")
            elif has_holes(named.image):
                if not answered(named.image, declared):
                    self.missing.append(
                        _missing(
                            named.image, chart.who, named.where, why=_FILLED, add=_DECIDE_FILLED
                        )
                    )
            elif not self._is_part(named.image):
                why = "it looks like an image that something may start"
                self.missing.append(
                    _missing(named.image, chart.who, named.where, why=why, add=_DECIDE)
                )
        return wanted

    def _why_not(self, reference: Reference | None, text: str) -> str:
        if reference is None:
            return f"{text[:200]!r} is not a reference to an image"
        if reference.digest or not is_moving(reference.tag):
            return ""
        return "" if (reference.name, reference.tag) in self._pinned else _moves(reference)

    def _is_part(self, text: str) -> bool:
        """Return whether this is the name, without a tag, of an image that is carried."""
        reference = _reference(text)
        return (
            reference is not None
            and ":" not in text.rpartition("/")[2]
            and (not reference.digest and reference.name in self._names)
        )


def _kept(chart: Wanting) -> Iterator[Named]:
    """Yield what a chart names and nobody left out.

    Raises:
        DefinitionError: What is left out is not named.
    """
    out = {text for entry in chart.left_out for text in (entry.image, plain_image(entry.image))}
    named = {text for entry in chart.named for text in (entry.image, plain_image(entry.image))}
    for entry in chart.left_out:
        if plain_image(entry.image) not in named:
            raise DefinitionError(
                f"{chart.who}: leaveOut: it does not name {entry.image!r}",
                "Remove the entry, or write the image as the chart does.",
            )
    for found in chart.named:
        if found.image not in out and plain_image(found.image) not in out:
            yield found


def _images(wanted: dict[str, set[How]]) -> tuple[ChartImage, ...]:
    return tuple(
        ChartImage(image=image, how=tuple(sorted(how))) for image, how in sorted(wanted.items())
    )


def _reference(text: str) -> Reference | None:
    """Parse an image as a container runtime does: without a tag and a digest it means `latest`."""
    untagged = "@" not in text and ":" not in text.rpartition("/")[2]
    try:
        return parse_reference(f"{text}:latest" if untagged else text)
    except DefinitionError:
        return None


def _moves(reference: Reference) -> str:
    return f"the tag {reference.tag!r} does not name a version, so it may mean another image later"


def _missing(image: str, who: str, where: str, why: str, add: str) -> MissingImage:
    places = (where,) if where else ()
    return MissingImage(image=image, wanted_by=(who,), where=places, why=why, add=add)


def _merged(one: MissingImage, other: MissingImage) -> MissingImage:
    where = tuple(dict.fromkeys((*one.where, *other.where)))[:_MAX_WHERE]
    wanted_by = tuple(sorted({*one.wanted_by, *other.wanted_by}))
    return MissingImage(image=one.image, wanted_by=wanted_by, where=where, why=one.why, add=one.add)
