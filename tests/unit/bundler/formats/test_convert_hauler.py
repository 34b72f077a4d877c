"""Hauler manifests become content and signature rules of a definition."""

from __future__ import annotations

import pytest

from bundle.base.errors import DefinitionError
from bundler.formats.converted import Converted
from bundler.formats.hauler import read_hauler
from bundler.formats.hauler_export import write_hauler
from tests.support.documents.right import lock

HEAD = "apiVersion: content.hauler.cattle.io/v1\n"


def images(*items: str, annotations: str = "{}") -> str:
    listed = "".join(f"    - {item}\n" for item in items)
    top = f"{HEAD}kind: Images\nmetadata: {{name: x, annotations: {annotations}}}\n"
    return f"{top}spec:\n  images:\n{listed}"


def charts(item: str) -> str:
    return f"{HEAD}kind: Charts\nspec: {{charts: [{item}]}}\n"


def files(item: str) -> str:
    return f"{HEAD}kind: Files\nspec: {{files: [{item}]}}\n"


def read(text: str) -> Converted:
    return read_hauler(text.encode(), "manifest.yaml")


def test_all_three_kinds_in_one_file() -> None:
    chart = charts("{name: web, repoURL: 'https://charts.example.org', version: 1.2.3}")
    file = files("{path: 'https://example.org/a.tar'}, {path: files/b.conf, name: c.conf}")
    found = read("---\n".join((images("{name: 'nginx:1.27', platform: linux/arm64}"), chart, file)))
    assert [(i.reference, i.platforms) for i in found.images] == [
        ("docker.io/library/nginx:1.27", ("linux/arm64",))
    ]
    assert [(c.name, c.repository, c.version) for c in found.charts] == [
        ("web", "https://charts.example.org", "1.2.3")
    ]
    assert [f.url for f in found.unpinned] == ["https://example.org/a.tar"]
    assert [(f.path, f.name) for f in found.files] == [("files/b.conf", "c.conf")]


def test_keys_and_identities_become_rules_and_own_fields_win() -> None:
    found = read(
        images(
            "{name: 'a.example.org/x:1'}",
            "{name: 'a.example.org/y:1', key: other.pub}",
            "{name: 'z:1'}",
            annotations="{hauler.dev/key: vendor.pub, hauler.dev/registry: r.example.org}",
        )
    )
    assert [i.reference for i in found.images][2] == "r.example.org/z:1"
    assert {r.cosign.key: r.images for r in found.rules if r.cosign} == {
        "vendor.pub": ("a.example.org/x", "r.example.org/z"),
        "other.pub": ("a.example.org/y",),
    }
    keyless = "{name: 'a:1', certificate-identity: me@x.org, certificate-oidc-issuer: 'https://i'}"
    (rule,) = read(images(keyless)).rules
    assert rule.keyless is not None
    assert (rule.keyless.identity, rule.keyless.issuer) == ("me@x.org", "https://i")


def test_what_is_left_out_is_said() -> None:
    notes = read(images("{name: 'a:1', rewrite: b/c:1, exclude-extras: true, ca-file: x}")).notes
    assert [note.split(": ")[1].split(" is left out")[0] for note in notes] == [
        "rewrite",
        "exclude-extras",
        "ca-file",
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (images("{nmae: 'a:1'}"), r"line 6: spec.images\[0\].nmae: unknown field 'nmae'"),
        (images("{name: a}"), "line 6: .*neither a tag nor a digest"),
        (images("{name: 'a:1'}", "{name: 5}"), "line 7: .*expected a text"),
        (images("{name: '{{ image }}:1'}"), "line 6: .*unfilled template"),
        (images("{name: 'a:1', insecure-skip-tls-verify: true}"), "disables a check"),
        (images("{name: 'a:1', local: true}"), "local daemon"),
        (images("{name: 'a:1', key: k, certificate-identity: x}"), "combined with a certificate"),
        (images("{name: 'a:1', certificate-identity: x}"), "expected one identity and"),
        (
            images("{name: 'a:1', certificate-github-workflow-repository: x/y}"),
            "our signature rules cannot express that",
        ),
        (images("{name: 'a:1', key: k}", "{name: 'a:2', key: l}"), "two signature methods"),
        (images("{name: 'a:1'}", annotations="{hauler.dev/kee: x}"), "unknown annotation"),
        (images("{name: 'a:1'}", "{name: 'a:1', platform: linux/arm64}"), "listed twice"),
        (charts("{name: web, repoURL: 'https://x.org'}"), "has no version"),
        (charts("{name: web.tgz, repoURL: charts}"), "a chart on this machine"),
        (charts("{name: w, repoURL: 'https://x', version: '1', verify: true}"), "keyring"),
        (charts("{name: w, repoURL: 'http://x', version: '1', plainHTTP: true}"), "disables a che"),
        (files("{path: 's3://bucket/x'}"), "not an http"),
        (files("{path: x, insecure-skip-tls-verify: 5}"), "expected true or false"),
        (f"{HEAD}kind: Driver\nspec: {{}}\n", "expected Images, Charts or Files"),
        ("apiVersion: v1\nkind: Images\nspec: {}\n", "line 1: apiVersion: expected content.hau"),
        (f"{HEAD}kind: Images\nspec: {{images: 5}}\n", "expected a list"),
        (f"{HEAD}kind: Images\nspec: {{images: &a []}}\n", "anchors and aliases"),
        ("a: [", "line 2: "),
    ],
)
def test_what_cannot_be_said_is_refused_by_its_line(text: str, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        read(text)


def test_a_lock_is_exported_by_digest_and_read_back() -> None:
    text, _ = write_hauler(lock())
    back = read(text)
    assert [i.reference for i in back.images] == [
        i.reference if "@" in i.reference else f"{i.reference}@{i.digest}" for i in lock().images
    ]
    assert [f.url for f in back.unpinned] == [f.url for f in lock().files]
