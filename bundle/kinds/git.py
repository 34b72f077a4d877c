"""Content of a Git repository at one commit.

The commit names what is wanted. The lock's SHA-256 is what vouches for the bytes: a commit id is
only a SHA-1.
"""

from __future__ import annotations

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from bundle.base.documents import Document, line
from bundle.base.errors import DefinitionError
from bundle.base.paths import is_inner_path
from bundle.base.patterns import formed
from bundle.base.reference import check_url, is_host

GitCommit = Annotated[
    str,
    formed(
        r"^[0-9a-f]{40}$(?!\n)",
        "a full commit id, 40 lowercase hexadecimal characters",
        "0123456789abcdef0123456789abcdef01234567",
    ),
]
"""A full commit id: a branch, a tag or a short id could mean another commit tomorrow."""

GitRepository = Annotated[str, line(2048, 1)]
"""A URL, or a folder relative to the document; see `check_git_source` for the rules."""

_UPWARDS: Final = re.compile(r"(\.\./)*")
_USER: Final = "git@"
"""The one user that an ssh URL may name: every forge has it, and it is not a person."""


class GitSource(Document, frozen=True, kw_only=True):
    """A commit of a repository."""

    repository: GitRepository
    commit: GitCommit


def git_host(repository: str) -> str | None:
    """Return the host of a checked repository; None for a folder on this machine."""
    if "://" not in repository:
        return None
    return urlsplit(repository).netloc.removeprefix(_USER)


def check_git_source(source: GitSource, where: str) -> None:
    """Check what the type alone cannot express.

    Args:
        source: Untrusted.
        where: The place in the document, for the message.
    Raises:
        DefinitionError: Its repository is neither an https or ssh address nor a relative folder.
    """
    repository = source.repository
    if repository.startswith(("https://", "http://", "ssh://")):
        address = repository.split("://", 1)[1]
        if repository.startswith("ssh://"):
            address = address.removeprefix(_USER)
        if any(char in address for char in "@?#") or " " in address:
            raise _refuse(repository, where, "it has a user name, a query or a fragment")
        check_url(f"https://{address}", f"{where}.repository")
        host, _, path = address.partition("/")
        if not is_host(host) or not path:
            raise _refuse(repository, where, "it has no path")
        return
    if ":" in repository or repository.startswith(("-", "~")):
        raise _refuse(repository, where, "it is neither a plain folder nor an https or ssh address")
    inner = _UPWARDS.sub("", repository, count=1)
    if repository not in {".", ".."} and inner != ".." and not is_inner_path(inner):
        raise _refuse(repository, where, "it is not a relative folder")


def _refuse(repository: str, where: str, why: str) -> DefinitionError:
    return DefinitionError(
        f"{where}.repository: {repository[:200]!r} is not supported: {why}",
        "Write https://host/path, ssh://git@host/path, or a folder relative to this file.",
    )
