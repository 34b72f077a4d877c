"""Folders that other programs are told of, each of which reads paths with ideas of its own.

Ours take any path. But ssh expands `${x}`, Ansible expands `$x` in the path of an inventory, splits
lists of folders at `:`, and Kubespray puts its folders into templates and commands. None of this
can be escaped everywhere, so what such a path may hold is said before anything is done.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from bundle.base.errors import UsageError
from bundle.store.atomic import make_directory, storage_errors
from installer.base.ssh_path import ssh_path_problem

_PLAIN: Final = frozenset("/._-+@%,~")


def require_folder_for_ssh(folder: Path, what: str) -> None:
    """Check the path of a folder with files that ssh and Ansible read.

    Args:
        folder: It need not exist.
        what: It is, for the message.
    Raises:
        UsageError: They would not read its path as it is.
    """
    for path in (folder.absolute(), folder.resolve()):
        problem = ssh_path_problem(path)
        if problem:
            raise UsageError(
                f"{what}: expected a folder with a path that ssh accepts, found {problem}",
                "Use a folder with plain letters and digits in its path.",
            )


def require_folder_for_kubespray(folder: Path, what: str) -> None:
    """Check the path of a folder with an inventory or a tree of Kubespray.

    Args:
        folder: It need not exist.
        what: It is, for the message.
    Raises:
        UsageError: Kubespray, Ansible or ssh would not read its path as it is.
    """
    for path in (folder.absolute(), folder.resolve()):
        bad = sorted({letter for letter in str(path) if not _is_plain(letter)})
        if bad:
            raise UsageError(
                f"{what}: expected a folder with a path that Kubespray accepts, found "
                f"{' and '.join(map(repr, bad))} in {str(path)[:300]!r}",
                f"Use one whose path has only letters, digits and {' '.join(sorted(_PLAIN))}.",
            )


def _is_plain(letter: str) -> bool:
    return letter in _PLAIN or letter.isalnum()


def make_private(state: Path) -> None:
    """Make the folder of a site, and that of all sites, for their owner alone.

    Raises:
        StorageError: The disk refuses.
    """
    make_directory(state, 0o700)
    with storage_errors(f"protect {state}"):
        state.chmod(0o700)
        state.parent.chmod(0o700)
