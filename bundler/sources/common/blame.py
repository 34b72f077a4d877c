"""What each blob of a lock is and where it is from, so that an error can say so.

A blob has a digest and no name. Whoever builds a bundle knows images, files and addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from bundle.base.digest import PREFIX
from bundle.base.errors import (
    Advice,
    DigestMismatchError,
    IntegrityError,
    IsowardError,
    StorageError,
    TransportError,
)
from bundle.kinds.artifacts import LockedArtifact, artifact_contents
from bundle.kinds.charts import LockedChart
from bundle.kinds.files import LockedFile, file_label
from bundler.sources.common.download import TYPED

BY_LOCK: Final = (
    "The content changed at the source since it was locked: find out why, then run `isoward lock` "
    "again and review what changed."
)
_REGISTRY: Final = (
    "The registry, a mirror or something in between sent other bytes than the image's own "
    "manifest says: try again, without a mirror if there is one. If it persists, ask the publisher."
)


@dataclass(frozen=True, slots=True)
class Blame:
    """What a blob is.

    Attributes:
        name: What it is, and its address.
        hint: What to do when other bytes came.
    """

    name: str
    hint: str


@contextmanager
def blaming(blame: Blame | None) -> Iterator[None]:
    """Say in every error of the block what the blob is, and what the vendor does about it.

    Raises:
        IsowardError: As the block's, in more words.
    """
    try:
        yield
    except StorageError:
        raise
    except (IntegrityError, TransportError) as error:
        if blame is None:
            raise
        raise _said(error, blame) from error


def _said(error: IsowardError, blame: Blame) -> IsowardError:
    expected, found = (str(error.context.get(name, "")) for name in ("expected", "found"))
    if isinstance(error, DigestMismatchError) and expected and found:
        message = f"{blame.name}: the lock says {expected}, the server sent {found}"
    else:
        # What comes before the first colon of its own names the blob by its digest alone.
        own = error.message
        rest = own.partition(": ")[2] if own.startswith((PREFIX, "blobs/")) else own
        message = rest if blame.name in rest else f"{blame.name}: {rest}"
    # A source that knows more of what is wrong, such as a repository that moved on, keeps its word.
    return error.reworded(message, blame.hint if isinstance(error.hint, Advice) else "")


def of_file(file: LockedFile) -> Iterator[tuple[str, Blame]]:
    """Yield what the blob of a file is."""
    name = f"file {file_label(file)}{wanted_by(file.wanted_by)}"
    typed = file.url is not None and not file.wanted_by
    yield file.digest, Blame(name, TYPED if typed else BY_LOCK)


def of_image(image: LockedArtifact) -> Iterator[tuple[str, Blame]]:
    """Yield what the blobs of an image are."""
    return of_artifact(image, f"image {image.reference}{wanted_by(image.wanted_by)}")


def of_chart(chart: LockedChart) -> Iterator[tuple[str, Blame]]:
    """Yield what the blobs of a chart are."""
    name = f"chart {chart.name} {chart.version}"
    yield chart.archive.digest, Blame(f"{name} {chart.url or ''}".rstrip(), BY_LOCK)
    yield from of_artifact(chart.artifact, name)
    for values in chart.rendering.values if chart.rendering is not None else ():
        yield values.digest, Blame(f"{name}: {values.path}", BY_LOCK)


def of_artifact(artifact: LockedArtifact, name: str) -> Iterator[tuple[str, Blame]]:
    """Yield what the blobs of an artifact are."""
    for content in artifact_contents(artifact):
        yield content.digest, Blame(f"{name}: {content.digest}", _REGISTRY)


def wanted_by(who: tuple[str, ...]) -> str:
    """Return who wants something, to be put behind its name; empty when a person alone does."""
    return f" (needed by {', '.join(who)})" if who else ""


@contextmanager
def naming(who: tuple[str, ...]) -> Iterator[None]:
    """Say in every error of the block what wants the image: nobody typed that.

    Raises:
        IsowardError: As the block's, with who wants it.
    """
    try:
        yield
    except IsowardError as error:
        if not who or any(one in error.message for one in who):
            raise
        raise error.reworded(f"{error.message}{wanted_by(who)}") from error
