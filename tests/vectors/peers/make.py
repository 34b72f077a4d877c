"""Makes a small, signed Zarf package with the real tool: see README.md beside this file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FILES = {
    "hello.txt": "hello from a package\n",
    "chart/Chart.yaml": "apiVersion: v2\nname: tiny\nversion: 0.1.0\n",
    "chart/values.yaml": "image: registry.example.org/app/tiny:1.0\n",
    "chart/templates/pod.yaml": (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: tiny}\n"
        'spec: {containers: [{name: tiny, image: "{{ .Values.image }}"}]}\n'
    ),
    "values.yaml": "image: registry.example.org/app/tiny:1.0\n",
    "ns.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: tiny}\n",
    "zarf.yaml": """\
kind: ZarfPackageConfig
metadata: {name: tiny, version: 1.2.3, description: A package for tests.}
components:
  - name: app
    required: true
    imageArchives:
      - {path: tiny.tar, images: ["registry.example.org/app/tiny:1.0"]}
    charts:
      - {name: tiny, version: 0.1.0, namespace: tiny, localPath: chart, valuesFiles: [values.yaml]}
    manifests:
      - {name: space, namespace: tiny, files: [ns.yaml]}
    files:
      - {source: hello.txt, target: /tmp/hello.txt}
    actions:
      onDeploy: {after: [{cmd: "true"}]}
""",
}
PASSWORD = "only-for-this-package"


def main(zarf: str, cosign: str, folder: Path) -> None:
    """Make the package, and the key that signs it, in a new folder."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    name = "registry.example.org/app/tiny:1.0"
    commands = (
        ["umoci", "init", "--layout", "layout"],
        ["umoci", "new", "--image", "layout:1"],
        ["umoci", "insert", "--image", "layout:1", "hello.txt", "/hello.txt"],
        ["umoci", "config", "--image", "layout:1", "--architecture", "amd64", "--os", "linux"],
        ["skopeo", "copy", "-q", "oci:layout:1", f"oci-archive:tiny.tar:{name}"],
        [cosign, "generate-key-pair"],
        [zarf, "package", "create", ".", "-a", "amd64", "--confirm", "-o", "out", "--skip-sbom",
         "--signing-key", "cosign.key", "--signing-key-pass", PASSWORD],
    )  # fmt: skip
    for command in commands:
        subprocess.run(
            command, cwd=folder, env={**os.environ, "COSIGN_PASSWORD": PASSWORD}, check=True
        )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
