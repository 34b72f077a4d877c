"""References: the OCI grammar, Docker's short names, and nothing guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.base.errors import DefinitionError
from bundle.base.reference import (
    Reference,
    check_url,
    is_host,
    is_repository,
    is_tag,
    parse_reference,
    path_host,
)

DIGEST = "sha256:" + "ab" * 32

_label = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
_registries = st.builds(
    "{}.{}{}".format,
    _label,
    _label,
    st.one_of(st.just(""), st.integers(1, 65535).map(":{}".format)),
) | st.sampled_from(["localhost", "localhost:5000", "[::1]:5000", "docker.io", "10.0.0.1:443"])
_component = st.from_regex(r"[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}", fullmatch=True)
_repositories = st.lists(_component, min_size=2, max_size=4).map("/".join)
_tags = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,40}", fullmatch=True)
_references = st.builds(
    Reference, _registries, _repositories, _tags, st.sampled_from(["", DIGEST])
) | st.builds(Reference, _registries, _repositories, st.just(""), st.just(DIGEST))


@given(_references)
def test_a_reference_reads_back_as_itself(reference: Reference) -> None:
    assert parse_reference(str(reference)) == reference


@given(_references)
def test_the_parts_of_a_reference(reference: Reference) -> None:
    assert reference.name == f"{reference.registry}/{reference.repository}"
    assert reference.target == (reference.digest or reference.tag)
    assert is_repository(f"{path_host(reference.registry)}/{reference.repository}") or (
        "-" in path_host(reference.registry) or reference.registry.startswith("[")
    )


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused_but_never_misread(text: str) -> None:
    try:
        reference = parse_reference(text)
    except DefinitionError:
        return
    assert parse_reference(str(reference)) == reference
    assert reference.tag or reference.digest


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("nginx:1.27", "docker.io/library/nginx:1.27"),
        ("bitnami/redis:7", "docker.io/bitnami/redis:7"),
        ("docker.io/nginx:1", "docker.io/library/nginx:1"),
        ("index.docker.io/nginx:1", "docker.io/library/nginx:1"),
        ("quay.io/a/b:v1", "quay.io/a/b:v1"),
        ("localhost/a:1", "localhost/a:1"),
        ("host:5000/a:1", "host:5000/a:1"),
        ("[::1]:5000/a:1", "[::1]:5000/a:1"),
        (f"r.example/a@{DIGEST}", f"r.example/a@{DIGEST}"),
        (f"r.example/a:1@{DIGEST}", f"r.example/a:1@{DIGEST}"),
    ],
)
def test_short_names_become_full_ones(text: str, full: str) -> None:
    assert str(parse_reference(text)) == full


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nginx",
        "quay.io/a/b",
        "quay.io/a/b:",
        "quay.io/A/b:1",
        "quay.io//b:1",
        "quay.io/a/b:1:2",
        "quay.io/a/../b:1",
        "quay.io/a b:1",
        "quay.io/a/b:1\n",
        "quay.io/a/b:" + "x" * 129,
        "quay.io/" + "a" * 256 + ":1",
        "host:99999/a:1",
        "-host.example/a:1",
        "user@host.example/a:1",
        "https://host.example/a:1",
        "quay.io/a/b@sha256:abc",
        f"quay.io/a/b@{DIGEST}@{DIGEST}",
        f"quay.io/a/b@{DIGEST.upper()}",
        "quay.io/\u0430:1",  # a Cyrillic letter
    ],
)
def test_what_is_no_reference_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(DefinitionError, match=r"^images\[3\]\.reference: "):
        parse_reference(text, "images[3].reference")


@pytest.mark.parametrize(
    "host", ["a", "a.example", "10.0.0.1:443", "[::1]", "[::1]:65535", "A-b.c"]
)
def test_hosts(host: str) -> None:
    assert is_host(host)


@pytest.mark.parametrize(
    "host",
    ["", ".", "a.", "-a", "a-", "a_b", "a:", "a:0x", "a:65536", "::1", "a/b", "a\n", "é.org"],
)
def test_what_is_no_host(host: str) -> None:
    assert not is_host(host)


def test_tags() -> None:
    assert is_tag("_1.2-3")
    assert not is_tag(".1")
    assert not is_tag("1+2")
    assert not is_tag("1\n")


def test_a_host_as_a_component_of_a_path() -> None:
    assert path_host("Registry.Example.org:5000") == "registry.example.org_5000"
    assert "/" not in path_host("[::1]:5000")
    assert ":" not in path_host("[::1]:5000")


@pytest.mark.parametrize(
    "url",
    ["https://a.example/x", "http://10.0.0.1:8080", "https://[::1]/a/b", "https://a/..b/c..d"],
)
def test_addresses(url: str) -> None:
    check_url(url, "files[0].url")


@pytest.mark.parametrize(
    "url",
    [
        "https:///x",
        "https://u:p@a.example/x",
        "https://[a/x",
        "https://a.example:70000/x",
        "https://a.example/../x",
        "https://a.example/x/%2e%2e/y",
        "https://a.example/./x",
        "https://a.example/x/%2E%2e%2fy",
    ],
)
def test_what_is_no_address_is_refused_with_its_place(url: str) -> None:
    with pytest.raises(DefinitionError, match=r"^files\[0\]\.url: "):
        check_url(url, "files[0].url")
