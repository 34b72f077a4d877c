"""What other systems leave on a medium by themselves: passed over and told of, never read.

A closed list: Windows, macOS and Linux write these on any stick that they are shown. Nothing of a
bundle can have one of these names, and whatever else is not vouched for is still refused. They are
known by name and type alone, since many of them only root, or only their own system, can open.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_AT_THE_TOP: Final = frozenset(
    {
        # Windows: restore points and the index, bins, what chkdsk says
        *("system volume information", "$recycle.bin", "recycler", "recycled", "bootex.log"),
        # macOS: bins, the index, journals, versions; and what stands for one that is not wanted
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
"""Folders or files at the top of a file system; in lower case, as FAT does not tell it apart."""
_NUMBERED: Final = re.compile(r"\.trash-[0-9]{1,10}|found\.[0-9]{3}", re.ASCII)
"""A user's bin on a stick, by freedesktop.org's rule, and what chkdsk found."""

_ANYWHERE: Final = frozenset(
    {
        *(".ds_store", ".localized", "icon\r"),
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini"),
        # KDE's
        ".directory",
    }
)
"""Files in any folder that somebody has looked into."""
_APPLE_DOUBLE: Final = "._"
"""Begins the name of the file that has a file's attributes of macOS, beside it."""


_MAX_SHOWN: Final = 5


def shown_leftovers(names: Sequence[str]) -> str:
    """Name some of what was passed over, for a person."""
    said = ", ".join(names[:_MAX_SHOWN])
    more = len(names) - _MAX_SHOWN
    return f"{said} and {more} more" if more > 0 else said


def is_leftover(relative: str, *, folder: bool) -> bool:
    """Say whether something in a bundle's folder was left by another system.

    Args:
        relative: Its path from the bundle's top.
        folder: Whether it is a folder; else it is a regular file, and neither is a link.
    """
    above, _, name = relative.rpartition("/")
    name = name.lower()
    if not above and (name in _AT_THE_TOP or _NUMBERED.fullmatch(name)):
        return True
    return not folder and (name in _ANYWHERE or name.startswith(_APPLE_DOUBLE))
