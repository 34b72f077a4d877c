"""A Helm chart archive turned into the OCI artifact that Helm itself would push, always the same.

Source: Helm, "Use OCI-based registries": config `application/vnd.cncf.helm.config.v1+json` is
Chart.yaml as JSON, the first layer is the archive, and a second one its provenance file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from bundle.base.canonical import canonical_json
from bundle.base.digest import digest_of
from bundle.base.limits import (
    MAX_CHART_BYTES,
    MAX_CHART_MEMBERS,
    MAX_CHART_YAML_BYTES,
)
from bundle.base.oci import OCI_MANIFEST
from bundler.model.chart_archive import CHART_YAML, chart_files, refuse
from bundler.model.yaml_go import GoYamlError, go_document, go_fields

CONFIG_TYPE: Final = "application/vnd.cncf.helm.config.v1+json"
LAYER_TYPE: Final = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
LAYER_TYPES: Final = frozenset({LAYER_TYPE, "application/tar+gzip"})
"""That Helm takes for the archive; before 3.7 it pushed charts with the second."""

PROVENANCE_TYPE: Final = "application/vnd.cncf.helm.chart.provenance.v1.prov"
_FIELDS: Final = (
    "name", "home", "sources", "version", "description", "keywords", "maintainers", "icon",
    "apiVersion", "condition", "tags", "appVersion", "deprecated", "annotations", "kubeVersion",
    "dependencies", "type",
)  # fmt: skip
"""Of Chart.yaml, that Helm knows."""


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
        where: Names the manifest in messages.
        provenance: Its provenance file, if it has one; a second layer, as `helm push` makes it.
    Raises:
        FormatError: Too large, not a chart archive, or without a sane Chart.yaml.
    """
    if len(archive) > MAX_CHART_BYTES:
        raise refuse(where, f"expected at most {MAX_CHART_BYTES} bytes, found {len(archive)}")
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
    """Return the chart's own Chart.yaml."""
    count = 0

    def take(_: int) -> None:
        nonlocal count
        count += 1
        if count > MAX_CHART_MEMBERS:
            raise refuse(where, f"it has more than {MAX_CHART_MEMBERS} files")

    def limit_of(path: str) -> int:
        return MAX_CHART_YAML_BYTES if path == CHART_YAML else 0

    files = chart_files(archive, where, limit_of, take)
    if CHART_YAML not in files:
        raise refuse(where, "it has no Chart.yaml")
    return files[CHART_YAML]


def chart_mapping(data: bytes, name: str, where: str) -> dict[str, Any]:
    """Read one of a chart's documents as Helm does, with every scalar as the text that it is there.

    Args:
        data: Untrusted, of bounded size.
        name: Of the document, such as `Chart.yaml`.
        where: The chart, for messages.
    Raises:
        FormatError: It is not YAML, or not a mapping.
    """
    try:
        tree = go_document(data)
    except GoYamlError as error:
        raise refuse(where, f"its {name} cannot be read: {error}") from error
    if tree is None and name != CHART_YAML:
        # Nothing but comments; to Helm that is a document that says nothing.
        return {}
    if not isinstance(tree, dict):
        raise refuse(where, f"its {name} is not a mapping")
    return tree


def _metadata(data: bytes, where: str) -> dict[str, Any]:
    """Read Chart.yaml, of which two fields are booleans."""
    tree = go_fields(chart_mapping(data, CHART_YAML, where), _FIELDS)
    metadata = {key: value for key, value in _said(tree).items() if value != ""}
    # As Helm takes a chart that does not say it.
    metadata.setdefault("apiVersion", "v1")
    for name in ("apiVersion", "name", "version"):
        if not isinstance(metadata.get(name), str):
            raise refuse(where, f"its Chart.yaml has no string in {name}")
    _truth(metadata, "deprecated", where)
    dependencies = metadata.get("dependencies", [])
    for dependency in dependencies if isinstance(dependencies, list) else []:
        if isinstance(dependency, dict):
            _truth(dependency, "enabled", where)
    return metadata


def _said(value: Any) -> Any:
    """Return it without the fields that are null, which say nothing."""
    if isinstance(value, dict):
        return {key: _said(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return ["" if inner is None else _said(inner) for inner in value]
    return value


def _truth(fields: dict[str, Any], name: str, where: str) -> None:
    if name not in fields:
        return
    value = str(fields[name]).lower()
    if value not in {"true", "false"}:
        raise refuse(where, f"its Chart.yaml has {name}: {value[:50]!r}, expected true or false")
    fields[name] = value == "true"
