from __future__ import annotations

import pytest

from bundle.base.errors import DefinitionError, HostNotAllowedError, TransportRefusedError
from bundle.base.yaml.strict import load_yaml
from bundler.registry.companions import COMPANIONS
from bundler.registry.config import (
    HostSource,
    MirrorSource,
    SourceConfig,
    check_source_config,
    is_host_pattern,
)
from bundler.registry.hosts import AllowList, parse_url
from bundler.registry.shared_hosts import shared_domain
from tests.support.registries.connecting import source_config


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
    with pytest.raises(TransportRefusedError) as caught:
        parse_url(text)
    assert "secret" not in caught.value.message


_R2 = "docker-images-prod.6aa30f8b08e16409b46e0173d6de2f56.r2.cloudflarestorage.com"


def test_an_address_is_shown_without_its_query() -> None:
    assert parse_url("https://a.example.org/x?token=secret").shown == "https://a.example.org/x"


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("docker.io", True),
        ("registry-1.docker.io", True),
        ("auth.docker.io", True),
        (_R2, True),
        ("docker-images-prod.6aa3.r2.cloudflarestorage.com", False),
        ("evil.r2.cloudflarestorage.com", False),
        (f"evil.{_R2}", False),
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
        with pytest.raises(HostNotAllowedError, match="not an allowed host"):
            allow_list.check(parse_url(f"https://{host}/"), "test")


@pytest.mark.parametrize("name", sorted(COMPANIONS))
def test_no_companion_is_a_pattern_over_hosts_that_anybody_can_have(name: str) -> None:
    for companion in COMPANIONS[name]:
        host = companion.partition("/")[0]
        assert "*" not in host or not shared_domain(host), companion


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("us-west2-docker.pkg.dev/v2/k8s-artifacts-prod/images/pause/manifests/3.10", True),
        (
            "us-west2-docker.pkg.dev/artifacts-downloads/namespaces/k8s-artifacts-prod/x?Sig=a",
            True,
        ),
        ("us-west2-docker.pkg.dev/v2/evil/images/pause/manifests/3.10", False),
        ("us-west2-docker.pkg.dev/v2/k8s-artifacts-prod/../evil/images/x", False),
        ("us-west2-docker.pkg.dev/v2/k8s-artifacts-prod/%2e%2e/evil/images/x", False),
        ("us-west2-docker.pkg.dev/v2/k8s-artifacts-prod-evil/images/x", False),
        ("us-west2-docker.pkg.dev:8443/v2/k8s-artifacts-prod/images/x", False),
        ("evil-docker.pkg.dev/v2/k8s-artifacts-prod/images/pause/manifests/3.10", False),
        ("prod-registry-k8s-io-us-east-2.s3.dualstack.us-east-2.amazonaws.com/x", True),
        ("prod-registry-k8s-io-evil.s3.dualstack.us-east-2.amazonaws.com/x", False),
        ("storage.googleapis.com/eu.artifacts.k8s-artifacts-prod.appspot.com/x", True),
        ("storage.googleapis.com/evil/x", False),
        ("storage.googleapis.com/artifacts.evil.appspot.com/x", False),
    ],
)
def test_the_companions_of_kubernetes(address: str, allowed: bool) -> None:
    allow_list = AllowList(["registry.k8s.io"], source_config())
    if allowed:
        allow_list.check(parse_url(f"https://{address}"), "test")
    else:
        with pytest.raises(HostNotAllowedError):
            allow_list.check(parse_url(f"https://{address}"), "test")


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("artifacts.project.appspot.com/containers/images/sha256:00", True),
        ("eu.artifacts.project.example.org.a.appspot.com/containers/images/sha256:00", True),
        ("evil/containers/images/sha256:00", False),
        ("artifacts.evil.example.org/containers/images/sha256:00", False),
        ("artifacts.evil/x.appspot.com/containers", False),
        ("evil/artifacts.project.appspot.com/containers", False),
        ("artifacts.project.appspot.com/../evil/containers", False),
        ("artifacts.project.appspot.com.evil.example.org/containers", False),
    ],
)
def test_the_companion_of_gcr_is_the_part_of_its_projects(path: str, allowed: bool) -> None:
    allow_list = AllowList(["gcr.io"], source_config())
    url = parse_url(f"https://storage.googleapis.com/{path}")
    if allowed:
        allow_list.check(url, "test")
    else:
        with pytest.raises(HostNotAllowedError):
            allow_list.check(url, "test")


@pytest.mark.parametrize(
    ("host", "shared"),
    [
        ("us-west2-docker.pkg.dev", "pkg.dev"),
        ("bucket.s3.eu-west-1.amazonaws.com", "amazonaws.com"),
        ("name.blob.core.windows.net", "blob.core.windows.net"),
        ("d111.cloudfront.net", "cloudfront.net"),
        ("b.0123.r2.cloudflarestorage.com", "r2.cloudflarestorage.com"),
        ("cdn.example.org", ""),
    ],
)
def test_the_error_has_the_line_that_allows_a_host_and_says_why(host: str, shared: str) -> None:
    with pytest.raises(HostNotAllowedError) as caught:
        AllowList([], source_config()).check(parse_url(f"https://{host}/x"), "redirected from a")
    assert f"`- {host}` below `allowedHosts:`" in caught.value.hint
    assert ("Anyone can have a host below" in caught.value.hint) is bool(shared)
    assert shared in caught.value.hint
    AllowList([], source_config(allowed=(host,))).check(parse_url(f"https://{host}/x"), "test")


@pytest.mark.parametrize(
    "pattern",
    [
        "*.pkg.dev",
        "*-docker.pkg.dev",
        "prod-*.s3.dualstack.us-east-2.amazonaws.com",
        "*.s3.amazonaws.com",
        "*.blob.core.windows.net",
        "*.cloudfront.net",
        "x.*.r2.cloudflarestorage.com",
        "*.cloudfunctions.net",
        "*.jfrog.io",
        "*.amplifyapp.com",
    ],
)
def test_a_pattern_over_hosts_that_anybody_can_have_is_refused(pattern: str) -> None:
    with pytest.raises(DefinitionError, match="allows anyone's hosts"):
        check_source_config(source_config(allowed=(pattern,)))


@pytest.mark.parametrize(
    ("pattern", "good"),
    [
        ("*.example.org", True),
        ("cdn-*.example.org", True),
        ("*.example.org:8443", True),
        ("example.org", True),
        ("*", False),
        ("*.org", False),
        ("*.co.uk", False),
        ("*.com.cn", False),
        ("*.example.co.uk", True),
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
