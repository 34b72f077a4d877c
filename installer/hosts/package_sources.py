"""The packages that a machine gets: which of the bundle's, and the files that say where they are.

Source: apt's sources.list(5), apt-transport-mirror(1), apt.conf(5); dnf.conf(5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bundle.base.digest import digest_of
from bundle.base.errors import DigestMismatchError, StepError
from bundle.kinds.openpgp import separate_keys
from bundle.kinds.os_packages import OsEntry, OsPlace
from bundle.store.atomic import storage_errors
from installer.depot.directory import DepotDirectory
from installer.hosts.inquiry import System
from installer.hosts.site_ca import NODE_CA

_ARCHITECTURES: Final = {
    "apt": {"x86_64": "amd64", "aarch64": "arm64"},
    "rpm": {"x86_64": "x86_64", "aarch64": "aarch64"},
}
_ANY: Final = frozenset({"all", "noarch"})
_WRITTEN: Final = "# Written by `isoward install`, which makes it again; changes here are lost.\n"
_SIGNATURE: Final = "/repodata/repomd.xml.asc"

APT_SOURCES: Final = "/etc/apt/sources.list.d/isoward.sources"
APT_SETTINGS: Final = "/etc/apt/apt.conf.d/99isoward"
APT_KEYS: Final = "/etc/apt/keyrings"
APT_MIRRORS: Final = "/etc/apt/isoward"
DNF_REPOSITORIES: Final = "/etc/yum.repos.d/isoward.repo"
DNF_KEYS: Final = "/etc/pki/rpm-gpg"


@dataclass(frozen=True, slots=True)
class NodeFile:
    """A file that a node gets.

    Attributes:
        path: On the node.
        data: Its content.
    """

    path: str
    data: bytes


def sets_of(system: System, entries: Iterable[OsEntry]) -> tuple[OsEntry, ...]:
    """Return the sets of packages that are for a machine."""
    return tuple(
        entry
        for entry in entries
        if entry.release == system.release and _is_for(entry, system.architecture)
    )


def choose_sets(
    systems: Mapping[str, System], entries: Sequence[OsEntry], bundle: str
) -> dict[str, tuple[OsEntry, ...]]:
    """Return the sets of packages of each node.

    Args:
        systems: Each node's system by its name.
        entries: The bundle's.
        bundle: Its name and version, for messages.
    Raises:
        StepError: The bundle has none for a node; all such nodes are named.
    """
    chosen = {name: sets_of(system, entries) for name, system in systems.items()}
    lacking = [
        f"{name} ({systems[name].release}, {systems[name].architecture})"
        for name, found in chosen.items()
        if not found
    ]
    if lacking:
        carried = sorted({entry.release for entry in entries})
        raise StepError(
            f"the bundle {bundle} has packages of {', '.join(carried) or 'no release'}, and none "
            f"for {', '.join(lacking)}; nothing was changed on any node",
            "Reinstall these nodes with a release that the bundle has, or ask the vendor for one "
            "with osPackages of theirs.",
            {"nodes": len(lacking)},
        )
    return chosen


def package_files(
    entries: Sequence[OsEntry], depots: Sequence[str], keyrings: Mapping[str, bytes]
) -> list[NodeFile]:
    """Return the files that make the depots a machine's source of packages.

    Args:
        entries: Its sets; all of one kind.
        depots: Their addresses, the first one first.
        keyrings: The distribution's public keys by set.
    """
    if entries[0].kind == "rpm":
        return _dnf_files(entries, depots, keyrings)
    return _apt_files(entries, depots, keyrings)


def read_keyrings(entries: Iterable[OsEntry], depot: DepotDirectory) -> dict[str, bytes]:
    """Read the keyrings of sets from the depot's disk, whose content was verified; by set.

    Raises:
        DigestMismatchError: One was damaged since.
        StorageError: One cannot be read.
    """
    found = {}
    for entry in entries:
        path = depot.blob_path(entry.keyring.digest)
        with storage_errors(f"read {path}"):
            data = path.read_bytes()
        if digest_of(data) != entry.keyring.digest:
            raise DigestMismatchError(
                f"{path}: expected {entry.keyring.digest}, found {digest_of(data)}",
                "Import the bundle again.",
            )
        found[entry.name] = data
    return found


def _is_for(entry: OsEntry, machine: str) -> bool:
    built = {package.architecture for package in entry.packages} - _ANY
    return not built or _ARCHITECTURES[entry.kind].get(machine) in built


def _apt_files(
    entries: Sequence[OsEntry], depots: Sequence[str], keyrings: Mapping[str, bytes]
) -> list[NodeFile]:
    files, stanzas = [], []
    for entry in entries:
        key = f"{APT_KEYS}/isoward-{entry.name}.{entry.keyring.path.rpartition('.')[2]}"
        files.append(NodeFile(key, keyrings[entry.name]))
        for folder in sorted({place.folder for place in entry.repositories}):
            uri, mirrors = _apt_uri(entry.name, folder, depots)
            files += mirrors
            stanzas += [
                _apt_stanza(place, uri, key)
                for place in entry.repositories
                if place.folder == folder
            ]
    text = _WRITTEN + "\n".join(stanzas)
    recommends = any(entry.recommends for entry in entries)
    settings = _apt_settings(recommends=recommends, several=len(depots) > 1)
    return [
        *files,
        NodeFile(APT_SOURCES, text.encode()),
        NodeFile(APT_SETTINGS, settings.encode()),
    ]


def _apt_uri(name: str, folder: str, depots: Sequence[str]) -> tuple[str, list[NodeFile]]:
    """Return where a repository is, with the list of depots that apt then goes through.

    Two addresses in one stanza would be two sources, both of which must answer.
    """
    urls = [f"{depot}/os/{name}/{folder}/" for depot in depots]
    if len(urls) == 1:
        return urls[0], []
    path = f"{APT_MIRRORS}/{name}-{folder}.mirrors"
    lines = "".join(f"{url}\tpriority:{i}\n" for i, url in enumerate(urls, start=1))
    return f"mirror+file:{path}", [NodeFile(path, lines.encode())]


def _apt_stanza(place: OsPlace, uri: str, key: str) -> str:
    # A flat repository has none, and apt refuses the field for it.
    components = f"Components: {' '.join(place.components)}\n" if place.components else ""
    return (
        f"Types: deb\nURIs: {uri}\nSuites: {place.suite}\n{components}Signed-By: {key}\n"
        # Behind the gap a list is good for as long as the release that brought it. And a machine
        # may be set up for lists that the bundle does not carry, such as those of desktops.
        "Check-Valid-Until: no\nTargets: Packages\n"
    )


def _apt_settings(*, recommends: bool, several: bool) -> str:
    lines = {
        "Acquire::https::CAInfo": NODE_CA,
        "Acquire::https::Proxy": "DIRECT",
        "Acquire::Languages": "none",
        "APT::Install-Recommends": "true" if recommends else "false",
        "APT::Update::Error-Mode": "any",
    }
    if several:
        # The other depot is tried at once, instead of this one three times more.
        lines |= {"Acquire::Retries": "0", "Acquire::https::Timeout": "10"}
    return "// " + _WRITTEN[2:] + "".join(f'{key} "{value}";\n' for key, value in lines.items())


def _dnf_files(
    entries: Sequence[OsEntry], depots: Sequence[str], keyrings: Mapping[str, bytes]
) -> list[NodeFile]:
    files, stanzas = [], []
    for entry in entries:
        # rpm takes one key a file, in ASCII armour.
        keys = [
            NodeFile(f"{DNF_KEYS}/RPM-GPG-KEY-isoward-{entry.name}-{i}", text.encode())
            for i, text in enumerate(
                separate_keys(keyrings[entry.name], f"the keyring of {entry.name}"), start=1
            )
        ]
        files += keys
        stanzas += [_dnf_stanza(entry, place, depots, keys) for place in entry.repositories]
    text = _WRITTEN + "\n".join(stanzas)
    return [*files, NodeFile(DNF_REPOSITORIES, text.encode())]


def _dnf_stanza(
    entry: OsEntry, place: OsPlace, depots: Sequence[str], keys: Sequence[NodeFile]
) -> str:
    signed = any(
        file.path.startswith(f"{place.folder}/") and file.path.endswith(_SIGNATURE)
        for file in entry.files
    )
    urls = [f"{depot}/os/{entry.name}/{place.folder}/$basearch/" for depot in depots]
    values = {
        "name": f"{entry.name} {place.folder}, from the depot",
        # Tried in this order.
        "baseurl": "\n        ".join(urls),
        "enabled": "1",
        "gpgcheck": "1",
        "repo_gpgcheck": "1" if signed else "0",
        "gpgkey": "\n       ".join(f"file://{key.path}" for key in keys),
        "sslverify": "1",
        "sslcacert": NODE_CA,
        "proxy": "_none_",
        "skip_if_unavailable": "0",
    }
    lines = "".join(f"{name}={value}\n" for name, value in values.items())
    return f"[isoward-{entry.name}-{place.folder}]\n{lines}"
