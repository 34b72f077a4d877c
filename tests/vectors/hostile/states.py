"""States of a site: damaged, cut short, of another root, put back, replaced by a link."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bundle.base.canonical import canonical_digest, canonical_json
from tests.support.depot.imported import import_now
from tests.support.trust.release_kit import enrolled, make_release
from tests.vectors.hostile.base import Family, Stage

case = Family("state")
IMPORT = ("import",)


def state_file(stage: Stage) -> Path:
    return next(path for path in (stage.depot / "trust").glob("*.json") if len(path.stem) == 64)


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Stage], None]:
    def make(stage: Stage) -> None:
        path = state_file(stage)
        path.write_bytes(change(path.read_bytes()))

    return make


def _body(change: Callable[[dict[str, Any]], Any]) -> Callable[[Stage], None]:
    """Change the state as somebody who knows how its checksum is made."""

    def edit(data: bytes) -> bytes:
        body = json.loads(data)
        change(body["state"])
        body["checksum"] = canonical_digest(body["state"])
        return canonical_json(body)

    return _bytes(edit)


for _label, _change in {
    "empty": lambda d: b"",
    "cut-short": lambda d: d[:-1],
    "half": lambda d: d[: len(d) // 2],
    "zeros": lambda d: bytes(len(d)),
    "with-a-flipped-bit": lambda d: d.replace(b"lastSeen", b"lastSeem"),
    "of-other-digits": lambda d: d.replace(b'"lastSeen":"20', b'"lastSeen":"19'),
    "with-a-line-end": lambda d: d + b"\n",
    "indented": lambda d: json.dumps(json.loads(d), indent=1).encode(),
    "twice": lambda d: d + d,
    "with-a-key-twice": lambda d: d.replace(b'"state":', b'"state":{},"state":', 1),
    "with-an-unknown-key": lambda d: d[:-1] + b',"x":1}',
    "nested-deep": lambda d: b'{"a":' * 100_000,
    "utf-16": lambda d: d.decode().encode("utf-16"),
    "with-another-checksum": lambda d: d.replace(b"sha256:", b"sha256:" + b"0" * 64 + b"x", 1),
}.items():
    case.add(_label, _bytes(_change), "damaged-state", "damaged")
for _label, _edit in {
    "with-the-root-of-nobody": lambda s: s.update(roots=["{}"]),
    "without-roots": lambda s: s.update(roots=[]),
    "with-another-fingerprint": lambda s: s.update(fingerprint="sha256:" + "0" * 64),
    "with-a-release-of-minus-one": lambda s: s.update(
        accepted=[
            {"digest": "sha256:" + "0" * 64, "release": -1, "rootVersion": 1, "at": s["lastSeen"]}
        ]
    ),
    "with-a-floor-of-a-float": lambda s: s.update(floor=1.5),
    "with-a-time-without-a-zone": lambda s: s.update(lastSeen="2026-01-01T00:00:00"),
    "with-a-site-that-is-too-long": lambda s: s.update(site="x" * 64),
}.items():
    case.add(_label, _body(_edit), "damaged-state", "damaged")

case.add(
    "with-a-time-of-the-year-9999",
    _body(lambda s: s.update(lastSeen="9999-12-31T23:59:59Z")),
    "clock",
    "clock",
)
case.add("with-a-floor-above-the-release", _body(lambda s: s.update(floor=9)), "rollback", "older")


@case("lost-state", "is missing")
def taken_away(stage: Stage) -> None:
    state_file(stage).unlink()


@case("lost-state", "is missing")
def taken_away_with_the_ledger(stage: Stage) -> None:
    stage.seen()
    for path in (stage.depot / "trust").iterdir():
        path.unlink()


@case("not-enrolled", "enrolled")
def a_site_that_never_enrolled(stage: Stage) -> None:
    shutil.rmtree(stage.depot)


@case("damaged-state", "belongs to another root")
def under_the_name_of_another_root(stage: Stage) -> None:
    path = state_file(stage)
    path.rename(path.with_name("ab" * 32 + ".json"))


@case("lost-state", "is missing")
def exchanged_for_the_state_of_another_vendor(stage: Stage) -> None:
    other = stage.folder / "elsewhere"
    enrolled(other, make_release(stage.folder / "mallory"))
    path = state_file(stage)
    (theirs,) = (p for p in (other / "trust").glob("*.json") if len(p.stem) == 64)
    path.unlink()
    shutil.copy(theirs, path.parent / theirs.name)


@case("damaged-state", "older than")
def an_older_copy_put_back(stage: Stage) -> None:
    path = state_file(stage)
    before = path.read_bytes()
    stage.seen()
    path.write_bytes(before)
    shutil.rmtree(stage.bundle)
    stage.older.rename(stage.bundle)


@case("damaged-state", "older than")
def the_state_of_a_sister_site(stage: Stage) -> None:
    """It has seen an older release only; what this site imported shows that."""
    sister = stage.folder / "sister"
    shutil.copytree(stage.depot, sister)
    import_now(stage.older, sister)
    stage.seen()
    path = state_file(stage)
    shutil.copy(sister / "trust" / path.name, path)


def _replaced(make: Callable[[Path, Stage], Any]) -> Callable[[Stage], None]:
    def spoil(stage: Stage) -> None:
        path = state_file(stage)
        data = path.read_bytes()
        path.unlink()
        (stage.folder / "outside").write_bytes(data)
        make(path, stage)

    return spoil


for _label, _make in {
    "a-link": lambda path, stage: path.symlink_to(stage.folder / "outside"),
    "a-link-to-itself": lambda path, stage: path.symlink_to(path.name),
    "a-pipe": lambda path, stage: os.mkfifo(path),
    "a-folder": lambda path, stage: path.mkdir(),
}.items():
    case.add(f"that-is-{_label}", _replaced(_make), "damaged-state", "damaged")


@case("damaged-state", "others can write")
def that_others_may_write(stage: Stage) -> None:
    state_file(stage).chmod(0o666)


def _ledger(change: Callable[[bytes], bytes]) -> Callable[[Stage], None]:
    def make(stage: Stage) -> None:
        path = stage.depot / "trust" / "ledger.json"
        path.write_bytes(change(path.read_bytes()))

    return make


for _label, _change in {
    "empty": lambda d: b"",
    "cut-short": lambda d: d[:-1],
    "with-a-flipped-bit": lambda d: d.replace(b"enrolledAt", b"enrolledAu"),
    "nested-deep": lambda d: b"[" * 100_000,
    "of-two-megabytes": lambda d: d + b" " * (2 << 20),
}.items():
    case.add(f"a-ledger-{_label}", _ledger(_change), "damaged-state", "ledger")


@case("damaged-state", "ledger")
def a_ledger_that_is_a_link(stage: Stage) -> None:
    path = stage.depot / "trust" / "ledger.json"
    path.rename(stage.folder / "outside")
    path.symlink_to(stage.folder / "outside")


def _policy(data: bytes) -> Callable[[Stage], None]:
    def make(stage: Stage) -> None:
        (stage.depot / "policy.yaml").write_bytes(data)

    return make


_HEAD = b"apiVersion: isoward/v1\nkind: SitePolicy\n"
for _label, _data in {
    "empty": b"",
    "with-an-alias": b"a: &a [x]\nb: *a\n",
    "with-a-bomb": b"a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\n",
    "with-a-tag": b"a: !!python/object/apply:os.system [id]\n",
    "with-a-key-twice": _HEAD + b"kind: SitePolicy\n",
    "with-a-merge-key": _HEAD + b"<<: {}\n",
    "nested-deep": b"[" * 10_000,
    "of-two-documents": _HEAD + b"---\n" + _HEAD,
    "without-rules": _HEAD + b"signatures: []\n",
    "with-a-rule-of-nothing": _HEAD + b"signatures: [{images: ['**']}]\n",
    "with-a-key-that-is-a-path-upwards": _HEAD
    + b"signatures: [{images: ['**'], cosign: {key: ../../../etc/shadow}}]\n",
    "with-a-key-that-is-a-device": _HEAD
    + b"signatures: [{images: ['**'], cosign: {key: /dev/zero}}]\n",
    "no-text": b"\xff\xfe\x00",
    "of-five-megabytes": b"#" * (5 << 20),
}.items():
    case.add(f"a-policy-{_label}", _policy(_data), "definition", "policy.yaml")


@case("unsigned", "the site's policy")
def a_policy_that_no_image_meets(stage: Stage) -> None:
    waived = b"{reason: x, approvedBy: y, ticket: z, expires: '2099-01-01'}"
    _policy(_HEAD + b"signatures: [{images: ['x.example/**'], unsigned: %b}]\n" % waived)(stage)


for _place in ("staging", "blobs", "blobs/sha256", "bundles"):

    def _link(stage: Stage, place: str = _place) -> None:
        outside = stage.folder / "outside"
        (stage.depot / place).rename(outside)
        (stage.depot / place).symlink_to(outside)

    case.add(
        f"a-depot-whose-{_place.replace('/', '-')}-is-a-link",
        _link,
        "unsafe-path",
        _place,
        commands=IMPORT,
    )


@case("format", "depot.json", commands=IMPORT)
def a_depot_with_another_marker(stage: Stage) -> None:
    (stage.depot / "depot.json").write_bytes(b'{"kind":"Depot"}')


@case("format", "not a depot", commands=IMPORT)
def a_depot_that_is_somebody_s_home(stage: Stage) -> None:
    (stage.depot / "depot.json").unlink()
    (stage.depot / "letters.txt").write_text("dear diary")
