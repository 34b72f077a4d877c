"""The steps of an installation of a cluster, in their order."""

from __future__ import annotations

from pathlib import Path

from bundle.model.progress import Progress
from bundle.model.site import Site
from installer.depot.directory import DepotDirectory
from installer.steps.cluster import ClusterStep
from installer.steps.depot import DepotStep
from installer.steps.depot_service import ensure_depot_served
from installer.steps.hosts import HostsStep
from installer.steps.kubeconfig import KubeconfigStep
from installer.steps.preflight import PreflightStep
from installer.steps.proofs import ProofsStep
from installer.steps.report import ReportStep
from installer.steps.step import Step
from installer.steps.verify import VerifyStep
from installer.steps.zones import ZonesStep


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
