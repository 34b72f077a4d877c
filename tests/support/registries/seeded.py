"""An upstream as a vendor meets it: a registry, a chart repository and a file server, seeded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.support.packages.debian_images import RECIPES, TAG, Recipe, build_images, versions
from tests.support.registries.attach import Attacher, SeededReferrer, Sink
from tests.support.registries.content import RegistryContent
from tests.support.registries.faulty_registry import faulty_registry
from tests.support.registries.oci import Artifact, Blob, manifest, sha256, to_json
from tests.support.registries.push import push_with_skopeo, pusher
from tests.support.registries.referrers import ImageSigner
from tests.support.registries.registry import distribution_registry
from tests.support.registries.static_site import StaticSite, static_site
from tests.vectors.charts import Chart, repository_index

HELM_CONFIG = "application/vnd.cncf.helm.config.v1+json"
HELM_LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"


class RegistryServer(Protocol):
    """A running registry: the real one, or the one in this process."""

    @property
    def host(self) -> str: ...

    @property
    def url(self) -> str: ...

    def blob_fetches(self) -> Counter[str]: ...


@dataclass(frozen=True)
class SeededImage:
    """An image that is upstream.

    Attributes:
        recipe: What it was made of.
        reference: With host and tag.
        digest: Of the index or the manifest, as the registry has it.
        is_index: Whether it is an index over several platforms.
        platforms: Digest of each platform's manifest.
        referrers: All of them, of all platforms.
    """

    recipe: Recipe
    reference: str
    digest: str
    is_index: bool
    platforms: Mapping[str, str]
    referrers: tuple[SeededReferrer, ...] = ()


@dataclass(frozen=True)
class SeededChart:
    """A chart that is upstream; `digest` is its archive's, `artifact` its OCI manifest's or ''."""

    name: str
    version: str
    repository: str
    digest: str
    archive: bytes
    artifact: str = ""


@dataclass(frozen=True)
class SeededFile:
    """A file that is upstream."""

    url: str
    digest: str
    size: int


@dataclass(frozen=True)
class Seeded:
    """Everything that was put upstream, and the key that signed it."""

    images: tuple[SeededImage, ...]
    charts: tuple[SeededChart, ...] = ()
    files: tuple[SeededFile, ...] = ()
    public_key: bytes = b""

    def image(self, name: str) -> SeededImage:
        """Return the image of a recipe."""
        return next(image for image in self.images if image.recipe.name == name)


@dataclass(frozen=True)
class Upstream:
    """A running and seeded upstream."""

    registry: RegistryServer
    site: StaticSite
    seeded: Seeded


def seed_upstream(registry_url: str, cache_dir: Path, chosen: Sequence[Recipe] = RECIPES) -> Seeded:
    """Make images from Debian's packages and push them, with their referrers, with skopeo."""
    host = registry_url.split("://", 1)[1]
    built = build_images(chosen, cache_dir)
    signer = ImageSigner()

    def push(recipe: Recipe) -> SeededImage:
        kind = "v2s2" if recipe.docker else "oci"
        artifact = built[recipe.name]
        digest = push_with_skopeo(host, recipe.repository, TAG, artifact, kind)
        with pusher(registry_url) as sink:
            attacher = Attacher(sink, signer, host, fallback_tags=True)
            found = attacher.attach(recipe, artifact, versions(recipe, cache_dir))
        return _seeded(host, recipe, artifact, digest, found)

    with ThreadPoolExecutor(4) as pool:
        images = tuple(pool.map(push, chosen))
    return Seeded(images, public_key=signer.public_pem)


def seed_content(
    content: RegistryContent, host: str, built: Mapping[Recipe, Artifact], cache_dir: Path
) -> Seeded:
    """Put images and their referrers into the content of a registry in this process."""
    signer = ImageSigner()
    attacher = Attacher(content, signer, host, fallback_tags=False)
    images = []
    for recipe, artifact in built.items():
        content.put(recipe.repository, artifact, TAG)
        found = attacher.attach(recipe, artifact, versions(recipe, cache_dir))
        images.append(_seeded(host, recipe, artifact, artifact.digest, found))
    return Seeded(tuple(images), public_key=signer.public_pem)


def _seeded(
    host: str,
    recipe: Recipe,
    artifact: Artifact,
    digest: str,
    referrers: tuple[SeededReferrer, ...],
) -> SeededImage:
    platforms = {part.platform: part.digest for part in artifact.walk() if part.platform}
    if not artifact.is_index:
        platforms = dict.fromkeys(platforms, digest)
    reference = f"{host}/{recipe.repository}:{TAG}"
    return SeededImage(recipe, reference, digest, artifact.is_index, platforms, referrers)


def seed_charts(
    site: StaticSite, sink: Sink, host: str, built: Sequence[Recipe]
) -> tuple[SeededChart, ...]:
    """Put two charts into an HTTP repository (one in two versions) and one into the registry.

    They run busybox, if that is among what was built, else the first image that was.
    """
    chosen = next((recipe for recipe in built if recipe.name == "busybox"), built[0])
    image = f"{host}/{chosen.repository}"
    web, newer, worker = (
        Chart("web", "1.2.3", image, service=True),
        Chart("web", "1.3.0-rc.1", image, service=True),
        Chart("worker", "0.4.0", image),
    )
    digests = {chart: sha256(chart.archive()) for chart in (web, newer, worker)}
    for chart in digests:
        site.put(f"charts/{chart.filename}", chart.archive())
    site.put("charts/index.yaml", repository_index(digests, base=""))
    repository = f"{site.url}/charts"
    served = [
        SeededChart(chart.name, chart.version, repository, digests[chart], chart.archive())
        for chart in (web, worker)
    ]
    database = Chart("db", "0.9.0+debian.12", image)
    archive = database.archive()
    artifact = manifest(
        Blob(HELM_CONFIG, to_json(database.metadata)),
        [Blob(HELM_LAYER, archive)],
        annotations={"org.opencontainers.image.title": "db"},
    )
    sink.put("charts/db", artifact, database.version.replace("+", "_"))
    pushed = SeededChart(
        "db", database.version, f"oci://{host}/charts", sha256(archive), archive, artifact.digest
    )
    return (*served, pushed)


def seed_files(site: StaticSite, files: Mapping[str, bytes]) -> tuple[SeededFile, ...]:
    """Put files on the file server."""
    return tuple(
        SeededFile(site.put(f"files/{name}", data), sha256(data), len(data))
        for name, data in files.items()
    )


@contextmanager
def upstream(
    directory: Path, cache_dir: Path, chosen: Sequence[Recipe] = RECIPES
) -> Iterator[Upstream]:
    """Run and seed an upstream on the real distribution registry until the end of the block."""
    with ExitStack() as stack:
        registry = stack.enter_context(distribution_registry(directory / "registry"))
        site = stack.enter_context(static_site(directory / "site"))
        seeded = seed_upstream(registry.url, cache_dir, chosen)
        with pusher(registry.url) as sink:
            charts = seed_charts(site, sink, registry.host, chosen)
        files = seed_files(site, _debs(cache_dir, chosen))
        yield Upstream(registry, site, Seeded(seeded.images, charts, files, seeded.public_key))


@contextmanager
def embedded_upstream(
    directory: Path, cache_dir: Path, built: Mapping[Recipe, Artifact], files: Mapping[str, bytes]
) -> Iterator[Upstream]:
    """Run and seed an upstream within this process, where there is no distribution registry."""
    content = RegistryContent()
    with ExitStack() as stack:
        registry = stack.enter_context(faulty_registry(content))
        site = stack.enter_context(static_site(directory / "site"))
        seeded = seed_content(content, registry.host, built, cache_dir)
        charts = seed_charts(site, content, registry.host, list(built))
        made = Seeded(seeded.images, charts, seed_files(site, files), seeded.public_key)
        yield Upstream(registry, site, made)


def _debs(cache_dir: Path, chosen: Sequence[Recipe]) -> dict[str, bytes]:
    """Return a text and the package of each of the first recipes, as files to be carried."""
    files = {"release-notes.txt": b"Debian 12, carried across the gap.\n"}
    for recipe in chosen[:3]:
        for name in recipe.packages[-1:]:
            deb = max((cache_dir / "debs").glob(f"{name}_*.deb"))
            files[f"{name}.deb"] = deb.read_bytes()
    return files
