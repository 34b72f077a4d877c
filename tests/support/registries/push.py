"""Pushing into a registry: images by skopeo, everything else by plain HTTP."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import urllib3

from tests.support.registries.oci import INDEX, MANIFEST, Artifact, sha256, write_layout

_ACCEPT = (
    INDEX,
    MANIFEST,
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


class PushError(RuntimeError):
    """The registry or skopeo refused; the message has what it said."""


class Pusher:
    """Pushes blobs and manifests as the OCI distribution specification says.

    Args:
        url: The registry, such as http://127.0.0.1:5000.
    """

    def __init__(self, url: str, pool: urllib3.PoolManager) -> None:
        self._url = url
        self._pool = pool

    def put(self, repository: str, artifact: Artifact, tag: str = "") -> str:
        """Push an artefact with all below it and return its digest."""
        for part in artifact.walk():
            for blob in part.blobs:
                self._blob(repository, blob.data)
            name = tag if part is artifact and tag else part.digest
            self.put_manifest(repository, name, part.data, part.media_type)
        return artifact.digest

    def move_tag(self, repository: str, tag: str, target: str) -> str:
        """Put a tag on the manifest that `target` (a tag or a digest) names; return its digest."""
        data, media_type = self.manifest(repository, target)
        self.put_manifest(repository, tag, data, media_type)
        return sha256(data)

    def manifest(self, repository: str, name: str) -> tuple[bytes, str]:
        """Return a manifest's bytes and media type."""
        answer = self._pool.request(
            "GET",
            f"{self._url}/v2/{repository}/manifests/{name}",
            headers={"Accept": ", ".join(_ACCEPT)},
        )
        self._expect(answer, 200)
        return answer.data, answer.headers["Content-Type"]

    def _blob(self, repository: str, data: bytes) -> None:
        digest = sha256(data)
        known = self._pool.request("HEAD", f"{self._url}/v2/{repository}/blobs/{digest}")
        if known.status == 200:
            return
        started = self._pool.request("POST", f"{self._url}/v2/{repository}/blobs/uploads/")
        self._expect(started, 202)
        where = urljoin(self._url, started.headers["Location"])
        where += ("&" if urlsplit(where).query else "?") + f"digest={digest}"
        kind = {"Content-Type": "application/octet-stream"}
        self._expect(self._pool.request("PUT", where, body=data, headers=kind), 201)

    def mount(self, repository: str, source: str, data: bytes) -> None:
        """Make what a manifest of `source` names known in another repository."""
        body = json.loads(data)
        for blob in (body["config"], *body["layers"]):
            query = f"mount={blob['digest']}&from={source}"
            where = f"{self._url}/v2/{repository}/blobs/uploads/?{query}"
            self._expect(self._pool.request("POST", where), 201)

    def put_manifest(self, repository: str, name: str, data: bytes, media_type: str) -> None:
        """Put a manifest under a tag or its digest."""
        where = f"{self._url}/v2/{repository}/manifests/{name}"
        headers = {"Content-Type": media_type}
        self._expect(self._pool.request("PUT", where, body=data, headers=headers), 201)

    def _expect(self, answer: urllib3.BaseHTTPResponse, status: int) -> None:
        if answer.status != status:
            raise PushError(f"expected {status}, found {answer.status}: {answer.data[:1000]!r}")


@contextmanager
def pusher(url: str) -> Iterator[Pusher]:
    """Open connections to a registry for the length of the block."""
    with urllib3.PoolManager() as pool:
        yield Pusher(url, pool)


def push_with_skopeo(host: str, repository: str, tag: str, artifact: Artifact, kind: str) -> str:
    """Push an image or an index with skopeo, as its publisher would; return its digest.

    Args:
        host: The registry, over plain HTTP.
        repository: Where to.
        tag: Under which tag.
        artifact: What.
        kind: `oci` keeps every byte; `v2s2` converts to Docker's schema 2.
    """
    keep = ["--all", "--preserve-digests"] if kind == "oci" else ["--format", kind]
    with tempfile.TemporaryDirectory() as name:
        layout = Path(name) / "layout"
        write_layout(layout, {tag: artifact})
        digest_file = Path(name) / "digest"
        argv = ["skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"]
        argv += [*keep, "--digestfile", str(digest_file), f"oci:{layout}:{tag}"]
        argv.append(f"docker://{host}/{repository}:{tag}")
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise PushError(f"{' '.join(argv)}:\n{done.stderr[-2000:]}")
        return digest_file.read_text(encoding="ascii").strip()
