"""A Hauler manifest of a lock, by digests.

Source: Hauler 2.0, pkg/apis/hauler.cattle.io/v1.
"""

from __future__ import annotations

from typing import Any, Final

from bundle.base.reference import parse_reference
from bundle.base.yaml.strict import dump_yaml
from bundle.kinds.chart_source import LOCAL_CHARTS
from bundle.kinds.policy import rule_for
from bundle.model.lock import Lock
from bundler.formats.hauler import API_VERSIONS
from bundler.formats.image_list import left_out_images, pinned

_SEPARATOR: Final = "---\n"


def write_hauler(lock: Lock) -> tuple[str, tuple[str, ...]]:
    """Return the manifest, and what it cannot have; for a person.

    Images are named by digest, so Hauler fetches what the lock names or nothing. Hauler has no
    place for digests of charts and files.
    """
    notes: list[str] = list(left_out_images(lock.images))
    documents = []
    images = [
        _image(lock, image.reference, image.digest, notes)
        for image in lock.images
        if not image.origin
    ]
    charts = [
        {"name": c.name, "repoURL": c.repository, "version": c.version}
        for c in lock.charts
        if c.repository != LOCAL_CHARTS
    ]
    files = [{"path": file.url} for file in lock.files if file.url]
    local = len(lock.charts) - len(charts), len(lock.files) - len(files)
    notes += [f"{local[0]} charts from folders are left out"] * bool(local[0])
    notes += [f"{local[1]} files without an address are left out"] * bool(local[1])
    for kind, field, items in (
        ("Images", "images", images),
        ("Charts", "charts", charts),
        ("Files", "files", files),
    ):
        if items:
            documents.append(_document(lock, kind, field, items))
    others = (*lock.os_packages, *lock.python_packages)
    notes += [f"{len(others)} sets of packages are left out"] * bool(others)
    return _SEPARATOR.join(documents), tuple(notes)


def _document(lock: Lock, kind: str, field: str, items: list[dict[str, str]]) -> str:
    document: dict[str, Any] = {
        "apiVersion": API_VERSIONS[0],
        "kind": kind,
        "metadata": {"name": f"{lock.metadata.name}-{field}"},
        "spec": {field: items},
    }
    return dump_yaml(document)


def _image(lock: Lock, reference: str, digest: str, notes: list[str]) -> dict[str, str]:
    """Return an image with the identity that must have signed it, where Hauler can check that."""
    entry = {"name": pinned(reference, digest)}
    _, rule = rule_for(lock.signatures, parse_reference(reference).name)
    if rule is not None and rule.keyless is not None:
        keyless = rule.keyless
        if keyless.identity:
            entry["certificate-identity"] = keyless.identity
        if keyless.identity_regexp:
            entry["certificate-identity-regexp"] = keyless.identity_regexp
        entry["certificate-oidc-issuer"] = keyless.issuer
    elif rule is not None and rule.unsigned is None:
        notes.append(f"{reference}: its key is left out; it is pinned by digest")
    return entry
