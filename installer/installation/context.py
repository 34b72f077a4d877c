"""What an installation is about: the request, the bundle, and the site's folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from bundle.base.digest import PREFIX
from bundle.base.errors import DefinitionError
from bundle.base.progress import Progress
from bundle.trust.site.state import load_states
from installer.core.folders import require_folder_for_kubespray, require_folder_for_ssh
from installer.core.step import Connect, Context
from installer.depot.accepted import AcceptedContent, accepted_bundles, load_accepted
from installer.depot.directory import DepotDirectory
from installer.depot.preview import preview_bundle
from installer.hosts.choose_image import choose_image, image_of
from installer.hosts.site_ca import read_ca
from installer.installation.forecast import SITES
from installer.preflight.ask import on_this_machine, over_ssh
from installer.serving.tls.certificate import CA_NAME
from installer.site.load import SiteFile
from installer.site.secrets import SUDO_PASSWORD


@dataclass(frozen=True, slots=True)
class InstallRequest:
    """What is to be installed, and how.

    Attributes:
        site: The machines.
        depot: The depot's directory.
        medium: A bundle that is imported first; without one the depot's newest that fits.
        waiver: The site's signed waiver, for a medium whose metadata has expired.
        ca: The site's CA, if it is not the depot's own.
        overrides: What the site's people put over the inventory, content by path.
        secrets: The site's secrets by name.
        again_from: The name of a step that is to be done again, with all after it.
        until: The name of the step after which to stop; empty for the last one.
        who: The person at the keyboard, for the receipt.
        local: Whether this machine stands for the nodes; not for a cluster.
        rehearsal: Whether nothing may be changed on a node; not for a cluster.
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
    local: bool = False
    rehearsal: bool = False
    connect: Connect | None = None


def state_folder(depot: DepotDirectory, site: SiteFile) -> Path:
    """Return the folder of a site, which is kept between runs."""
    return depot.path / SITES / site.site.metadata.name


def make_context(
    request: InstallRequest,
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
        DefinitionError: The CA is wrong, or no bundle has what the site needs.
        UsageError: ssh, or Kubespray, would not take the depot's path.
        IsowardError: The depot or the medium is not good.
    """
    site = request.site.site
    require_folder = require_folder_for_kubespray if site.kubernetes else require_folder_for_ssh
    require_folder(depot.path, "--depot")
    return Context(
        site=site,
        site_path=request.site.path,
        ssh_key=request.site.ssh_key,
        depot=depot,
        bundle=_bundle(request, depot, now),
        ca=_ca(request, depot, planning=planning),
        state=state_folder(depot, request.site),
        run=depot.runs,
        overrides=request.overrides,
        secrets=request.secrets,
        connect=request.connect or _connect(request),
        now=now,
        progress=progress,
        local=request.local,
        rehearsal=request.rehearsal,
    )


def _connect(request: InstallRequest) -> Connect:
    if request.local:
        return on_this_machine
    password = request.secrets.get(SUDO_PASSWORD, "")
    return over_ssh(request.site.site, request.site.ssh_key, password)


def _bundle(
    request: InstallRequest, depot: DepotDirectory, now: Callable[[], datetime]
) -> AcceptedContent:
    """Return the bundle that is to be installed, which has what the site needs."""
    site = request.site.site
    first = None if site.kubernetes else site.required_first_image.reference
    if request.medium is None:
        return choose_image(depot, first).bundle if first else newest_with_kubespray(depot)
    bundle = preview_bundle(request.medium.absolute(), depot.path, now(), waiver=request.waiver)
    if first:
        image_of(bundle, first)
    else:
        _require_kubespray(bundle)
    return bundle


def _ca(request: InstallRequest, depot: DepotDirectory, *, planning: bool) -> bytes:
    path = request.ca or depot.tls / CA_NAME
    # Only the plan of a cluster has a step that serves the depot.
    may_lack = planning and request.site.site.kubernetes and request.ca is None
    return b"" if may_lack and not path.exists() else read_ca(path)


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
