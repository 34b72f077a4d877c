"""Small real Helm charts, written here and packed the same way every time."""

from __future__ import annotations

import gzip
import io
import tarfile
from dataclasses import dataclass

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicas }}
  selector:
    matchLabels: {app: {{ .Release.Name }}}
  template:
    metadata:
      labels: {app: {{ .Release.Name }}}
    spec:
      containers:
        - name: main
          image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
          command: {{ .Values.command | toJson }}
"""
_SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
spec:
  selector: {app: {{ .Release.Name }}}
  ports:
    - port: {{ .Values.port }}
"""


@dataclass(frozen=True)
class Chart:
    """A chart to be packed.

    Attributes:
        name: As in Chart.yaml.
        version: As in Chart.yaml; may have a `+build` part.
        image: Repository of the image that it runs.
        service: Whether it has a service besides the deployment.
    """

    name: str
    version: str
    image: str
    service: bool = False

    @property
    def filename(self) -> str:
        """Return the name that `helm package` gives it."""
        return f"{self.name}-{self.version}.tgz"

    @property
    def metadata(self) -> dict[str, str]:
        """Return what stands in Chart.yaml."""
        return {
            "apiVersion": "v2",
            "name": self.name,
            "description": f"Runs {self.image}",
            "type": "application",
            "version": self.version,
            "appVersion": "12",
        }

    def archive(self) -> bytes:
        """Return the chart as `helm package` would write it, but with no time in it."""
        lines = [f'{key}: "{value}"' for key, value in self.metadata.items()]
        members = {
            "Chart.yaml": "\n".join(lines) + "\n",
            "values.yaml": _values(self.image),
            "templates/deployment.yaml": DEPLOYMENT,
        }
        if self.service:
            members["templates/service.yaml"] = _SERVICE
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path, text in members.items():
                info = tarfile.TarInfo(f"{self.name}/{path}")
                info.size = len(text.encode())
                tar.addfile(info, io.BytesIO(text.encode()))
        return gzip.compress(buffer.getvalue(), mtime=0)


def _values(image: str) -> str:
    return (
        f"image:\n  repository: {image}\n  tag: '12'\nreplicas: 1\nport: 8080\n"
        "command: [sh, -c, 'while true; do sleep 3600; done']\n"
    )


def repository_index(charts: dict[Chart, str], *, base: str) -> bytes:
    """Return the index.yaml of an HTTP Helm repository.

    Args:
        charts: The digest of each chart's archive.
        base: Put before each file name; empty for addresses relative to the repository.
    """
    lines = ["apiVersion: v1", "entries:"]
    for name in sorted({chart.name for chart in charts}):
        lines.append(f"  {name}:")
        for chart in (c for c in charts if c.name == name):
            lines.append(f"    - apiVersion: v2\n      name: {name}")
            lines.append(f'      version: "{chart.version}"\n      appVersion: "12"')
            lines.append(f"      digest: {charts[chart].removeprefix('sha256:')}")
            lines.append("      created: '2025-01-01T00:00:00Z'")
            lines.append(f"      urls: ['{base}{chart.filename}']")
    lines.append("generated: '2025-01-01T00:00:00Z'")
    return ("\n".join(lines) + "\n").encode()
