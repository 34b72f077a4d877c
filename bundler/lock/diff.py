"""What changed between two locks, for a person who decides whether to accept it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from bundle.base.canonical import canonical_digest
from bundle.base.digest import short
from bundle.kinds.artifacts import LockedArtifact, LockedReferrer, describe_unasked
from bundle.kinds.charts import LockedChart
from bundle.kinds.files import file_label
from bundle.kinds.kubespray import kubespray_digests
from bundle.kinds.os_packages import LockedOs, os_packages_by_name, sized_files
from bundle.kinds.policy import describe_verified
from bundle.kinds.python_packages import python_digests, python_entry
from bundle.kinds.rendering import Rendering
from bundle.model.lock import Lock

V = TypeVar("V")
Kind = Literal["added", "removed", "moved", "changed"]
_SIGNS: dict[Kind, str] = {"added": "+", "removed": "-", "moved": "~", "changed": "~"}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    Attributes:
        kind: `moved` says that the same name means other bytes now.
        thing: What it is about, such as `image registry.example.org/app/web:2.1`.
        old: Before; an empty string for something added.
        new: After; an empty string for something removed.
    """

    kind: Kind
    thing: str
    old: str
    new: str

    @property
    def line(self) -> str:
        """One line for a person."""
        sign = _SIGNS[self.kind]
        if self.kind == "added":
            return f"{sign} {self.thing}: added, {self.new}"
        if self.kind == "removed":
            return f"{sign} {self.thing}: removed, was {self.old}"
        return f"{sign} {self.thing}: {self.kind} from {self.old} to {self.new}"


def changes(old: Lock, new: Lock) -> list[Change]:
    """Compare two locks; equal locks, and only they, have no changes."""
    if old == new:
        return []
    found = [
        *_changed("name", old.metadata.name, new.metadata.name),
        *_changed("version", old.metadata.version, new.metadata.version),
        *_changed("platforms", ", ".join(old.platforms), ", ".join(new.platforms)),
        *_artifacts(_images(old), _images(new)),
        *_changed("helm", _helm(old), _helm(new)),
        *_charts(_chart_map(old), _chart_map(new)),
        *_pairs("file", _file_digests(old), _file_digests(new)),
        *_os_packages(old.os_packages, new.os_packages),
        *_pairs("Python package", _wheels(old), _wheels(new)),
        *_pairs("Python environment", _environments(old), _environments(new)),
        *_pairs("kubespray", _kubespray(old), _kubespray(new)),
        *_pairs("start", _start(old), _start(new)),
    ]
    if not found:
        # Something that has no line of its own, such as a digest added to a tag.
        found = list(_changed("definition", short(old.definition), short(new.definition)))
    return found or [Change("changed", "details of the lock", "one form", "another")]


def _images(lock: Lock) -> dict[str, LockedArtifact]:
    return {f"image {image.reference}": image for image in lock.images}


def _file_digests(lock: Lock) -> dict[str, str]:
    return {file_label(file): file.digest for file in lock.files}


def _chart_map(lock: Lock) -> dict[str, LockedChart]:
    return {f"chart {c.repository} {c.name} {c.version}": c for c in lock.charts}


def _kubespray(lock: Lock) -> dict[str, str]:
    return kubespray_digests(lock.kubespray) if lock.kubespray else {}


def _wheels(lock: Lock) -> Mapping[str, str]:
    return python_digests(python_entry(found) for found in lock.python_packages)


def _environments(lock: Lock) -> dict[str, str]:
    return {
        f"{found.name}/{e.name} for {e.python} on {e.platform}": canonical_digest(e)
        for found in lock.python_packages
        for e in found.environments
    }


def _start(lock: Lock) -> dict[str, str]:
    if lock.start is None:
        return {}
    sets = " ".join((lock.start.python_packages, lock.start.environment, *lock.start.os_packages))
    return {
        f"with {sets}": canonical_digest(lock.start),
        lock.start.wheel.name: lock.start.wheel.digest,
    }


def _artifacts(
    old: Mapping[str, LockedArtifact], new: Mapping[str, LockedArtifact]
) -> Iterator[Change]:
    yield from _digests(
        {k: v.digest for k, v in old.items()}, {k: v.digest for k, v in new.items()}
    )
    for name in sorted(old.keys() & new.keys()):
        yield from _inside(name, old[name], new[name])


def _charts(old: Mapping[str, LockedChart], new: Mapping[str, LockedChart]) -> Iterator[Change]:
    yield from _digests(
        {name: chart.archive.digest for name, chart in old.items()},
        {name: chart.archive.digest for name, chart in new.items()},
    )
    for name in sorted(old.keys() & new.keys()):
        before, after = old[name], new[name]
        yield from _changed(f"{name}: address", before.url or "", after.url or "")
        yield from _changed(f"{name}: folder", _folder(before), _folder(after))
        yield from _changed(f"{name}: provenance", _provenance(before), _provenance(after))
        yield from _digests(_dependencies(name, before), _dependencies(name, after))
        yield from _inside(name, before.artifact, after.artifact)
        yield from _renderings(name, before.rendering, after.rendering)


def _renderings(name: str, old: Rendering | None, new: Rendering | None) -> Iterator[Change]:
    """Compare how a chart was rendered and what that showed."""
    yield from _changed(f"{name}: rendered", _settings(old), _settings(new))
    yield from _pairs(f"{name}: values", _values(old), _values(new))
    yield from _changed(f"{name}: needs", _wanted(old), _wanted(new))
    yield from _changed(f"{name}: leaves out", _left_out(old), _left_out(new))


def _settings(rendering: Rendering | None) -> str:
    if rendering is None:
        return "not"
    if rendering.not_rendered is not None:
        return f"not: {rendering.not_rendered}"
    kubernetes = f"Kubernetes {rendering.kube_version or 'of Helm'}"
    apis = "".join(f", {version}" for version in rendering.api_versions)
    return f"as {rendering.release.namespace}/{rendering.release.name} for {kubernetes}{apis}"


def _values(rendering: Rendering | None) -> dict[str, str]:
    return {file.path: file.digest for file in (rendering.values if rendering else ())}


def _wanted(rendering: Rendering | None) -> str:
    return ", ".join(wanted.image for wanted in rendering.images) if rendering else ""


def _left_out(rendering: Rendering | None) -> str:
    return ", ".join(entry.image for entry in rendering.left_out) if rendering else ""


def _helm(lock: Lock) -> str:
    if lock.helm is None:
        return "none"
    carried = short(lock.helm.archive) if lock.helm.archive else "not carried"
    return f"{lock.helm.version} ({carried})"


def _folder(chart: LockedChart) -> str:
    """Say what a chart is packed from."""
    folder = chart.folder
    if folder is None:
        return "none"
    where = f"{folder.git.repository} {folder.git.commit} " if folder.git else ""
    return f"{where}{folder.path or '.'}"


def _provenance(chart: LockedChart) -> str:
    found = chart.provenance
    if found is None:
        return "none"
    return f"{found.digest} signed by {found.signer}" if found.signer else f"{found.digest}, unread"


def _dependencies(name: str, chart: LockedChart) -> dict[str, str]:
    found = chart.folder.dependencies if chart.folder is not None else ()
    return {f"{name}: dependency {d.repository} {d.name} {d.version}": d.digest for d in found}


def _inside(name: str, old: LockedArtifact, new: LockedArtifact) -> Iterator[Change]:
    """Compare origin, platforms and referrers of one artifact."""
    yield from _changed(f"{name}: origin", _origin(old), _origin(new))
    if old.digest == new.digest:
        platforms = {f"{name}: platform {m.platform}": m.digest for m in new.manifests}
        before = {f"{name}: platform {m.platform}": m.digest for m in old.manifests}
        yield from _digests(before, platforms)
    yield from _changed(f"{name}: signer", _signers(old), _signers(new))
    yield from _changed(f"{name}: not queried", _unasked(old), _unasked(new))
    yield from _digests(_referrers(name, old), _referrers(name, new))


def _origin(artifact: LockedArtifact) -> str:
    return artifact.origin.said if artifact.origin else "its registry"


def _signers(artifact: LockedArtifact) -> str:
    """Say by whom an artifact is signed, or by what it is waived."""
    said = {
        describe_verified(entry) if entry.method == "unsigned" else f"{entry.method} {entry.signer}"
        for entry in artifact.verified
    }
    return ", ".join(sorted(said)) or "nobody"


def _unasked(artifact: LockedArtifact) -> str:
    return describe_unasked(artifact.unasked) or "nothing"


def _referrers(name: str, artifact: LockedArtifact) -> dict[str, str]:
    return {
        f"{name}: referrer {_kind(r)} of {short(r.subject)} ({_by(r)})": r.digest
        for r in artifact.referrers
    }


def _by(referrer: LockedReferrer) -> str:
    """Return what tells one referrer from another: a tag of its own, else its digest."""
    return referrer.tag if referrer.via == "cosign-tag" else short(referrer.digest)


def _kind(referrer: LockedReferrer) -> str:
    return referrer.artifact_type or referrer.media_type


def _os_packages(old: Iterable[LockedOs], new: Iterable[LockedOs]) -> Iterator[Change]:
    yield from _pairs("OS package", os_packages_by_name(old), os_packages_by_name(new))
    yield from _pairs("OS file", _os_files(old), _os_files(new))


def _os_files(all_packages: Iterable[LockedOs]) -> dict[str, str]:
    """Return the keyrings and indexes; packages are named by themselves."""
    found: dict[str, str] = {}
    for packages in all_packages:
        known = {package.digest for package in packages.packages}
        found |= {
            f"{packages.name}/{file.path}": file.digest
            for file in sized_files([packages])
            if file.digest not in known
        }
    return found


def _pairs(what: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    yield from _digests(
        {f"{what} {name}": digest for name, digest in old.items()},
        {f"{what} {name}": digest for name, digest in new.items()},
    )


def _digests(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Change]:
    """Compare digests by name."""
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before is None and after is not None:
            yield Change("added", name, "", after)
        elif after is None and before is not None:
            yield Change("removed", name, before, "")
        elif before is not None and after is not None and before != after:
            yield Change("moved", name, before, after)


def _changed(thing: str, old: str, new: str) -> Iterator[Change]:
    if old != new:
        yield Change("changed", thing, old, new)
