"""Platforms: `os/architecture` or `os/architecture/variant`.

Source: OCI image-spec, image-index.md, "platform".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Final

from bundle.base.patterns import formed

_FORM: Final = r"^[a-z0-9]{1,32}/[a-z0-9]{1,32}(/[a-z0-9]{1,32})?$(?!\n)"
Platform = Annotated[
    str, formed(_FORM, "a platform as os/architecture", "linux/amd64", max_length=99)
]
"""A platform in a document."""


DEFAULT_SYSTEM: Final = "linux"
"""For images that name no os: containerd assumes the node's own, and our nodes all run Linux."""


def platform_of(os: str, architecture: str, variant: str | None) -> str:
    """Join the three fields of an OCI descriptor's platform."""
    return "/".join(part for part in (os, architecture, variant) if part)


def matches(wanted: str, offered: str) -> bool:
    """Return whether an offered platform is the wanted one, under any of its names.

    `linux/arm64` is `linux/arm64/v8`, and `linux/amd64` is `linux/amd64/v1` and `linux/x86_64`;
    `linux/arm/v7` is not `linux/arm/v6`.
    """
    return normal_platform(wanted) == normal_platform(offered)


def best_offer(wanted: str, offers: Iterable[str]) -> str | None:
    """Return the normal form of the offered platform that containerd would choose, or None.

    That is the wanted one, otherwise the next lower variant of the same architecture.

    Source: containerd, "platforms", Normalize and Only.
    """
    there = {normal_platform(offer) for offer in offers}
    return next((name for name in _in_order(normal_platform(wanted)) if name in there), None)


def written_platform(platform: str) -> str:
    """Return an offered platform in a form that a document accepts: unchanged if possible."""
    return platform if re.match(_FORM, platform) else normal_platform(platform)


def normal_platform(platform: str) -> str:
    """Return the canonical name of a platform that has several.

    Source: containerd, "platforms", database.go.
    """
    system, _, rest = platform.lower().partition("/")
    architecture, _, variant = rest.partition("/")
    architecture, meant = _NAMES.get(architecture, (architecture, ""))
    variant = meant or variant
    if architecture == "arm":
        variant = {"": "v7", "5": "v5", "6": "v6", "7": "v7", "8": "v8"}.get(variant, variant)
    if variant in _PLAIN.get(architecture, ()):
        variant = ""
    return platform_of(_SYSTEMS.get(system, system), architecture, variant)


_SYSTEMS: Final = {"macos": "darwin"}
_NAMES: Final = {
    "i386": ("386", ""),
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
}
_PLAIN: Final = {"amd64": ("v1",), "arm64": ("8", "v8")}
"""Variants that are equivalent to the bare architecture."""

_LOWER: Final = re.compile(r"(.+/)(arm|amd64)/v([2-9])")


def _in_order(platform: str) -> Iterator[str]:
    """Yield a platform and those whose programs it can run, the best first."""
    yield platform
    match = _LOWER.fullmatch(platform)
    if match is None:
        return
    lowest = 1 if match[2] == "amd64" else 5
    for number in range(int(match[3]) - 1, lowest - 1, -1):
        yield normal_platform(f"{match[1]}{match[2]}/v{number}")
