"""The catalogue of a depot that others import into while it is being served."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bundle.base.errors import IsowardError
from bundle.trust.site.state import TrustState, load_readable_states
from installer.depot.accepted import AcceptedContent, load_accepted
from installer.depot.catalogue import Catalogue
from installer.depot.directory import DepotDirectory
from installer.serving.content import BlobReader, logger
from installer.serving.downloads import Downloads
from installer.serving.health import Health
from installer.serving.packages import PythonIndex
from installer.serving.registry import Registry


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is served at one moment.

    Attributes:
        names: Of the bundles that were in the depot.
        bundles: How many of them are served.
        broken: Those that are not, since their records or manifests are damaged.
        catalogue: Of all that are served.
        registry: Answers below /v2/.
        downloads: Answers below /files/ and /charts/.
        python: Answers below /pypi/.
        health: Says which blobs are damaged.
    """

    names: frozenset[str]
    bundles: int
    broken: tuple[str, ...]
    catalogue: Catalogue
    registry: Registry
    downloads: Downloads
    python: PythonIndex
    health: Health


class LiveDepot:
    """Keeps a snapshot in step with the depot's bundles."""

    def __init__(self, depot: DepotDirectory) -> None:
        """Load what is there now."""
        self._depot = depot
        self._blobs = BlobReader(depot)
        self._health = Health(depot)
        self._loaded: dict[str, AcceptedContent] = {}
        self._lock = asyncio.Lock()
        self._snapshot = self._load(depot.bundle_names())

    async def snapshot(self) -> Snapshot:
        """Return what is to be served, loaded anew if a bundle came or went.

        A listing of one small directory tells, so that an import is visible at once. Loading is
        done in a thread, so that replies under way are not held up.
        """
        names = self._names()
        if names != self._snapshot.names:
            async with self._lock:
                names = self._names()
                if names != self._snapshot.names:
                    self._snapshot = await asyncio.to_thread(self._load, names)
        return self._snapshot

    def _names(self) -> frozenset[str]:
        try:
            return self._depot.bundle_names()
        except IsowardError as error:
            logger.error("%s", error)
            return self._snapshot.names

    def _load(self, names: frozenset[str]) -> Snapshot:
        """Load what is new; what could not be loaded is tried again with every change."""
        self._loaded = {name: found for name, found in self._loaded.items() if name in names}
        missing = sorted(names - self._loaded.keys())
        if missing:
            states = self._states()
            loaded = {name: self._load_one(name, states) for name in missing}
            self._loaded |= {name: found for name, found in loaded.items() if found is not None}
        good = sorted(self._loaded.values(), key=lambda found: found.record.order)
        catalogue = Catalogue.build((found.manifest, found.sizes) for found in good)
        return Snapshot(
            names=names,
            bundles=len(good),
            broken=tuple(sorted(names - self._loaded.keys())),
            catalogue=catalogue,
            registry=Registry(catalogue, self._blobs),
            downloads=Downloads(catalogue, self._blobs),
            python=PythonIndex(catalogue, self._blobs),
            health=self._health,
        )

    def _states(self) -> tuple[TrustState, ...]:
        try:
            found, problems = load_readable_states(self._depot.trust)
        except IsowardError as error:
            logger.error("no bundle can be verified: %s", error)
            return ()
        for problem in problems:
            logger.error("bundles under this record were not reloaded: %s", problem)
        return found

    def _load_one(self, name: str, states: tuple[TrustState, ...]) -> AcceptedContent | None:
        """Load one bundle; one that is damaged must not take down the others."""
        try:
            found = load_accepted(self._depot, name, states)
            # Alone first: what the catalogue cannot hold is this bundle's fault only.
            Catalogue.build([(found.manifest, found.sizes)])
        except IsowardError as error:
            logger.error("bundle %s is not served: %s", name, error)
            return None
        return found
