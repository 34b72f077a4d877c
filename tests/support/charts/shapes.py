"""An upstream of charts of every shape and of the images that they want, and a definition of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bundle.base.reference import parse_reference
from tests.support.registries.content import RegistryContent
from tests.support.registries.faulty_registry import FaultyRegistry, faulty_registry
from tests.support.registries.oci import CONFIG, LAYER, Artifact, Blob, manifest, sha256, to_json
from tests.support.registries.static_site import StaticSite, static_site
from tests.support.trust.signature_rules import WAIVE_ALL_YAML
from tests.vectors.chart_shapes import PINNED, Shape


@dataclass(frozen=True)
class ChartUpstream:
    """A chart repository, and the registry of the charts' images.

    Attributes:
        site: Has the charts below `charts`.
        registry: Has every image.
        shapes: The charts, with their images in that registry.
    """

    site: StaticSite
    registry: FaultyRegistry
    shapes: tuple[Shape, ...]

    def write(self, folder: Path, changes: dict[str, Any] | None = None) -> Path:
        """Write a definition of the charts, and their values files.

        Args:
            folder: Is made.
            changes: Fields of charts by the chart's name.
        """
        (folder / "values").mkdir(parents=True, exist_ok=True)
        charts = []
        for shape in self.shapes:
            chart = {**self._chart(shape, folder), **(changes or {}).get(shape.name, {})}
            charts.append({key: value for key, value in chart.items() if value})
        definition = {
            "apiVersion": "isoward/v1",
            "kind": "BundleDefinition",
            "metadata": {"name": "charts", "version": "1.0.0"},
            "platforms": ["linux/amd64"],
            "charts": charts,
            "signatures": [
                {**rule, "images": [f"{self.registry.host}/**"]}
                for rule in yaml.safe_load(WAIVE_ALL_YAML)["signatures"]
            ],
        }
        path = folder / "charts.yaml"
        path.write_text(yaml.safe_dump(definition, sort_keys=False), encoding="utf-8")
        return path

    def _chart(self, shape: Shape, folder: Path) -> dict[str, Any]:
        if shape.values:
            (folder / "values" / f"{shape.name}.yaml").write_text(shape.values, encoding="utf-8")
        return {
            "name": shape.name,
            "version": shape.version,
            "repository": f"{self.site.url}/charts",
            "values": [f"values/{shape.name}.yaml"] if shape.values else [],
            "kubeVersion": shape.kube_version,
            "apiVersions": list(shape.api_versions),
            "images": list(shape.started),
        }


@contextmanager
def chart_upstream(folder: Path, shapes: Sequence[Shape]) -> Iterator[ChartUpstream]:
    """Run an upstream of these charts and their images until the end of the block."""
    content = RegistryContent()
    for name in all_images(shapes):
        reference = parse_reference(name)
        made = PINNED if reference.digest else image(name)
        content.put(reference.repository, made, reference.tag)
    with faulty_registry(content) as registry, static_site(folder) as site:
        lines = ["apiVersion: v1", "entries:"]
        moved = tuple(shape.at(registry.host) for shape in shapes)
        for shape in moved:
            file = f"{shape.name}-{shape.version}.tgz"
            site.put(f"charts/{file}", shape.archive)
            entry = f"version: {shape.version}, digest: '{sha256(shape.archive)}', urls: [{file}]"
            lines.append(f"  {shape.name}: [{{name: {shape.name}, {entry}}}]")
        site.put("charts/index.yaml", "\n".join(lines).encode())
        yield ChartUpstream(site, registry, moved)


def image(text: str) -> Artifact:
    """Make an image of one platform that differs by `text`."""
    config = Blob(CONFIG, to_json({"os": "linux", "architecture": "amd64"}))
    return manifest(config, [Blob(LAYER, text.encode())])


def all_images(shapes: Iterable[Shape]) -> set[str]:
    """Return the full references of what these charts want, in every way."""
    names = (name for s in shapes for name in (*s.runs, *s.started, *s.annotated))
    return {str(parse_reference(name)) for name in names}
