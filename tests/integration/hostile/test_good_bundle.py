"""Build, verify and import each run all the checks of a good bundle, and obey each of them.

The real commands run, in this process. A build finds its content in the cache, and asks nobody.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from bundle.base.canonical import canonical_json
from bundle.base.digest import digest_of
from bundle.base.errors import (
    DigestMismatchError,
    FormatError,
    IsowardError,
    PolicyError,
    SizeMismatchError,
)
from bundle.base.yaml.strict import dump_yaml
from bundle.checks import good_bundle
from bundle.checks.blobs import LayoutCheck
from bundle.checks.good_bundle import CHECKS, Check, Subject
from bundle.checks.signatures import UpstreamCheck
from bundle.cli.main import run
from bundle.kinds.policy import VerifiedBy
from bundle.kinds.protocol import LayoutFile
from bundle.model.manifest import Manifest
from bundle.model.plan import REF_NAME, Plan, plan_bundle
from bundle.store.layout import BundleDirectory
from bundler.build import assemble, place
from bundler.build.cache import BlobCache
from bundler.sources.python.wheels import check_wheels
from tests.support.documents.bundles import write_plan
from tests.support.documents.content import sample
from tests.support.trust.release_kit import (
    ReleaseKit,
    approve_all,
    enrolled,
    make_release,
    release_bundle,
)

CALLERS = ("build", "verify", "import")
Blobs = dict[str, bytes]


@dataclass(frozen=True)
class Evil:
    """A bundle that one check alone refuses.

    Attributes:
        error: With which it does.
        plan: Changes what is approved.
        blob: Changes the bytes of a layer, once they lie in the bundle.
    """

    error: type[IsowardError]
    plan: Callable[[Plan, Blobs], Plan] = lambda plan, _: plan
    blob: Callable[[bytes], bytes] = bytes


def _another_layout_file(plan: Plan, _: Blobs) -> Plan:
    return replace(plan, layout={**plan.layout, "README.txt": b"another text"})


def _with_manifest(plan: Plan, **fields: Any) -> Plan:
    manifest = structs.replace(plan.manifest, **fields)
    return replace(plan, manifest=manifest, manifest_bytes=canonical_json(manifest))


def _index_with_another_name(plan: Plan, _: Blobs) -> Plan:
    index = json.loads(plan.layout["index.json"])
    named = next(entry for entry in index["manifests"] if REF_NAME in entry.get("annotations", {}))
    named["annotations"][REF_NAME] = "evil.example.org/app:1"
    data = canonical_json(index)
    files = tuple(
        LayoutFile(path=file.path, digest=digest_of(data), size=len(data))
        if file.path == "index.json"
        else file
        for file in plan.manifest.layout
    )
    return replace(_with_manifest(plan, layout=files), layout={**plan.layout, "index.json": data})


def _blob_that_nothing_names(plan: Plan, blobs: Blobs) -> Plan:
    data = b"of nothing"
    blobs[digest_of(data)] = data
    first = structs.replace(plan.manifest.blobs[0], digest=digest_of(data), size=len(data))
    ordered = sorted((*plan.manifest.blobs, first), key=lambda blob: blob.digest)
    return _with_manifest(plan, blobs=tuple(ordered))


def _claim_of_a_signature(plan: Plan, _: Blobs) -> Plan:
    image, *others = plan.manifest.images
    claim = VerifiedBy(
        rule=0, method="cosign", signer="sha256:" + "a" * 64, digest=image.digest,
        subject=image.digest,
    )  # fmt: skip
    return _with_manifest(plan, images=(structs.replace(image, verified=(claim,)), *others))


EVIL = {
    "layout": Evil(SizeMismatchError, _another_layout_file),
    "index": Evil(FormatError, _index_with_another_name),
    "sizes": Evil(SizeMismatchError, blob=lambda data: data[:-1]),
    "graph": Evil(FormatError, _blob_that_nothing_names),
    "upstream": Evil(PolicyError, _claim_of_a_signature),
    "blobs": Evil(DigestMismatchError, blob=lambda data: b"\0" + data[1:]),
}
NOTHING_FOUND = {"layout": LayoutCheck(0, ()), "upstream": UpstreamCheck({}, {}), "blobs": 0}
"""What the checks return of which a caller tells something."""


@dataclass
class World:
    """A vendor with a lock whose content is all in the cache, and a site that knows the vendor."""

    folder: Path
    kit: ReleaseKit
    monkeypatch: pytest.MonkeyPatch
    blobs: Blobs = field(default_factory=dict)

    def __post_init__(self) -> None:
        lock, blobs = sample()
        self.blobs |= blobs
        (self.folder / "lock.yaml").write_text(dump_yaml(lock), encoding="utf-8")
        self.plan = plan_bundle(lock)
        self.layer = lock.images[0].manifests[0].layers[0].digest
        enrolled(self.folder / "depot", self.kit)

    def try_on(self, caller: str, evil: Evil | None = None) -> int:
        """Run a command on a bundle, a good one unless told, and return its exit code."""
        bad = evil or Evil(IsowardError)
        plan = bad.plan(self.plan, self.blobs)
        if caller == "build":
            return run([*self._build(plan, bad.blob(self.blobs[self.layer])), "--json"])
        medium = self.folder / "medium"
        write_plan(medium, plan, self.blobs)
        release_bundle(medium, self.kit)
        approve_all(medium, self.kit)
        _spoil(BundleDirectory(medium).blob_path(self.layer), bad.blob(self.blobs[self.layer]))
        return run([caller, str(medium), "--depot", str(self.folder / "depot"), "--json"])

    def _build(self, plan: Plan, layer: bytes) -> list[str]:
        cache = BlobCache(self.folder / "cache")
        for digest, data in self.blobs.items():
            cache.put_bytes(digest, data)
        self.monkeypatch.setattr(assemble, "plan_bundle", lambda _: plan)
        if len(layer) == len(self.blobs[self.layer]):
            _spoil(cache.blob_path(self.layer), layer)
            # Across filesystems every byte is read; what can be linked was read when it came.
            self.monkeypatch.setattr(place, "_can_link", lambda *_: False)
        else:
            self._forget(layer)
        return [
            *("build", str(self.folder / "lock.yaml"), "-o", str(self.built)),
            *("--cache", str(cache.path), "--release", str(self.kit.release)),
            *("--key", str(self.kit.builder.path)),
        ]

    def _forget(self, layer: bytes) -> None:
        """Let the disk lose a part of the layer once it has been fetched."""

        def then_forget(bundle: BundleDirectory, manifest: Manifest) -> None:
            check_wheels(bundle, manifest)
            _spoil(bundle.blob_path(self.layer), layer)

        self.monkeypatch.setattr(assemble, "check_wheels", then_forget)

    @property
    def built(self) -> Path:
        return self.folder / "built"

    def numbered(self) -> bool:
        """Say whether a release got a number."""
        return (self.kit.release / "targets.json").exists()

    def accepted(self) -> bool:
        """Say whether the depot has a bundle."""
        return any((self.folder / "depot").glob("bundles/*"))


def _spoil(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, make_release(tmp_path / "vendor"), monkeypatch)


def _use(monkeypatch: pytest.MonkeyPatch, *checks: Check[Any]) -> None:
    monkeypatch.setattr(good_bundle, "CHECKS", checks)


@pytest.mark.parametrize("caller", CALLERS)
def test_each_caller_runs_the_whole_list_in_its_order(
    caller: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def noted(check: Check[Any]) -> Check[Any]:
        def run_it(subject: Subject) -> Any:
            ran.append(check.id)
            return check.run(subject)

        return replace(check, run=run_it)

    _use(monkeypatch, *map(noted, CHECKS))
    assert world.try_on(caller) == 0
    assert ran == [check.id for check in CHECKS]


@pytest.mark.parametrize("caller", CALLERS)
def test_a_check_that_joins_the_list_refuses_for_each_caller(
    caller: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Subject) -> None:
        raise PolicyError("planted: expected nothing, found this", "Remove it.")

    _use(monkeypatch, *CHECKS, Check("planted", "nothing passes", refuse))
    assert world.try_on(caller) == PolicyError.exit_code
    assert not world.built.exists()
    assert world.numbered() == (caller != "build"), "a refused build gets no number"
    assert not world.accepted()


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("name", EVIL)
def test_what_one_check_refuses_each_caller_refuses(
    name: str, caller: str, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = EVIL[name]
    assert world.try_on(caller, evil) == evil.error.exit_code
    assert json.loads(capsys.readouterr().out)["error"] == evil.error.id
    assert not world.built.exists()
    assert not world.accepted()


@pytest.mark.parametrize("name", EVIL)
def test_no_other_check_refuses_it(
    name: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the test above would not notice when a check is lost."""
    _use(
        monkeypatch,
        *(
            replace(check, run=lambda _: NOTHING_FOUND.get(name)) if check.id == name else check
            for check in CHECKS
        ),
    )
    caught_later = name == "sizes"  # by reading, which is dearer and is done last
    assert world.try_on("verify", EVIL[name]) == (EVIL[name].error.exit_code if caught_later else 0)


def test_every_check_has_an_evil_bundle_an_id_and_a_line() -> None:
    assert [check.id for check in CHECKS] == list(EVIL)
    assert all(check.about and "\n" not in check.about for check in CHECKS)
