"""What charts show when the real Helm renders them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace as replace_context
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bundle.base.content import Content
from bundle.base.digest import digest_of
from bundle.base.errors import (
    DefinitionError,
    DigestMismatchError,
    FormatError,
    MissingProgramError,
    ProgramError,
)
from bundle.base.progress import NO_PROGRESS
from bundle.kinds.chart_source import ChartSource
from bundle.kinds.charts import LockedChart
from bundle.kinds.rendering import HelmSource, Release
from bundle.store.programs import USUAL_STREAMS, Finished, run_program
from bundler.build.cache import BlobCache
from bundler.sources.common.context import SourceContext
from bundler.sources.rendering.helm import open_helm
from bundler.sources.rendering.render import Shown, show_chart
from tests.support.documents.right import locked_chart
from tests.support.documents.sources import context as make_context
from tests.support.programs.helm import helm_archive, helm_on_path
from tests.support.registries.connecting import client
from tests.support.registries.static_site import static_site
from tests.vectors.chart_shapes import HOST, PLAIN, SHAPES, VALUES, Shape

REPOSITORY = "https://charts.example.org"


@pytest.fixture(autouse=True)
def real_helm() -> None:
    helm_on_path()


@pytest.fixture
def context(tmp_path: Path) -> SourceContext:
    return make_context(client(), BlobCache(tmp_path / "cache"), tmp_path)


def chart_of(shape: Shape, folder: Path) -> ChartSource:
    if shape.values:
        (folder / "values").mkdir(exist_ok=True)
        (folder / "values" / "site.yaml").write_text(shape.values)
    return ChartSource(
        name=shape.name,
        version=shape.version,
        repository=REPOSITORY,
        values=("values/site.yaml",) if shape.values else (),
        kube_version=shape.kube_version or None,
        api_versions=shape.api_versions,
    )


def locked(archive: bytes, context: SourceContext) -> LockedChart:
    context.store.put_bytes(digest_of(archive), archive)
    content = Content(digest=digest_of(archive), size=len(archive))
    return replace(locked_chart(), archive=content)


def show(shape: Shape, context: SourceContext, **changes: Any) -> Shown:
    chart = replace(chart_of(shape, context.folder), **changes)
    with open_helm(None, context) as ready:
        return show_chart(chart, locked(shape.archive, context), ready, context)


def images(shown: Shown, how: str) -> frozenset[str]:
    return frozenset(named.image for named in shown.images if named.how == how)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_a_chart_of_every_shape_shows_what_it_runs(shape: Shape, context: SourceContext) -> None:
    shown = show(shape, context)
    assert images(shown, "rendered") == shape.runs
    assert images(shown, "annotation") == shape.annotated
    assert images(shown, "found") == set(shape.started)


def test_it_is_said_where_an_image_is_named(context: SourceContext) -> None:
    (named,) = show(PLAIN, context).images
    assert named.where == "Deployment plain-web, container main"


def test_the_values_are_kept_as_they_were(context: SourceContext) -> None:
    (kept,) = show(VALUES, context).values
    assert kept.path == "values/site.yaml"
    assert context.store.read_bytes(kept.digest, kept.size) == VALUES.values.encode()


def test_values_that_are_not_there(context: SourceContext) -> None:
    with pytest.raises(DefinitionError, match=r"chart plain: values gone\.yaml: no such file"):
        show(PLAIN, context, values=("gone.yaml",))


def test_values_behind_a_link_that_leads_out(context: SourceContext, tmp_path: Path) -> None:
    inner = context.folder / "definition"
    inner.mkdir()
    (tmp_path / "secret.yaml").write_text("password: not for a bundle\n")
    (inner / "site.yaml").symlink_to("../secret.yaml")
    (inner / "folder").symlink_to("..")
    (inner / "real.yaml").write_text("{}")
    (inner / "same.yaml").symlink_to("real.yaml")
    below = replace_context(context, folder=inner)
    for path in ("site.yaml", "folder/secret.yaml"):
        with pytest.raises(DefinitionError, match=f"chart plain: values {path}: a link leads out"):
            show(PLAIN, below, values=(path,))
    assert show(PLAIN, below, values=("same.yaml",)).values[0].size == 2


def test_values_that_are_too_large(context: SourceContext) -> None:
    (context.folder / "large.yaml").write_bytes(b"# " + b"x" * (1 << 20))
    with pytest.raises(DefinitionError, match="expected at most 1048576 bytes"):
        show(PLAIN, context, values=("large.yaml",))


def test_release_and_namespace_decide_what_is_rendered(context: SourceContext) -> None:
    text = "{{ .Release.Namespace }}/{{ .Release.Name }}"
    shape = Shape("named", {"templates/p.yaml": pod(f"{HOST}/{text}:1")}, frozenset())
    assert images(show(shape, context), "rendered") == {f"{HOST}/default/named:1"}
    release = Release(name="other", namespace="lab")
    assert images(show(shape, context, release=release), "rendered") == {f"{HOST}/lab/other:1"}


def test_a_name_that_no_release_can_have(context: SourceContext) -> None:
    shape = Shape("a_b", PLAIN.files, frozenset())
    with pytest.raises(DefinitionError, match="is not a valid release name"):
        show(shape, context)


def pod(image: str, more: str = "") -> str:
    return (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n"
        f"spec:\n  containers: [{{name: x, image: '{image}'}}]\n{more}"
    )


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ('{{ fail "give me a password" }}', "give me a password"),
        ("{{ .Values.no.such.thing }}", "nil pointer"),
        ("a: [", "YAML"),
    ],
)
def test_a_chart_that_helm_refuses(template: str, said: str, context: SourceContext) -> None:
    shape = Shape("bad", {"templates/x.yaml": template}, frozenset())
    with pytest.raises(ProgramError, match=said) as caught:
        show(shape, context)
    assert caught.value.exit_code == 15
    assert str(context.folder) not in caught.value.hint


def test_a_dependency_that_is_not_in_the_chart(context: SourceContext) -> None:
    needs = "dependencies: [{name: other, version: 1.0.0, repository: 'https://no.invalid'}]\n"
    shape = Shape("half", PLAIN.files, frozenset(), metadata=needs)
    with pytest.raises(ProgramError, match="other"):
        show(shape, context)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        (pod("").replace("image: ''", "other: x"), "missing image"),
        (pod("x").replace("[{name: x, image: 'x'}]", "[7]"), "not a list of objects"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n", "Pod x: missing spec"),
        (f"apiVersion: v1\nkind: X\na: {'[' * 200}{']' * 200}", "nested deeper than 128"),
    ],
)
def test_what_cannot_be_a_pod_is_refused(template: str, why: str, context: SourceContext) -> None:
    shape = Shape("bad", {"templates/x.yaml": template}, frozenset())
    with pytest.raises(FormatError, match=why):
        show(shape, context)


def test_a_chart_that_prints_without_end_is_cut_off(
    context: SourceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bundler.sources.rendering.render.MAX_RENDERED_BYTES", 5000)
    text = 'a: {{ repeat 200000 "x" }}'
    shape = Shape("long", {"templates/x.yaml": text}, frozenset())
    with pytest.raises(ProgramError, match="expected at most 5000 bytes, found more"):
        show(shape, context)


def test_nothing_of_the_users_helm_is_seen(
    context: SourceContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HELM_NAMESPACE", "elsewhere")
    monkeypatch.setenv("HELM_PLUGINS", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "cluster"))
    text = pod(f"{HOST}/{{{{ .Release.Namespace }}}}:1")
    shape = Shape("apart", {"templates/x.yaml": text}, frozenset())
    assert images(show(shape, context), "rendered") == {f"{HOST}/default:1"}


def with_schema(schema: str) -> Shape:
    return Shape("remote", {**PLAIN.files, "values.schema.json": schema}, frozenset())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "schema.invalid"])
def test_a_schema_from_elsewhere_is_not_fetched(host: str, context: SourceContext) -> None:
    with static_site(context.folder / "site") as site:
        port = site.put("schema.json", b"{}").split("/")[2].rpartition(":")[2]
        address = f"http://{host}:{port}/schema.json"
        with pytest.raises(ProgramError, match="schema"):
            show(with_schema(f'{{"$ref": "{address}"}}'), context)
        with pytest.raises(ProgramError, match="schema"):
            show(with_schema(f'{{"$schema": "{address}"}}'), context)
        assert not site.log.count()


def test_a_schema_sees_no_file_of_this_machine(context: SourceContext) -> None:
    outside = context.folder / "schema.json"
    outside.write_text("{}")
    for where in (outside.as_uri(), "file:///etc/passwd"):
        with pytest.raises(ProgramError, match="no such file"):
            show(with_schema(f'{{"$ref": "{where}"}}'), context)


def test_a_schema_of_the_chart_itself_counts(context: SourceContext) -> None:
    defined = '{"$ref": "#/$defs/all", "$defs": {"all": {"required": ["%s"]}}}'
    assert show(with_schema(defined % "image"), context).images
    with pytest.raises(ProgramError, match="missing property 'other'"):
        show(with_schema(defined % "other"), context)


@pytest.mark.parametrize("code", [1, None])
def test_a_machine_without_namespaces_is_said_and_reads_no_schema(
    code: int | None, context: SourceContext
) -> None:
    notes: list[str] = []

    class Noting(type(NO_PROGRESS)):  # type: ignore[misc]  # whatever it is
        def note(self, text: str) -> None:
            notes.append(text)

    def run(command: Sequence[str], **more: Any) -> Finished:
        if command[0] != "unshare":
            return run_program(command, **more)
        if code is None:
            raise MissingProgramError("no unshare", "Install it.")
        return Finished(code, b"", b"unshare failed: Operation not permitted")

    with static_site(context.folder / "site") as site:
        address = site.put("schema.json", b"{}")
        free = replace_context(context, run=run, progress=Noting())
        shown = show(with_schema(f'{{"$ref": "{address}"}}'), free)
        assert images(shown, "rendered") == PLAIN.runs
        assert not site.log.count()
    assert ["no namespaces" in note for note in notes] == [True]


def test_a_chart_that_wants_memory_without_end(context: SourceContext) -> None:
    text = 'a: {{ repeat 4000000000 "x" | trunc 5 }}'
    shape = Shape("hungry", {"templates/x.yaml": text}, frozenset())
    with pytest.raises(ProgramError, match="at most 3221225472 bytes of memory, but it needs"):
        show(shape, context)


def test_an_error_without_end_is_cut_off(context: SourceContext) -> None:
    text = '{{ fail (repeat 3000000 "x") }}'
    shape = Shape("loud", {"templates/x.yaml": text}, frozenset())
    with pytest.raises(ProgramError) as caught:
        show(shape, context)
    assert len(caught.value.message) < 2000


def test_helm_sees_nothing_of_the_users_environment(
    context: SourceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for charts")
    seen: list[str] = []

    def run(command: Sequence[str], **more: Any) -> Finished:
        seen.append(run_program(["env"], environment=more["environment"]).output.decode())
        return run_program(command, **more)

    show(PLAIN, replace_context(context, run=run))
    homes = [line for text in seen for line in text.splitlines() if line.startswith("HOME=")]
    assert homes
    assert all(line.startswith(f"HOME={context.store.workspace('helm')}/") for line in homes)
    assert not any("AWS_" in text for text in seen)


@pytest.mark.parametrize("text", ["- 7: x", "[{name: x}]", "[''  ]", "a: ["])
def test_annotations_that_are_no_list_of_images(text: str, context: SourceContext) -> None:
    metadata = f'annotations: {{artifacthub.io/images: "{text}"}}\n'
    shape = Shape("noted", PLAIN.files, frozenset(), metadata=metadata)
    with pytest.raises(FormatError, match=r"artifacthub\.io/images"):
        show(shape, context)


def test_without_helm(context: SourceContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(context.folder))
    with pytest.raises(MissingProgramError, match="helm"), open_helm(None, context):
        pass


def test_a_script_that_starts_helm_is_told_from_helm(
    context: SourceContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = context.folder / "helm"
    script.write_text(f'#!/bin/sh\nexec {context.folder}/versions/helm "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{context.folder}:{os.environ['PATH']}")
    with pytest.raises(ProgramError, match=r"helm version: .*127") as caught:
        show(PLAIN, context)
    assert "put the binary itself first" in caught.value.hint


def test_an_old_helm_is_refused(tmp_path: Path) -> None:
    def old(command: Sequence[str], **more: Any) -> Finished:
        return run_program(["echo", "v2.17.0"], streams=more.get("streams", USUAL_STREAMS))

    context = make_context(client(), BlobCache(tmp_path / "cache"), tmp_path, run=old)
    with (
        pytest.raises(DefinitionError, match=r"version 3 or newer, found 'v2\.17\.0'"),
        open_helm(None, context),
    ):
        pass


def test_the_helm_that_the_definition_names_renders(tmp_path: Path) -> None:
    archive = helm_archive()
    with static_site(tmp_path / "site") as site:
        url = site.put("helm-v4.tar.gz", archive)
        host = url.split("/")[2]
        context = make_context(client(host), BlobCache(tmp_path / "cache"), tmp_path)
        source = HelmSource(url=url, digest=digest_of(archive))
        for _ in range(2):
            with open_helm(source, context) as ready:
                shown = show_chart(
                    chart_of(PLAIN, tmp_path), locked(PLAIN.archive, context), ready, context
                )
            assert images(shown, "rendered") == PLAIN.runs
            assert ready.what.archive == digest_of(archive)
            assert ready.what.version.startswith("v4.")
            assert not Path(ready.program).exists(), "nothing is left of it"
        assert site.log.count()["/helm-v4.tar.gz"] == 1

        other = HelmSource(url=url, digest=digest_of(b"other"))
        with pytest.raises(DigestMismatchError), open_helm(other, context):
            pass


@pytest.mark.parametrize("archive", [b"no archive", helm_archive("linux-amd64/README.md", "text")])
def test_an_archive_without_helm(archive: bytes, tmp_path: Path) -> None:
    context = make_context(client(), BlobCache(tmp_path / "cache"), tmp_path)
    context.store.put_bytes(digest_of(archive), archive)
    source = HelmSource(url="https://example.org/helm.tar.gz", digest=digest_of(archive))
    with pytest.raises(FormatError, match="helm: "), open_helm(source, context):
        pass
