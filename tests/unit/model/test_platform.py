"""Platforms: the image-spec's table of variants."""

from __future__ import annotations

import msgspec
import pytest

from bundle.model.platform import Platform, matches, platform_of


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
