"""The names under which content is served; each may have one meaning only.

They are looked up, never joined to a path; two names that a person or a file system could confuse
are refused anyway.
"""

from __future__ import annotations

import unicodedata
from urllib.parse import unquote, urlsplit

from bundle.base.errors import FormatError
from bundle.base.reference import path_host

_AGAIN = "Build the bundle again."


def file_path(url: str) -> str:
    """Return the path below /files/ for the file from `url`, percent-decoded."""
    parts = urlsplit(url)
    return f"{path_host(parts.netloc)}/{unquote(parts.path).lstrip('/')}"


def chart_folder(repository: str) -> str:
    """Return the folder below /charts/ for the charts from `repository`."""
    parts = urlsplit(repository)
    return f"{path_host(parts.netloc)}{unquote(parts.path).rstrip('/')}"


def kubespray_path(version: str) -> str:
    """Return the path below /files/ of the tar of one Kubespray version."""
    return f"kubespray/{version}.tar"


class ServedNames:
    """The names served so far, and the digest that each one means."""

    def __init__(self) -> None:
        """Start empty."""
        self._known: dict[str, tuple[str, str]] = {}

    def add(self, name: str, digest: str) -> None:
        """Record that `name` means the content with this digest.

        Raises:
            FormatError: It, or a name that looks the same, already means something else.
        """
        known, meant = self._known.setdefault(unicodedata.normalize("NFKC", name), (name, digest))
        if (known, meant) != (name, digest):
            also = f" and {known!r}" if known != name else ""
            raise FormatError(
                f"bundle.json: the name {name!r}{also} means both {meant} and {digest}", _AGAIN
            )
