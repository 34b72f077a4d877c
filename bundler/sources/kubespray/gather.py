"""Kubespray: its tree as one tar, and what it downloads for an inventory, by its own word."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import yaml

from bundle.base.digest import PREFIX
from bundle.base.errors import DefinitionError, DigestMismatchError, FormatError
from bundle.base.limits import CHUNK_BYTES
from bundle.kinds.chart_source import ChartSource
from bundle.kinds.kubespray import (
    REQUIREMENTS,
    KubesprayChart,
    KubesprayFile,
    KubespraySource,
    LockedKubespray,
    check_kubespray_platforms,
    plain_version,
)
from bundler.sources.common.context import FileWant, OsWant, PythonWant, SourceContext, Want
from bundler.sources.common.keep import keeping
from bundler.sources.common.opener import BlobStream, Opener, WholeBytes
from bundler.sources.kubespray.ansible import evaluate
from bundler.sources.kubespray.checkout import Tree, open_tree
from bundler.sources.kubespray.inventory import read_inventory
from bundler.sources.kubespray.playbook import playbook, role_files
from bundler.sources.kubespray.wanted import Wanted, WantedFile, collect

_GALAXY: Final = "galaxy.yml"


@dataclass(frozen=True, slots=True)
class ResolvedKubespray:
    """What becomes of a definition's Kubespray.

    Attributes:
        locked: For the lock.
        files: What nodes fetch, to be resolved as if the definition had it.
        wants: Images, to be resolved as if the definition had them.
        python: What it needs on the machine that it runs on.
    """

    locked: LockedKubespray
    files: tuple[FileWant, ...]
    wants: tuple[Want, ...]
    python: PythonWant

    @property
    def systems(self) -> tuple[OsWant, ...]:
        """OS packages that it installs on nodes, by release."""
        by = f"kubespray {self.locked.version}"
        return tuple(OsWant(p.release, p.packages, by) for p in self.locked.packages)


def resolve_kubespray(
    source: KubespraySource,
    platforms: Iterable[str],
    charts: Iterable[ChartSource],
    context: SourceContext,
) -> ResolvedKubespray:
    """Read Kubespray's tree and find out what it wants for an inventory.

    Args:
        source: Checked.
        platforms: Of the nodes.
        charts: Of the definition; those that Kubespray installs must be among them.
        context: What sources work with; its store keeps the tree's tar.
    Raises:
        DefinitionError: A platform, a path or the inventory is wrong, or something is wanted that
            the bundle would not have.
        FormatError: The tree is not a Kubespray that can be carried.
        IntegrityError: Bytes are not of their checksum.
        ProgramError: git or Ansible failed.
        TransportError: And its subclasses, when something cannot be had.
    """
    wanted_platforms = tuple(sorted(platforms))
    check_kubespray_platforms(wanted_platforms)
    tree = open_tree(source, context)
    _check_version(source, tree)
    inventory = read_inventory(context.folder, source.inventory)
    context.progress.note(f"evaluating the downloads of Kubespray {source.version}")
    book = playbook(tree, wanted_platforms)
    results = evaluate(tree, inventory, book, roles=role_files(tree), context=context)
    _check_hosts(results, wanted_platforms, source.inventory)
    wanted = collect(results, [left.item for left in source.leave_out])
    _check_closed(wanted, charts)
    context.store.put_bytes(tree.digest, tree.tar)
    files = _files(wanted, context)
    locked = LockedKubespray(
        version=source.version,
        git=source.git,
        archive=source.archive,
        path=source.path,
        tree=tree.digest,
        tree_size=len(tree.tar),
        inventory=inventory.digest,
        requirements=_requirements(tree),
        files=files,
        images=wanted.locked_images(),
        charts=tuple(sorted(wanted.charts, key=lambda chart: (chart.name, chart.version))),
        packages=wanted.locked_packages(),
        leave_out=tuple(sorted(source.leave_out, key=lambda left: left.item)),
    )
    wants = tuple(
        Want(reference=image.reference, by=f"kubespray {image.name}") for image in locked.images
    )
    fetched = tuple(FileWant(file.url, file.digest, f"kubespray {file.name}") for file in files)
    python = PythonWant(
        requirements="".join(f"{line}\n" for line in locked.requirements),
        by=f"kubespray {source.version}",
        environment="kubespray",
    )
    return ResolvedKubespray(locked, fetched, wants, python)


def kubespray_opener(locked: LockedKubespray, context: SourceContext) -> Opener:
    """Return what makes the tree's tar again, for a build whose cache has lost it."""

    def opener(offset: int, *, mirrors: bool) -> BlobStream:  # noqa: ARG001 - it is always whole
        return WholeBytes(open_tree(locked, context).tar)

    return opener


def _check_version(source: KubespraySource, tree: Tree) -> None:
    """Compare the version with what the tree says; branches say what they will become."""
    try:
        found = str(yaml.safe_load(tree.require(_GALAXY))["version"])
    except (yaml.YAMLError, LookupError, TypeError) as error:
        raise FormatError(
            f"{tree.where}: {_GALAXY} does not state its version", "Is it a release of Kubespray?"
        ) from error
    if plain_version(source.version) != plain_version(found):
        raise DefinitionError(
            f"kubespray.version: expected {source.version}, found {found} in {tree.where}",
            "Correct the version, or the commit or digest.",
        )


def _check_hosts(results: list[dict[str, Any]], platforms: tuple[str, ...], where: str) -> None:
    """Refuse an inventory from which no cluster could come."""
    groups = {group for result in results for group in result.get("groups", ())}
    for group in ("kube_control_plane", "etcd", "kube_node"):
        if group not in groups and platforms:
            raise DefinitionError(
                f"kubespray.inventory: {where} has no host in the group {group}",
                "Kubespray needs hosts in kube_control_plane, etcd and kube_node.",
            )


def _check_closed(wanted: Wanted, charts: Iterable[ChartSource]) -> None:
    """Refuse what is wanted and would not be carried.

    Raises:
        DefinitionError: There is something; the error names all of it.
    """
    have = {KubesprayChart(name=chart.name, version=chart.version) for chart in charts}
    missing = [f"{item} ({advice})" for item, advice in wanted.unknown.items()]
    missing += [
        f"{item} (the chart {chart.name} {chart.version}, under charts:)"
        for chart, item in wanted.charts.items()
        if chart not in have
    ]
    if missing:
        raise DefinitionError(
            f"kubespray: the inventory needs what the bundle would lack: {'; '.join(missing)}",
            "Add it, or say under kubespray.leaveOut, by its item, why it is not needed or how it "
            "is carried.",
        )


def _requirements(tree: Tree) -> tuple[str, ...]:
    """Return what the tree's requirements name, without comments."""
    lines = tree.require(REQUIREMENTS).decode("utf-8", "replace").splitlines()
    plain = (line.partition("#")[0].strip() for line in lines)
    return tuple(line for line in plain if line)


def _files(wanted: Wanted, context: SourceContext) -> tuple[KubesprayFile, ...]:
    ordered = sorted(wanted.files.items(), key=lambda item: (item[0].name, item[0].url))
    return tuple(
        KubesprayFile(
            name=file.name,
            path=file.path,
            url=file.url,
            digest=_digest(file, context),
            checksum=file.checksum,
            platforms=tuple(sorted(platforms)),
        )
        for file, platforms in ordered
    )


def _digest(file: WantedFile, context: SourceContext) -> str:
    """Return the SHA-256 of a file; when Kubespray has only a SHA-512, it is fetched and read."""
    algorithm, _, expected = file.checksum.partition(":")
    if algorithm == "sha256":
        return PREFIX + expected
    state = hashlib.sha512()
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with keeping(context.store) as kept, context.client.open_url(file.url) as stream:
        while count := stream.readinto(buffer):
            state.update(buffer[:count])
            kept.write(buffer[:count])
        if state.hexdigest() != expected:
            raise DigestMismatchError(
                f"{file.url}: expected {file.checksum}, found sha512:{state.hexdigest()}",
                "The source sent other bytes than Kubespray expects; do not use it until you "
                "know why.",
            )
    return kept.content.digest
