"""Keys of a role that change, and who must sign then.

The names are those of theupdateframework/tuf-conformance.
Source: docs/adr/0012-tuf-conformance.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from tuf.api.metadata import (
    Root,
    Snapshot,
    Targets,
    Timestamp,
)

from bundle.base.errors import (
    IsowardError,
    SignatureError,
    ThresholdError,
    UnknownKeyError,
)
from tests.support.trust.tuf_simulator import (
    ROLES,
    Site,
    Vendor,
    person,
)
from tests.support.trust.tuf_verdicts import refused, stricter


@dataclass(frozen=True)
class Step:
    """A version: who holds the role, how many must sign, and who does, by number."""

    keys: list[int]
    threshold: int
    signed_by: list[int]


_FIVE = [0, 1, 2, 3, 4]
ROOT_ROTATIONS: dict[str, list[Step]] = {
    "1-of-1-key-rotation": [Step([1], 1, [1]), Step([2], 1, [2, 1]), Step([2], 1, [2])],
    "3-of-5-sign-with-different-keycombos": [
        Step(_FIVE, 3, [0, 2, 4]),
        Step(_FIVE, 3, [0, 4, 1]),
        Step(_FIVE, 3, [0, 1, 3]),
    ],
    "3-of-5-one-key-rotated": [Step(_FIVE, 3, [0, 2, 4]), Step([0, 1, 3, 4, 5], 3, [0, 4, 1])],
    "3-of-5-one-key-rotated-with-intermediate-step": [
        Step(_FIVE, 3, [0, 2, 4]),
        Step([0, 1, 3, 4, 5], 3, [0, 2, 4, 5]),
        Step([0, 1, 3, 4, 5], 3, [0, 4, 5]),
    ],
    "3-of-5-all-keys-rotated-with-intermediate-step": [
        Step(_FIVE, 3, [0, 2, 4]),
        Step([5, 6, 7, 8, 9], 3, [0, 2, 4, 5, 6, 7]),
        Step([5, 6, 7, 8, 9], 3, [5, 6, 7]),
    ],
    "1-of-3-threshold-increase-to-2-of-3": [Step([1, 2, 3], 1, [1]), Step([1, 2, 3], 2, [1, 2])],
    "2-of-3-threshold-decrease-to-1-of-3": [
        Step([1, 2, 3], 2, [1, 2]),
        Step([1, 2, 3], 1, [1, 2]),
        Step([1, 2, 3], 1, [1]),
    ],
    "1-of-2-threshold-increase-to-2-of-2": [Step([1], 1, [1]), Step([1, 2], 2, [1, 2])],
}
BAD_ROOT_ROTATIONS: dict[str, tuple[list[Step], type[IsowardError]]] = {
    "not-signed-with-old-key": ([Step([1], 1, [1]), Step([2], 1, [2])], SignatureError),
    "not-signed-with-new-key": ([Step([1], 1, [1]), Step([2], 1, [1])], SignatureError),
    "not-signed-with-3-new-keys": (
        [Step(_FIVE, 3, [0, 2, 4]), Step([0, 1, 3, 4, 5], 3, [0, 2, 4])],
        SignatureError,
    ),
    "not-signed-with-3-old-keys": (
        [Step(_FIVE, 3, [0, 2, 4]), Step([0, 1, 3, 4, 5], 3, [0, 4, 5])],
        SignatureError,
    ),
    "new-threshold-not-reached": (
        [Step([1, 2, 3], 1, [1]), Step([1, 2, 3], 2, [2])],
        SignatureError,
    ),
    "old-threshold-not-reached": (
        [Step([1, 2, 3], 2, [1, 2]), Step([1, 2, 3], 1, [1])],
        SignatureError,
    ),
}


def _rotate_root(vendor: Vendor, steps: list[Step]) -> None:
    people = [person(f"Root Holder {number}") for number in range(10)]
    vendor.roots.clear()
    vendor.root.version = 0
    for step in steps:
        vendor.set_keys(Root.type, [people[i] for i in step.keys], step.threshold)
        vendor.signers[Root.type] = [people[i] for i in step.signed_by]
        vendor.publish(Root.type)


@pytest.mark.parametrize("name", ROOT_ROTATIONS)
def test_root_rotation(vendor: Vendor, name: str) -> None:
    _rotate_root(vendor, ROOT_ROTATIONS[name])
    site = Site(vendor)
    site.take()
    assert site.state.roots[-1].encode() == vendor.roots[len(ROOT_ROTATIONS[name])]


@pytest.mark.parametrize("name", BAD_ROOT_ROTATIONS)
def test_root_rotation_fails(vendor: Vendor, name: str) -> None:
    steps, kind = BAD_ROOT_ROTATIONS[name]
    _rotate_root(vendor, steps)
    site = Site(vendor)
    refused(site, kind, "2.root.json")


def test_root_rotation_unused_signatures(vendor: Vendor, tmp_path: Path) -> None:
    """Stricter: a signature by nobody who may sign is refused, not passed over."""
    _rotate_root(vendor, [Step([1], 1, [1]), Step([2], 1, [3, 2, 1, 4])])
    stricter(vendor, Site(vendor), UnknownKeyError, "2.root.json", tmp_path)


ROTATIONS = {
    "1-of-1-key-rotation": Step([2], 1, [2]),
    "3-of-5-sign-first-combo": Step(_FIVE, 3, [0, 2, 4]),
    "3-of-5-sign-second-combo": Step(_FIVE, 3, [0, 4, 1]),
    "3-of-5-sign-third-combo": Step(_FIVE, 3, [0, 1, 3]),
    "3-of-5-sign-fourth-combo": Step(_FIVE, 3, [1, 2, 3]),
    "3-of-5-sign-fifth-combo": Step(_FIVE, 3, [2, 3, 4]),
}
BAD_ROTATIONS = {
    "1-of-1-key-rotation-fail-not-signed-with-new-key": (Step([2], 1, [1, 3, 4]), UnknownKeyError),
    "3-of-5-one-key-signature-wrong-not-signed-with-3-expected-keys": (
        Step([0, 1, 3, 4, 5], 3, [0, 2, 4]),
        UnknownKeyError,
    ),
    "2-of-5-one-key-signature-missing-threshold-not-reached": (
        Step([0, 1, 3, 4, 5], 3, [0, 4]),
        ThresholdError,
    ),
}


def _rotate(vendor: Vendor, role: str, step: Step) -> None:
    people = [person(f"Holder {number} of {role}") for number in range(10)]
    vendor.set_keys(role, [people[i] for i in step.keys], step.threshold)
    vendor.signers[role] = [people[i] for i in step.signed_by]
    vendor.publish(*ROLES)


@pytest.mark.parametrize("name", ROTATIONS)
def test_non_root_rotations(vendor: Vendor, site: Site, name: str) -> None:
    site.take()
    for role in (Timestamp.type, Snapshot.type, Targets.type):
        step = ROTATIONS[name]
        if role == Targets.type and step.threshold < 2:
            step = Step([1, 2], 2, [1, 2])  # no one person approves
        _rotate(vendor, role, step)
        site.take()
        assert site.version(role) == getattr(vendor, role).version


@pytest.mark.parametrize("role", [Timestamp.type, Snapshot.type, Targets.type])
@pytest.mark.parametrize("name", BAD_ROTATIONS)
def test_non_root_rotations_fail(vendor: Vendor, site: Site, name: str, role: str) -> None:
    site.take()
    step, kind = BAD_ROTATIONS[name]
    if role == Targets.type and step.threshold < 2:
        step = Step([2, 5], 2, [1, 3, 4])
    _rotate(vendor, role, step)
    refused(site, kind, f"{role}.json")


@pytest.mark.parametrize("role", [Timestamp.type, Snapshot.type, Targets.type])
def test_non_root_rotations_unused_signatures(
    vendor: Vendor, site: Site, tmp_path: Path, role: str
) -> None:
    """Stricter, as for the root."""
    _rotate(vendor, role, Step([1, 2], 2, [3, 1, 2, 4]))
    stricter(vendor, site, UnknownKeyError, f"{role}.json", tmp_path)
