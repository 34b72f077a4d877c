"""What a chart is found to want is exactly what a real API server is asked to run.

Each chart is installed by the real Helm into a real API server, tested, upgraded, rolled back and
removed; the images of all pods and templates that the server stored are compared with ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle.base.reference import parse_reference
from bundler.build.cache import BlobCache
from bundler.lock.resolve import resolve
from tests.support.charts.shapes import ChartUpstream, all_images, chart_upstream
from tests.support.cluster.api_server import ApiServer, api_server
from tests.support.documents.right import read_definition
from tests.support.documents.sources import context
from tests.support.programs.go_tools import BUILD_SECONDS
from tests.support.programs.helm import helm_on_path, run_helm
from tests.support.registries.connecting import client
from tests.vectors.chart_shapes import CAPABILITIES, SHAPES, SHORT_NAMES, Shape

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(BUILD_SECONDS + 600)]

CHOSEN = [shape for shape in SHAPES if shape is not SHORT_NAMES]
"""Short names mean a registry that is not here."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("api-server")) as running:
        yield running


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChartUpstream]:
    with chart_upstream(tmp_path_factory.mktemp("charts"), CHOSEN) as running:
        yield running


@pytest.fixture(scope="module")
def closure(
    upstream: ChartUpstream, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, set[str]]]:
    """What a lock of all charts says that each wants: by chart, then by how that is known."""
    helm_on_path()
    folder = tmp_path_factory.mktemp("vendor")
    definition = read_definition(upstream.write(folder).read_text())
    hosts = (upstream.registry.host, upstream.site.url.partition("//")[2])
    lock = resolve(definition, context(client(*hosts), BlobCache(folder / "cache"), folder))
    carried = {image.reference for image in lock.images}
    assert carried == all_images(upstream.shapes)
    found: dict[str, dict[str, set[str]]] = {}
    for chart in lock.charts:
        assert chart.rendering is not None
        by = found.setdefault(chart.name, {})
        for wanted in chart.rendering.images:
            for how in wanted.how:
                by.setdefault(how, set()).add(wanted.image)
    return found


def _live(shape: Shape, server: ApiServer, folder: Path) -> None:
    """Let Helm do all that it does with a chart over its life."""
    (folder / "chart.tgz").write_bytes(shape.archive)
    (folder / "values.yaml").write_text(shape.values or "{}")
    chart = [shape.name, str(folder / "chart.tgz"), "--values", str(folder / "values.yaml")]
    for command in (
        ["install", *chart, "--create-namespace"],
        ["test", shape.name],
        ["upgrade", *chart],
        ["rollback", shape.name, "1"],
        ["uninstall", shape.name],
    ):
        where = ["--namespace", f"ns-{shape.name}", "--kubeconfig", str(server.kubeconfig)]
        run_helm([*command, *where], folder / "home")


@pytest.mark.parametrize("name", [shape.name for shape in CHOSEN])
def test_what_is_rendered_is_what_the_server_is_asked_to_run(
    name: str,
    server: ApiServer,
    upstream: ChartUpstream,
    closure: dict[str, dict[str, set[str]]],
    tmp_path: Path,
) -> None:
    (shape,) = (shape for shape in upstream.shapes if shape.name == name)
    _live(shape, server, tmp_path)
    asked = server.asked_to_run(f"ns-{name}")
    assert asked, "the server was asked for something"
    assert {str(parse_reference(image)) for image in asked} == closure[name]["rendered"]
    assert asked == shape.runs


def test_without_what_the_cluster_has_it_would_not_be_exact(
    server: ApiServer, upstream: ChartUpstream, tmp_path: Path
) -> None:
    """The comparison can fail: without its API versions a chart renders less than it installs."""
    (shape,) = (shape for shape in upstream.shapes if shape.name == CAPABILITIES.name)
    (tmp_path / "chart.tgz").write_bytes(shape.archive)
    less = run_helm(["template", str(tmp_path / "chart.tgz")], tmp_path / "home").stdout
    asked = server.asked_to_run(f"ns-{shape.name}")
    assert any("exporter" in image for image in asked)
    assert "exporter" not in less
