"""A kind of content that exists in this file alone, from a definition to a client of the depot.

A product file that lists kinds by hand would not know it, and the journey would end there. What of
ours reads the tables of kinds is imported late, so that `install` comes before it.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import urllib3

from bundle.base.content import Content
from bundle.base.digest import Digest, digest_of, short
from bundle.base.documents import Document, Name, each_once
from bundle.base.paths import InnerPath, check_inner_path
from bundle.kinds.protocol import (
    NO_DIFFERENCES,
    DefinitionHead,
    Differences,
    Kind,
    LockHead,
    Served,
)

if TYPE_CHECKING:
    from bundler.sources.common.context import SourceContext
    from bundler.sources.common.opener import BlobStream, Opener
    from bundler.sources.common.source import Resolving
    from tests.support.registries.journey import Journey, Machine

TEXT = b"Do not fold.\n"
DEFINITION = """\
apiVersion: isoward/v1
kind: BundleDefinition
metadata: {name: ward, version: 1.0.0}
platforms: [linux/amd64]
notices:
  - {name: folding, path: texts/folding.txt}
"""


# What a new kind has in its own file of bundle/kinds.


class NoticeSource(Document, frozen=True, kw_only=True):
    name: Name
    path: InnerPath


class LockedNotice(Content, frozen=True, kw_only=True):
    name: Name
    path: InnerPath


class NoticeEntry(Document, frozen=True, kw_only=True):
    name: Name
    digest: Digest


def _check(source: NoticeSource, where: str) -> None:
    check_inner_path(source.path, f"{where}.path")


def _check_definition(definition: DefinitionHead) -> None:
    each_once([source.name for source in NOTICES.asked(definition)], "notices")


def _check_lock(lock: LockHead) -> None:
    for notice in NOTICES.locked(lock):
        check_inner_path(notice.path, f"notices {notice.name}")


def _served(entry: NoticeEntry) -> Iterator[Served]:
    yield "notices", f"{entry.name}.txt", entry.digest


def _lines(entry: NoticeEntry) -> Iterator[str]:
    yield f"{short(entry.digest)}  {entry.name}"


def _facts(entry: NoticeEntry) -> dict[str, Any]:
    return {"name": entry.name, "digest": entry.digest}


NOTICES: Final = Kind[NoticeSource, LockedNotice, NoticeEntry](
    field="notices",
    title="notice",
    source=NoticeSource,
    entry=lambda locked: NoticeEntry(name=locked.name, digest=locked.digest),
    checks=(_check,),
    checks_together=(_check_definition,),
    check_lock=_check_lock,
    contents=lambda locked: (Content(digest=locked.digest, size=locked.size),),
    named=lambda entry: [(f"notice {entry.name}", entry.digest)],
    served=_served,
    compared=lambda entry: [(entry.name, entry.digest)],
    lines=_lines,
    facts=_facts,
)


# What it has in its own folder of bundler/sources.


def _tasks(work: Resolving) -> Iterator[Any]:
    return (partial(_lock, one, work.context) for one in NOTICES.asked(work.definition))


def _lock(source: NoticeSource, context: SourceContext) -> LockedNotice:
    data = (context.folder / source.path).read_bytes()
    return LockedNotice(name=source.name, path=source.path, digest=digest_of(data), size=len(data))


def _openers(notice: LockedNotice, context: SourceContext) -> Iterator[tuple[str, Opener]]:
    from bundler.sources.common.opener import FileStream

    def opener(offset: int, *, mirrors: bool) -> BlobStream:
        return FileStream(context.folder / notice.path, notice.size, offset=offset)

    yield notice.digest, opener


# What it adds to bundle/kinds/registry.py and to bundler/sources/known.py.


def install() -> None:
    """Add the kind to the two tables, before anything is imported that reads them."""
    from bundle.kinds import registry

    class DefinitionContent(registry.DefinitionContent, frozen=True, kw_only=True):
        notices: tuple[NoticeSource, ...] = ()

    class LockContent(registry.LockContent, frozen=True, kw_only=True):
        notices: tuple[LockedNotice, ...] = ()

    class BundleContent(registry.BundleContent, frozen=True, kw_only=True):
        notices: tuple[NoticeEntry, ...] = ()

    class ContentChanges(registry.ContentChanges, frozen=True, kw_only=True):
        notices: Differences = NO_DIFFERENCES

    for made in (DefinitionContent, LockContent, BundleContent, ContentChanges):
        setattr(registry, made.__name__, made)
    vars(registry).update(KINDS=(*registry.KINDS, NOTICES))

    from bundler.sources import known
    from bundler.sources.common.source import Source

    own: Source[LockedNotice] = Source(
        kind=NOTICES,
        tasks=_tasks,
        order=lambda notice: notice.name,
        openers=_openers,
        digests=lambda notice: [(notice.name, notice.digest)],
    )
    vars(known).update(SOURCES=(*known.SOURCES, own))


def _machine(home: Path) -> Machine:
    """Return a machine whose every Python has the kind."""
    from tests.support.registries.journey import Machine

    class ExtendedMachine(Machine):
        @property
        def environment(self) -> dict[str, str]:
            made = super().environment
            return {**made, "PYTHONPATH": f"{home / 'extension'}:{made['PYTHONPATH']}"}

    (home / "extension").mkdir()
    (home / "extension/sitecustomize.py").write_text(
        "from tests.integration.journey.test_new_kind import install\n\ninstall()\n"
    )
    return ExtendedMachine(home)


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Journey:
    from tests.support.registries.journey import carry

    home = tmp_path_factory.mktemp("new-kind")
    (home / "texts").mkdir()
    (home / "texts/folding.txt").write_bytes(TEXT)
    return carry(home, DEFINITION, machine=_machine(home))


def test_a_depot_serves_what_a_definition_asked_for(journey: Journey, tmp_path: Path) -> None:
    from tests.support.registries.journey import served

    with (
        served(journey.machine, journey.depot, tmp_path) as depot,
        urllib3.PoolManager(ca_certs=str(depot.ca), retries=False) as pool,
    ):
        found = pool.request("GET", f"{depot.url}/notices/folding.txt")
        assert (found.status, found.data) == (200, TEXT)
        assert pool.request("GET", f"{depot.url}/notices/other.txt").status == 404


def test_the_documents_have_it(journey: Journey) -> None:
    manifest = journey.manifest()
    assert manifest["notices"] == [{"name": "folding", "digest": digest_of(TEXT)}]
    assert manifest["blobs"] == [{"digest": digest_of(TEXT), "size": len(TEXT)}]
    assert "notices:" in journey.lock.read_text()
    envelope = json.loads((journey.bundle / "attestations/provenance.dsse.json").read_bytes())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    dependencies = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert "notice folding" in {found.get("name") for found in dependencies}


def test_people_are_told_of_it(journey: Journey, tmp_path: Path) -> None:
    from tests.support.registries.journey import APPROVERS, TICKET, key_file

    machine = journey.machine
    page = machine.run("inspect", journey.bundle)
    assert "notices (1)" in page
    assert f"{short(digest_of(TEXT))}  folding" in page
    facts = machine.result("inspect", journey.bundle)
    assert facts["notices"] == [{"name": "folding", "digest": digest_of(TEXT)}]
    shown = tmp_path / "shown"
    shutil.copytree(journey.bundle, shown)
    key = key_file(journey.keys, APPROVERS[2])
    page = machine.run("approve", shown, "--key", key, "--ticket", TICKET, "--yes", passphrases=1)
    assert "1 notice: 1 blob" in page
    assert "+ notice folding: added" in page
    assert machine.run("verify", shown, "--fingerprint", journey.fingerprint)


def test_damage_is_told_by_its_name(journey: Journey, tmp_path: Path) -> None:
    copy = tmp_path / "damaged"
    shutil.copytree(journey.bundle, copy)
    blob = next((copy / "blobs/sha256").iterdir())
    blob.chmod(0o600)
    blob.write_bytes(TEXT.upper())
    done = journey.machine.attempt("verify", copy, "--fingerprint", journey.fingerprint)
    assert done.returncode == 21
    assert "notice folding" in done.stderr


def test_a_second_lock_says_what_changed(journey: Journey) -> None:
    text = journey.machine.home / "texts/folding.txt"
    text.write_bytes(TEXT.upper())
    try:
        said = journey.machine.run("lock", journey.definition, "-o", journey.lock)
    finally:
        text.write_bytes(TEXT)
        journey.machine.run("lock", journey.definition, "-o", journey.lock)
    assert "~ notice folding: moved from" in said


def test_a_definition_is_checked(journey: Journey) -> None:
    other = journey.definition.with_name("other.yaml")
    other.write_text(DEFINITION + "  - {name: folding, path: ../folding.txt}\n")
    done = journey.machine.attempt("lock", other)
    assert done.returncode == 10
    assert "notices[1].path" in done.stderr
    assert "'folding'" in done.stderr


def test_an_isoward_without_it_refuses_the_bundle(journey: Journey) -> None:
    from tests.support.registries.journey import Machine

    done = Machine(journey.machine.home).attempt("inspect", journey.bundle)
    assert done.returncode == 11
    assert "notices" in done.stderr
