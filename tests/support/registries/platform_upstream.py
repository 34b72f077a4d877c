"""An upstream of as many small images and charts as a platform has, which counts what is asked.

The images are of the kinds that real ones are: indexes of two platforms with a signature and an
SBOM, images of one platform, indexes with BuildKit's provenance, and some that a definition names
by tag and digest. Charts come from an HTTP repository and from the registry in turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.support.packages.debian_images import AMD64, ARM64, TAG, Recipe
from tests.support.registries.attach import Attacher, Sink
from tests.support.registries.oci import (
    LAYER,
    Artifact,
    Blob,
    Layer,
    image,
    index,
    manifest,
    sha256,
    to_json,
)
from tests.support.registries.push import Pusher, pusher
from tests.support.registries.referrers import ImageSigner, with_provenance
from tests.support.registries.registry import Registry, distribution_registry
from tests.support.registries.seeded import (
    HELM_CONFIG,
    HELM_LAYER,
    Seeded,
    SeededChart,
    SeededImage,
    Upstream,
)
from tests.support.registries.static_site import StaticSite, static_site
from tests.vectors.charts import Chart, repository_index

_SIGNED, _PLAIN, _BUILDKIT, _PINNED = range(4)


@dataclass
class _Remembering:
    """A sink that keeps in mind what each tag names, which no access log says."""

    sink: Pusher
    tags: dict[tuple[str, str], str] = field(default_factory=dict)

    def put(self, repository: str, artifact: Artifact, tag: str = "") -> str:
        if tag:
            self.tags[repository, tag] = artifact.digest
        return self.sink.put(repository, artifact, tag)


@dataclass(frozen=True)
class PlatformUpstream:
    """A running upstream, and what was asked of it.

    Attributes:
        upstream: As a definition is written for it.
        registry: Has the images and every other chart.
        site: Has the other charts.
        tags: The digest of each tag, by repository and tag.
    """

    upstream: Upstream
    registry: Registry
    site: StaticSite
    tags: dict[tuple[str, str], str]

    def manifest_fetches(self) -> Counter[str]:
        """Return how often each manifest was sent, by tag or by digest, as `repository@digest`."""
        found: Counter[str] = Counter()
        for method, path, status in self.registry.requests():
            repository, kind, name = path.removeprefix("/v2/").partition("/manifests/")
            if method == "GET" and kind and status == 200:
                found[f"{repository}@{self.tags.get((repository, name), name)}"] += 1
        return found

    def requests(self) -> int:
        """Return how many requests there were, of both servers."""
        pulls = sum(method in {"GET", "HEAD"} for method, _, _ in self.registry.requests())
        return pulls + len(self.site.log.entries)

    def forget_requests(self) -> None:
        """Count from here on."""
        self.site.log.clear()
        # The registry goes on at the end of the file, for it appends.
        with self.registry.access_log.open("r+b") as log:
            log.truncate(0)


@contextmanager
def platform_upstream(directory: Path, images: int, charts: int) -> Iterator[PlatformUpstream]:
    """Run an upstream of so many images and charts until the end of the block."""
    with ExitStack() as stack:
        registry = stack.enter_context(distribution_registry(directory / "registry"))
        site = stack.enter_context(static_site(directory / "site"))
        sink = _Remembering(stack.enter_context(pusher(registry.url)))
        signer = ImageSigner()
        seeded = tuple(_put_image(sink, signer, registry.host, i, charts) for i in range(images))
        served = _put_charts(sink, site, registry.host, seeded[:charts])
        content = Seeded(seeded, served, public_key=signer.public_pem)
        made = PlatformUpstream(Upstream(registry, site, content), registry, site, sink.tags)
        made.forget_requests()
        yield made


def _put_image(sink: Sink, signer: ImageSigner, host: str, number: int, charts: int) -> SeededImage:
    kind = number % 4
    # A chart says no digest, and what it runs must be what the definition names.
    if kind == _PINNED and number < charts:
        kind = _PLAIN
    name = f"app-{number:03}"
    signed = kind == _SIGNED
    recipe = Recipe(name, (), ("sh",), referrers="signed" if signed else "none")
    parts = [_image(name, platform) for platform in (AMD64, ARM64)]
    made = parts[0]
    if signed:
        made = index(parts)
    elif kind == _BUILDKIT:
        made = with_provenance(parts, name)
    digest = sink.put(recipe.repository, made, TAG)
    Attacher(sink, signer, host, fallback_tags=True).attach(recipe, made, [name])
    reference = f"{host}/{recipe.repository}:{TAG}"
    platforms = {part.platform: part.digest for part in made.walk() if part.platform}
    if kind == _PINNED:
        reference += f"@{digest}"
    return SeededImage(recipe, reference, digest, made.is_index, platforms)


def _image(name: str, platform: str) -> Artifact:
    layers = [_layer(f"the base of all for {platform}"), _layer(f"{name} for {platform}")]
    return image(layers, platform, ["sh"], {"name": name})


def _layer(text: str) -> Layer:
    blob = Blob(LAYER, text.encode())
    return Layer(blob, blob.digest)


def _put_charts(
    sink: Sink, site: StaticSite, host: str, run: tuple[SeededImage, ...]
) -> tuple[SeededChart, ...]:
    """Put a chart for each of these images, into the HTTP repository and the registry in turn."""
    found = []
    served: dict[Chart, str] = {}
    for number, what in enumerate(run):
        chart = Chart(f"chart-{number:03}", "1.0.0", f"{host}/{what.recipe.repository}")
        archive = chart.archive()
        kept = SeededChart(chart.name, chart.version, "", sha256(archive), archive)
        if number % 2:
            layer = [Blob(HELM_LAYER, archive)]
            artifact = manifest(Blob(HELM_CONFIG, to_json(chart.metadata)), layer)
            sink.put(f"charts/{chart.name}", artifact, chart.version)
            kept = replace(kept, repository=f"oci://{host}/charts", artifact=artifact.digest)
        else:
            site.put(f"charts/{chart.filename}", archive)
            served[chart] = kept.digest
            kept = replace(kept, repository=f"{site.url}/charts")
        found.append(kept)
    site.put("charts/index.yaml", repository_index(served, base=""))
    return tuple(found)
