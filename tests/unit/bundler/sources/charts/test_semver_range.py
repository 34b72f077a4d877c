"""Ranges mean what Helm takes them to mean: the real one is asked."""

from __future__ import annotations

import json

import pytest

from bundler.sources.charts.semver_range import in_range, parse_version
from tests.support.programs.helm import run_helm

RANGES = (
    "1.2.3", "=1.2.3", "v1.2.3", "1.2", "1", "1.x", "1.2.x", "*", "x", "^1.2.3", "^1.2", "^1",
    "^0.2.3", "^0.2", "^0.0.3", "^0.0", "^0", "^*", "~1.2.3", "~1.2", "~1", "~>1.2", "~0.0.0", "~0",
    "~*", ">1.2.3", ">1.2", ">1", ">*", ">=1.2.3", ">=1.2", "=>1", "<1.2.3", "<1.2", "<=1.2.3",
    "<=1.2", "<=1", "=<1.2", "<=*", "!=1.2.3", "!=1.2", "!=1", "!=1.x", "!=*", ">= 1.0.0, < 2.0.0",
    ">=1.0.0 <1.2.4", ">=1.0.0-0", "^1.2.0-0", "~1.2.3-alpha.1", ">1.2.3-alpha.1 <2", "1.2 - 1.4",
    "1.2.3 - 2", "^1.0.0 || ^3.0.0", "<1.0.0 || >=2.1.0-0", "1.2.3+build", "!=1.2-alpha",
    "~1.2.x", "^x", "1.*", "1.2.*", ">=0.1.0 <0.2.0", "0.0.0",
)  # fmt: skip
VERSIONS = (
    "1.2.3", "1.2.4", "1.3.0", "1.0.0", "2.0.0", "2.1.5", "3.0.0", "0.0.0", "0.0.3", "0.0.4",
    "0.1.0", "0.2.3", "0.2.9", "0.3.0", "1.2.3-alpha.1", "1.2.3-alpha.2", "1.2.3-alpha",
    "2.1.0-rc.1",
    "1.2.3+build.5", "v1.2.3", "1.2", "1", "1.2.3-10", "1.2.3-9", "1.2.3-1a", "0.0.0-0",
)  # fmt: skip


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bool]]:
    """What the real Helm says of every version and every range."""
    chart = tmp_path_factory.mktemp("oracle")
    (chart / "templates").mkdir()
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: oracle\nversion: 1.0.0\n")
    (chart / "values.yaml").write_text(json.dumps({"ranges": RANGES, "versions": VERSIONS}))
    (chart / "templates" / "out.json").write_text(
        "{{- $out := dict -}}{{- range $r := .Values.ranges -}}{{- $row := dict -}}"
        "{{- range $v := $.Values.versions -}}"
        "{{- $_ := set $row $v (semverCompare $r $v) -}}{{- end -}}"
        "{{- $_ := set $out $r $row -}}{{- end -}}\n# {{ $out | toJson }}\n"
    )
    said = run_helm(["template", "o", str(chart)], chart / ".home").stdout
    line = next(line for line in said.splitlines() if line.startswith("# {"))
    found: dict[str, dict[str, bool]] = json.loads(line[2:])
    return found


@pytest.mark.parametrize("range_", RANGES)
def test_a_range_means_what_helm_says(range_: str, oracle: dict[str, dict[str, bool]]) -> None:
    ours = {version: in_range(range_, version) for version in VERSIONS}
    assert ours == oracle[range_]


@pytest.mark.parametrize("range_", ["", "abc", "1.2.3.4", ">>1", "1.0 ||", "1 &&2", "9" * 300])
def test_a_malformed_range_has_nothing_in_it(range_: str) -> None:
    assert not in_range(range_, "1.2.3")


@pytest.mark.parametrize("version", ["", "a", "1.2.3.4", "1.2.3-", "-1", "1" * 300])
def test_a_malformed_version_is_in_nothing(version: str) -> None:
    assert parse_version(version) is None
    assert not in_range("*", version)
