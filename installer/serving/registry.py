"""The pull side of an OCI registry.

Source: OCI distribution-spec v1.1, "Pull", "Content Discovery" and "Error Codes".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote

from bundle.base.digest import is_digest
from bundle.base.oci import OCI_INDEX
from bundle.base.reference import is_repository, is_tag
from installer.depot.catalogue import Catalogue, Choice, Repository
from installer.serving.content import IMMUTABLE, REVALIDATE, BlobReader
from installer.serving.http import Reply, Request, json_reply
from installer.serving.referrers import fallback_indexes, memory_reply, referrers_reply
from installer.serving.replies import API_HEADERS, error_reply

_MAX_PAGE: Final = 1000
"""Names in one page of a list, whatever the client asks for."""


class Registry:
    """Answers below /v2/ from one catalogue."""

    def __init__(self, catalogue: Catalogue, blobs: BlobReader) -> None:
        """Answer from `catalogue`, with content from `blobs`."""
        self._catalogue = catalogue
        self._blobs = blobs

    def answer(self, request: Request) -> Reply:
        """Answer a GET or HEAD below /v2/.

        Raises:
            BlobBrokenError: A manifest that had to be read is damaged.
            ValueError: The query has too many fields.
        """
        rest = request.path.removeprefix("/v2").removeprefix("/")
        if not rest:
            return json_reply(200, {}, API_HEADERS)
        if rest == "_catalog":
            names = (found.full_name for found in self._catalogue.repositories.values())
            return self._page(request, "/v2/_catalog", "repositories", names=names, body={})
        # From the right: `manifests` and `blobs` may also be parts of a repository's name.
        name, kind, target = ["", "", *rest.rsplit("/", 2)][-3:]
        if kind == "tags" and target == "list":
            kind = "list"
        if kind not in {"manifests", "blobs", "referrers", "list"} or not name:
            return error_reply(404, "UNSUPPORTED", "the registry API has no such path")
        return self._below(request, name, kind, target)

    def _below(self, request: Request, name: str, kind: str, target: str) -> Reply:
        if not is_repository(name):
            return error_reply(400, "NAME_INVALID", "not a repository name", name[:300])
        choice = self._catalogue.find(name, request.fields().get("ns", ""))
        repository = choice.repository
        if repository is None:
            return _unknown_name(name, choice)
        if kind == "list":
            names = (*repository.tags, *repository.fallbacks)
            return self._page(
                request, f"/v2/{name}/tags/list", "tags", names=names, body={"name": name}
            )
        if kind == "manifests":
            return self._manifest(request, repository, target)
        return self._by_digest(request, repository, kind, target)

    def _by_digest(self, request: Request, repository: Repository, kind: str, target: str) -> Reply:
        if not is_digest(target):
            return _bad_digest(target)
        if kind == "referrers":
            wanted = request.fields().get("artifactType", "")
            return referrers_reply(
                self._catalogue, self._blobs, repository, subject=target, wanted=wanted
            )
        return self._blob(request, target)

    def _blob(self, request: Request, digest: str) -> Reply:
        size = self._catalogue.sizes.get(digest)
        if size is None:
            return error_reply(
                404, "BLOB_UNKNOWN", "no imported bundle has this blob", {"digest": digest}
            )
        headers = {"content-type": "application/octet-stream", "cache-control": IMMUTABLE}
        return self._blobs.send(request, digest, size, {**API_HEADERS, **headers})

    def _manifest(self, request: Request, repository: Repository, target: str) -> Reply:
        if ":" in target and not is_digest(target):
            return _bad_digest(target)
        by_digest = is_digest(target)
        digest = target if by_digest else repository.tags.get(target, "")
        media_type = repository.manifests.get(digest)
        if media_type is None:
            return self._fallback(request, repository, target)
        headers = {
            **API_HEADERS,
            "content-type": media_type,
            "cache-control": IMMUTABLE if by_digest else REVALIDATE,
        }
        return self._blobs.send_document(request, digest, self._catalogue.sizes[digest], headers)

    def _fallback(self, request: Request, repository: Repository, target: str) -> Reply:
        """Answer for the tag under which upstream listed referrers, or for that list's digest.

        The list is made here from what the bundle carries, so its digest is not upstream's.
        """
        indexes = fallback_indexes(self._catalogue, self._blobs, repository)
        for tag, (digest, data) in indexes.items():
            if target in {tag, digest}:
                return memory_reply(request, data, digest, OCI_INDEX)
        if not is_digest(target) and not is_tag(target):
            return error_reply(404, "MANIFEST_UNKNOWN", "not a tag", {"reference": target[:300]})
        return error_reply(
            404,
            "MANIFEST_UNKNOWN",
            "no imported bundle has this manifest in this repository; if it is of another platform "
            "of an index, it did not travel: ask for yours",
            {"name": repository.full_name, "reference": target},
        )

    def _page(
        self,
        request: Request,
        path: str,
        key: str,
        names: Iterable[str],
        body: dict[str, Any],
    ) -> Reply:
        """Answer with a page of a sorted list and where the next one is."""
        fields = request.fields()
        wanted = fields.get("n", str(_MAX_PAGE))
        # ASCII digits only: str.isdigit also takes those that int refuses.
        if not (wanted.isascii() and wanted.isdigit() and len(wanted) <= 9):  # noqa: PLR2004
            return error_reply(
                400, "PAGINATION_NUMBER_INVALID", "n must be a number", {"n": wanted[:100]}
            )
        count = min(int(wanted), _MAX_PAGE)
        last = fields.get("last", "")
        rest = [name for name in sorted(set(names)) if name > last]
        page = rest[:count]
        headers = dict(API_HEADERS)
        if page and len(rest) > count:
            following = f"{path}?n={count}&last={quote(page[-1], safe='')}"
            if namespace := fields.get("ns", ""):
                following += f"&ns={quote(namespace, safe='')}"
            headers["link"] = f'<{following}>; rel="next"'
        return json_reply(200, {**body, key: page}, headers)


def _unknown_name(name: str, choice: Choice) -> Reply:
    detail: dict[str, Any] = {"name": name}
    message = "no imported bundle has this repository"
    if choice.choices:
        message = "more than one registry has this repository; put the registry's name in front"
        detail["choices"] = list(choice.choices)
    return error_reply(404, "NAME_UNKNOWN", message, detail)


def _bad_digest(target: str) -> Reply:
    return error_reply(400, "DIGEST_INVALID", "expected sha256:<64 hex>", {"digest": target[:300]})
