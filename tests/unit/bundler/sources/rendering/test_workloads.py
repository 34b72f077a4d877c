"""The images that Kubernetes objects name, and text that looks like one."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from bundle.base.errors import FormatError
from bundle.base.limits import MAX_RENDERED_NODES
from bundler.sources.rendering.image_grammar import looks_like_image
from bundler.sources.rendering.image_parts import images_in_parts
from bundler.sources.rendering.image_text import images_in_text
from bundler.sources.rendering.rendered_yaml import rendered_documents
from bundler.sources.rendering.workloads import images_of

FULL = "quay.io/example/worker:v1.2"
DIGEST = "sha256:" + "ab" * 32


def found(text: str) -> list[tuple[str, str]]:
    return [
        (named.how, named.image) for named in images_of(rendered_documents(text.encode(), "x"), "x")
    ]


@pytest.mark.parametrize(
    ("text", "named", "expected"),
    [
        (FULL, False, [FULL]),
        (f"--worker-image={FULL}", False, [FULL]),
        (f"a,{FULL};b", False, [FULL]),
        (f"quay.io/a/b@{DIGEST}", False, [f"quay.io/a/b@{DIGEST}"]),
        ("--helper-image\nbusybox:1.36", False, ["busybox:1.36"]),
        ("image: example/tool", False, ["example/tool"]),
        ('{"image":"busybox:1.36"}', False, ["busybox:1.36"]),
        ('{"image": "busybox:1.36"}', False, ["busybox:1.36"]),
        ("WORKER_IMAGE=example/tool:2", False, ["example/tool:2"]),
        ("busybox:1.36", True, ["busybox:1.36"]),
        ("the image and/or the picture", False, []),
        ("busybox:1.36", False, []),
        ("example/tool:2", False, []),
        ("db.example.org:5432/main", False, []),
        ("https://quay.io/v2/a:1", False, []),
        ("cache.default.svc:6379", True, []),
        ("Always", True, []),
        ("--image-pull-secret=default/name", False, []),
        ("registry.example.org:5000/a/b:1.0", False, ["registry.example.org:5000/a/b:1.0"]),
        ("quay.io/a/b:2022", False, ["quay.io/a/b:2022"]),
        ("cache:6379", True, []),
        ("postgres:16", True, ["postgres:16"]),
        ("quay.io/A/b:1.0", False, []),
        (f"quay.io/{'a' * 600}:1.0", False, []),
    ],
)
def test_words_that_look_like_an_image(text: str, named: bool, expected: list[str]) -> None:
    assert list(images_in_text(text, named=named)) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"repository": "quay.io/a/b", "tag": "1"}, "quay.io/a/b:1"),
        ({"registry": "quay.io", "repository": "a/b", "tag": "1"}, "quay.io/a/b:1"),
        ({"hub": "quay.io/a", "name": "b", "digest": DIGEST}, f"quay.io/a/b@{DIGEST}"),
        ({"image": "a/b", "version": "2", "sha": DIGEST}, f"a/b:2@{DIGEST}"),
        ({"repository": "a/b:1", "tag": "2"}, "a/b:1"),
        ({"pullPolicy": "Always"}, ""),
        ({"name": "plain"}, "plain"),
    ],
)
def test_an_image_in_parts(fields: dict[str, Any], expected: str) -> None:
    joined = [found.image for found in images_in_parts(fields, "image")]
    assert joined == ([expected] if expected else [])


def test_a_port_is_no_tag() -> None:
    assert not looks_like_image("localhost:8080")
    assert looks_like_image("localhost:8080/a")


def test_fields_of_a_resource_that_only_its_operator_knows() -> None:
    text = """
apiVersion: example.org/v1
kind: Cluster
metadata: {name: c, annotations: {example.org/proxyImage: "proxy:1.1", other: "proxy:1.2"}}
spec:
  image: postgres:16.3
  imagePullPolicy: Always
  imageRegistry: quay.io/example
  backupImage: {repository: a/backup, tag: "2.0"}
  images: [one:1, {name: two, image: "b/two:2"}]
  sidecars: [{name: x, image: "side:1"}]
  note: see quay.io/example/doc:1.5, please
"""
    assert found(text) == [
        ("found", image)
        for image in (
            "proxy:1.1", "postgres:16.3", "a/backup:2.0", "one:1", "b/two:2", "side:1",
            "quay.io/example/doc:1.5",
        )
    ]  # fmt: skip


def test_a_kind_of_another_group_is_not_taken_for_kubernetes_own() -> None:
    text = """
apiVersion: example.org/v1
kind: Deployment
spec: {template: {spec: {containers: [{image: "a:1"}]}}}
"""
    assert found(text) == [("found", "a:1")]


def test_ephemeral_containers_and_volumes() -> None:
    text = """
apiVersion: v1
kind: Pod
spec:
  containers: [{name: a, image: "a:1"}]
  ephemeralContainers: [{name: b, image: "b:1"}]
  volumes: [{name: c, image: {reference: "c:1"}}, {name: d, emptyDir: {}}]
"""
    assert found(text) == [("rendered", f"{name}:1") for name in "abc"]


def test_texts_of_configuration() -> None:
    hidden = base64.b64encode(b"image: b/hidden:1").decode()
    text = f"""
kind: List
apiVersion: v1
items:
  - {{apiVersion: v1, kind: ConfigMap, data: {{a.yaml: "image: one:1", toolImage: "tool:2"}}}}
  - {{apiVersion: v1, kind: Secret, data: {{a: {hidden}, b: "*"}}, stringData: {{c: "{FULL}"}}}}
"""
    assert found(text) == [("found", image) for image in ("one:1", "tool:2", "b/hidden:1", FULL)]


def test_the_defaults_of_a_crd_and_nothing_else_of_it() -> None:
    text = f"""
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
spec:
  versions:
    - schema:
        openAPIV3Schema:
          properties:
            image: {{type: string, default: "widget:1", description: "Such as {FULL}."}}
            default: {{type: string, description: "image: other:1"}}
            pod: {{type: object, default: {{image: "inner:1"}}}}
"""
    assert found(text) == [("found", "widget:1"), ("found", "inner:1")]


@pytest.mark.parametrize("text", ["7", "[a]", "a: 1", "kind: [x]"])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="an object without a kind"):
        found(text)


def test_empty_documents_are_passed_over() -> None:
    assert found("---\n# nothing\n---\n") == []


def test_aliases_of_aliases_do_not_multiply_without_end() -> None:
    lines = ["apiVersion: example.org/v1", "kind: Bomb", "l0: &l0 [x, x, x, x, x, x, x, x]"]
    lines += [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 8)}]" for i in range(1, 12)]
    assert MAX_RENDERED_NODES < 8**12
    with pytest.raises(FormatError, match="too many elements"):
        found("\n".join(lines))


def test_an_alias_of_itself_ends() -> None:
    with pytest.raises(FormatError, match="a reference to itself"):
        found("apiVersion: example.org/v1\nkind: Bomb\nspec: &s {a: *s}")


@pytest.mark.parametrize(
    "text", ["a: [", "!!python/name:os.system x", "\x00", "{[a]: b}", "a: !!int x"]
)
def test_what_is_not_yaml_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="cannot be read"):
        found(text)


def test_of_a_key_that_stands_twice_the_last_counts_as_for_the_api_server() -> None:
    text = """
apiVersion: v1
kind: Pod
spec: {containers: [{name: a, image: "a:1", image: "a:2"}]}
"""
    assert found(text) == [("rendered", "a:2")]
