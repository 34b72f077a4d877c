"""Files that other systems leave on a medium: skipped and reported, never read.

A closed list: Windows, macOS and Linux write these on any stick that is plugged in. No file of a
bundle can have one of these names, and everything else that is not vouched for is still refused.
They are recognized by name and type alone, since only root or their own system can open many.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_AT_THE_TOP: Final = frozenset(
    {
        # Windows: restore points, the index, recycle bins, chkdsk's report
        *("system volume information", "$recycle.bin", "recycler", "recycled", "bootex.log"),
        # macOS: trash, the index, journals, versions; and the markers that disable them
        *(".trashes", ".spotlight-v100", ".fseventsd", ".documentrevisions-v100"),
        *(".temporaryitems", "temporary items", "network trash folder", ".volumeicon.icns"),
        *(".metadata_never_index", ".metadata_never_index_unless_rootfs", ".apdisk"),
        *(".com.apple.timemachine.donotpresent", ".com.apple.timemachine.supported"),
        *(".hfs+ private directory data\r", ".journal", ".journal_info_block", ".hotfiles.btree"),
        *(".appledouble", ".appledb", ".appledesktop"),
        # ext2 to ext4, their quotas, and desktops
        *("lost+found", "aquota.user", "aquota.group", ".trash", ".xdg-volume-info"),
        # Android and storage boxes
        *("lost.dir", ".android_secure", "#recycle", "@recycle", "@eadir"),
    }
)
"""Files or folders at the top of a file system; lower case, because FAT ignores case."""
_NUMBERED: Final = re.compile(r"\.trash-[0-9]{1,10}|found\.[0-9]{3}", re.ASCII)
"""A user's trash on a stick, by freedesktop.org's rule, and what chkdsk found."""

_ANYWHERE: Final = frozenset(
    {
        *(".ds_store", ".localized", "icon\r"),
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini"),
        # KDE's
        ".directory",
    }
)
"""Files that appear in any folder someone has browsed."""
_APPLE_DOUBLE: Final = "._"
"""Prefix of the file in which macOS stores another file's attributes."""


_MAX_SHOWN: Final = 5


def shown_leftovers(names: Sequence[str]) -> str:
    """Name some of what was skipped, for display."""
    said = ", ".join(names[:_MAX_SHOWN])
    more = len(names) - _MAX_SHOWN
    return f"{said} and {more} more" if more > 0 else said


def is_leftover(relative: str, *, folder: bool) -> bool:
    """Return whether something in a bundle's folder was left by another system.

    Args:
        relative: Its path from the bundle's top.
        folder: Whether it is a folder; else it is a regular file, and neither is a link.
    """
    above, _, name = relative.rpartition("/")
    name = name.lower()
    if not above and (name in _AT_THE_TOP or _NUMBERED.fullmatch(name)):
        return True
    return not folder and (name in _ANYWHERE or name.startswith(_APPLE_DOUBLE))
