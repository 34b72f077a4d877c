"""What a step is given, put together from a depot and a site."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bundle.base.progress import NO_PROGRESS
from installer.core.step import Context
from installer.depot.accepted import accepted_bundles
from installer.depot.directory import open_depot
from installer.preflight.ask import over_ssh
from installer.site.document import Site


def step_context(
    depot: Path, site: Site, folder: Path, *, ca: bytes, ssh_key: Path, **changes: Any
) -> Context:
    """Return a context with the newest bundle of a depot.

    Args:
        depot: With a bundle in it.
        site: The machines.
        folder: For the state and the run's own folder, which are made.
        ca: The site's CA, PEM.
        ssh_key: Our private key.
        changes: Other fields of the context.
    """
    state, run = folder / "state", folder / "run"
    for path in (state, run):
        path.mkdir(mode=0o700, parents=True)
    opened = open_depot(depot)
    fields: dict[str, Any] = {
        "site": site,
        "site_path": folder / "site.yaml",
        "ssh_key": ssh_key,
        "depot": opened,
        "bundle": accepted_bundles(opened)[-1],
        "ca": ca,
        "state": state,
        "run": run,
        "overrides": {},
        "secrets": {},
        "connect": over_ssh(site, ssh_key),
        "now": lambda: datetime.now(UTC),
        "progress": NO_PROGRESS,
    }
    return Context(**{**fields, **changes})
