"""What the depot can be asked for, made from the manifests of all imported bundles.

Pure. Requests are answered by looking names up in these dictionaries, never by joining them to a
path, so nothing that no bundle vouches for can be named at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bundle.base.names import chart_folder
from bundle.base.reference import DOCKER_HUB, fallback_tag, parse_reference, path_host
from bundle.kinds.artifacts import Artifact, ReferrerEntry
from bundle.kinds.charts import ChartEntry
from bundle.kinds.os_packages import OsEntry
from bundle.kinds.python_packages import PythonSet, WheelEntry
from bundle.kinds.registry import KINDS
from bundle.model.manifest import Manifest, artifacts

_HUB_ALIASES: Final = frozenset({"index.docker.io", "registry-1.docker.io"})
_LIBRARY: Final = "library/"
MAX_CHOICES: Final = 20


@dataclass(slots=True)
class Repository:
    """One repository of one registry. Filled by `Catalogue.build`, not changed afterwards.

    Attributes:
        host: The registry, as a component of a path.
        name: The repository within the registry.
        tags: Digest of a manifest or index by its tag.
        manifests: Media type of every manifest and index by its digest.
        referrers: What refers to a manifest: by the subject's digest, then by its own.
        fallbacks: Subject by the tag under which its referrers were listed upstream.
    """

    host: str
    name: str
    tags: dict[str, str] = field(default_factory=dict)
    manifests: dict[str, str] = field(default_factory=dict)
    referrers: dict[str, dict[str, ReferrerEntry]] = field(default_factory=dict)
    fallbacks: dict[str, str] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        """The name under which the depot always answers."""
        return f"{self.host}/{self.name}"


@dataclass(frozen=True, slots=True)
class Chart:
    """A Helm chart.

    Attributes:
        name: Of the chart.
        version: Of the chart.
        archive: Digest of the .tgz.
        manifest: Digest of the chart's OCI manifest, whose config is Chart.yaml as JSON.
        media_type: Of that manifest.
        provenance: Digest of its provenance file, or an empty string.
    """

    name: str
    version: str
    archive: str
    manifest: str
    media_type: str
    provenance: str = ""

    @property
    def file_name(self) -> str:
        """What the archive is called below its repository."""
        return f"{self.name}-{self.version}.tgz"


@dataclass(frozen=True, slots=True)
class Choice:
    """The answer to a name: a repository, or which full names it could mean."""

    repository: Repository | None
    choices: tuple[str, ...] = ()


@dataclass(slots=True)
class Catalogue:
    """All that is served.

    Attributes:
        sizes: Size in bytes of every blob by its digest.
        repositories: By registry (as a path component) and repository.
        paths: What is given out by its path alone: by the first part of that, digest by the rest.
        charts: Charts by the path of their repository, then by file name.
        os_entries: Sets of OS packages by name.
        python_wheels: Wheels by set of Python packages, then by file name.
        python_environments: The set as its newest bundle has it, by set and environment.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    paths: dict[str, dict[str, str]] = field(default_factory=dict)
    charts: dict[str, dict[str, Chart]] = field(default_factory=dict)
    os_entries: dict[str, OsEntry] = field(default_factory=dict)
    python_wheels: dict[str, dict[str, WheelEntry]] = field(default_factory=dict)
    python_environments: dict[str, dict[str, PythonSet]] = field(default_factory=dict)
    _by_name: dict[str, list[Repository]] = field(default_factory=dict)

    @classmethod
    def build(cls, bundles: Iterable[tuple[Manifest, Mapping[str, int]]]) -> Catalogue:
        """Build it from checked manifests with their blobs' sizes, oldest import first.

        A later import wins where two bundles give one name to different content.
        """
        made = cls()
        for manifest, sizes in bundles:
            made.sizes.update(sizes)
            for artifact in artifacts(manifest):
                made._add_artifact(artifact)
            for kind in KINDS:
                for one in kind.entries(manifest):
                    for top, path, digest in kind.served(one):
                        made.paths.setdefault(top, {})[path] = digest
            # These have an index of their own, besides their bytes.
            for chart in manifest.charts:
                made._add_chart(chart)
            for entry in manifest.os_packages:
                made.os_entries[entry.name] = entry
            for python in manifest.python_packages:
                made._add_python(python)
        for repository in made.repositories.values():
            made._by_name.setdefault(repository.name, []).append(repository)
        return made

    @property
    def files(self) -> Mapping[str, str]:
        """Digest by the path below /files/."""
        return self.paths.get("files", {})

    @property
    def os_files(self) -> Mapping[str, str]:
        """Digest by the path below /os/."""
        return self.paths.get("os", {})

    def find(self, name: str, namespace: str = "") -> Choice:
        """Find a repository by the name in a request.

        Args:
            name: A checked repository name: with the registry in front it is never ambiguous.
            namespace: The registry that a mirror's client means (containerd's `?ns=`), if any.
        """
        prefix, _, rest = name.partition("/")
        found = self._in_registry(namespace_host(namespace), name) if namespace else None
        found = found or self._in_registry(prefix, rest)
        if found is not None or namespace:
            return Choice(found)
        candidates = self._by_name.get(name, [])
        if len(candidates) == 1:
            return Choice(candidates[0])
        names = sorted(repository.full_name for repository in candidates)
        return Choice(None, tuple(names[:MAX_CHOICES]))

    def _in_registry(self, host: str, name: str) -> Repository | None:
        found = self.repositories.get((host, name))
        if found is None and host == DOCKER_HUB and "/" not in name:
            found = self.repositories.get((host, _LIBRARY + name))
        return found

    def root_charts(self) -> dict[str, Chart]:
        """Return the charts whose file name means one archive only, over all repositories."""
        merged: dict[str, Chart] = {}
        ambiguous: set[str] = set()
        for charts in self.charts.values():
            for file_name, chart in charts.items():
                if merged.setdefault(file_name, chart).archive != chart.archive:
                    ambiguous.add(file_name)
        return {name: chart for name, chart in merged.items() if name not in ambiguous}

    def chart_choices(self, file_name: str) -> Sequence[str]:
        """Return where archives of this name are, for a name that means more than one."""
        paths = (path for path, charts in self.charts.items() if file_name in charts)
        return sorted(f"/charts/{path}/{file_name}" for path in paths)[:MAX_CHOICES]

    def _add_artifact(self, artifact: Artifact) -> None:
        reference = parse_reference(artifact.reference, "bundle.json")
        key = (path_host(reference.registry), reference.repository)
        repository = self.repositories.setdefault(key, Repository(*key))
        for entry in artifact.manifests:
            repository.manifests[entry.digest] = entry.media_type
        for referrer in artifact.referrers:
            repository.manifests[referrer.digest] = referrer.media_type
            repository.referrers.setdefault(referrer.subject, {})[referrer.digest] = referrer
            if referrer.tag == fallback_tag(referrer.subject):
                # It names a list of referrers, not this one.
                repository.fallbacks[referrer.tag] = referrer.subject
            elif referrer.tag:
                repository.tags[referrer.tag] = referrer.digest
        if reference.tag:
            repository.tags[reference.tag] = artifact.digest

    def _add_chart(self, chart: ChartEntry) -> None:
        path = chart_folder(chart.repository)
        root = chart.artifact.digest
        types = {entry.digest: entry.media_type for entry in chart.artifact.manifests}
        signed = "" if chart.provenance is None else chart.provenance.digest
        made = Chart(
            chart.name,
            chart.version,
            chart.archive,
            manifest=root,
            media_type=types.get(root, ""),
            provenance=signed,
        )
        self.charts.setdefault(path, {})[made.file_name] = made

    def _add_python(self, found: PythonSet) -> None:
        wheels = self.python_wheels.setdefault(found.name, {})
        wheels.update((file.name, file) for file in found.files)
        environments = self.python_environments.setdefault(found.name, {})
        environments.update((environment.name, found) for environment in found.environments)


def namespace_host(namespace: str) -> str:
    """Return the registry of a `?ns=` as a component of a path."""
    host = path_host(namespace)
    return DOCKER_HUB if host in _HUB_ALIASES else host
