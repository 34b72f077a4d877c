"""A Helm chart archive turned into the OCI artefact that Helm itself would push, always the same.

Source: Helm, "Use OCI-based registries": config `application/vnd.cncf.helm.config.v1+json` is
Chart.yaml as JSON, the first layer is the archive, and a second one its provenance file.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from dataclasses import dataclass
from typing import Any, Final

import yaml

from bundle.model.canonical import canonical_json
from bundle.model.digest import digest_of
from bundle.model.errors import FormatError
from bundle.model.limits import (
    MAX_CHART_BYTES,
    MAX_CHART_MEMBERS,
    MAX_CHART_UNPACKED_BYTES,
    MAX_CHART_YAML_BYTES,
    MIB,
)
from bundle.model.oci import OCI_MANIFEST
from bundle.model.yaml_strict import check_yaml_events

CONFIG_TYPE: Final = "application/vnd.cncf.helm.config.v1+json"
LAYER_TYPE: Final = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
PROVENANCE_TYPE: Final = "application/vnd.cncf.helm.chart.provenance.v1.prov"
_MAX_READ: Final = 2 * MIB
_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


@dataclass(frozen=True, slots=True)
class ChartArtifact:
    """A chart in OCI form.

    Attributes:
        name: From Chart.yaml.
        version: From Chart.yaml.
        config: Chart.yaml as canonical JSON.
        manifest: The OCI manifest, canonical JSON.
    """

    name: str
    version: str
    config: bytes
    manifest: bytes


def chart_artifact(archive: bytes, where: str, provenance: bytes | None = None) -> ChartArtifact:
    """Make the OCI config and manifest of a chart archive.

    Args:
        archive: The .tgz, already checked against its digest where one is known.
        where: What it is, for messages.
        provenance: Its provenance file, if it has one; a second layer, as `helm push` makes it.
    Raises:
        FormatError: Too large, not a chart archive, or without a sane Chart.yaml.
    """
    if len(archive) > MAX_CHART_BYTES:
        raise _refuse(where, f"expected at most {MAX_CHART_BYTES} bytes, found {len(archive)}")
    metadata = _metadata(_chart_yaml(archive, where), where)
    config = canonical_json(metadata)
    manifest = canonical_json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": _descriptor(CONFIG_TYPE, config),
            "layers": [
                _descriptor(LAYER_TYPE, archive),
                *([] if provenance is None else [_descriptor(PROVENANCE_TYPE, provenance)]),
            ],
            "annotations": {
                "org.opencontainers.image.title": metadata["name"],
                "org.opencontainers.image.version": metadata["version"],
            },
        }
    )
    return ChartArtifact(metadata["name"], metadata["version"], config, manifest)


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


def _chart_yaml(archive: bytes, where: str) -> bytes:
    """Find the one `<folder>/Chart.yaml`; nothing is unpacked to disk."""
    try:
        with (
            BoundedGzip(archive, where) as unpacked,
            tarfile.open(fileobj=unpacked, mode="r:") as tar,
        ):
            for count, member in enumerate(tar):
                if count >= MAX_CHART_MEMBERS:
                    raise _refuse(where, f"it has more than {MAX_CHART_MEMBERS} files")
                parts = member.name.removeprefix("./").split("/")
                if len(parts) == 2 and parts[1] == "Chart.yaml" and member.isfile():  # noqa: PLR2004
                    return _read_member(tar, member, where)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise _refuse(where, f"not a gzip-compressed tar archive ({error})") from error
    raise _refuse(where, "it has no Chart.yaml")


class BoundedGzip(gzip.GzipFile):
    """Refuses to give much at once or much in all: tarfile reads extended headers whole."""

    def __init__(self, archive: bytes, where: str) -> None:
        super().__init__(fileobj=io.BytesIO(archive), mode="rb")
        self._where = where

    def read(self, size: int | None = -1) -> bytes:
        """Read at most `size` bytes, which must be few."""
        if size is None or not 0 <= size <= _MAX_READ:
            raise _refuse(self._where, "it has a header that is far too large")
        self._check(self.tell() + size)
        return super().read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place that is not too far."""
        self._check(offset)
        return super().seek(offset, whence)

    def _check(self, position: int) -> None:
        if position > MAX_CHART_UNPACKED_BYTES:
            raise _refuse(self._where, "it unpacks to far more than its size")


def _read_member(tar: tarfile.TarFile, member: tarfile.TarInfo, where: str) -> bytes:
    stream = tar.extractfile(member)
    if stream is None or member.size > MAX_CHART_YAML_BYTES:
        raise _refuse(where, "its Chart.yaml is too large")
    return stream.read()


def chart_mapping(data: bytes, name: str, where: str) -> dict[str, Any]:
    """Read one of a chart's documents as Helm does, with every scalar as text.

    Args:
        data: Untrusted, of bounded size.
        name: Of the document, such as `Chart.yaml`.
        where: The chart, for messages.
    Raises:
        FormatError: It is not YAML, or not a mapping.
    """
    try:
        text = data.decode("utf-8")
        check_yaml_events(text, f"{where}: {name}", FormatError)
        tree = yaml.load(text, Loader=_LOADER)  # noqa: S506 - the base loader makes only text
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _refuse(where, f"its {name} is not YAML ({error})") from error
    if not isinstance(tree, dict):
        raise _refuse(where, f"its {name} is not a mapping")
    return tree


def _metadata(data: bytes, where: str) -> dict[str, Any]:
    """Read Chart.yaml, of which two fields are booleans."""
    tree = chart_mapping(data, "Chart.yaml", where)
    metadata = {key: value for key, value in tree.items() if value != ""}
    for field in ("apiVersion", "name", "version"):
        if not isinstance(metadata.get(field), str):
            raise _refuse(where, f"its Chart.yaml has no text in {field}")
    _truth(metadata, "deprecated", where)
    dependencies = metadata.get("dependencies", [])
    for dependency in dependencies if isinstance(dependencies, list) else []:
        if isinstance(dependency, dict):
            _truth(dependency, "enabled", where)
    return metadata


def _truth(fields: dict[str, Any], name: str, where: str) -> None:
    if name not in fields:
        return
    value = str(fields[name]).lower()
    if value not in {"true", "false"}:
        raise _refuse(where, f"its Chart.yaml has {name}: {value[:50]!r}, expected true or false")
    fields[name] = value == "true"


def _refuse(where: str, why: str) -> FormatError:
    return FormatError(f"{where}: not a chart that can be carried: {why}", "Check the chart.")
