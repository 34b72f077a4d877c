"""Hints for a bundle that is not as it was built: for a site, and for the vendor.

A site copies it again from whoever brought it. The vendor has the lock that it was built from.
"""

from __future__ import annotations

from typing import Final

from bundle.base.errors import Advice

_AGAIN: Final = (
    "It was damaged or changed after the build: take another copy of the bundle's folder, or "
    "build it again from its lock."
)
DAMAGED: Final = Advice("It is damaged; copy it again from a good medium.", vendor=_AGAIN)
CHANGED: Final = Advice(
    "It is damaged or was changed; copy the bundle again from a good medium.", vendor=_AGAIN
)
MIXED: Final = Advice(
    "The bundle mixes the files of two releases, or one is damaged; copy it again from a good "
    "medium.",
    vendor="The bundle's folder mixes the files of two releases, or one was changed: take another "
    "copy of it, or build it again from its lock.",
)
INCOMPLETE: Final = Advice(
    "The medium is incomplete; copy the bundle again, or ask the vendor for another one.",
    vendor="The bundle's folder is incomplete: take another copy of it, or build it again from its "
    "lock.",
)
ADDED: Final = Advice(
    "Remove it, or use a medium that nobody has added to.",
    vendor="Remove it from the bundle's folder, or build the bundle again from its lock.",
)
TOO_MANY: Final = Advice(
    "Use a medium that nobody has added to.", vendor="Build the bundle again from its lock."
)
NO_BUNDLE: Final = Advice(
    "The medium is damaged or not a bundle.", vendor="The folder is damaged or not a bundle."
)
NOT_THIS: Final = Advice(
    "No genuine release looks like this; do not use this medium.",
    vendor="This is not a genuine release: find out who changed the folder, and use another copy.",
)
NOT_PLAIN: Final = Advice(
    "A bundle holds plain files only; do not use this medium.",
    vendor="A bundle holds plain files only: find out who changed the folder, and build it again.",
)
PLACE: Final = Advice(
    "Give the folder that `isoward build` made, or where the medium is mounted.",
    vendor="Give the folder that `isoward build` made.",
)
SUMS: Final = Advice(
    "A file below trust/ or attestations/, or SHA256SUMS itself, is damaged; copy it from a good "
    "medium.",
    vendor="A file below trust/ or attestations/, or SHA256SUMS itself, was changed by something "
    "other than isoward: take another copy of the folder, or build it again from its lock.",
)
SIGNED_TOO_LONG: Final = Advice(
    "No build signs for this long. If this machine's clock is right, do not use this medium, and "
    "tell the vendor: the build system's key may have been stolen.",
    vendor="No build signs for this long. If this machine's clock is right, do not approve it: the "
    "build system's key may have been stolen.",
)
UNREADABLE: Final = Advice("Check the medium.", vendor="Check the disk that the folder is on.")
