"""Platforms: `os/architecture` or `os/architecture/variant`.

Source: OCI image-spec, image-index.md, "platform".
"""

from __future__ import annotations

from typing import Annotated

from bundle.model.patterns import formed

Platform = Annotated[
    str,
    formed(
        r"^[a-z0-9]{1,32}/[a-z0-9]{1,32}(/[a-z0-9]{1,32})?$(?!\n)",
        "a platform as os/architecture",
        "linux/amd64",
        max_length=99,
    ),
]
"""A platform as it stands in documents."""


def platform_of(os: str, architecture: str, variant: str | None) -> str:
    """Join the three fields of an OCI descriptor's platform."""
    return "/".join(part for part in (os, architecture, variant) if part)


def matches(wanted: str, offered: str) -> bool:
    """Say whether an offered platform serves a wanted one.

    `linux/arm64` is served by `linux/arm64` and `linux/arm64/v8`, which are one platform by the
    image-spec's table of variants; `linux/arm/v7` is served by itself only.
    """
    return _normal(wanted) == _normal(offered)


def _normal(platform: str) -> str:
    return platform.removesuffix("/v8") if platform.startswith("linux/arm64") else platform
