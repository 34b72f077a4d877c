"""The definition: what a person may write, and what is said about what they may not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundle.base.errors import DefinitionError
from bundle.cli.main import run
from bundle.kinds.chart_source import ChartSource
from tests.support.documents.right import DEFINITION, digest, read_definition

HEAD = DEFINITION.partition("images:")[0]
TOOL = f"{{url: 'https://example.org/t', digest: '{digest('t')}'}}"


def test_the_example_of_the_readme() -> None:
    definition = read_definition(
        HEAD
        + f"""\
images:
  - reference: registry.example.org/app/web:2.1
    platforms: [linux/amd64, linux/arm64]
files:
  - {TOOL}
charts:
  - {{name: web, repository: "https://charts.example.org", version: 1.2.3}}
  - {{name: db, repository: "oci://registry.example.org/charts", version: 0.9.0}}
"""
    )
    assert definition.metadata.name == "hospital-platform"
    assert definition.images[0].platforms == ("linux/amd64", "linux/arm64")
    assert [chart.is_oci for chart in definition.charts] == [False, True]
    assert str(definition.charts[1].oci_reference) == "registry.example.org/charts/db:0.9.0"


def test_a_plus_in_a_charts_version_is_an_underscore_in_its_tag() -> None:
    chart = ChartSource(name="db", repository="oci://r.example/charts/", version="1.0.0+build.5")
    assert str(chart.oci_reference) == "r.example/charts/db:1.0.0_build.5"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "no content"),
        ("images: []", "no content"),
        ("images: [{}]", "missing field 'reference'"),
        ("images: [{reference: ''}]", r"images\[0\]\.reference"),
        ("images: [{reference: 'web'}]", "neither a tag nor a digest"),
        ("images: [{reference: 'web:1'}, {reference: 'docker.io/library/web:1'}]", "duplicate"),
        ("images: [{reference: 'web:1', platforms: [linux]}]", r"images\[0\]\.platforms\[0\]"),
        ("images: [{reference: 'web:1', extra: 1}]", "extra: unknown field"),
        ("images: web:1", "images: expected a list, found 'web:1'"),
        ("files: [{url: 'https://example.org/t'}]", r"files\[0\]: missing digest"),
        (f"files: [{{url: 'ftp://example.org/t', digest: '{digest(1)}'}}]", r"files\[0\]\.url"),
        (f"files: [{{url: 'https://e.org/t?key=1', digest: '{digest(1)}'}}]", r"files\[0\]\.url"),
        (f"files: [{{url: 'https://e.org/t#x', digest: '{digest(1)}'}}]", r"files\[0\]\.url"),
        (f"files: [{{url: 'https://u:p@e.org/t', digest: '{digest(1)}'}}]", r"files\[0\]\.url"),
        (f"files: [{{url: 'https:///t', digest: '{digest(1)}'}}]", r"files\[0\]\.url"),
        (f"files: [{{url: 'https://[e/t', digest: '{digest(1)}'}}]", "not a host"),
        (f"files: [{{url: 'https://e.org/../t', digest: '{digest(1)}'}}]", "in its path"),
        (f'files: [{{url: "https://e.org/t\\n", digest: "{digest(1)}"}}]', r"files\[0\]\.url"),
        (f'files: [{{url: "https://e.org/t\\e[2J", digest: "{digest(1)}"}}]', r"files\[0\]\.url"),
        ("files: [{url: 'https://example.org/t', digest: 'sha256:12'}]", r"files\[0\]\.digest"),
        (f"files: [{TOOL}, {TOOL}]", "duplicate"),
        ("charts: [{name: web, version: '1', repository: charts.example.org}]", "repository"),
        ("charts: [{name: web, version: '1', repository: 'https://u@e.org'}]", "repository"),
        ("charts: [{name: web, version: '1', repository: 'https://'}]", "repository"),
        ("charts: [{name: web, version: '1', repository: 'https://[::1'}]", "not a host"),
        ("charts: [{name: web, version: '1', repository: 'oci://r.org/A'}]", "not a repository"),
        (
            "charts: [{name: ../web, version: '1', repository: 'https://e.org'}]",
            r"charts\[0\]\.name",
        ),
        ("charts: [{name: web, version: '1'}]", "either repository, or path"),
        (
            "charts: [{name: web, version: '1', repository: 'https://e.org', path: web}]",
            "either repository, or path",
        ),
        ("charts: [{name: web, version: '1', path: ../web}]", "not a path below"),
        ("charts: [{name: web, version: '1', path: /srv/web}]", "not a path below"),
        ("charts: [{name: a..b, version: '1', path: web}]", "cannot be the name of a served chart"),
        ("charts: [{name: web, version: '1', repository: 'oci://local.invalid'}]", "not a host"),
        (
            "charts: [{name: web, version: '1', git: {repository: r, commit: main}}]",
            r"charts\[0\]\.git\.commit",
        ),
        (
            "charts: [{name: web, version: 1.2, repository: 'https://e.org'}]",
            "text, found the number 1.2",
        ),
        ("charts: [{name: web, version: '1 2', repository: 'https://e.org'}]", "version"),
        (
            f"charts: [{{name: web, version: '{'1+' * 65}', repository: 'https://e.org'}}]",
            "version",
        ),
    ],
)
def test_broken_content_is_refused_with_its_place(body: str, why: str) -> None:
    with pytest.raises(DefinitionError, match=why) as caught:
        read_definition(HEAD + body)
    assert caught.value.exit_code == 10
    assert caught.value.hint


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("isoward/v1", "isoward/v2", "apiVersion"),
        ("BundleDefinition", "BundleLock", "kind"),
        ("apiVersion: isoward/v1\n", "", "missing field 'apiVersion'"),
        ("hospital-platform", "Hospital", "metadata.name"),
        ("hospital-platform", "../x", "metadata.name"),
        ("hospital-platform", '"x\\n"', "metadata.name"),
        ("hospital-platform", "x" * 64, "metadata.name"),
        ("1.0.0", "1.0", r"metadata\.version: expected text, found the number 1.0"),
        ("1.0.0", "'1/0'", "metadata.version"),
        ("[linux/amd64]", "[]", "platforms"),
        ("[linux/amd64]", "[amd64]", "platforms"),
        ("[linux/amd64]", "[linux/amd64, linux/amd64]", "duplicate"),
        ("platforms:", "platform:", "platform: unknown field; did you mean platforms\\?"),
    ],
)
def test_a_broken_head_is_refused(old: str, new: str, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        read_definition(DEFINITION.replace(old, new))


def test_everything_wrong_is_said_at_once_by_line_with_the_name_that_was_meant(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "hospital.yaml"
    path.write_text(
        DEFINITION.partition("platforms:")[0] + "platfroms: [linux/amd64]\n"
        "images:\n  - referense: web:1\n  - reference: 3\n"
        "osPackages:\n  - {name: a, release: debain-12, keyring: k, repositories: []}\n"
    )
    assert run(["lock", str(path)]) == 10
    said = capsys.readouterr().err
    lines = path.read_text().splitlines()

    def at(text: str) -> str:
        return f"line {1 + next(i for i, line in enumerate(lines) if text in line)}: "

    assert f"{path}: 5 problems, first {at('platfroms')}platfroms: unknown field" in said
    for text, expected in (
        ("referense", "images[0].referense: unknown field; did you mean reference?"),
        ("reference: 3", "images[1].reference: expected text, found the number 3"),
        ("debain", "found 'debain-12'; did you mean debian-12?"),
        ("repositories", "repositories: expected at least 1 entry"),
    ):
        assert f"isoward: also {at(text)}" in said
        assert expected in said
    assert "is missing" not in said, "what was misspelt is not missing as well"


def test_contradictions_are_said_at_once_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "hospital.yaml"
    path.write_text(
        HEAD + "images:\n  - reference: web\n  - reference: '@'\n"
        "files: [{url: 'https://example.org/t'}]\n"
    )
    assert run(["lock", str(path), "--json"]) == 10
    problems = json.loads(capsys.readouterr().out)["problems"]
    fields = [problem["field"] for problem in problems]
    assert fields[:3] == ["images[0].reference", "images[1].reference", "files[0]"]
    assert all(problem["line"] and problem["hint"] for problem in problems)


def test_a_mistyped_entry_hides_no_contradiction_of_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "hospital.yaml"
    path.write_text(
        HEAD + "images:\n  - refrence: web:1\n  - reference: web\n  - {reference: '@', name: x}\n"
        "files:\n  - {url: 'https://a..b/t'}\n  - url: 3\n"
        "charts:\n  - {name: w, repository: 'oci://a.example/X', version: 1.2.3}\n1: x\n"
    )
    assert run(["lock", str(path), "--json"]) == 10
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert [problem["field"] for problem in problems] == [
        "images[0].refrence",
        "images[1].reference",
        "images[2].reference",
        "images[2]",
        "files[0]",
        "files[1].url",
        "charts[0].repository",
        "1",
    ]
    assert all(problem["line"] for problem in problems)


@pytest.mark.parametrize("cut", ["sha256:2c26", f"sha256:{'0' * 65}"])
def test_a_digest_that_is_cut_short_is_told_by_its_form(cut: str) -> None:
    with pytest.raises(DefinitionError, match="a digest: sha256: and 64 lowercase") as caught:
        read_definition(f"{HEAD}files: [{{url: 'https://example.org/t', digest: '{cut}'}}]\n")
    assert "characters" not in caught.value.message
