"""What a good bundle is: one ordered list of checks, the same for build, verify and import.

Trust is no part of it. It comes first and decides what bundle.json is (bundle.trust.verify); a
build has just made its own. From there on the list decides. The first refusal ends it, and nothing
of a bundle is used that did not pass all of it. What costs little comes before what costs much, and
the blobs are read last, once.

A gate joins by an entry in CHECKS, and all three callers run it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar, cast

from bundle.base.errors import IntegrityError
from bundle.base.progress import NO_PROGRESS, Progress
from bundle.checks.blobs import LayoutCheck, check_layout, check_sizes, hash_blobs
from bundle.checks.graph import check_graph, check_index
from bundle.checks.signatures import UpstreamCheck, check_upstream
from bundle.kinds.policy import SignatureRule
from bundle.model.manifest import Manifest
from bundle.store.layout import BundleDirectory

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Subject:
    """A bundle to check, and what it is checked with.

    Attributes:
        directory: The bundle, untrusted.
        manifest: Authenticated, or just made.
        now: UTC.
        site: The site's own signature rules; none means only the bundle's.
        progress: Told of bytes as blobs are read in place.
        read_blobs: For a caller that brings the blobs in: verifies each as it does so, and returns
            how many bytes they have. Without it they are read where they lie.
        besides: Files of the caller's own, which are gone before the bundle has its name.
    """

    directory: BundleDirectory
    manifest: Manifest
    now: dt.datetime
    site: tuple[SignatureRule, ...] = ()
    progress: Progress = NO_PROGRESS
    read_blobs: Callable[[], int] | None = None
    besides: Set[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Check(Generic[T]):
    """One thing that every good bundle satisfies.

    Attributes:
        id: Stable, for machines.
        about: What holds when it passes, in one line.
        run: Raises an error of ours if it does not hold; returns what a caller may want to tell.
        opens_blobs: Whether it reads some of the blobs, and so may be the first to meet damage.
    """

    id: str
    about: str
    run: Callable[[Subject], T]
    opens_blobs: bool = False


@dataclass(frozen=True, slots=True)
class Passed:
    """What the checks of a good bundle returned."""

    _results: Mapping[str, object]

    def of(self, check: Check[T]) -> T:
        """Return what `check` returned."""
        return cast("T", self._results[check.id])


def _read_blobs(subject: Subject) -> int:
    if subject.read_blobs is not None:
        return subject.read_blobs()
    return hash_blobs(subject.directory, subject.manifest, subject.progress)


LAYOUT: Final[Check[LayoutCheck]] = Check(
    "layout",
    "every file is vouched for, and all but the blobs are what bundle.json and SHA256SUMS say",
    lambda s: check_layout(s.directory, s.manifest, s.besides),
)
INDEX: Final[Check[None]] = Check(
    "index",
    "index.json gives each name to the content that bundle.json gives it to",
    lambda s: check_index(s.directory, s.manifest),
)
SIZES: Final[Check[None]] = Check(
    "sizes",
    "every blob is there and has its length",
    lambda s: check_sizes(s.directory, s.manifest),
)
GRAPH: Final[Check[None]] = Check(
    "graph",
    "images and charts name only content of the bundle, and every blob is named",
    lambda s: check_graph(s.directory, s.manifest),
    opens_blobs=True,
)
UPSTREAM: Final[Check[UpstreamCheck]] = Check(
    "upstream",
    "every image is signed as the bundle's rules and the site's require",
    lambda s: check_upstream(s.directory, s.manifest, s.now, s.site),
    opens_blobs=True,
)
BLOBS: Final[Check[int]] = Check("blobs", "every byte of every blob is as approved", _read_blobs)

CHECKS: Final[tuple[Check[Any], ...]] = (LAYOUT, INDEX, SIZES, GRAPH, UPSTREAM, BLOBS)


def check_bundle(subject: Subject) -> Passed:
    """Check all that makes a bundle a good one, in order; the first refusal ends it.

    Args:
        subject: Which, and with what.
    Returns:
        What the checks returned.
    Raises:
        IntegrityError: A file is missing, damaged or one too many. Of damage that was met while
            blobs are read in place, all is named.
        FormatError: What the content names is not what bundle.json says.
        PolicyError: An image is not signed as the rules require, or a waiver has ended.
        StorageError: A blob cannot be read.
    """
    results: dict[str, object] = {}
    for check in CHECKS:
        try:
            results[check.id] = check.run(subject)
        except IntegrityError:
            if check.opens_blobs and subject.read_blobs is None:
                # Whoever has to mend the medium wants to know of the rest as well.
                BLOBS.run(subject)
            raise
    return Passed(results)
