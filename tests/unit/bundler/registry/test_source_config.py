"""The source configuration: hosts that are hosts, and patterns that do not allow everything."""

from __future__ import annotations

import pytest

from bundle.base.errors import DefinitionError
from bundle.base.yaml.strict import load_yaml
from bundler.registry.config import SourceConfig, check_source_config, is_host_pattern

HEAD = "apiVersion: isoward/v1\nkind: SourceConfig\n"


def _read(body: str) -> SourceConfig:
    config = load_yaml(
        (HEAD + body).encode(), SourceConfig, where="s", limit=10_000, error=DefinitionError
    )
    check_source_config(config)
    return config


def test_a_host_with_a_mirror() -> None:
    config = _read(
        "hosts: {docker.io: {ca: ca.pem, mirrors: [{host: 'p.example:5000', prefix: proxy/hub}]}}\n"
        "allowedHosts: [cdn.example.org, '*.cdn.example.org']"
    )
    assert config.hosts["docker.io"].mirrors[0].prefix == "proxy/hub"
    assert not config.hosts["docker.io"].mirrors[0].resolve


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("hosts: {'https://docker.io': {}}", "is not a host"),
        ("hosts: {docker.io: {mirrors: [{host: 'a/b'}]}}", r"mirrors\[0\]\.host"),
        ("hosts: {docker.io: {mirrors: [{host: a.b, prefix: /x/}]}}", r"mirrors\[0\]\.prefix"),
        ("hosts: {docker.io: {concurrency: 0}}", "concurrency"),
        ("hosts: {docker.io: {concurrency: 65}}", "concurrency"),
        ("hosts: {docker.io: {ca: x, plainHTTP: true}}", "both ca and plainHTTP"),
        ("hosts: {docker.io: {insecure: true}}", "insecure: unknown field"),
        ("allowedHosts: ['*']", r"allowedHosts\[0\]"),
        ("allowedHosts: ['*.org']", r"allowedHosts\[0\]"),
        ("allowedHosts: ['a.*.org']", r"allowedHosts\[0\]"),
        ("allowedHosts: ['']", r"allowedHosts\[0\]"),
    ],
)
def test_what_is_refused(body: str, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        _read(body)


@pytest.mark.parametrize(
    ("pattern", "accepted"),
    [
        ("cdn.example.org", True),
        ("*.example.org", True),
        ("a.*.example.org", True),
        ("*.*.org", False),
        ("*.example.*", False),
        ("*", False),
        ("*.example.org:443", True),
        ("*.example.org:x", False),
        ("*.example.org/x", False),
    ],
)
def test_patterns(pattern: str, accepted: bool) -> None:
    assert is_host_pattern(pattern) is accepted
