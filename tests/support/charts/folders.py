"""Folders of charts, as people write them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.vectors.charts import DEPLOYMENT


def chart_yaml(name: str, version: str, dependencies: Sequence[Mapping[str, str]] = ()) -> str:
    """Return a Chart.yaml; of the dependencies each has its own fields."""
    lines = ["apiVersion: v2", f"name: {name}", f"version: {version}"]
    return "\n".join([*lines, *dependency_lines(dependencies)]) + "\n"


def chart_lock(dependencies: Sequence[Mapping[str, str]]) -> str:
    """Return a Chart.lock."""
    lines = ["digest: sha256:0", 'generated: "2026-01-02T03:04:05Z"']
    return "\n".join([*dependency_lines(dependencies), *lines]) + "\n"


def dependency_lines(dependencies: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the lines of a list of dependencies."""
    lines = ["dependencies:"] if dependencies else []
    for fields in dependencies:
        texts = [f'{key}: "{value}"' for key, value in fields.items()]
        lines += [f"  - {texts[0]}", *(f"    {text}" for text in texts[1:])]
    return lines


def write_chart(
    folder: Path,
    name: str,
    version: str,
    dependencies: Sequence[Mapping[str, str]] = (),
    files: Mapping[str, str] | None = None,
) -> Path:
    """Write a chart that renders one deployment; `files` come on top."""
    content = {
        "Chart.yaml": chart_yaml(name, version, dependencies),
        "values.yaml": (
            f"image: {{repository: registry.example.org/{name}, tag: '{version}'}}\n"
            "replicas: 1\ncommand: [sleep]\n"
        ),
        "templates/deployment.yaml": DEPLOYMENT.replace(
            "{{ .Release.Name }}", f"{{{{ .Release.Name }}}}-{name}", 1
        ),
        **(files or {}),
    }
    for path, text in content.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return folder


def listed(archive: bytes) -> list[str]:
    """Return the names in an archive, in its order."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        return tar.getnames()


def unpacked(archive: bytes) -> dict[str, bytes]:
    """Return the content of an archive by name."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        return {
            member.name: stream.read()
            for member in tar
            if (stream := tar.extractfile(member)) is not None
        }
