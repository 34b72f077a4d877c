"""What a definition says of a chart's rendering, and the closure that lock and bundle.json hold."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from bundle.base.errors import ClosureError, DefinitionError, FormatError
from bundle.base.reference import parse_reference
from bundle.kinds.closure import Carries
from bundle.kinds.rendering import ChartImage, Release, RenderedWith, Rendering, ValuesFile
from bundle.model.lock import Lock, check_lock, lock_contents
from bundle.model.manifest import check_manifest
from bundle.model.plan import plan_bundle
from bundler.lock.diff import changes
from tests.support.documents.content import sample
from tests.support.documents.right import digest, locked_image, read_definition

CHART = """\
apiVersion: isoward/v1
kind: BundleDefinition
metadata: {name: hospital-platform, version: 1.0.0}
platforms: [linux/amd64]
charts:
  - name: web
    repository: https://charts.example.org
    version: 1.2.3
"""
VALUES = ValuesFile(path="values/web.yaml", digest=digest("values"), size=12)


def rendered(*images: str) -> Lock:
    lock, _ = sample()
    wanted = tuple(ChartImage(image=image, how=("rendered",)) for image in images)
    rendering = Rendering(release=Release(name="web"), values=(VALUES,), images=wanted)
    return replace(lock, charts=(replace(lock.charts[0], rendering=rendering),))


def test_all_that_can_be_said_of_a_chart() -> None:
    definition = read_definition(
        CHART
        + """\
    values: [values/web.yaml, values/site.yaml]
    release: {name: front, namespace: web}
    kubeVersion: v1.35
    apiVersions: [monitoring.coreos.com/v1, example.org/v1beta1/Widget]
    images: [quay.io/example/worker:1]
    leaveOut: [{image: auto, reason: a sidecar that another chart puts in its place}]
helm: {url: "https://get.example.org/helm.tar.gz", digest: "sha256:%s"}
"""
        % ("0" * 64)
    )
    (chart,) = definition.charts
    assert chart.release == Release(name="front", namespace="web")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("values: [/etc/passwd]", r"charts\[0\]\.values\[0\].*not a path below"),
        ("values: [../x.yaml]", "not a path below"),
        ("values: [a.yaml, a.yaml]", "duplicate"),
        ("release: {name: Web}", "release.name"),
        ("release: {name: x, namespace: a.b}", "release.namespace"),
        ("kubeVersion: '1'", "kubeVersion"),
        ("apiVersions: ['--kube-version=1']", r"apiVersions\[0\]"),
        ("images: [web]", r"charts\[0\]\.images\[0\].*neither a tag nor a digest"),
        ("images: [a:1, 'docker.io/library/a:1']", "duplicate"),
        ("leaveOut: [{image: a:1}]", "reason"),
        ("leaveOut: [{image: a:1, reason: ''}]", "reason"),
        ("{images: [a:1], leaveOut: [{image: a:1, reason: x}]}", "both declared and left out"),
        ("{notRendered: x, leaveOut: [{image: a:1, reason: x}]}", "nothing to leave out"),
        ("notRendered: ''", "notRendered"),
    ],
)
def test_nonsense_about_a_chart_is_refused(line: str, why: str) -> None:
    lines = line.strip("{}").replace(", leaveOut", "\n    leaveOut") if line[0] == "{" else line
    with pytest.raises(DefinitionError, match=why):
        read_definition(f"{CHART}    {lines}\n")


def test_the_values_are_blobs_of_the_bundle() -> None:
    lock = rendered("registry.example.org/app/web:2.1")
    check_lock(lock)
    assert lock_contents(lock)[VALUES.digest] == 12
    manifest = plan_bundle(lock).manifest
    assert manifest.charts[0].rendering == lock.charts[0].rendering
    assert VALUES.digest in check_manifest(manifest)


def test_a_lock_that_lacks_what_a_chart_wants_is_refused() -> None:
    lock = rendered("registry.example.org/app/web:2.2")
    with pytest.raises(ClosureError, match=r"lock: chart web 1\.2\.3 needs .*web:2\.2") as caught:
        check_lock(lock)
    assert caught.value.context["wantedBy"] == "chart web 1.2.3"


def test_a_bundle_that_lacks_what_a_chart_wants_is_refused() -> None:
    manifest = plan_bundle(rendered("registry.example.org/app/web:2.1")).manifest
    for images in ((), manifest.images[:1]):
        less = replace(manifest, images=images)
        with pytest.raises(ClosureError, match=r"bundle\.json: chart web 1\.2\.3 needs"):
            check_manifest(less)


def test_what_is_wanted_must_be_a_reference() -> None:
    lock = rendered("no reference")
    with pytest.raises(FormatError, match="no reference"):
        check_lock(lock)
    whole = plan_bundle(rendered()).manifest
    with pytest.raises(FormatError, match="no reference"):
        check_manifest(replace(whole, charts=(replace(
            whole.charts[0], rendering=lock.charts[0].rendering),)))  # fmt: skip


def test_the_helm_that_is_said_to_be_carried_must_be_there() -> None:
    lock, _ = sample()
    carried = RenderedWith(version="v4.1.0", archive=lock.files[0].digest)
    check_lock(replace(lock, helm=carried))
    assert plan_bundle(replace(lock, helm=carried)).manifest.helm == carried
    absent = RenderedWith(version="v4.1.0", archive=digest("other"))
    with pytest.raises(FormatError, match="lock: helm names"):
        check_lock(replace(lock, helm=absent))
    manifest = plan_bundle(lock).manifest
    with pytest.raises(FormatError, match=r"bundle\.json: helm names"):
        check_manifest(replace(manifest, helm=absent))


def test_an_image_is_had_as_a_container_runtime_asks_for_it() -> None:
    image = locked_image("registry.example.org/app/web:2.1")
    carries = Carries([image])
    name = "registry.example.org/app/web"
    there = (f"{name}:2.1", f"{name}@{image.digest}", f"{name}:x@{image.digest}",
             f"{name}@{image.manifests[0].digest}")  # fmt: skip
    absent = (f"{name}:2.2", f"{name}@{digest('x')}", f"{name}:2.1@{digest('x')}", "app/web:2.1")
    assert all(carries.has(parse_reference(text)) for text in there)
    assert not any(carries.has(parse_reference(text)) for text in absent)


def test_a_review_shows_what_changed_about_a_rendering() -> None:
    old = rendered("registry.example.org/app/web:2.1")
    rendering = old.charts[0].rendering
    assert rendering is not None
    other = replace(
        rendering,
        release=Release(name="front"),
        kube_version="1.35",
        values=(replace(VALUES, digest=digest("other")),),
        images=(),
    )
    new = replace(
        old,
        charts=(replace(old.charts[0], rendering=other),),
        helm=RenderedWith(version="v4.1.0"),
    )
    said = [change.thing.rpartition("1.2.3")[2] or change.thing for change in changes(old, new)]
    assert said == ["helm", ": rendered", ": values values/web.yaml", ": needs"]
    assert msgspec.to_builtins(other)["release"] == {"name": "front"}
