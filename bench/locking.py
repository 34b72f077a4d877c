"""The lock of a whole platform: how often it asks, and how long that takes."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Run, isoward, median_of
from bench.report import Section, Stamp, table
from tests.support.programs.helm import bring_helm
from tests.support.registries.definition import definition_yaml
from tests.support.registries.platform_upstream import PlatformUpstream, platform_upstream

TOOLS = ("docker-registry",)
_NOT_FOUND = 404
_TEXT = """\
The lock of {images} images and {charts} charts, from a registry and a web server on loopback that
count what they are asked. A quarter of the images each: indexes of two platforms with a signature
that is verified and an SBOM; of one platform; indexes with BuildKit's provenance; named by tag and
digest. Half of the charts come from an HTTP repository, where each costs a request for its
provenance file, and half from the registry; Helm renders all. Images are small, for a lock fetches
no layer. Medians of {rounds} rounds. A first lock has an empty cache; the second looks again where
the tags are.

{table}

Of the first lock's requests {missed} were answered 404: a referrer is looked for wherever tools put
one, and most images have few; {provenance} were for provenance files. The goal is that nothing is
fetched twice.

{stamp}
"""


@dataclass(frozen=True)
class _Asked:
    """What one lock asked for, and what it took.

    Attributes:
        run: The command.
        requests: In all.
        missing: Of which the registry did not have what was asked for.
        provenance: Of which were for a provenance file.
        manifests: How often each came.
        blobs: Likewise, with charts' archives.
    """

    run: Run
    requests: int
    missing: int
    provenance: int
    manifests: Counter[str]
    blobs: Counter[str]

    @property
    def twice(self) -> list[str]:
        return [name for name, count in (self.manifests + self.blobs).items() if count > 1]


def locking(work: Path, stamp: Stamp, images: int, charts: int, rounds: int) -> Section:
    """Measure locks of so many images and charts."""
    os.environ["PATH"] = os.pathsep.join((str(bring_helm().parent), os.environ["PATH"]))
    with platform_upstream(work / "upstream", images, charts) as platform:
        definition = work / "platform.yaml"
        definition.write_text(definition_yaml(platform.upstream), encoding="utf-8")
        first, second = [], []
        for i in range(rounds):
            cache, lock = work / f"cache-{i}", work / f"platform-{i}.lock.yaml"
            os.sync()
            first.append(_lock(platform, definition, lock, cache))
            second.append(_lock(platform, definition, lock, cache))
    text = _TEXT.format(
        images=images,
        charts=charts,
        rounds=rounds,
        table=table(
            ("lock", "time", "requests", "a second", "manifests", "blobs", "twice", "memory"),
            [_line("first", first), _line("second", second)],
        ),
        missed=first[0].missing,
        provenance=first[0].provenance,
        stamp=stamp,
    )
    missed = [f"lock: {name} was fetched twice" for asked in first + second for name in asked.twice]
    missed += [f"lock: a warm cache fetched {name}" for asked in second for name in asked.blobs]
    return Section("Lock", text, tuple(missed))


def _lock(platform: PlatformUpstream, definition: Path, lock: Path, cache: Path) -> _Asked:
    platform.forget_requests()
    took = isoward("lock", definition, "-o", lock, "--cache", cache)
    site = platform.site.log.count()
    archives = Counter({path: n for path, n in site.items() if path.endswith(".tgz")})
    return _Asked(
        run=took,
        requests=platform.requests(),
        missing=sum(status == _NOT_FOUND for _, _, status in platform.registry.requests()),
        provenance=sum(n for path, n in site.items() if path.endswith(".prov")),
        manifests=platform.manifest_fetches(),
        blobs=platform.registry.blob_fetches() + archives,
    )


def _line(name: str, asked: list[_Asked]) -> list[str]:
    took = median_of([one.run for one in asked])
    one = asked[0]
    return [
        name,
        f"{took.seconds:.2f} s",
        f"{one.requests}",
        f"{one.requests / took.seconds:.0f}",
        f"{one.manifests.total()}",
        f"{one.blobs.total()}",
        f"**{max(len(one.twice) for one in asked)}**",
        f"{took.memory:.0f} MiB",
    ]
