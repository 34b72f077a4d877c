"""Much of everything: each would take all memory or all time of a reader that does not count.

Sparse files, so that nothing of it takes space on the disk.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.vectors.hostile.base import Family, Stage
from tests.vectors.hostile.states import state_file

case = Family("size")
IMPORT = ("import",)
"""Reads all that `verify` reads, but for blobs; a process each is slow."""
GIB = 1 << 30


def _sparse(name: str, size: int) -> Callable[[Stage], None]:
    return lambda stage: os.truncate(stage.bundle / name, size)


def _brackets(path: Path, count: int) -> None:
    path.write_bytes(b"[" * count + b"]" * count)


for _label, _name, _size in (
    ("bundle-json-of-4-gb", "bundle.json", 4 * GIB),
    ("sums-of-4-gb", "SHA256SUMS", 4 * GIB),
    ("readme-of-4-gb", "README.txt", 4 * GIB),
    ("index-of-4-gb", "index.json", 4 * GIB),
    ("root-of-4-gb", "trust/1.root.json", 4 * GIB),
    ("targets-of-4-gb", "trust/targets.json", 4 * GIB),
    ("timestamp-of-a-terabyte", "trust/timestamp.json", 1 << 40),
    ("provenance-of-4-gb", "attestations/provenance.dsse.json", 4 * GIB),
):
    case.add(_label, _sparse(_name, _size), "size-mismatch", _name, commands=IMPORT)


@case("size-mismatch", "blobs/sha256/")
def a_blob_of_4_tb(stage: Stage) -> None:
    os.truncate(stage.first_blob(), 1 << 42)


@case("size-mismatch", "blobs/sha256/", commands=IMPORT)
def an_oci_manifest_of_4_gb(stage: Stage) -> None:
    os.truncate(stage.oci_manifest(), 4 * GIB)


@case("damaged-state", "damaged", commands=IMPORT)
def a_state_of_4_gb(stage: Stage) -> None:
    os.truncate(state_file(stage), 4 * GIB)


@case("damaged-state", "damaged", commands=IMPORT)
def a_state_nested_100000_deep(stage: Stage) -> None:
    _brackets(state_file(stage), 100_000)


@case("size-mismatch", "bundle.json", commands=IMPORT)
def bundle_json_nested_100000_deep(stage: Stage) -> None:
    _brackets(stage.bundle / "bundle.json", 100_000)


@case("format", "bundle.json", commands=IMPORT)
def an_approved_bundle_json_nested_a_million_deep(stage: Stage) -> None:
    stage.release(b"[" * 1_000_000 + b"]" * 1_000_000)


@case("format", "bundle.json", commands=IMPORT)
def an_approved_bundle_json_of_30_mb(stage: Stage) -> None:
    stage.release(b'{"apiVersion":"' + b"x" * (30 << 20) + b'"}')


@case("format", "bundle.json", commands=IMPORT)
def an_approved_bundle_json_of_100000_blobs(stage: Stage) -> None:
    blobs = b",".join(b'{"digest":"sha256:%064x","size":1}' % i for i in range(100_000, 0, -1))
    data = (stage.bundle / "bundle.json").read_bytes()
    start, end = data.index(b'"blobs":[') + 9, data.index(b"]", data.index(b'"blobs":['))
    stage.release(data[:start] + blobs + data[end:])


@case("signature", "timestamp.json", commands=IMPORT)
def metadata_nested_200000_deep(stage: Stage) -> None:
    _brackets(stage.trust / "timestamp.json", 200_000)


@case("signature", "timestamp.json", commands=IMPORT)
def metadata_of_half_a_mb_of_objects(stage: Stage) -> None:
    body = b'{"signatures":[],"signed":{"_type":"timestamp","x":[%b0]}}'
    (stage.trust / "timestamp.json").write_bytes(body % (b"{}," * 150_000))


@case("signature", "1.root.json", commands=IMPORT)
def a_hundred_roots_of_half_a_mb(stage: Stage) -> None:
    for version in range(2, 103):
        os.truncate(_touched(stage.trust / f"{version}.root.json"), 512 * 1024)


def _touched(path: Path) -> Path:
    path.write_bytes(b"")
    return path


@case("unexpected-file", "trust", commands=IMPORT)
def twenty_thousand_files_in_trust(stage: Stage) -> None:
    for i in range(20_000):
        (stage.trust / f"{i}.x").touch()


@case("unexpected-file", "does not belong to the bundle", commands=IMPORT)
def twenty_thousand_files_among_blobs(stage: Stage) -> None:
    for i in range(20_000):
        (stage.bundle / "blobs/sha256" / f"{i:064x}").touch()


@case("unexpected-file", "attestations", commands=IMPORT)
def four_hundred_attestations_of_4_mb(stage: Stage) -> None:
    for i in range(400):
        os.truncate(_touched(stage.bundle / "attestations" / f"{i}.dsse.json"), 4 << 20)


@case("attestation", "attestations/", commands=IMPORT)
def three_hundred_attestations_of_60_kb(stage: Stage) -> None:
    for i in range(300):
        os.truncate(_touched(stage.bundle / "attestations" / f"{i}.dsse.json"), 60_000)


@case("definition", "policy.yaml", commands=IMPORT)
def a_policy_of_4_gb(stage: Stage) -> None:
    os.truncate(_touched(stage.depot / "policy.yaml"), 4 * GIB)


@case("definition", "policy.yaml", commands=IMPORT)
def a_policy_nested_100000_deep(stage: Stage) -> None:
    _brackets(stage.depot / "policy.yaml", 100_000)


@case("damaged-state", "ledger", commands=IMPORT)
def a_ledger_of_4_gb(stage: Stage) -> None:
    os.truncate(stage.depot / "trust/ledger.json", 4 * GIB)
