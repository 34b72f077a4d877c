"""What an installation of a cluster is about: the request, the bundle, and the site's folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bundle.base.digest import PREFIX
from bundle.base.errors import DefinitionError
from bundle.base.progress import Progress
from bundle.trust.site.state import load_states
from installer.core.folders import require_folder_for_kubespray
from installer.core.step import Connect, Context
from installer.depot.accepted import AcceptedContent, accepted_bundles, load_accepted
from installer.depot.directory import DepotDirectory
from installer.depot.preview import preview_bundle
from installer.hosts.site_ca import read_ca
from installer.installation.forecast import SITES
from installer.preflight.ask import over_ssh
from installer.serving.tls.certificate import CA_NAME
from installer.site.load import SiteFile
from installer.site.secrets import SUDO_PASSWORD


@dataclass(frozen=True, slots=True)
class ClusterRequest:
    """What is to be installed, and how.

    Attributes:
        site: The machines, with a cluster.
        depot: The depot's directory.
        medium: A bundle that is imported first; without one the depot's newest is installed.
        waiver: The site's signed waiver, for a medium whose metadata has expired.
        ca: The site's CA, if it is not the depot's own.
        overrides: What the site's people put over the inventory, content by path.
        secrets: The site's secrets by name.
        again_from: The name of a step that is to be done again, with all after it.
        until: The name of the step after which to stop; empty for the last one.
        who: The person at the keyboard, for the receipt.
        connect: Opens a node; over SSH when left out.
    """

    site: SiteFile
    depot: Path
    medium: Path | None = None
    waiver: Path | None = None
    ca: Path | None = None
    overrides: Mapping[str, bytes] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    again_from: str = ""
    until: str = ""
    who: str = ""
    connect: Connect | None = None


def state_folder(depot: DepotDirectory, site: SiteFile) -> Path:
    """Return the folder of a site, which is kept between runs."""
    return depot.path / SITES / site.site.metadata.name


def make_context(
    request: ClusterRequest,
    depot: DepotDirectory,
    now: Callable[[], datetime],
    progress: Progress,
    *,
    planning: bool = False,
) -> Context:
    """Return what every step is given; its run folder is still that of all runs.

    Args:
        request: What and how.
        depot: Open.
        now: The clock, UTC.
        progress: Told what goes on.
        planning: Whether the depot may have no CA yet: its first service makes it.

    Raises:
        DefinitionError: The site has no cluster, or there is no bundle for one.
        UsageError: Kubespray would not take the depot's path.
        IsowardError: The depot or the medium is not good.
    """
    site = request.site.site
    if site.kubernetes is None:
        raise DefinitionError(
            f"{request.site.path}: kubernetes: expected the options of a cluster, found none",
            'Add kubernetes: to the site file; docs/FORMAT.md, "Site", says what it has.',
        )
    require_folder_for_kubespray(depot.path, "--depot")
    if request.medium is not None:
        bundle = preview_bundle(request.medium.absolute(), depot.path, now(), waiver=request.waiver)
        _require_kubespray(bundle)
    else:
        bundle = newest_with_kubespray(depot)
    return Context(
        site=site,
        site_path=request.site.path,
        ssh_key=request.site.ssh_key,
        depot=depot,
        bundle=bundle,
        ca=_ca(request, depot, planning=planning),
        state=state_folder(depot, request.site),
        run=depot.runs,
        overrides=request.overrides,
        secrets=request.secrets,
        connect=request.connect
        or over_ssh(site, request.site.ssh_key, request.secrets.get(SUDO_PASSWORD, "")),
        now=now,
        progress=progress,
    )


def _ca(request: ClusterRequest, depot: DepotDirectory, *, planning: bool) -> bytes:
    path = request.ca or depot.tls / CA_NAME
    return b"" if planning and request.ca is None and not path.exists() else read_ca(path)


def newest_with_kubespray(depot: DepotDirectory) -> AcceptedContent:
    """Return the newest bundle of a depot that has Kubespray and was not taken back.

    Raises:
        DefinitionError: There is none.
        IsowardError: As `accepted_bundles`.
    """
    for bundle in reversed(accepted_bundles(depot)):
        if bundle.manifest.kubespray is not None and bundle.revoked is None:
            return bundle
    raise DefinitionError(
        f"{depot.path}: expected a bundle with Kubespray in the depot, found none",
        "Import a bundle whose definition has kubespray:, or name its medium with --bundle.",
    )


def _require_kubespray(bundle: AcceptedContent) -> None:
    if bundle.manifest.kubespray is None:
        metadata = bundle.manifest.metadata
        raise DefinitionError(
            f"the bundle {metadata.name} {metadata.version} has no Kubespray",
            "Ask the vendor for a bundle whose definition has kubespray:.",
        )


def accepted_now(context: Context) -> AcceptedContent:
    """Return the bundle as the depot has it, now that it is there."""
    depot = context.depot
    name = context.bundle.record.digest.removeprefix(PREFIX)
    return load_accepted(depot, name, load_states(depot.trust))
