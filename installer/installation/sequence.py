"""The steps of an installation of a cluster, in their order."""

from __future__ import annotations

from pathlib import Path

from bundle.base.progress import Progress
from installer.core.step import Step
from installer.depot.client.service import ensure_depot_served
from installer.depot.directory import DepotDirectory
from installer.proofs.prove import ProofsStep
from installer.site.document import Site
from installer.steps.check_machines import PreflightStep
from installer.steps.create_cluster import ClusterStep
from installer.steps.fetch_kubeconfig import KubeconfigStep
from installer.steps.prepare_hosts import HostsStep
from installer.steps.separate_zones import ZonesStep
from installer.steps.start_depot import DepotStep
from installer.steps.verify_medium import VerifyStep
from installer.steps.write_report import ReportStep


def cluster_steps(medium: Path | None, waiver: Path | None) -> tuple[Step, ...]:
    """Return all steps.

    Args:
        medium: A bundle to import first, if one is given.
        waiver: The site's signed waiver, for a bundle whose metadata has expired.
    """
    return (
        VerifyStep(medium, waiver),
        DepotStep(),
        PreflightStep(),
        HostsStep(),
        ClusterStep(),
        KubeconfigStep(),
        ZonesStep(),
        ProofsStep(),
        ReportStep(),
    )


def serve_depot(depot: DepotDirectory, site: Site, progress: Progress) -> None:
    """Make sure that the depot is served, if need be by a service of this machine.

    Raises:
        UnreachableError: Nothing answers, and it is not for us to change that.
        StepError: The service does not start.
    """
    ensure_depot_served(depot, site, progress=progress)
