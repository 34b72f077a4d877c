"""Lists of referrers: the referrers API and its fallback tags.

Source: OCI distribution-spec v1.1, "Listing Referrers" and "Referrers Tag Schema".
"""

from __future__ import annotations

import json
from typing import Any, Final

from bundle.base.digest import digest_of
from bundle.base.errors import FormatError
from bundle.base.oci import OCI_INDEX, parse_oci, referrer_descriptor
from installer.depot.catalogue import Catalogue, Repository
from installer.serving.content import REVALIDATE, BlobBrokenError, BlobReader, logger
from installer.serving.http import Reply, Request, not_modified, reply

_FILTERED: Final = {"oci-filters-applied": "artifactType"}


def referrers_reply(
    catalogue: Catalogue, blobs: BlobReader, repository: Repository, subject: str, wanted: str
) -> Reply:
    """Answer the referrers API; a subject that nobody refers to has an empty list, never a 404.

    Args:
        catalogue: For sizes.
        blobs: For the descriptors' annotations, which are in the referrers' manifests.
        repository: In which to look.
        subject: A checked digest.
        wanted: An artifactType to filter by, or an empty string.
    """
    found = descriptors(catalogue, blobs, repository, subject)
    # A plus sign that the client did not escape arrives as a space, which no media type has.
    wanted = wanted.replace(" ", "+")
    if wanted:
        found = [entry for entry in found if entry.get("artifactType") == wanted]
    return reply(200, _index(found), OCI_INDEX, _FILTERED if wanted else None)


def descriptors(
    catalogue: Catalogue, blobs: BlobReader, repository: Repository, subject: str
) -> list[dict[str, Any]]:
    """Describe the manifests of `repository` that name `subject` as their subject.

    What was found by a cosign tag or inside an index names no subject and is not listed, as it
    is not by the registry that it came from.

    Raises:
        BlobBrokenError: A referrer's manifest is damaged.
    """
    made = []
    for digest, entry in sorted(repository.referrers.get(subject, {}).items()):
        size = catalogue.sizes[digest]
        try:
            parsed = parse_oci(blobs.read(digest, size), entry.media_type, digest)
        except FormatError as error:
            logger.error("blob %s: %s", digest, error)
            raise BlobBrokenError(digest) from error
        if parsed.subject is not None and parsed.subject.digest == subject:
            made.append(referrer_descriptor(parsed, digest, size, entry.media_type))
    return made


def fallback_indexes(
    catalogue: Catalogue, blobs: BlobReader, repository: Repository
) -> dict[str, tuple[str, bytes]]:
    """Make the index (digest and bytes) of every fallback tag that the bundles carried."""
    made = {}
    for tag, subject in repository.fallbacks.items():
        data = _index(descriptors(catalogue, blobs, repository, subject))
        made[tag] = (digest_of(data), data)
    return made


def memory_reply(request: Request, data: bytes, digest: str, media_type: str) -> Reply:
    """Make a reply of a manifest that was made here."""
    headers = {
        "docker-content-digest": digest,
        "etag": f'"{digest}"',
        "cache-control": REVALIDATE,
    }
    return not_modified(request, digest, headers) or reply(200, data, media_type, headers)


def _index(entries: list[dict[str, Any]]) -> bytes:
    value = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
