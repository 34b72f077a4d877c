"""Who else could have changed a file: trusted files must belong to us or root, all the way up.

Whoever may write to a folder can replace any file in it, so the complete path from the root of the
file system counts, as it does for sshd (StrictModes). Folders that everyone may write to, but whose
files only their owners can rename (the sticky bit, as of /tmp), are harmless along the way; so is a
user's own private group.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from pathlib import Path
from typing import Final

_OTHERS_WRITE: Final = 0o022
_GROUP_WRITES: Final = 0o020


def entry_problem(path: Path, name: str = "it") -> str:
    """Describe what lets someone else change this one file or folder; empty if nothing does.

    Args:
        path: A missing one has no problem; for a link its owner counts.
        name: How the text refers to it.
    """
    return _problem(path, name, on_the_way=False)


def way_problem(path: Path) -> str:
    """Describe what lets someone else change or replace a folder.

    Args:
        path: The folder, which may not exist yet; its parents are checked up to the top, both
            along the path as given and along the path that links lead to.
    """
    typed, real = Path(os.path.abspath(path)), Path(os.path.realpath(path))  # noqa: PTH100
    for place in dict.fromkeys((real, typed)):
        if problem := _problem(place, str(place), on_the_way=False):
            return problem
    for place in dict.fromkeys((*real.parents, *typed.parents)):
        if problem := _problem(place, str(place), on_the_way=True):
            return problem
    return ""


def _problem(path: Path, name: str, *, on_the_way: bool) -> str:
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        return f"{name} cannot be examined: {error.strerror}"
    if found.st_uid not in {0, os.geteuid()}:
        return f"{name} belongs to {_user(found.st_uid)}, not to {_wanted()}"
    if stat.S_ISLNK(found.st_mode) or not found.st_mode & _OTHERS_WRITE:
        return ""
    if on_the_way and (found.st_mode & stat.S_ISVTX or _is_private_group(found)):
        return ""
    return f"others can write to {name} (mode {stat.S_IMODE(found.st_mode):04o})"


def _is_private_group(found: os.stat_result) -> bool:
    """Return whether only the group may write too, and the owner is its only member."""
    if found.st_mode & _OTHERS_WRITE != _GROUP_WRITES:
        return False
    try:
        user, group = pwd.getpwuid(found.st_uid), grp.getgrgid(found.st_gid)
    except KeyError:
        return False
    same = user.pw_gid == group.gr_gid and user.pw_name == group.gr_name
    return same and set(group.gr_mem) <= {user.pw_name}


def _user(number: int) -> str:
    try:
        return f"the user {pwd.getpwuid(number).pw_name}"
    except KeyError:
        return f"the user {number}"


def _wanted() -> str:
    own = os.geteuid()
    return "root" if own == 0 else f"{_user(own)} or to root"
