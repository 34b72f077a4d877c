"""A Helm chart archive turned into the OCI artefact that Helm itself would push, always the same.

Source: Helm, "Use OCI-based registries": config `application/vnd.cncf.helm.config.v1+json` is
Chart.yaml as JSON, the one layer is the archive.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from dataclasses import dataclass
from typing import Any, Final

import yaml

from bundle.model.canonical import canonical_json
from bundle.model.digest import digest_of
from bundle.model.errors import FormatError
from bundle.model.limits import MAX_CHART_BYTES, MAX_CHART_YAML_BYTES
from bundle.model.oci import OCI_MANIFEST

CONFIG_TYPE: Final = "application/vnd.cncf.helm.config.v1+json"
LAYER_TYPE: Final = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
_MAX_UNPACKED: Final = 16 * MAX_CHART_BYTES
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


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


def chart_artifact(archive: bytes, where: str) -> ChartArtifact:
    """Make the OCI config and manifest of a chart archive.

    Args:
        archive: The .tgz, already checked against its digest where one is known.
        where: What it is, for messages.
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
            "layers": [_descriptor(LAYER_TYPE, archive)],
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
    unpacked = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r|gz") as tar:
            for member in tar:
                unpacked += member.size
                if unpacked > _MAX_UNPACKED:
                    raise _refuse(where, "it unpacks to far more than its size")
                parts = member.name.removeprefix("./").split("/")
                if len(parts) == 2 and parts[1] == "Chart.yaml" and member.isfile():  # noqa: PLR2004
                    return _read_member(tar, member, where)
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise _refuse(where, f"not a gzip-compressed tar archive ({error})") from error
    raise _refuse(where, "it has no Chart.yaml")


def _read_member(tar: tarfile.TarFile, member: tarfile.TarInfo, where: str) -> bytes:
    stream = tar.extractfile(member)
    if stream is None or member.size > MAX_CHART_YAML_BYTES:
        raise _refuse(where, "its Chart.yaml is too large")
    return stream.read()


def _metadata(text: bytes, where: str) -> dict[str, Any]:
    try:
        # Dates and the like become text: JSON has no type for them, and Helm reads text there.
        tree = yaml.load(text, Loader=_TextLoader)  # noqa: S506 - derived from a safe loader
    except (yaml.YAMLError, ValueError, RecursionError, UnicodeDecodeError) as error:
        raise _refuse(where, f"its Chart.yaml is not YAML ({error})") from error
    if not isinstance(tree, dict):
        raise _refuse(where, "its Chart.yaml is not a mapping")
    for field in ("apiVersion", "name", "version"):
        if not isinstance(tree.get(field), str) or not tree[field]:
            raise _refuse(where, f"its Chart.yaml has no text in {field}")
    _check_plain(tree, where, depth=0)
    return tree


class _TextLoader(_LOADER):  # type: ignore[misc]  # the C loader where there is one
    """A safe loader that leaves timestamps as text."""


_TextLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _LOADER.yaml_implicit_resolvers.items()
}


def _check_plain(value: Any, where: str, depth: int) -> None:
    """Refuse what has no one spelling in JSON: odd keys, binary, not-a-number, great depth."""
    if depth > 16:  # noqa: PLR2004 - Chart.yaml needs three levels
        raise _refuse(where, "its Chart.yaml is nested too deeply")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise _refuse(where, f"its Chart.yaml has a key that is not text: {key!r}")
            _check_plain(item, where, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_plain(item, where, depth + 1)
    elif isinstance(value, float) or not isinstance(value, str | int | bool | type(None)):
        raise _refuse(where, f"its Chart.yaml has a value that is not plain: {value!r}")


def _refuse(where: str, why: str) -> FormatError:
    return FormatError(f"{where}: not a chart that can be carried: {why}", "Check the chart.")
