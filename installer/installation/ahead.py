"""Asking a site's machines, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bundle.base.progress import NO_PROGRESS, Progress
from installer.depot.directory import open_depot
from installer.installation.context import ClusterRequest, make_context
from installer.installation.plain_site import InstallRequest, preflight
from installer.preflight.answers import Report
from installer.preflight.ask_cluster import ask_cluster
from installer.site.load import SiteFile
from installer.steps.check_machines import wanted_of


@dataclass(frozen=True, slots=True)
class PreflightRequest:
    """Whom to ask.

    Attributes:
        site: The machines.
        depot: The depot's directory.
        ca: The site's CA, if it is not the depot's own.
        overrides: What the site's people put over the inventory, content by path.
        secrets: The site's secrets by name.
    """

    site: SiteFile
    depot: Path
    ca: Path | None = None
    overrides: Mapping[str, bytes] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)


def preflight_site(
    request: PreflightRequest,
    *,
    now: Callable[[], datetime],
    progress: Progress = NO_PROGRESS,
) -> Report:
    """Ask all machines; nothing is changed, on them or in the depot.

    Raises:
        DefinitionError: The site file, its CA or what the depot has for it is wrong.
        IsowardError: The depot cannot be read.
    """
    site = request.site.site
    if site.kubernetes is None:
        first = InstallRequest(request.site, request.depot, request.ca)
        return preflight(first, now=now, progress=progress)
    cluster = ClusterRequest(
        request.site,
        request.depot,
        ca=request.ca,
        overrides=request.overrides,
        secrets=request.secrets,
    )
    context = make_context(cluster, open_depot(request.depot.absolute()), now, progress)
    return ask_cluster(site, context.connect, wanted_of(context), progress=progress)
