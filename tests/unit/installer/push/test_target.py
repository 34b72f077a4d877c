from __future__ import annotations

import pytest

from bundle.base.errors import UsageError
from installer.push.target import Target, parse_target


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("harbor.example.org/mirror", Target("harbor.example.org", "mirror")),
        ("https://Harbor.example.org:8443/a/b/", Target("harbor.example.org:8443", "a/b")),
        ("registry", Target("registry")),
        ("http://127.0.0.1:5000", Target("127.0.0.1:5000", plain=True)),
        ("http://localhost/x", Target("localhost", "x", plain=True)),
        ("[::1]:5000//x//", Target("[::1]:5000", "x")),
    ],
)
def test_a_target_is_a_host_and_a_prefix(text: str, target: Target) -> None:
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/x",
        "http://harbor.example.org/x",
        "http://10.0.0.1",
        "harbor.example.org/Mirror",
        "harbor.example.org/a:b",
        "me:secret@harbor.example.org/x",
        "ftp://x/y",
    ],
)
def test_what_is_no_target_is_refused_without_its_secrets(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_target(text)
    assert "secret" not in str(caught.value)


def test_a_repository_keeps_its_registry_below_the_prefix() -> None:
    assert Target("h.example", "p").repository("docker.io/library/a") == "p/docker.io/library/a"
    assert Target("h.example").repository("r.example_5000/a") == "r.example_5000/a"
    with pytest.raises(UsageError, match="255"):
        Target("h.example", "p" * 200).repository("docker.io/" + "a" * 60)
