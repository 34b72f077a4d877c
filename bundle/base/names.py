"""The names under which content is served, each of which may mean one thing only.

They are looked up and never joined to a path; two that a person or a file system would take for
one are refused all the same.
"""

from __future__ import annotations

import unicodedata
from urllib.parse import unquote, urlsplit

from bundle.base.errors import FormatError
from bundle.base.reference import path_host

_AGAIN = "Build the bundle again."


def file_path(url: str) -> str:
    """Return the path below /files/ of the file from `url`, as a decoded request path has it."""
    parts = urlsplit(url)
    return f"{path_host(parts.netloc)}/{unquote(parts.path).lstrip('/')}"


def chart_folder(repository: str) -> str:
    """Return the folder below /charts/ of the charts from `repository`."""
    parts = urlsplit(repository)
    return f"{path_host(parts.netloc)}{unquote(parts.path).rstrip('/')}"


def kubespray_path(version: str) -> str:
    """Return the path below /files/ of the tar of a Kubespray."""
    return f"kubespray/{version}.tar"


class ServedNames:
    """Collects names and what each one means."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: dict[str, tuple[str, str]] = {}

    def add(self, name: str, digest: str) -> None:
        """Note that `name` means the content of this digest.

        Raises:
            FormatError: It, or a name that looks the same, means something else already.
        """
        known, meant = self._known.setdefault(unicodedata.normalize("NFKC", name), (name, digest))
        if (known, meant) != (name, digest):
            also = f" and {known!r}" if known != name else ""
            raise FormatError(
                f"bundle.json: the name {name!r}{also} means both {meant} and {digest}", _AGAIN
            )
