"""What is resolved: images and files that the definition names, and that its content wants."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bundle.base.errors import DefinitionError
from bundle.base.reference import parse_reference
from bundle.kinds.files import FileSource
from bundle.kinds.images import ImageSource
from bundler.sources.common.context import FileWant, Want


@dataclass(frozen=True, slots=True)
class Sought:
    """An image to resolve.

    Attributes:
        name: The full reference.
        source: As a definition has it.
        wanted_by: What else in the bundle wants it, sorted; empty when a person alone does.
    """

    name: str
    source: ImageSource
    wanted_by: tuple[str, ...]


def images_to_resolve(declared: Iterable[ImageSource], wants: Iterable[Want]) -> list[Sought]:
    """Put together what is declared and what is wanted, each reference once, sorted.

    Args:
        declared: Of the definition; its platforms count where content wants the same image.
        wants: Of its content.
    Raises:
        DefinitionError: A wanted reference is malformed, or has neither a tag nor a digest.
    """
    sources = {str(parse_reference(image.reference)): image for image in declared}
    # A definition may say which digest a tag is to have: whoever wants the tag gets that image.
    pinned = {name.partition("@")[0]: name for name in sources if "@" in name}
    wanted: dict[str, set[str]] = {name: set() for name in sources}
    for want in wants:
        name = str(parse_reference(want.reference, want.by))
        name = pinned.get(name, name)
        sources.setdefault(name, ImageSource(reference=name))
        wanted.setdefault(name, set()).add(want.by)
    return [Sought(name, sources[name], tuple(sorted(wanted[name]))) for name in sorted(sources)]


@dataclass(frozen=True, slots=True)
class SoughtFile:
    """A file to resolve.

    Attributes:
        source: As a definition has it.
        wanted_by: What else in the bundle wants it, sorted; empty when a person alone does.
        place: In the definition, such as `files[2]`; empty when no person named it.
    """

    source: FileSource
    wanted_by: tuple[str, ...]
    place: str = ""


def files_to_resolve(
    declared: Mapping[str, FileSource], wants: Iterable[FileWant]
) -> list[SoughtFile]:
    """Put together what is declared and what is wanted, each address once.

    Raises:
        DefinitionError: One address is wanted with two digests.
    """
    given = list(declared.values())
    places = {id(file): place for place, file in declared.items()}
    by_url = {file.url: file for file in given if file.url is not None}
    wanted: dict[str, set[str]] = {}
    for want in wants:
        known = by_url.setdefault(want.url, FileSource(url=want.url, digest=want.digest))
        if known.digest != want.digest:
            raise DefinitionError(
                f"{want.url}: {want.by} expects {want.digest}, another {known.digest}",
                "Only one of the two is possible; correct the definition or the inventory.",
            )
        wanted.setdefault(want.url, set()).add(want.by)
    sources = [*(file for file in given if file.url is None), *by_url.values()]
    return [
        SoughtFile(
            source, tuple(sorted(wanted.get(source.url or "", ()))), places.get(id(source), "")
        )
        for source in sources
    ]
