"""Programs that work on what others wrote: alone in a folder, and apart where the machine can."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bundle.base.errors import MissingProgramError
from bundler.sources.common.context import SourceContext


def bare_environment(folder: Path) -> Mapping[str, str]:
    """Return an environment that has nothing of the user's but where programs are."""
    return {
        **dict.fromkeys(os.environ, ""),
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
    }


def can_run(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], context: SourceContext
) -> bool:
    """Try a command that does nothing, and say whether this machine can run it."""
    try:
        return context.run(command, folder=folder, environment=environment).code == 0
    except MissingProgramError:
        return False
