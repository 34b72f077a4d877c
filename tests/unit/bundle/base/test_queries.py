"""Queries of publishers: what is needed to fetch stays, what lets its bearer in does not."""

from __future__ import annotations

import msgspec
import pytest

from bundle.base.documents import QueriedUrl
from bundle.base.errors import DefinitionError
from bundle.base.queries import beside, concealed, without_secrets
from bundle.base.reference import check_url, parse_reference
from bundle.base.yaml.problems import structural_problems
from bundler.model.definition import Definition

URL = "https://charts.example.org/a/web-1.2.3.tgz"
SIGNED = "X-Amz-Algorithm=A&X-Amz-Credential=AK%2F1&X-Amz-Date=1&X-Amz-Expires=9&X-Amz-Signature=f"


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("?ref=main", "?ref=main"),
        ("?raw=true&inline=false", "?raw=true&inline=false"),
        ("?archive=tgz&version=1.2.3&id=42", "?archive=tgz&version=1.2.3&id=42"),
        ("?file=charts/web-1.2.3.tgz", "?file=charts/web-1.2.3.tgz"),
        (f"?sha256={'0a' * 32}", f"?sha256={'0a' * 32}"),
        (f"?ref={'0a' * 20}", f"?ref={'0a' * 20}"),
        ("?expires=never", "?expires=never"),
        ("?author=ada", "?author=ada"),
        ("?t=17", "?t=17"),
        ("?", "?"),
        (f"?{SIGNED}", ""),
        (f"?{SIGNED}&response-content-type=x", "?response-content-type=x"),
        ("?X-Goog-Signature=ab&X-Goog-Expires=1", ""),
        ("?sv=2024&sr=b&se=2026-01-01&sp=r&sig=abc%3D", ""),
        ("?Expires=1&Policy=p&Key-Pair-Id=K&Signature=s", ""),
        ("?AWSAccessKeyId=A&Expires=1&Signature=s", ""),
        ("?ref=main&private_token=x", "?ref=main"),
        ("?access-token=x&ref=main", "?ref=main"),
        ("?TOKEN=x;ref=main", "?ref=main"),
        ("?%74oken=x", ""),
        ("?api_key=x", ""),
        ("?apikey=x", ""),
        ("?job_token=x", ""),
        ("?auth=x", ""),
        ("?password=x&user=ada", "?user=ada"),
        ("?key=c2VjcmV0LXNlY3JldA", ""),
        ("?q=eyJhbGciOiJub25lIn0.eyJ9.", ""),
        ("?x=0123456789abcdef0123456789abcdef01", ""),
        (f"?{'a1' * 20}", ""),
    ],
)
def test_queries(query: str, kept: str) -> None:
    assert without_secrets(URL + query) == URL + kept
    msgspec.convert(without_secrets(URL + query), QueriedUrl)


def test_beside_a_file() -> None:
    assert beside(f"{URL}?ref=main", ".prov") == f"{URL}.prov?ref=main"
    assert beside(URL, ".prov") == f"{URL}.prov"


@pytest.mark.parametrize("url", [f"{URL}?a b", f"{URL}?a\n", f"{URL}?a#b", "https://u:p@x/?a"])
def test_what_is_no_address_with_a_query(url: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(url, QueriedUrl)


WITH_LOGIN = "https://ada:hunter2@a.example/x"
SECRETS = (WITH_LOGIN, "https://a.example/x?token=hunter2", "oci://ada:hunter2@a.example/x")


@pytest.mark.parametrize("text", SECRETS)
def test_no_error_repeats_what_an_address_lets_in_with(text: str) -> None:
    entry = dict.fromkeys(("reference", "url", "digest", "name", "repository", "version"), text)
    tree = {
        **dict.fromkeys(("apiVersion", "kind", "helm", "start"), text),
        "metadata": {"name": text, "version": text},
        "platforms": [text],
        **{name: [text, entry] for name in ("images", "files", "charts", "osPackages")},
    }
    said = [found.text for found in structural_problems(tree, Definition)]
    for check in (parse_reference, check_url):
        try:
            check(text, "here")
        except DefinitionError as error:
            said.append(error.message)
    assert len(said) > 15
    assert not [line for line in said if "hunter2" in line]
    assert any("a.example/x" in line for line in said)


def test_what_is_no_secret_is_shown() -> None:
    for text in ("why? because", "r.example/a@sha256:0", "https://a.example/@x", "//a/b@c"):
        assert concealed(text) == text
