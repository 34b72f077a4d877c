"""The one target, and what lies beside it or was left out.

The names are those of theupdateframework/tuf-conformance.
Source: docs/adr/0012-tuf-conformance.md.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Root,
    Targets,
)

from bundle.base.errors import (
    DigestMismatchError,
    SignatureError,
    SizeMismatchError,
    TrustError,
    UnexpectedFileError,
)
from tests.support.trust.tuf_simulator import (
    Site,
    Vendor,
    person,
)
from tests.support.trust.tuf_verdicts import ALL_BELOW, refused, stricter

# test_file_download: the one target of a bundle is bundle.json


def test_repository_substitutes_target_file(vendor: Vendor, site: Site) -> None:
    site.take()
    vendor.content = b"CONTENT"
    refused(site, DigestMismatchError, "bundle.json")
    vendor.content = b"longer than content" * 10
    refused(site, SizeMismatchError, "bundle.json")


def test_multiple_changes_to_target(vendor: Vendor, site: Site) -> None:
    for number in range(2, 6):
        vendor.content = f"content {number}".encode()
        vendor.name_target()
        vendor.publish(*ALL_BELOW)
        site.take()
        assert site.version(Targets.type) == number


def test_download_with_hash_algorithms(vendor: Vendor, site: Site) -> None:
    vendor.name_target("sha256", "sha512")
    vendor.publish(*ALL_BELOW)
    site.take()


@pytest.mark.parametrize("algorithm", ["sha384", "sha512", "blake2b-256"])
def test_download_with_another_hash_algorithm(
    vendor: Vendor, site: Site, tmp_path: Path, algorithm: str
) -> None:
    """Stricter: SHA-256 must be among them, since `sha256sum` is what an auditor has."""
    vendor.name_target(algorithm)
    vendor.publish(*ALL_BELOW)
    stricter(vendor, site, SignatureError, "by SHA-256", tmp_path)


def test_download_with_unknown_hash_algorithm(vendor: Vendor, site: Site) -> None:
    vendor.targets.targets["bundle.json"].hashes = {"sha256": "0" * 64, "no-such": "0" * 64}
    vendor.publish(*ALL_BELOW)
    assert site.refusal() is not None


# test_updater_delegation_graphs: a bundle has one target and nothing is delegated


def _delegate(vendor: Vendor) -> None:
    key = person("Delegate").public_key
    role = DelegatedRole("more", [key.keyid], 1, True, paths=["*"])
    vendor.targets.delegations = Delegations({key.keyid: key}, {"more": role})


def _second_target(vendor: Vendor) -> None:
    vendor.targets.targets["more"] = vendor.targets.targets["bundle.json"]


@pytest.mark.parametrize("change", [_delegate, _second_target])
def test_nothing_but_bundle_json_is_approved(
    vendor: Vendor, site: Site, tmp_path: Path, change: Callable[[Vendor], None]
) -> None:
    change(vendor)
    vendor.publish(*ALL_BELOW)
    stricter(vendor, site, SignatureError, "exactly one target", tmp_path)


# What the suite leaves to the repository, and a medium does not


def test_roots_without_the_one_in_the_middle(vendor: Vendor, site: Site) -> None:
    vendor.publish(Root.type)
    vendor.publish(Root.type)
    del vendor.roots[2]
    refused(site, UnexpectedFileError, "3.root.json")


def test_a_medium_from_before_the_newest_root(vendor: Vendor, site: Site) -> None:
    """The root that the site knows is in force, also when the medium does not bring it."""
    vendor.publish(Root.type)
    site.take()
    del vendor.roots[2]
    vendor.publish(*ALL_BELOW)
    site.take()
    assert site.version(Root.type) == 2


def test_a_root_of_the_same_version_and_other_content(vendor: Vendor, site: Site) -> None:
    vendor.publish(Root.type)
    site.take()
    vendor.root.expires += timedelta(days=1)
    vendor.put(Root.type)
    refused(site, SignatureError, "not the root this site enrolled")


def test_consistent_snapshots_are_refused(vendor: Vendor, site: Site) -> None:
    vendor.root.consistent_snapshot = True
    vendor.publish(Root.type)
    refused(site, TrustError, "consistent_snapshot")
