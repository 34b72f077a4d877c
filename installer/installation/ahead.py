"""Asking a site's machines, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from bundle.base.progress import NO_PROGRESS, Progress
from installer.depot.directory import open_depot
from installer.installation.context import InstallRequest, make_context
from installer.preflight.answers import Report
from installer.steps.check_machines import ask_machines


def preflight_site(
    request: InstallRequest,
    *,
    now: Callable[[], datetime],
    progress: Progress = NO_PROGRESS,
) -> Report:
    """Ask all machines; nothing is changed, on them or in the depot.

    Raises:
        DefinitionError: The site file, its CA or what the depot has for it is wrong.
        IsowardError: The depot cannot be read.
    """
    return ask_machines(make_context(request, open_depot(request.depot.absolute()), now, progress))
