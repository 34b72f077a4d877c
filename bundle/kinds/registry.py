"""Every kind of content, and where it stands in the documents: what knows them all begins here.

A new kind is a file beside this one, four fields and a line of `KINDS` here; that it can be fetched
stands in bundler/sources. docs/adr/0038-kinds-of-content.md says why the fields are written out.
"""

from __future__ import annotations

from typing import Any, Final

from bundle.base.documents import Document
from bundle.kinds.artifacts import Artifact, LockedArtifact
from bundle.kinds.chart_source import ChartSource
from bundle.kinds.charts import CHARTS, ChartEntry, LockedChart
from bundle.kinds.files import FILES, FileEntry, FileSource, LockedFile
from bundle.kinds.images import IMAGES, ImageSource
from bundle.kinds.kubespray import KUBESPRAY, KubesprayEntry, KubespraySource, LockedKubespray
from bundle.kinds.os_packages import OS_PACKAGES, LockedOs, OsEntry, OsSource
from bundle.kinds.protocol import (
    NO_DIFFERENCES,
    BundleHead,
    DefinitionHead,
    Differences,
    Kind,
    LockHead,
)
from bundle.kinds.python_packages import (
    PYTHON_PACKAGES,
    LockedPythonSet,
    PythonSet,
    PythonSource,
)
from bundle.kinds.rendering import HELM, HelmSource, RenderedWith
from bundle.kinds.start import START, LockedStart, StartEntry, StartSource

KINDS: Final[tuple[Kind[Any, Any, Any], ...]] = (
    IMAGES,
    HELM,
    CHARTS,
    FILES,
    OS_PACKAGES,
    PYTHON_PACKAGES,
    KUBESPRAY,
    START,
)
"""In the order in which a person is told of them."""


class DefinitionContent(DefinitionHead, frozen=True, kw_only=True):
    """What a definition asks for, a field a kind."""

    images: tuple[ImageSource, ...] = ()
    files: tuple[FileSource, ...] = ()
    charts: tuple[ChartSource, ...] = ()
    os_packages: tuple[OsSource, ...] = ()
    python_packages: tuple[PythonSource, ...] = ()
    kubespray: KubespraySource | None = None
    helm: HelmSource | None = None
    """Renders the charts, and is carried as a file; the vendor's machine's own when left out."""
    start: StartSource | None = None
    """What a machine without isoward begins with; the medium then has an install.sh."""


class LockContent(LockHead, frozen=True, kw_only=True):
    """What a lock pins, a field a kind."""

    images: tuple[LockedArtifact, ...] = ()
    charts: tuple[LockedChart, ...] = ()
    helm: RenderedWith | None = None
    files: tuple[LockedFile, ...] = ()
    os_packages: tuple[LockedOs, ...] = ()
    python_packages: tuple[LockedPythonSet, ...] = ()
    kubespray: LockedKubespray | None = None
    start: LockedStart | None = None


class BundleContent(BundleHead, frozen=True, kw_only=True):
    """What bundle.json lists, a field a kind."""

    images: tuple[Artifact, ...] = ()
    charts: tuple[ChartEntry, ...] = ()
    helm: RenderedWith | None = None
    files: tuple[FileEntry, ...] = ()
    os_packages: tuple[OsEntry, ...] = ()
    python_packages: tuple[PythonSet, ...] = ()
    kubespray: KubesprayEntry | None = None
    start: StartEntry | None = None
    """What a machine without isoward starts with; install.sh is generated from it."""


class ContentChanges(Document, frozen=True, kw_only=True):
    """What changed from one release to the next, a field a kind; a kind may join another's."""

    images: Differences
    charts: Differences
    files: Differences
    os_packages: Differences = NO_DIFFERENCES
    python_packages: Differences = NO_DIFFERENCES
    kubespray: Differences = NO_DIFFERENCES
    """Its tree, the inventory it was locked for, and what it leaves out."""
