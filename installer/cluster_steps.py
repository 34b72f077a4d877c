"""The steps of an installation of a cluster, in their order."""

from __future__ import annotations

from pathlib import Path

from installer.steps.step import Step
from installer.steps.verify import VerifyStep


def cluster_steps(medium: Path | None, waiver: Path | None) -> tuple[Step, ...]:
    """Return all steps.

    Args:
        medium: A bundle to import first, if one is given.
        waiver: The site's signed waiver, for a bundle whose metadata has expired.
    """
    return (VerifyStep(medium, waiver),)
