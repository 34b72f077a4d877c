"""README.txt and VERIFY.txt of a bundle, for a person who has the medium and nothing of ours.

They follow from the bundle's name and version alone, since bundle.json names them by digest.
"""

from __future__ import annotations

from bundle.base.documents import Metadata
from bundle.texts.render import render


def readme_text(metadata: Metadata) -> str:
    """Return README.txt."""
    return _titled("README.txt", "{} {}", metadata)


def verify_text(metadata: Metadata) -> str:
    """Return VERIFY.txt; its lines without a `#` are commands. docs/VERIFY.md has the same."""
    return _titled("VERIFY.txt", "Verifying {} {} with stock tools", metadata)


def _titled(name: str, title: str, metadata: Metadata) -> str:
    title = title.format(metadata.name, metadata.version)
    return render(__package__, f"files/{name}", {"TITLE": title, "LINE": "=" * len(title)})
