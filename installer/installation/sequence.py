"""The steps of an installation, in their order: of a cluster, or of a site without one."""

from __future__ import annotations

from bundle.base.progress import Progress
from installer.core.step import Step
from installer.depot.client.service import ensure_depot_served
from installer.depot.directory import DepotDirectory
from installer.installation.context import InstallRequest
from installer.proofs.prove import ProofsStep
from installer.site.document import Site
from installer.steps.check_machines import PreflightStep
from installer.steps.create_cluster import ClusterStep
from installer.steps.fetch_kubeconfig import KubeconfigStep
from installer.steps.first_image import FirstImageStep
from installer.steps.prepare_hosts import HostsStep
from installer.steps.separate_zones import ZonesStep
from installer.steps.start_depot import DepotStep
from installer.steps.verify_medium import VerifyStep
from installer.steps.write_report import ReportStep


def steps_for(request: InstallRequest) -> tuple[Step, ...]:
    """Return all steps for the site of a request."""
    verify = VerifyStep(request.medium, request.waiver)
    if request.site.site.kubernetes is None:
        return (verify, PreflightStep(), FirstImageStep())
    return (
        verify,
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
    """Make sure that a cluster's depot is served, if need be by a service of this machine.

    Without a cluster it is somebody else's to serve, and the preflight asks the nodes for it.

    Raises:
        UnreachableError: Nothing answers, and it is not for us to change that.
        StepError: The service does not start.
    """
    if site.kubernetes is not None:
        ensure_depot_served(depot, site, progress=progress)
