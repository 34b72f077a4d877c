"""Plain downloads: files by where they came from, Helm repositories, and those of OS packages.

Source: Helm, "The Chart Repository Guide": index.yaml, whose YAML is JSON here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from bundle.base.digest import hex_of
from bundle.base.errors import FormatError
from bundle.base.oci import OciManifest, parse_oci
from installer.depot.catalogue import Catalogue, Chart
from installer.serving.content import REVALIDATE, BlobBrokenError, BlobReader, logger
from installer.serving.http import Reply, Request, json_reply, reply, text_reply

_INDEX_NAME: Final = "index.yaml"
_PROVENANCE: Final = ".prov"
_CREATED: Final = "1970-01-01T00:00:00Z"
"""Helm wants a time; the bundle has none, and one that varies would change the index."""


class Downloads:
    """Answers below /files/, /charts/ and /os/ from one catalogue."""

    def __init__(self, catalogue: Catalogue, blobs: BlobReader) -> None:
        """Answer from `catalogue`, with content from `blobs`."""
        self._catalogue = catalogue
        self._blobs = blobs
        self._packages = {
            package.digest for entry in catalogue.os_entries.values() for package in entry.packages
        }

    def files(self, request: Request) -> Reply:
        """Answer a GET or HEAD below /files/; the folder itself is a list of what there is."""
        name = request.path.removeprefix("/files").removeprefix("/")
        if not name:
            return json_reply(200, {"files": self._file_list()}, {"cache-control": REVALIDATE})
        digest = self._catalogue.files.get(name)
        if digest is None:
            return _missing("no imported bundle has this file; /files/ lists what there is")
        return self._send(request, digest, "application/octet-stream")

    def other(self, top: str, request: Request) -> Reply:
        """Answer a GET or HEAD below a folder of a kind that has no answers of its own."""
        digest = self._catalogue.paths[top].get(request.path.removeprefix(f"/{top}/"))
        if digest is None:
            return _missing(f"no imported bundle has this below /{top}/")
        return self._send(request, digest, "application/octet-stream")

    def _file_list(self) -> list[dict[str, Any]]:
        return [
            {"path": f"/files/{quote(path)}", "digest": digest, "size": self._size(digest)}
            for path, digest in sorted(self._catalogue.files.items())
        ]

    def os_packages(self, request: Request) -> Reply:
        """Answer a GET or HEAD below /os/; the folder itself is a list of the repositories."""
        # apt asks for a path as the list has it, and many lists have `./pool/...`.
        path = "/".join(part for part in request.path.split("/")[2:] if part not in {"", "."})
        if not path:
            return json_reply(200, {"osPackages": self._os_list()}, {"cache-control": REVALIDATE})
        digest = self._catalogue.os_files.get(path)
        if digest is None:
            return _missing("no imported bundle has this file; /os/ lists the repositories")
        if digest in self._packages:
            return self._send(request, digest, "application/octet-stream")
        # What apt and dnf parse: lists, their signatures, keyrings.
        return self._send_document(request, digest, "application/octet-stream")

    def _os_list(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "release": entry.release,
                "kind": entry.kind,
                "keyring": f"/os/{name}/{entry.keyring.path}",
                "recommends": entry.recommends,
                "repositories": [
                    {
                        "path": f"/os/{name}/{place.folder}/",
                        "suite": place.suite or "",
                        "components": list(place.components),
                    }
                    for place in entry.repositories
                ],
                "packages": len(entry.packages),
            }
            for name, entry in sorted(self._catalogue.os_entries.items())
        ]

    def charts(self, request: Request) -> Reply:
        """Answer a GET or HEAD below /charts/.

        Raises:
            BlobBrokenError: A chart's metadata is damaged.
        """
        path = request.path.removeprefix("/charts").removeprefix("/")
        folder, _, file_name = path.rpartition("/")
        if folder:
            charts: Mapping[str, Chart] = self._catalogue.charts.get(folder, {})
        else:
            charts = self._catalogue.root_charts()
        if file_name == _INDEX_NAME and (charts or not folder):
            return self._chart_index(charts)
        chart = charts.get(file_name)
        if chart is not None:
            return self._send(request, chart.archive, "application/gzip")
        chart = charts.get(file_name.removesuffix(_PROVENANCE))
        if chart is not None and chart.provenance:
            return self._send_document(request, chart.provenance, "text/plain; charset=utf-8")
        choices = self._catalogue.chart_choices(file_name)
        if not folder and choices:
            return _missing("more than one chart has this name: " + ", ".join(choices))
        return _missing("no imported bundle has this chart; see /charts/index.yaml")

    def _chart_index(self, charts: Mapping[str, Chart]) -> Reply:
        entries: dict[str, list[dict[str, Any]]] = {}
        for _, chart in sorted(charts.items()):
            entries.setdefault(chart.name, []).append(self._chart_entry(chart))
        index = {"apiVersion": "v1", "entries": entries, "generated": _CREATED}
        body = json.dumps(index, indent=1, ensure_ascii=False).encode()
        headers = {"cache-control": REVALIDATE}
        return reply(200, body, "application/yaml; charset=utf-8", headers)

    def _chart_entry(self, chart: Chart) -> dict[str, Any]:
        return {
            **self._chart_metadata(chart),
            "name": chart.name,
            "version": chart.version,
            "digest": hex_of(chart.archive),
            "created": _CREATED,
            "urls": [quote(chart.file_name)],
        }

    def _chart_metadata(self, chart: Chart) -> dict[str, Any]:
        """Read the chart's own Chart.yaml, which its OCI config is."""
        data = self._blobs.read(chart.manifest, self._size(chart.manifest))
        try:
            manifest = parse_oci(data, chart.media_type, f"chart {chart.file_name}")
        except FormatError as error:
            logger.error("blob %s: %s", chart.manifest, error)
            raise BlobBrokenError(chart.manifest) from error
        if not isinstance(manifest, OciManifest) or manifest.config is None:
            return {}
        config = manifest.config.digest
        # Only what a bundle vouches for is read, whatever a manifest names.
        if config not in self._catalogue.sizes:
            return {}
        return self._blobs.read_json(config, self._size(config))

    def _send(self, request: Request, digest: str, content_type: str) -> Reply:
        headers = {"content-type": content_type, "cache-control": REVALIDATE}
        return self._blobs.send(request, digest, self._size(digest), headers)

    def _send_document(self, request: Request, digest: str, content_type: str) -> Reply:
        headers = {"content-type": content_type, "cache-control": REVALIDATE}
        return self._blobs.send_document(request, digest, self._size(digest), headers)

    def _size(self, digest: str) -> int:
        return self._catalogue.sizes[digest]


def _missing(text: str) -> Reply:
    return text_reply(404, text + "\n")
