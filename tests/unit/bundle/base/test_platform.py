"""Platforms: the image-spec's table of variants."""

from __future__ import annotations

import msgspec
import pytest

from bundle.base.platform import Platform, best_offer, matches, platform_of, written_platform


def test_joining() -> None:
    assert platform_of("linux", "arm", "v7") == "linux/arm/v7"
    assert platform_of("linux", "amd64", None) == "linux/amd64"
    assert platform_of("linux", "amd64", "") == "linux/amd64"


@pytest.mark.parametrize(
    ("wanted", "offered", "served"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm/v7", "linux/arm/v7", True),
        ("linux/arm/v7", "linux/arm/v6", False),
        ("linux/arm", "linux/arm/v8", False),
        ("linux/amd64", "linux/arm64", False),
        ("linux/amd64", "windows/amd64", False),
        ("linux/arm64", "linux/arm64/v9", False),
        ("linux/amd64", "linux/amd64/v1", True),
        ("linux/amd64", "linux/x86_64", True),
        ("linux/amd64", "Linux/AMD64", True),
        ("linux/amd64/v2", "linux/amd64", False),
        ("linux/arm64", "linux/aarch64", True),
        ("linux/arm64", "linux/arm64/8", True),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/arm/v6", "linux/armel", True),
        ("linux/386", "linux/i386", True),
    ],
)
def test_matching(wanted: str, offered: str, served: bool) -> None:
    assert matches(wanted, offered) is served
    assert matches(offered, wanted) is served


@pytest.mark.parametrize(
    "text",
    ["", "linux", "linux/", "/amd64", "Linux/amd64", "linux/amd64/v1/x", "linux/amd64\n", "all"],
)
def test_what_is_no_platform(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, Platform)


@pytest.mark.parametrize(
    ("wanted", "offers", "best"),
    [
        ("linux/amd64", ["linux/amd64/v1", "linux/amd64/v3"], "linux/amd64"),
        ("linux/amd64", ["linux/amd64/v2"], None),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2"], "linux/amd64/v2"),
        ("linux/amd64/v3", ["linux/amd64/v1", "linux/386"], "linux/amd64"),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6"], "linux/arm/v6"),
        ("linux/arm/v6", ["linux/arm/v7"], None),
        ("linux/arm64", ["linux/arm/v7"], None),
        ("linux/amd64", ["unknown/unknown", ""], None),
    ],
)
def test_the_best_of_what_is_offered(wanted: str, offers: list[str], best: str | None) -> None:
    assert best_offer(wanted, offers) == best


def test_what_is_offered_is_written_as_documents_can_have_it() -> None:
    assert written_platform("linux/amd64/v1") == "linux/amd64/v1"
    assert written_platform("linux/x86_64") == "linux/amd64"
