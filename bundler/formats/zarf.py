"""Zarf packages: what they hold becomes content of a definition, from the unpacked folder.

Source: Zarf 0.84, src/api/v1alpha1 and "Package layout".
"""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from bundle.base.canonical import canonical_json
from bundle.base.digest import digest_of
from bundle.base.errors import FormatError, SignatureError
from bundle.base.limits import (
    MAX_CHART_BYTES,
    MAX_CHART_UNPACKED_BYTES,
    MAX_OCI_MANIFEST_BYTES,
    MIB,
)
from bundle.base.oci import OCI_INDEX
from bundle.base.reference import parse_reference
from bundle.kinds.chart_source import ChartSource
from bundle.kinds.files import FileSource
from bundle.kinds.images import ImageSource
from bundle.kinds.rendering import DEFAULT_NAMESPACE, Release
from bundle.store.atomic import storage_errors, write_atomic
from bundle.store.reading import read_bounded
from bundle.trust.upstream.public_keys import UpstreamKey, decode_base64, load_upstream_key
from bundle.trust.upstream.sigstore_bundle import KeyBundleVerifier
from bundle.trust.upstream.verdict import NotGoodError, Subject
from bundler.formats.converted import Converted, unique_images
from bundler.formats.yaml_lines import Located, read_documents
from bundler.formats.zarf_archive import SIGNATURES, Unpacked, check_aggregate, unpack_tar
from bundler.model.chart import chart_artifact
from bundler.sources.common.tar_members import tar_members
from bundler.sources.images.archive import StreamBytes

_KIND: Final = "ZarfPackageConfig"
_NAMES: Final = ("org.opencontainers.image.ref.name", "org.opencontainers.image.base.name")
_TOP: Final = frozenset(
    {"apiVersion", "kind", "metadata", "build", "components", "constants", "variables", "values",
     "documentation"}
)  # fmt: skip
_COMPONENT: Final = frozenset(
    {"name", "description", "default", "required", "only", "group", "import", "manifests",
     "charts", "dataInjections", "files", "images", "imageArchives", "repos", "scripts", "actions",
     "healthChecks", "stateAccess"}
)  # fmt: skip
_NOT_CARRIED: Final = {
    "actions": "commands run by Zarf at a deployment",
    "scripts": "commands run by Zarf at a deployment",
    "dataInjections": "data copied into running pods",
    "repos": "Git repositories",
    "healthChecks": "Zarf's health checks",
}
_MAX_SIGNATURE: Final = MIB


class _Index(msgspec.Struct, frozen=True):
    manifests: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ZarfPackage:
    """What a package says of itself.

    Attributes:
        name: Of the package.
        version: Of the package; empty when it has none.
        content: For a definition; paths are relative to the folder that the package's is in.
    """

    name: str
    version: str
    content: Converted


def read_package(unpacked: Unpacked, folder: Path, key: str | None) -> ZarfPackage:
    """Read an unpacked package.

    Args:
        unpacked: From `unpack_package`.
        folder: Where it lies; charts and components are unpacked within it.
        key: A public key in PEM that must have signed zarf.yaml; None when nobody asks.
    Raises:
        DefinitionError: zarf.yaml is malformed or has an unknown field.
        DigestMismatchError: It does not vouch for the rest.
        SignatureError: It is not signed by the key.
        FormatError: Something in the package cannot be carried.
    """
    top = _package(unpacked)
    metadata, build = top.at("metadata"), top.at("build")
    aggregate = metadata.at("aggregateChecksum").value or build.at("aggregateChecksum").value
    check_aggregate(str(aggregate), unpacked)
    notes = [_signature_note(unpacked, folder, key)]
    architecture = metadata.at("architecture").text(build.at("architecture").text("amd64"))
    charts: list[ChartSource] = []
    files: list[FileSource] = []
    for component in top.at("components").items():
        name = component.mapping(_COMPONENT).at("name").text()
        notes += _notes(component, name)
        tar = folder / "components" / f"{name}.tar"
        if f"components/{name}.tar" not in unpacked.digests:
            continue
        unpack_tar(tar, folder / "components")
        tar.unlink()
        charts += _charts(folder, component, name)
        files += _files(folder, name)
    content = Converted(
        images=unique_images(_images(folder)),
        charts=tuple({(c.name, c.version): c for c in charts}.values()),
        files=tuple(files),
        platforms=(f"linux/{architecture}",),
        notes=tuple(note for note in notes if note),
    )
    return ZarfPackage(metadata.at("name").text(), metadata.at("version").text(""), content)


def _package(unpacked: Unpacked) -> Located:
    documents = read_documents(unpacked.package, "zarf.yaml")
    if len(documents) != 1:
        raise FormatError("zarf.yaml: expected one document", "Is it a Zarf package?")
    top = documents[0].mapping(_TOP)
    if top.at("kind").text() != _KIND:
        raise top.at("kind").place.refuse(
            f"expected {_KIND}", "Zarf's own init package is not supported."
        )
    if top.at("build").at("differential").flag():
        raise top.at("build").place.refuse(
            "the package is differential: it omits what an older one contains",
            "Use the complete package.",
        )
    return top


def _signature_note(unpacked: Unpacked, folder: Path, key: str | None) -> str:
    present = [name for name in SIGNATURES if name in unpacked.digests]
    if key is None:
        return "its signature was not checked; --key does that" if present else ""
    if not present:
        raise SignatureError(
            "zarf.yaml: expected a signature, found none", "Ask the package's publisher."
        )
    try:
        verifier = load_upstream_key(key)
        path = folder / present[0]
        with storage_errors(f"read {path}"), path.open("rb") as file:
            data = file.read(_MAX_SIGNATURE)
        subject = Subject(digest_of(unpacked.package), "application/yaml", unpacked.package)
        if present[0] == SIGNATURES[0]:
            KeyBundleVerifier(verifier).bundle(data, subject)
        else:
            _verify_detached(verifier, data, unpacked.package)
    except NotGoodError as error:
        raise SignatureError(
            f"zarf.yaml: {present[0]}: {error}", "Ask the package's publisher for the right key."
        ) from error
    return f"zarf.yaml is signed by {verifier.fingerprint}"


def _verify_detached(key: UpstreamKey, data: bytes, package: bytes) -> None:
    signature = decode_base64(data.decode("ascii", "replace").strip(), "the signature")
    if not key.verify(signature, package):
        raise NotGoodError("it was not made by this key")


def _notes(component: Located, name: str) -> list[str]:
    return [
        f"component {name}: {field} are left out: {what}"
        for field, what in _NOT_CARRIED.items()
        if component.at(field).value
    ]


def _images(folder: Path) -> list[ImageSource]:
    """Name the images of the package's layout, each taken from there."""
    layout = folder / "images"
    index = layout / "index.json"
    if not index.is_file():
        return []
    data = read_bounded(index, MAX_OCI_MANIFEST_BYTES)
    try:
        entries = msgspec.json.decode(data, type=_Index).manifests
    except msgspec.MsgspecError as error:
        raise FormatError(f"images/index.json: {error}", "Create the package again.") from error
    found = []
    for entry in entries:
        notes = entry["annotations"] = dict(entry.get("annotations") or {})
        name = next((str(notes[key]) for key in _NAMES if notes.get(key)), "")
        if not name:
            raise FormatError(
                "images/index.json: an image has no name", "Create the package again."
            )
        # Older packages have it as the base's name, where no reader of a layout looks for it.
        notes[_NAMES[0]] = name
        reference = str(parse_reference(name, "images/index.json"))
        found.append(ImageSource(reference=reference, archive=f"{folder.name}/images", name=name))
    named = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    write_atomic(index, canonical_json(named))
    return found


def _charts(folder: Path, said: Located, component: str) -> list[ChartSource]:
    """Unpack a component's charts, which are packed again from their folders."""
    found = []
    base = folder / "components" / component
    releases = {
        f"{chart.at('name').text()}-{chart.at('version').text('')}": chart
        for chart in said.at("charts").items()
    }
    for archive in sorted((base / "charts").glob("*.tgz")):
        data = read_bounded(archive, MAX_CHART_BYTES)
        made = chart_artifact(data, archive.name)
        stem = archive.name.removesuffix(".tgz")
        _unpack_chart(data, archive.name, base / "charts" / stem)
        archive.unlink()
        inner = f"{folder.name}/components/{component}"
        found.append(
            ChartSource(
                name=made.name,
                version=made.version,
                path=f"{inner}/charts/{stem}/{made.name}",
                release=_release(releases[stem], made.name) if stem in releases else None,
                values=tuple(f"{inner}/values/{name}" for name in _values(base, stem)),
            )
        )
    return found


def _release(said: Located, name: str) -> Release:
    namespace = said.at("namespace").text(DEFAULT_NAMESPACE)
    return Release(name=said.at("releaseName").text(name), namespace=namespace)


def _values(base: Path, stem: str) -> list[str]:
    """Name the values files of a chart, in their order."""
    numbered = {
        int(path.name.removeprefix(f"{stem}-")): path.name
        for path in (base / "values").glob(f"{stem}-*")
        if path.name.removeprefix(f"{stem}-").isdecimal()
    }
    return [numbered[number] for number in sorted(numbered)]


def _unpack_chart(data: bytes, where: str, target: Path) -> None:
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as unpacked:
        source = StreamBytes(where, unpacked)
        rest = MAX_CHART_UNPACKED_BYTES
        for member in tar_members(source, where):
            rest -= member.size
            if member.link or rest < 0:
                what = "a link" if member.link else "the chart unpacks to too much"
                raise FormatError(f"{where}: {member.name[:200]!r}: {what}", "Create it again.")
            path = target / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(source.read(member.size))


def _files(folder: Path, component: str) -> list[FileSource]:
    """Name a component's files and manifests; values go with their chart."""
    base = folder / "components" / component
    found = []
    for kind in ("files", "manifests"):
        for path in sorted(p for p in (base / kind).rglob("*") if p.is_file()):
            inner = path.relative_to(base)
            found.append(
                FileSource(
                    path=f"{folder.name}/components/{component}/{inner.as_posix()}",
                    name="-".join((component, *inner.parts)),
                )
            )
    return found
