"""Images that come from this machine instead of the registry in their reference."""

from __future__ import annotations

import re
from typing import Final

from bundle.base.documents import Document, Text
from bundle.base.errors import DefinitionError
from bundle.base.paths import InnerPath, check_inner_path

_DAEMON_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,511}")
_MAX_NAME: Final = 512


class ImageOrigin(Document, frozen=True, kw_only=True):
    """An archive or a container engine's store: one of the two."""

    archive: InnerPath | None = None
    """A docker-archive or an OCI layout, as a tar or a folder, from the document's folder."""
    name: Text = ""
    """Of the image in an archive of several."""
    daemon: Text | None = None
    """The image's name in Docker's daemon, or in podman's, which answers as Docker's does."""

    @property
    def said(self) -> str:
        """The source, for display."""
        if self.daemon is not None:
            return f"daemon image {self.daemon}"
        return f"archive {self.archive}" + (f", {self.name}" if self.name else "")


def check_image_origin(origin: ImageOrigin, where: str) -> None:
    """Check what the type alone cannot express.

    Args:
        origin: Untrusted.
        where: The place in the document, for the message.
    Raises:
        DefinitionError: It is both or neither, or a path or name is malformed.
    """
    if (origin.archive is None) == (origin.daemon is None):
        raise DefinitionError(
            f"{where}: expected either archive or daemon", "An image comes from one place."
        )
    if origin.archive is not None:
        check_inner_path(origin.archive, f"{where}.archive")
    if origin.name and (origin.archive is None or not _plain(origin.name)):
        raise DefinitionError(
            f"{where}.name: {origin.name[:200]!r} is not the name of an image in an archive",
            "Write it next to archive:, as the archive spells it.",
        )
    daemon = origin.daemon
    if daemon is not None and (not _DAEMON_NAME.fullmatch(daemon) or ".." in daemon):
        raise DefinitionError(
            f"{where}.daemon: {daemon[:200]!r} is not the name of an image",
            "Write it as `docker images` shows it, such as app:1.0.",
        )


def _plain(name: str) -> bool:
    return len(name) <= _MAX_NAME and name.isprintable()
