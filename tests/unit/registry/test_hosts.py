from __future__ import annotations

import pytest

from bundle.model.errors import DefinitionError, HostNotAllowedError, TransportRefusedError
from bundle.model.source_config import (
    HostSource,
    MirrorSource,
    SourceConfig,
    check_source_config,
    is_host_pattern,
)
from bundle.model.yaml_strict import load_yaml
from bundle.registry.hosts import AllowList, parse_url
from tests.support.connecting import source_config


@pytest.mark.parametrize(
    ("text", "key", "target"),
    [
        ("https://Registry.Example.org/v2/x?a=b", "registry.example.org", "/v2/x?a=b"),
        ("https://a.example.org:443/", "a.example.org", "/"),
        ("http://a.example.org:80", "a.example.org", "/"),
        ("https://a.example.org:80/", "a.example.org:80", "/"),
        ("http://[::1]:5000/x#part", "[::1]:5000", "/x"),
        ("https://a.example.org?q", "a.example.org", "/?q"),
    ],
)
def test_an_address_is_taken_apart(text: str, key: str, target: str) -> None:
    url = parse_url(text)
    assert (url.key, url.target) == (key, target)


@pytest.mark.parametrize(
    "text",
    [
        "ftp://a.example.org/",
        "//a.example.org/",
        "https:///x",
        "https://user:secret@a.example.org/",
        "https://allowed.example.org\\@evil.example.org/",
        "https://a.example.org:99999/",
        "https://a.example.org:0/",
        "https://a b/",
        "Registry Realm",
    ],
)
def test_what_is_no_plain_address_is_refused(text: str) -> None:
    with pytest.raises(TransportRefusedError):
        parse_url(text)


def test_an_address_is_shown_without_its_query() -> None:
    assert parse_url("https://a.example.org/x?token=secret").shown == "https://a.example.org/x"


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("docker.io", True),
        ("registry-1.docker.io", True),
        ("auth.docker.io", True),
        ("docker-images-prod.6aa3.r2.cloudflarestorage.com", True),
        ("evil.r2.cloudflarestorage.com", False),
        ("evil.docker-images-prod.6aa3.r2.cloudflarestorage.com", False),
        ("quay.io", False),
        ("mirror.example.org:5000", True),
        ("unused-mirror.example.org", False),
        ("cdn.example.net", True),
        ("a.b.cdn.example.net", True),
        ("evilcdn.example.net", False),
        ("cdn.example.net:8443", False),
        ("single.example.com", True),
        ("x.single.example.com", False),
        ("release-assets.githubusercontent.com", True),
    ],
)
def test_the_allow_list(host: str, allowed: bool) -> None:
    config = source_config(
        {
            "docker.io": HostSource(mirrors=(MirrorSource(host="mirror.example.org:5000"),)),
            "quay.io": HostSource(mirrors=(MirrorSource(host="unused-mirror.example.org"),)),
        },
        ("*.cdn.example.net", "cdn.example.net", "single.example.com", "github.com"),
    )
    allow_list = AllowList(["docker.io"], config)
    if allowed:
        allow_list.check(parse_url(f"https://{host}/"), "test")
    else:
        with pytest.raises(HostNotAllowedError, match="not on the list"):
            allow_list.check(parse_url(f"https://{host}/"), "test")


@pytest.mark.parametrize(
    ("pattern", "good"),
    [
        ("*.example.org", True),
        ("cdn-*.example.org", True),
        ("*.example.org:8443", True),
        ("example.org", True),
        ("*", False),
        ("*.org", False),
        ("*.*.org", False),
        ("a.*.org", False),
        ("https://example.org", False),
        ("*.example.org/x", False),
        ("", False),
    ],
)
def test_host_patterns(pattern: str, good: bool) -> None:
    assert is_host_pattern(pattern) is good


GOOD = """
apiVersion: isoward/v1
kind: SourceConfig
hosts:
  registry.example.org:5000:
    ca: ca.pem
    concurrency: 3
    mirrors:
      - {host: mirror.example.org, prefix: proxy/x, resolve: true}
  plain.example.org: {plainHTTP: true}
allowedHosts: ["*.example.org"]
"""


def _load(text: str) -> SourceConfig:
    config = load_yaml(
        text.encode(), SourceConfig, where="sources", limit=10_000, error=DefinitionError
    )
    check_source_config(config)
    return config


def test_a_source_configuration_is_read() -> None:
    config = _load(GOOD)
    assert config.hosts["registry.example.org:5000"].mirrors[0].prefix == "proxy/x"
    assert config.hosts["plain.example.org"].plain_http is True
    assert config.hosts["registry.example.org:5000"].plain_http is None


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("ca: ca.pem", "verify: false", "verify"),
        ("concurrency: 3", "concurrency: 0", "concurrency"),
        ("plain.example.org: {plainHTTP: true}", "'a b': {}", "not a host"),
        ("host: mirror.example.org", "host: https://mirror.example.org", "mirrors"),
        ("prefix: proxy/x", "prefix: /proxy/", "prefix"),
        ('"*.example.org"', '"*"', "allowedHosts"),
        ("ca: ca.pem", "ca: ca.pem\n    plainHTTP: true", "both ca and plainHTTP"),
        ("kind: SourceConfig", "kind: Sources", "kind"),
    ],
)
def test_a_wrong_source_configuration_is_refused(old: str, new: str, why: str) -> None:
    assert old in GOOD
    with pytest.raises(DefinitionError, match=why):
        _load(GOOD.replace(old, new))
