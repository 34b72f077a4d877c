"""What Kubespray's variables say that an inventory wants; pure.

Kubespray fetches an item on a host when it is enabled and the host is in one of its groups
(roles/download/tasks/main.yml); so do we, over all hosts and platforms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from bundle.base.documents import Document, Url
from bundle.base.errors import DefinitionError, FormatError
from bundle.base.paths import is_inner_path
from bundle.base.reference import check_url, parse_reference
from bundle.kinds.kubespray import (
    MACHINES,
    Checksum,
    ItemName,
    KubesprayChart,
    KubesprayImage,
    KubesprayPackages,
    PackageName,
)
from bundler.sources.kubespray.gaps import GAPS
from bundler.sources.kubespray.playbook import MARK

_AGAIN: Final = "Check the item in Kubespray's downloads, and what the inventory overrides."
_TRUE: Final = frozenset({"true", "yes", "on", "1", "y", "t"})
"""What Ansible takes for true in a text."""


class WantedFile(Document, frozen=True, kw_only=True):
    """A file that a platform's nodes fetch, with Kubespray's checksum."""

    name: ItemName
    path: str
    url: Url
    checksum: Checksum


@dataclass(slots=True)
class Wanted:
    """Everything that is wanted, by what tells it apart.

    Attributes:
        files: The platforms of each file.
        images: The names of the items that want an image, by its full reference.
        charts: The item that wants a chart, by the chart.
        packages: By release.
        unknown: What a gap's item wants is not said anywhere; the advice by the item.
        left_out: Items that are wanted and the definition leaves out.
    """

    files: dict[WantedFile, set[str]] = field(default_factory=dict)
    images: dict[str, set[str]] = field(default_factory=dict)
    charts: dict[KubesprayChart, str] = field(default_factory=dict)
    packages: dict[str, set[str]] = field(default_factory=dict)
    unknown: dict[str, str] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)

    def locked_images(self) -> tuple[KubesprayImage, ...]:
        """Return the images as a lock has them."""
        pairs = [(name, ref) for ref, names in self.images.items() for name in names]
        return tuple(KubesprayImage(name=name, reference=ref) for name, ref in sorted(pairs))

    def locked_packages(self) -> tuple[KubesprayPackages, ...]:
        """Return the packages as a lock has them."""
        return tuple(
            KubesprayPackages(release=release, packages=tuple(sorted(names)))
            for release, names in sorted(self.packages.items())
        )


def collect(results: Iterable[Mapping[str, Any]], leave_out: Iterable[str]) -> Wanted:
    """Put together what was found for each host, platform and release.

    Args:
        results: What the playbook printed.
        leave_out: Items that the bundle does not carry.
    Raises:
        FormatError: An item has no address or checksum that can be carried.
        DefinitionError: Something is left out that nobody wants.
    """
    wanted, left_out = Wanted(), frozenset(leave_out)
    for result in results:
        subject = result[MARK]
        if subject in MACHINES:
            _add_downloads(wanted, result, subject, left_out)
            _add_kubeadm(wanted, result, left_out)
            _add_gaps(wanted, result, left_out)
        else:
            names = wanted.packages.setdefault(subject, set())
            names |= set(_convert(result["packages"], tuple[PackageName, ...], subject))
    idle = sorted(left_out - wanted.left_out)
    if idle:
        raise DefinitionError(
            f"kubespray.leaveOut: {idle[0]!r} is not needed by this inventory",
            "Remove the entry, or correct its name to that of the item.",
        )
    return wanted


def _add_downloads(
    wanted: Wanted, result: Mapping[str, Any], platform: str, left_out: frozenset[str]
) -> None:
    downloads, groups = result["downloads"], set(result["groups"])
    if not isinstance(downloads, dict):
        raise FormatError("Kubespray's downloads: expected a dictionary", _AGAIN)
    for name, item in downloads.items():
        if not _truth(item.get("enabled")) or groups.isdisjoint(item.get("groups") or ()):
            continue
        if name in left_out:
            wanted.left_out.add(name)
        elif _truth(item.get("container")):
            _add_image(wanted, name, _image_of(item))
        elif _truth(item.get("file")):
            file = _file(name, item, str(result["folder"]))
            wanted.files.setdefault(file, set()).add(platform)


def _add_kubeadm(wanted: Wanted, result: Mapping[str, Any], left_out: frozenset[str]) -> None:
    for reference in result["kubeadm"]:
        name = str(reference).rsplit("/", 1)[-1].partition(":")[0]
        if name in left_out:
            wanted.left_out.add(name)
        else:
            _add_image(wanted, name, str(reference))


def _add_gaps(wanted: Wanted, result: Mapping[str, Any], left_out: frozenset[str]) -> None:
    for gap in GAPS:
        found = result["gaps"][gap.item]
        if not _truth(found["wanted"]):
            continue
        if gap.item in left_out:
            wanted.left_out.add(gap.item)
        elif gap.chart is not None:
            name, version = found["found"][-2:]
            wanted.charts[KubesprayChart(name=str(name), version=str(version))] = gap.item
        elif gap.advice or not found["found"] or not all(found["found"]):
            wanted.unknown[gap.item] = gap.advice or "its role does not tell which images it starts"
        else:
            for reference in found["found"]:
                _add_image(wanted, gap.item, str(reference))


def _file(name: str, item: Mapping[str, Any], folder: str) -> WantedFile:
    """Return a file with its checksum, which it must have."""
    destination = str(item.get("dest") or "")
    path = destination.removeprefix(f"{folder.rstrip('/')}/")
    fields = {
        "name": name,
        "path": path,
        "url": item.get("url"),
        "checksum": _checksum(item.get("checksum")),
    }
    if not is_inner_path(path):
        raise FormatError(
            f"kubespray {name}: expected a destination below {folder}, found {destination[:200]!r}",
            _AGAIN,
        )
    file: WantedFile = _convert(fields, WantedFile, name)
    check_url(file.url, f"kubespray {name}")
    return file


def _checksum(value: object) -> object:
    """Return a checksum with its algorithm; one without is a SHA-256, as it was in v2.2x."""
    if isinstance(value, str) and value and ":" not in value:
        return f"sha256:{value}"
    return value


def _image_of(item: Mapping[str, Any]) -> str:
    """Return the reference by which a node pulls an image."""
    if item.get("sha256"):
        return f"{item.get('repo')}@sha256:{item['sha256']}"
    return f"{item.get('repo')}:{item.get('tag')}"


def _add_image(wanted: Wanted, name: str, reference: str) -> None:
    full = str(parse_reference(reference, f"kubespray {name}"))
    wanted.images.setdefault(full, set()).add(_convert(name, ItemName, name))


def _truth(value: object) -> bool:
    """Say what Ansible's `bool` says."""
    return value is True or value == 1 or str(value).lower() in _TRUE


def _convert(value: object, type_: Any, name: str) -> Any:
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise FormatError(f"kubespray {name}: {error}", _AGAIN) from error
