"""Reading the depot's blobs again: whether each still is what its name says.

Disks forget, and a byte that flipped is served as it is. What is found is marked, so that it is not
served any more; an import of the bundle restores it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import msgspec

from bundle.base.digest import PREFIX, is_digest
from bundle.base.errors import IsowardError
from bundle.base.limits import CHUNK_BYTES
from bundle.checks.damage import names_of_blobs
from bundle.store.atomic import storage_errors
from bundle.store.layout import BundleDirectory
from bundle.trust.site.state import load_readable_states
from installer.depot.accepted import AcceptedContent, load_accepted
from installer.depot.directory import DepotDirectory
from installer.depot.marks import FileIdentity, Mark, Problem

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Target:
    """A blob that is to be read.

    Attributes:
        digest: Its name.
        size: In bytes, as an imported bundle says; None for one that no bundle names.
    """

    digest: str
    size: int | None


@dataclass(frozen=True, slots=True)
class BrokenBundle:
    """A bundle of the depot that is not served.

    Attributes:
        name: Of its folder.
        problem: Why.
    """

    name: str
    problem: str


@dataclass(frozen=True, slots=True)
class DepotContent:
    """What a depot has.

    Attributes:
        bundles: Those that this site accepted.
        broken: Those of which something is damaged.
        targets: Every blob, by digest.
    """

    bundles: tuple[AcceptedContent, ...]
    broken: tuple[BrokenBundle, ...]
    targets: tuple[Target, ...]

    @property
    def size(self) -> int:
        """Bytes of all blobs whose size is known."""
        return sum(target.size or 0 for target in self.targets)


def look_at(depot: DepotDirectory) -> DepotContent:
    """List what there is to be read; the documents of each bundle are verified for it.

    Raises:
        StorageError: The depot cannot be listed.
    """
    states, problems = load_readable_states(depot.trust)
    bundles: list[AcceptedContent] = []
    broken = [BrokenBundle(depot.trust.name, problem.message) for problem in problems]
    for name in sorted(depot.bundle_names()):
        try:
            bundles.append(load_accepted(depot, name, states))
        except IsowardError as error:
            broken.append(BrokenBundle(name, error.message))
    sizes: dict[str, int | None] = dict.fromkeys(_names(depot))
    for bundle in bundles:
        sizes.update(bundle.sizes)
    targets = tuple(Target(digest, size) for digest, size in sorted(sizes.items()))
    return DepotContent(tuple(bundles), tuple(broken), targets)


def check_blob(depot: DepotDirectory, target: Target, when: str, advance: Advance) -> Mark | None:
    """Read one blob from the disk, and say what is wrong with it.

    Args:
        depot: That has it.
        target: Which one.
        when: UTC, RFC 3339.
        advance: Told of bytes as they are read.
    """
    path = depot.blob_path(target.digest)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file: FileIdentity | None = None

    def mark(problem: Problem) -> Mark:
        return Mark(digest=target.digest, problem=problem, when=when, file=file)

    try:
        descriptor = os.open(path, flags)
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            found = os.fstat(stream.fileno())
            file = FileIdentity.of(found)
            if not stat.S_ISREG(found.st_mode):
                return mark("unreadable")
            if target.size is not None and found.st_size != target.size:
                return mark("size")
            same = _digest(stream.fileno(), advance) == target.digest
            return None if same else mark("digest")
    except FileNotFoundError:
        return None if target.size is None else mark("missing")
    except OSError:
        with contextlib.suppress(OSError):
            file = FileIdentity.of(path.lstat())
        return mark("unreadable")


def _digest(descriptor: int, advance: Advance) -> str:
    # What the kernel remembers of the file is not what the disk has of it.
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    state = hashlib.sha256()
    buffer = memoryview(bytearray(CHUNK_BYTES))
    while count := os.readv(descriptor, [buffer]):
        state.update(buffer[:count])
        advance(count)
    return PREFIX + state.hexdigest()


def names_of(
    depot: DepotDirectory, content: DepotContent, digests: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """Say of blobs what they are of, over all bundles of the depot."""
    wanted = set(digests)
    # The depot's blobs lie as a bundle's do.
    place = BundleDirectory(depot.path)
    found: dict[str, set[str]] = {}
    for bundle in content.bundles if wanted else ():
        metadata = bundle.manifest.metadata
        for digest, names in names_of_blobs(place, bundle.manifest, wanted).items():
            said = (f"{name} ({metadata.name} {metadata.version})" for name in names)
            found.setdefault(digest, set()).update(said)
    return {digest: tuple(sorted(names)) for digest, names in found.items()}


def with_names(depot: DepotDirectory, content: DepotContent, marks: Sequence[Mark]) -> list[Mark]:
    """Add to marks what is hit."""
    names = names_of(depot, content, (mark.digest for mark in marks))
    return [msgspec.structs.replace(mark, of=names.get(mark.digest, ())) for mark in marks]


def _names(depot: DepotDirectory) -> list[str]:
    """Return the digests by which the depot's blobs are called."""
    if not depot.blobs.is_dir():
        return []
    with storage_errors(f"list {depot.blobs}"):
        names = os.listdir(depot.blobs)  # noqa: PTH208 - of hundreds of thousands; no Path each
    return [PREFIX + name for name in names if is_digest(PREFIX + name)]
