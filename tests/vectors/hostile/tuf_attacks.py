"""The attacks that TUF's specification lists, each as somebody with a medium could try it.

Source: TUF specification 1.0, section 1.5.2 "Goals to protect against specific attacks".
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from msgspec.structs import replace
from tuf.api.metadata import DelegatedRole, Delegations, MetaFile

from bundle.trust.site.state import STATES, load_states, save_state
from tests.support.trust.edit import reissue
from tests.support.trust.release_kit import make_release, now, trusted_bundle
from tests.vectors.hostile.base import Family, Stage

case = Family("tuf")
_FILES = ("targets.json", "snapshot.json", "timestamp.json")
MAX_SAFE = 2**53 - 1


@case("not-enrolled", "not enrolled any root")
def arbitrary_installation_by_another_vendor(stage: Stage) -> None:
    shutil.rmtree(stage.bundle)
    trusted_bundle(stage.bundle, make_release(stage.folder / "mallory"))


@case("digest-mismatch", "bundle.json")
def arbitrary_installation_of_another_manifest(stage: Stage) -> None:
    stage.raw("bundle.json", lambda data: data.replace(b"1.0.0", b"6.6.6"))


@case("unknown-key", "trust/targets.json")
def arbitrary_installation_below_the_right_root(stage: Stage) -> None:
    stage.raw("bundle.json", lambda data: data.replace(b"1.0.0", b"6.6.6"))
    stage.name("bundle.json", (stage.bundle / "bundle.json").read_bytes(), stage.kit.stranger)


@case("signature", "exactly one target")
def extraneous_dependency(stage: Stage) -> None:
    stage.name("extra.bin", b"extra", *stage.kit.approvers[:2])


@case("signature", "exactly one target")
def extraneous_delegation(stage: Stage) -> None:
    def delegate(metadata: Any) -> None:
        key = stage.kit.stranger.signer.public_key
        role = DelegatedRole("more", [key.keyid], 1, True, paths=["*"])
        metadata.signed.delegations = Delegations({key.keyid: key}, {"more": role})

    stage.edit("targets.json", delegate, *stage.kit.approvers[:2])


@case("unexpected-file", "trust/more.json")
def extraneous_metadata(stage: Stage) -> None:
    shutil.copy(stage.trust / "targets.json", stage.trust / "more.json")


@case("mixed-metadata", "targets.json")
def extraneous_name_in_snapshot(stage: Stage) -> None:
    def more(snapshot: Any) -> None:
        snapshot.meta["more.json"] = MetaFile(1)

    reissue(stage.bundle, stage.kit, more)


def _version(number: int) -> Any:
    def change(metadata: Any) -> None:
        metadata.signed.version = number

    return change


@case("signature", "timestamp.json")
def fast_forward_past_all_numbers(stage: Stage) -> None:
    stage.edit("timestamp.json", _version(MAX_SAFE + 1), stage.kit.builder)


@case("mixed-metadata", "targets.json")
def fast_forward_of_the_targets_version(stage: Stage) -> None:
    def change(snapshot: Any) -> None:
        snapshot.meta["targets.json"].version = MAX_SAFE

    reissue(stage.bundle, stage.kit, change)


@case("threshold", "targets.json")
def fast_forward_by_one_approver(stage: Stage) -> None:
    stage.edit("targets.json", _version(MAX_SAFE), stage.kit.approvers[0])
    reissue(stage.bundle, stage.kit, lambda s: s.meta.update({"targets.json": MetaFile(MAX_SAFE)}))


def _expire(metadata: Any) -> None:
    metadata.signed.expires = now() - timedelta(minutes=1)


@case("expired", "timestamp.json")
def indefinite_freeze_of_timestamp(stage: Stage) -> None:
    stage.edit("timestamp.json", _expire, stage.kit.builder)


@case("expired", "snapshot.json")
def indefinite_freeze_of_snapshot(stage: Stage) -> None:
    def expire(snapshot: Any) -> None:
        snapshot.expires = now() - timedelta(minutes=1)

    reissue(stage.bundle, stage.kit, expire)


@case("expired", "targets.json")
def indefinite_freeze_of_targets(stage: Stage) -> None:
    stage.edit("targets.json", _expire, *stage.kit.approvers[:2])


@case("clock", "clock")
def indefinite_freeze_by_the_clock(stage: Stage) -> None:
    folder = stage.depot / STATES
    (state,) = load_states(folder)
    save_state(folder, replace(state, last_seen=now() + timedelta(days=100)))


@case("expired", "timestamp.json")
def freeze_with_a_date_of_long_ago(stage: Stage) -> None:
    def change(metadata: Any) -> None:
        metadata.signed.expires = now().replace(year=1970)

    stage.edit("timestamp.json", change, stage.kit.builder)


for _file in ("1.root.json", *_FILES):

    def _remove(stage: Stage, name: str = _file) -> None:
        (stage.trust / name).unlink()

    _plain = _file.removesuffix(".json")
    case.add(f"malicious-mirror-without-{_plain}", _remove, "missing-blob", _file)


@case("missing-blob", "blobs/sha256/")
def malicious_mirror_without_content(stage: Stage) -> None:
    shutil.rmtree(stage.bundle / "blobs")


for _file in _FILES:

    def _mix(stage: Stage, name: str = _file) -> None:
        shutil.copy(stage.older / "trust" / name, stage.trust / name)

    case.add(f"mix-and-match-{_file.removesuffix('.json')}", _mix, "mixed-metadata", "trust/")


@case("mixed-metadata", "trust/targets.json")
def mix_and_match_bundle_and_targets(stage: Stage) -> None:
    shutil.copy(stage.older / "trust/targets.json", stage.trust / "targets.json")
    shutil.copy(stage.older / "bundle.json", stage.bundle / "bundle.json")


@case("digest-mismatch", "bundle.json")
def mix_and_match_bundle_alone(stage: Stage) -> None:
    shutil.copy(stage.older / "bundle.json", stage.bundle / "bundle.json")


def _replace_by_older(stage: Stage) -> None:
    shutil.rmtree(stage.bundle)
    shutil.copytree(stage.older, stage.bundle)


@case("rollback", "older")
def rollback_of_the_release(stage: Stage) -> None:
    stage.seen()
    _replace_by_older(stage)


@case("rollback", "older")
def rollback_by_the_builder(stage: Stage) -> None:
    """The builder's keys make new snapshots and timestamps, but no targets."""
    stage.seen()
    _replace_by_older(stage)
    reissue(stage.bundle, stage.kit, lambda s: setattr(s, "version", 1000))
    stage.edit("timestamp.json", _version(1000), stage.kit.builder)


@case("rollback", "older")
def rollback_of_timestamp(stage: Stage) -> None:
    before = (stage.trust / "timestamp.json").read_bytes()
    stage.edit("timestamp.json", _version(9), stage.kit.builder)
    _renew_sums(stage)
    stage.seen()
    (stage.trust / "timestamp.json").write_bytes(before)


@case("rollback", "older")
def rollback_of_snapshot(stage: Stage) -> None:
    reissue(stage.bundle, stage.kit, lambda s: setattr(s, "version", 9))
    _renew_sums(stage)
    stage.seen()
    reissue(stage.bundle, stage.kit, lambda s: setattr(s, "version", 8))


def _renew_sums(stage: Stage) -> None:
    from bundle.base.canonical import decode_canonical
    from bundle.model.manifest import Manifest
    from bundle.store.sums import write_sums

    data = (stage.bundle / "bundle.json").read_bytes()
    write_sums(stage.bundle, decode_canonical(data, Manifest, "bundle.json"))


@case("mixed-metadata", "targets.json")
def another_release_of_the_same_number(stage: Stage) -> None:
    stage.seen()

    def change(metadata: Any) -> None:
        metadata.signed.expires += timedelta(days=1)

    stage.edit("targets.json", change, *stage.kit.approvers[:2])


@case("mixed-metadata", "timestamp.json")
def another_timestamp_of_the_same_number(stage: Stage) -> None:
    stage.seen()

    def change(metadata: Any) -> None:
        metadata.signed.expires += timedelta(days=1)

    stage.edit("timestamp.json", change, stage.kit.builder)


for _file in ("1.root.json", *_FILES, "../SHA256SUMS"):

    def _pipe(stage: Stage, name: str = _file) -> None:
        (stage.trust / name).unlink()
        os.mkfifo(stage.trust / name)

    _plain = _file.removeprefix("../").removesuffix(".json")
    case.add(f"slow-retrieval-of-{_plain}", _pipe, "unsafe-path", _plain)


@case("threshold", "targets.json")
def compromise_of_one_approver_and_the_builder(stage: Stage) -> None:
    stage.raw("bundle.json", lambda data: data.replace(b"1.0.0", b"6.6.6"))
    data = (stage.bundle / "bundle.json").read_bytes()
    stage.name("bundle.json", data, stage.kit.approvers[0])
    stage.edit("targets.json", _version(4), stage.kit.approvers[0])
    reissue(stage.bundle, stage.kit, lambda s: s.meta.update({"targets.json": MetaFile(4)}))


@case("revoked-release", "was revoked by its approvers")
def a_release_that_was_taken_back(stage: Stage) -> None:
    from bundle.base.digest import digest_of
    from bundle.trust.metadata.restrictions import RevokedRelease

    folder = stage.depot / STATES
    (state,) = load_states(folder)
    digest = digest_of((stage.bundle / "bundle.json").read_bytes())
    entry = RevokedRelease(release=3, digest=digest, reason="leaks")
    save_state(folder, replace(state, revoked=(entry,)))


@case("wrong-site", "only")
def a_release_for_another_site(stage: Stage) -> None:
    _field(stage, "x-isoward-sites", ["another-site"])


def _field(stage: Stage, name: str, value: Any) -> None:
    def change(metadata: Any) -> None:
        metadata.signed.unrecognized_fields[name] = value

    stage.edit("targets.json", change, *stage.kit.approvers[:2])


def _with(name: str, value: Any) -> Callable[[Stage], None]:
    return lambda stage: _field(stage, name, value)


for _label, _value in {
    "an-empty-list": [],
    "a-text": "st-example",
    "a-path": ["../../etc"],
    "a-number": 5,
    "null": None,
    "thousands": [f"site{i}" for i in range(2000)],
}.items():
    case.add(f"sites-as-{_label}", _with("x-isoward-sites", _value), "signature", "x-isoward-sites")
for _label, _value in {
    "a-text": "all",
    "a-bad-digest": [{"release": 1, "digest": "sha256:..", "reason": "x"}],
    "a-negative-release": [{"release": -1, "digest": "sha256:" + "0" * 64, "reason": "x"}],
    "unknown-fields": [{"release": 1, "digest": "sha256:" + "0" * 64, "reason": "x", "y": 1}],
}.items():
    case.add(
        f"revoked-as-{_label}", _with("x-isoward-revoked", _value), "signature", "x-isoward-revoked"
    )
