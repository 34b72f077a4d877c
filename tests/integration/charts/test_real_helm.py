"""The Helm that tests use is the real one, in the version that is pinned."""

from __future__ import annotations

from pathlib import Path

from tests.support.programs.helm import run_helm
from tests.vectors.charts import Chart


def test_the_pinned_helm_renders_our_charts(tmp_path: Path) -> None:
    chart = Chart("web", "1.2.3", "registry.example.org/app/web", service=True)
    archive = tmp_path / chart.filename
    archive.write_bytes(chart.archive())
    assert run_helm(["version", "--short"], tmp_path).stdout.startswith("v4.")
    rendered = run_helm(["template", "shop", str(archive)], tmp_path).stdout
    assert 'image: "registry.example.org/app/web:12"' in rendered
