"""The source of a lock: the commit of the Git work tree that it lies in, as Git itself says.

Nothing here decides anything. What Git says is recorded in the provenance, and approvers read it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from bundle.base.errors import MissingProgramError, ProgramError
from bundle.base.plain import carried
from bundle.model.provenance import SignatureStatus, Source
from bundle.store.programs import Bounds, Finished, run_program

_SECONDS: Final = 60
"""For one question; a work tree of a platform's definitions is small."""

_ELSEWHERE: Final = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR"})
"""Would lead git to another work tree than the lock's, as within a hook."""

_MAX_SIGNER: Final = 200
_STATUS: Final[dict[str, SignatureStatus]] = {
    "G": "good",
    "B": "bad",
    "U": "untrusted",
    "X": "expired",
    "Y": "expired",
    "R": "revoked",
    "E": "unchecked",
}
"""Git's letters, `git log`, "PRETTY FORMATS", `%G?`."""


Git = Callable[[Sequence[str], Path], Finished]
"""Runs git with these arguments in a folder; MissingProgramError where there is no git."""


def run_git(arguments: Sequence[str], folder: Path) -> Finished:
    """Run the machine's own git, in a way that writes nothing and asks nobody."""
    settings = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    return run_program(
        ["git", "-c", "core.fsmonitor=false", "-c", "log.showSignature=false", *arguments],
        folder=folder,
        environment={**dict.fromkeys(_ELSEWHERE, ""), **settings},
        bounds=Bounds(_SECONDS),
    )


def source_of(lock: Path, git: Git = run_git) -> Source:
    """Say which commit a lock is of.

    Args:
        lock: The lock's file.
        git: Runs git.
    Returns:
        The commit, or why there is none.
    """
    folder = lock.resolve().parent
    try:
        if git(["rev-parse", "--is-inside-work-tree"], folder).output.strip() != b"true":
            return Source(kind="none", reason="the lock is in no Git work tree")
        head = git(["rev-parse", "--verify", "HEAD^{commit}"], folder)
        if head.code != 0:
            return Source(kind="none", reason="the Git work tree has no commit yet")
        signature, signer = _signature(folder, git)
        return Source(
            kind="git",
            commit=head.output.decode("ascii").strip(),
            clean=_is_clean(folder, git),
            lock_committed=_is_committed(lock.resolve(), git),
            signature=signature,
            signer=signer,
        )
    except MissingProgramError:
        return Source(kind="none", reason="this machine has no git")
    except (OSError, ProgramError):
        return Source(kind="none", reason="git could not be run, or did not answer")


def _is_clean(folder: Path, git: Git) -> bool:
    """Return whether every file that Git knows is as it was committed."""
    status = git(["status", "--porcelain=v1", "-z", "--untracked-files=no"], folder)
    return status.code == 0 and not status.output


def _is_committed(lock: Path, git: Git) -> bool:
    shown = git(["show", f"HEAD:./{lock.name}"], lock.parent)
    return shown.code == 0 and shown.output == lock.read_bytes()


def _signature(folder: Path, git: Git) -> tuple[SignatureStatus, str]:
    """Return whether the commit is signed, and what Git thinks of that."""
    commit = git(["cat-file", "commit", "HEAD"], folder)
    header = commit.output.partition(b"\n\n")[0]
    if b"\ngpgsig" not in header:
        return "none", ""
    said = git(["log", "-1", "--format=%G?%x00%GS", "HEAD"], folder)
    letter, _, signer = said.output.decode("utf-8", "replace").strip().partition("\0")
    name = carried(signer, _MAX_SIGNER)
    # "N" for a commit that is signed: git was not told whose signatures to look for.
    return _STATUS.get(letter, "unchecked"), name
