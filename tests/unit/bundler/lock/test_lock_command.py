from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bundle.base.digest import digest_of
from bundle.base.errors import DefinitionError, FormatError
from bundle.cli.main import main
from bundler.build.cache import BlobCache
from bundler.lock.documents import load_definition, load_lock, load_sources
from bundler.lock.resolve import definition_hosts, resolve
from tests.support.documents.content import chart_archive
from tests.support.documents.sources import context
from tests.support.registries.connecting import client
from tests.support.registries.content import RegistryContent
from tests.support.registries.faulty_registry import Fault, FaultyRegistry, faulty_registry
from tests.support.registries.oci import (
    CONFIG,
    LAYER,
    Artifact,
    Blob,
    index,
    manifest,
    to_json,
)
from tests.support.registries.referrers import referrer
from tests.support.registries.static_site import StaticSite, static_site
from tests.support.registries.tls import make_server_tls
from tests.support.trust.signature_rules import WAIVE_ALL_YAML


def image(text: str) -> Artifact:
    config = Blob(CONFIG, to_json({"os": "linux", "architecture": "amd64"}))
    return manifest(config, [Blob(LAYER, text.encode())])


@dataclass
class Vendor:
    """A vendor's machine with an upstream."""

    registry: FaultyRegistry
    site: StaticSite
    folder: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def definition(self) -> Path:
        return self.folder / "platform.yaml"

    @property
    def lock(self) -> Path:
        return self.folder / "platform.lock.yaml"

    def define(self, *images: str, head: str = "") -> None:
        url = self.site.put("tool", b"tool")
        lines = [f"  - reference: {self.registry.host}/{name}" for name in images]
        self.definition.write_text(
            f"{head}apiVersion: isoward/v1\nkind: BundleDefinition\n"
            "metadata: {name: platform, version: 1.0.0}\nplatforms: [linux/amd64]\n"
            "images:\n"
            + "\n".join(lines)
            + f"\nfiles:\n  - {{url: '{url}', digest: '{digest_of(b'tool')}'}}\n"
            + WAIVE_ALL_YAML
        )

    def run(self, *arguments: str | Path) -> tuple[int, str, str]:
        command = ["lock", self.definition, "--cache", self.folder / "cache", *arguments]
        with pytest.raises(SystemExit) as caught:
            main([str(part) for part in command])
        said = self.capsys.readouterr()
        return int(caught.value.code or 0), said.out, said.err


@pytest.fixture
def vendor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Vendor]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    content = RegistryContent()
    for name in ("app/web", "app/db"):
        content.put(name, image(name), "1")
    content.put("app/web", referrer("application/x.sbom", b"bom", image("app/web")))
    with faulty_registry(content) as registry, static_site(tmp_path / "site") as site:
        made = Vendor(registry, site, tmp_path, capsys)
        made.define("app/web:1", "app/db:1")
        yield made


def test_a_lock_is_written_next_to_its_definition(vendor: Vendor) -> None:
    code, out, _ = vendor.run()
    assert code == 0
    assert "2 images, 1 file: 9 blobs with" in out
    assert str(vendor.lock) in out
    text = vendor.lock.read_text()
    assert text.startswith("# Made by isoward lock; do not edit.\n")
    lock = load_lock(vendor.lock)
    assert [i.reference for i in lock.images] == [
        f"{vendor.registry.host}/app/db:1",
        f"{vendor.registry.host}/app/web:1",
    ]
    assert lock.files[0].size == 4


def test_a_wrong_digest_of_a_file_is_found_before_anybody_reviews_it(vendor: Vendor) -> None:
    text = vendor.definition.read_text()
    vendor.definition.write_text(text.replace(digest_of(b"tool"), digest_of(b"typed wrongly")))
    code, _, err = vendor.run()
    assert code == 21
    assert (
        f"files[0] {vendor.site.url}/tool: the definition says {digest_of(b'typed wrongly')}, the "
        f"server sent {digest_of(b'tool')}"
    ) in err
    assert "publisher's own checksum" in err
    assert "medium" not in err
    assert not vendor.lock.exists()
    vendor.definition.write_text(text)
    assert vendor.run()[0] == 0
    before = vendor.site.log.count("GET")["/tool"]
    assert vendor.run()[0] == 0
    assert vendor.site.log.count("GET")["/tool"] == before == 2


@pytest.mark.parametrize("folder", ["schema", "elsewhere/of-ours"])
def test_the_schema_is_named_next_to_the_definitions(vendor: Vendor, folder: str) -> None:
    head = f"# yaml-language-server: $schema={folder}/definition.json\n"
    vendor.define("app/web:1", head=head)
    vendor.run()
    # A line that leads nowhere is an error in every editor.
    assert "$schema" not in vendor.lock.read_text()
    vendor.lock.unlink()
    where = vendor.lock.parent / folder
    with pytest.raises(SystemExit):
        main(["schema", "--write", str(where)])
    vendor.run()
    first = vendor.lock.read_text().splitlines()[0]
    assert first == head.replace("definition", "lock").strip()
    assert (vendor.lock.parent / first.partition("=")[2]).is_file()


def test_a_second_run_changes_nothing(vendor: Vendor) -> None:
    vendor.run()
    before = vendor.lock.stat()
    code, out, _ = vendor.run()
    assert (code, "no changes" in out) == (0, True)
    assert (vendor.lock.stat().st_ino, vendor.lock.stat().st_mtime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
    )


def test_a_tag_that_moved_is_shown_and_locked(vendor: Vendor) -> None:
    vendor.run()
    newer = vendor.registry.content.put("app/web", image("newer"), "1")
    code, out, _ = vendor.run()
    assert code == 0
    moved = f"~ image {vendor.registry.host}/app/web:1: moved from {image('app/web').digest}"
    assert f"{moved} to {newer}" in out
    assert "- image" in out  # its SBOM is gone
    assert newer in vendor.lock.read_text()


def test_check_writes_nothing_and_fails_when_the_lock_is_not_current(vendor: Vendor) -> None:
    code, out, err = vendor.run("--check")
    assert (code, out) == (10, "")
    assert "no such lock" in err
    assert not vendor.lock.exists()
    vendor.run()
    before = vendor.lock.read_bytes()
    assert vendor.run("--check")[0] == 0
    vendor.registry.content.put("app/web", image("newer"), "1")
    code, _, err = vendor.run("--check")
    assert code == 10
    assert "is not current" in err
    assert "moved" in err
    assert vendor.lock.read_bytes() == before


def test_the_result_as_json(vendor: Vendor) -> None:
    output = vendor.folder / "other.yaml"
    code, out, _ = vendor.run("--json", "-o", output)
    assert code == 0
    result: dict[str, Any] = json.loads(out)
    assert result["lock"] == str(output)
    assert result["new"] is True
    assert result["changes"] == []
    assert (result["images"], result["files"]) == (2, 1)
    vendor.registry.content.put("app/db", image("newer"), "1")
    changed = json.loads(vendor.run("--json", "-o", output)[1])
    assert [change["kind"] for change in changed["changes"]] == ["moved"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [(Fault(status=404), 43), (Fault(status=403), 44), (Fault(flip=True), 21)],
)
def test_a_failure_has_its_code_and_leaves_no_file(vendor: Vendor, fault: Fault, code: int) -> None:
    vendor.registry.fault("/app/web/manifests/1", fault)
    found, out, err = vendor.run()
    assert (found, out) == (code, "")
    assert "Traceback" not in err
    assert "app/web" in err
    assert [p for p in vendor.folder.iterdir() if "lock" in p.name] == []


def test_a_lock_that_was_damaged_is_not_overwritten(vendor: Vendor) -> None:
    vendor.lock.write_text("apiVersion: isoward/v1\nkind: BundleLock\n")
    assert vendor.run()[0] == 11
    assert vendor.lock.read_text() == "apiVersion: isoward/v1\nkind: BundleLock\n"


@pytest.mark.parametrize(
    ("sources", "code"),
    [("kind: x", 10), ("allowedHosts: ['*']", 10), ("verify: false", 10), (None, 10)],
)
def test_wrong_sources_are_refused(vendor: Vendor, sources: str | None, code: int) -> None:
    path = vendor.folder / "sources.yaml"
    if sources is not None:
        path.write_text(f"apiVersion: isoward/v1\nkind: SourceConfig\n{sources}\n")
    assert vendor.run("--sources", path)[0] == code
    assert vendor.registry.log.entries == []


def test_the_order_of_arrival_does_not_matter(vendor: Vendor) -> None:
    names = [f"app/n{i}" for i in range(12)]
    for name in names:
        vendor.registry.content.put(name, image(name), "1")
    vendor.define(*(f"{name}:1" for name in reversed(names)))
    definition = load_definition(vendor.definition)
    dumps = set()
    for i in range(3):
        slow = names[i * 3]
        vendor.registry.fault(f"/{slow}/manifests/1", Fault(times=1, chunk=50, pause=0.02))
        made = client(*definition_hosts(definition))
        cache = BlobCache(vendor.folder / str(i))
        lock = resolve(definition, context(made, cache, progress=Counting()))
        assert [image.reference for image in lock.images] == sorted(
            f"{vendor.registry.host}/{name}:1" for name in names
        )
        dumps.add(repr(lock))
    assert len(dumps) == 1


class Counting:
    """Progress that counts, from several threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.total = self.done = 0

    def start(self, title: str, total: int, unit: str = "B") -> None:
        self.total, self.done = total, 0

    def advance(self, amount: int) -> None:
        with self.lock:
            self.done += amount

    def note(self, text: str) -> None: ...

    def finish(self) -> None:
        assert self.done <= self.total


def test_two_things_of_one_name_are_refused(vendor: Vendor) -> None:
    charts: list[str] = []
    for path in ("A", "B"):
        # Neither path can be part of a reference, so both charts would be charts/web.
        archive = gzip.compress(gzip.decompress(chart_archive("web", "1.2.3")), mtime=len(charts))
        vendor.site.put(f"{path}/web.tgz", archive)
        index = b"entries: {web: [{version: 1.2.3, urls: [web.tgz]}]}"
        vendor.site.put(f"{path}/index.yaml", index)
        where = f"name: web, version: 1.2.3, repository: '{vendor.site.url}/{path}'"
        charts.append(f"  - {{{where}, notRendered: nothing in it is looked at}}")
    with vendor.definition.open("a") as file:
        file.write("charts:\n" + "\n".join(charts) + "\n")
    code, _, err = vendor.run()
    assert code == 10
    assert "charts/web:1.2.3 would name two different things" in err


def test_documents_that_are_not_there_or_too_large(tmp_path: Path) -> None:
    for load in (load_definition, load_lock, load_sources):
        with pytest.raises(DefinitionError, match="no such file"):
            load(tmp_path / "none.yaml")
    large = tmp_path / "large.yaml"
    large.write_bytes(b"#" * (4 * 2**20 + 1))
    with pytest.raises(DefinitionError, match="at most"):
        load_definition(large)
    with pytest.raises(FormatError):
        load_lock(large)


def test_the_users_own_sources_are_found_and_their_paths_are_relative_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert load_sources(None).hosts == {}
    folder = tmp_path / "isoward"
    folder.mkdir()
    tls = make_server_tls(folder / "tls")
    (folder / "sources.yaml").write_text(
        "apiVersion: isoward/v1\nkind: SourceConfig\n"
        "hosts: {a.example.org: {ca: tls/" + tls.ca.name + "}, b.example.org: {ca: /x/ca.pem}}\n"
    )
    hosts = load_sources(None).hosts
    assert hosts["a.example.org"].ca == str(tls.ca)
    assert hosts["b.example.org"].ca == "/x/ca.pem"


def _index(*platforms: str) -> Artifact:
    return index(
        [
            manifest(
                Blob(CONFIG, to_json({"os": "linux", "architecture": name})),
                [Blob(LAYER, name.encode())],
                platform=f"linux/{name}",
            )
            for name in platforms
        ]
    )


def test_an_index_that_travels_in_part_is_said(vendor: Vendor) -> None:
    vendor.registry.content.put("app/parts", _index("amd64", "arm64", "s390x"), "1")
    vendor.registry.content.put("app/whole", _index("amd64"), "1")
    vendor.define("app/web:1", "app/parts:1", "app/whole:1")
    code, out, _ = vendor.run()
    assert code == 0
    (line,) = [line for line in out.splitlines() if line.startswith("hint: ")]
    assert "not every platform of 1 image is carried" in line
    assert f"{vendor.registry.host}/app/parts:1" in line
    assert "`isoward docs clients`" in line
    code, out, _ = vendor.run("--json")
    assert json.loads(out)["leftOut"] == {
        f"{vendor.registry.host}/app/parts:1": ["linux/arm64", "linux/s390x"]
    }


def test_nothing_is_said_where_everything_travels(vendor: Vendor) -> None:
    vendor.registry.content.put("app/whole", _index("amd64"), "1")
    vendor.define("app/web:1", "app/whole:1")
    code, out, _ = vendor.run()
    assert code == 0
    assert "hint:" not in out
