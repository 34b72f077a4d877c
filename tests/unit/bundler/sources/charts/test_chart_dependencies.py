"""What a chart depends on is inside its archive, in a version that Helm would use."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bundle.base.digest import digest_of
from bundle.base.errors import (
    ClosureError,
    DefinitionError,
    DigestMismatchError,
    FormatError,
    HostNotAllowedError,
)
from bundle.kinds.chart_source import ChartSource
from bundle.kinds.charts import LockedChart
from bundle.kinds.git import GitSource
from bundler.build.cache import BlobCache
from bundler.registry.client import RegistryClient
from bundler.sources.charts import parts as chart_parts
from bundler.sources.charts.dependencies import check_complete
from bundler.sources.charts.from_source import folder_opener, resolve_folder
from bundler.sources.charts.pack import pack_chart
from bundler.sources.charts.parts import read_archive
from bundler.sources.common.context import SourceContext
from tests.support.charts.folders import chart_lock, chart_yaml, listed, unpacked, write_chart
from tests.support.charts.git_repositories import commit_files, new_repository
from tests.support.documents.sources import context
from tests.support.programs.helm import run_helm
from tests.support.registries.connecting import client
from tests.support.registries.content import RegistryContent
from tests.support.registries.faulty_registry import FaultyRegistry, faulty_registry
from tests.support.registries.oci import Blob, manifest, to_json
from tests.support.registries.static_site import StaticSite, static_site
from tests.vectors.charts import Chart, repository_index

CONFIG = "application/vnd.cncf.helm.config.v1+json"
LAYER = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
REDIS = Chart("redis", "17.2.0", "registry.example.org/redis")
COMMON = Chart("common", "2.0.1", "registry.example.org/common")
Fields = Mapping[str, str]


@dataclass
class Vendor:
    """A vendor's folder, and the repositories that it depends on."""

    root: Path
    site: StaticSite
    registry: FaultyRegistry
    hosts: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.hosts = (self.site.url.partition("//")[2], self.registry.host)

    def redis(self, version: str = "^17.0.0", **more: str) -> Fields:
        return {"name": "redis", "version": version, "repository": f"{self.site.url}/c", **more}

    def common(self, version: str = "2.x.x", **more: str) -> Fields:
        repository = f"oci://{self.registry.host}/charts"
        return {"name": "common", "version": version, "repository": repository, **more}

    def context(self, cache: str = "cache", client_: RegistryClient | None = None) -> SourceContext:
        return context(client_ or client(*self.hosts), BlobCache(self.root / cache), self.root)

    def resolve(self, path: str = "web", git: GitSource | None = None) -> LockedChart:
        chart = ChartSource(name="web", version="1.2.3", path=path, git=git)
        return resolve_folder(chart, self.context())

    def again(self, locked: LockedChart, cache: str = "another cache") -> bytes:
        assert locked.folder is not None
        made = folder_opener(locked, locked.folder, self.context(cache))(0, mirrors=True)
        data = bytearray(locked.archive.size + 1)
        size = made.readinto(memoryview(data))
        return bytes(data[:size])

    def archive(self, locked: LockedChart) -> bytes:
        found = self.context().store.read_bytes(locked.archive.digest, locked.archive.size)
        assert found is not None
        return found


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    content = RegistryContent()
    packed = manifest(Blob(CONFIG, to_json(COMMON.metadata)), [Blob(LAYER, COMMON.archive())])
    content.put("charts/common", packed, COMMON.version)
    with static_site(tmp_path / "site") as site, faulty_registry(content) as registry:
        site.put("c/index.yaml", repository_index({REDIS: digest_of(REDIS.archive())}, base=""))
        site.put(f"c/{REDIS.filename}", REDIS.archive())
        yield Vendor(tmp_path / "vendor", site, registry)


def test_dependencies_of_every_kind_are_brought_and_packed(vendor: Vendor) -> None:
    beside = {"name": "beside", "version": "0.x", "repository": "file://../beside"}
    wanted = [vendor.redis(alias="cache", condition="cache.enabled"), vendor.common(), beside]
    exact = [vendor.redis("17.2.0"), vendor.common("2.0.1"), {**beside, "version": "0.4.0"}]
    write_chart(vendor.root / "beside", "beside", "0.4.0")
    files = {"Chart.lock": chart_lock(exact)}
    folder = write_chart(vendor.root / "web", "web", "1.2.3", wanted, files)
    locked = vendor.resolve()
    archive = vendor.archive(locked)
    inside = unpacked(archive)
    assert inside["web/charts/redis-17.2.0.tgz"] == REDIS.archive()
    assert inside["web/charts/common-2.0.1.tgz"] == COMMON.archive()
    assert "beside/Chart.yaml" in listed(inside["web/charts/beside-0.4.0.tgz"])
    assert locked.artifact.reference == "local.invalid/web:1.2.3"
    assert locked.folder is not None
    by_name = {dependency.name: dependency for dependency in locked.folder.dependencies}
    assert by_name["redis"].digest == digest_of(REDIS.archive())
    assert by_name["redis"].url == f"{vendor.site.url}/c/{REDIS.filename}"
    assert by_name["common"].digest == digest_of(COMMON.archive())
    assert by_name.keys() == {"redis", "common"}
    assert not (folder / "charts").exists()
    assert vendor.again(locked) == archive
    # A warm cache asks nobody.
    vendor.hosts = ()
    assert vendor.again(locked, "cache") == archive
    out = vendor.root / "web.tgz"
    out.write_bytes(archive)
    rendered = run_helm(["template", "r", str(out)], vendor.root).stdout
    for name in ("web", "redis", "common", "beside"):
        assert f"registry.example.org/{name}:" in rendered
    off = run_helm(["template", "r", str(out), "--set", "cache.enabled=false"], vendor.root).stdout
    assert "registry.example.org/redis:" not in off


def test_a_host_that_nobody_named_is_not_asked(vendor: Vendor) -> None:
    files = {"Chart.lock": chart_lock([vendor.redis("17.2.0")])}
    write_chart(vendor.root / "web", "web", "1.2.3", [vendor.redis()], files)
    vendor.hosts = ()
    with pytest.raises(HostNotAllowedError):
        vendor.resolve()


def test_what_is_in_charts_already_needs_no_lock(vendor: Vendor) -> None:
    inner = {"name": "inner", "version": ">=1.0.0-0", "repository": ""}
    folder = write_chart(vendor.root / "web", "web", "1.2.3", [vendor.redis(), inner])
    (folder / "charts").mkdir()
    (folder / "charts" / "redis.tgz").write_bytes(REDIS.archive())
    write_chart(folder / "charts" / "inner", "inner", "1.0.0-rc.1")
    locked = vendor.resolve()
    assert locked.folder is not None
    assert locked.folder.dependencies == ()
    assert vendor.site.log.entries == []


def test_a_chart_of_the_first_form_has_its_own_two_files(vendor: Vendor) -> None:
    text = "apiVersion: v1\nname: web\nversion: 1.2.3\n"
    requirements = chart_lock([vendor.redis()]).partition("digest")[0]
    files = {
        "Chart.yaml": text,
        "requirements.yaml": requirements,
        "requirements.lock": chart_lock([vendor.redis("17.2.0")]),
    }
    write_chart(vendor.root / "web", "web", "1.2.3", files=files)
    inside = unpacked(vendor.archive(vendor.resolve()))
    assert inside["web/charts/redis-17.2.0.tgz"] == REDIS.archive()
    assert inside["web/requirements.yaml"].decode() == requirements


@pytest.mark.parametrize(
    ("lock", "why"),
    [
        (None, "without a Chart.lock"),
        ([], "has no redis"),
        ([{"version": "16.0.0"}], "has no redis"),
        ([{"version": "17"}], "found"),
        ([{"repository": "https://elsewhere.example.org"}], "has no redis"),
        ([{"name": "../redis"}], "has no redis"),
    ],
)
def test_a_lock_that_is_missing_or_out_of_date_is_said(
    lock: list[Fields] | None, why: str, vendor: Vendor
) -> None:
    entries = [{**vendor.redis("17.2.0"), **change} for change in lock or []]
    files = {} if lock is None else {"Chart.lock": chart_lock(entries)}
    write_chart(vendor.root / "web", "web", "1.2.3", [vendor.redis()], files)
    with pytest.raises(DefinitionError, match=why) as caught:
        vendor.resolve()
    assert "helm dependency update" in caught.value.hint or lock == [{"version": "17"}]


@pytest.mark.parametrize(
    ("repository", "why"),
    [
        ("", "left out"),
        ("@stable", "'@stable'"),
        ("alias:stable", "'alias:stable'"),
        ("file:///etc", "leads out"),
        ("file://../../outside", "leads out"),
        ("file://../missing", "no such folder"),
        ("https://user:secret@example.org/c", "repository"),
        ("oci://local.invalid", "not a host"),
    ],
)
def test_a_dependency_from_nowhere_is_refused(repository: str, why: str, vendor: Vendor) -> None:
    wanted = {"name": "redis", "version": "17.2.0", "repository": repository}
    files = {"Chart.lock": chart_lock([wanted])}
    write_chart(vendor.root / "web", "web", "1.2.3", [wanted], files)
    write_chart(vendor.root.parent / "outside", "redis", "17.2.0")
    with pytest.raises(DefinitionError, match=why):
        vendor.resolve()


@pytest.mark.parametrize("name", ["../../redis", "a/b", "-x"])
def test_a_dependency_whose_name_would_be_a_path_is_refused(name: str, vendor: Vendor) -> None:
    wanted = {"name": name, "version": "17.2.0", "repository": "file://../x"}
    files = {"Chart.lock": chart_lock([wanted])}
    write_chart(vendor.root / "web", "web", "1.2.3", [wanted], files)
    with pytest.raises(DefinitionError, match="not the name"):
        vendor.resolve()


def test_charts_that_is_out_of_date_is_refused(vendor: Vendor) -> None:
    """Helm would leave the old one in, and render both."""
    files = {"Chart.lock": chart_lock([vendor.redis("17.2.0")])}
    folder = write_chart(vendor.root / "web", "web", "1.2.3", [vendor.redis()], files)
    write_chart(folder / "charts" / "redis", "redis", "16.0.0")
    with pytest.raises(DefinitionError, match=r"found 16\.0\.0 in its charts"):
        vendor.resolve()


def test_two_folders_that_depend_on_each_other_are_refused(vendor: Vendor) -> None:
    for name, other in (("web", "two"), ("two", "web")):
        version = {"web": "1.2.3", "two": "2.0.0"}
        wanted = {"name": other, "version": version[other], "repository": f"file://../{other}"}
        files = {"Chart.lock": chart_lock([wanted])}
        write_chart(vendor.root / name, name, version[name], [wanted], files)
    with pytest.raises(FormatError, match="depend on each other"):
        vendor.resolve()


def test_a_folder_of_git_has_its_dependency_in_the_same_commit(vendor: Vendor) -> None:
    repository = new_repository(vendor.root / "repo")
    beside = {"name": "beside", "version": "0.4.0", "repository": "file://../beside"}
    write_chart(repository / "d/beside", "beside", "0.4.0")
    files = {"Chart.lock": chart_lock([beside])}
    write_chart(repository / "d/web", "web", "1.2.3", [beside], files)
    commit = commit_files(repository, {})
    locked = vendor.resolve("d/web", GitSource(repository="repo", commit=commit))
    assert "web/charts/beside-0.4.0.tgz" in listed(vendor.archive(locked))
    commit_files(repository, {"d/web/Chart.yaml": b"changed"})
    assert vendor.again(locked) == vendor.archive(locked)


def test_a_folder_that_changed_since_it_was_locked_is_refused(vendor: Vendor) -> None:
    folder = write_chart(vendor.root / "web", "web", "1.2.3")
    locked = vendor.resolve()
    (folder / "values.yaml").write_text("changed: true\n")
    with pytest.raises(DigestMismatchError, match="web: expected the chart web to be sha256:"):
        vendor.again(locked)
    beside = {"name": "b", "version": "1.0.0", "repository": "https://example.org/x"}
    files = {"Chart.lock": chart_lock([beside]), "Chart.yaml": chart_yaml("web", "1.2.3", [beside])}
    write_chart(folder, "web", "1.2.3", files=files)
    with pytest.raises(DigestMismatchError, match="lock does not have"):
        vendor.again(locked)


def test_a_dependency_that_changed_upstream_is_refused(vendor: Vendor) -> None:
    files = {"Chart.lock": chart_lock([vendor.redis("17.2.0")])}
    write_chart(vendor.root / "web", "web", "1.2.3", [vendor.redis()], files)
    locked = vendor.resolve()
    data = bytearray(REDIS.archive())
    data[-1] ^= 1
    vendor.site.put(f"c/{REDIS.filename}", bytes(data))
    with pytest.raises(DigestMismatchError):
        vendor.again(locked)


@pytest.mark.parametrize(("name", "version"), [("web", "1.2.4"), ("other", "1.2.3")])
def test_a_folder_that_holds_another_chart_is_refused(
    name: str, version: str, vendor: Vendor
) -> None:
    write_chart(vendor.root / "web", name, version)
    with pytest.raises(FormatError, match=f"found {name} {version}"):
        vendor.resolve()


def test_a_dependency_of_a_dependency_is_looked_at(vendor: Vendor) -> None:
    folder = write_chart(vendor.root / "web", "web", "1.2.3")
    deeper = {"name": "deeper", "version": "^3", "repository": ""}
    write_chart(folder / "charts" / "inner", "inner", "1.0.0", [deeper])
    with pytest.raises(ClosureError, match=r"web/inner depends on deeper \^3, found none"):
        vendor.resolve()
    write_chart(folder / "charts" / "inner" / "charts" / "deeper", "deeper", "2.0.0")
    with pytest.raises(ClosureError, match=r"found 2\.0\.0"):
        vendor.resolve()
    write_chart(folder / "charts" / "inner" / "charts" / "deeper", "deeper", "3.1.0")
    vendor.resolve()


def test_an_archive_that_lacks_a_dependency_is_refused_as_helm_would(tmp_path: Path) -> None:
    archive = pack_chart(
        "web", {"Chart.yaml": chart_yaml("web", "1.0.0", [{"name": "x", "version": "1"}]).encode()}
    )
    (tmp_path / "web.tgz").write_bytes(archive)
    done = run_helm(["template", "r", str(tmp_path / "web.tgz")], tmp_path, check=False)
    assert "missing in charts/" in done.stderr
    with pytest.raises(ClosureError, match="web depends on x 1, found none"):
        check_complete(read_archive(archive, "test"), "test")


def _tar(*members: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return gzip.compress(buffer.getvalue(), mtime=0)


def _member(name: str, type_: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.linkname = type_, size, "/etc/passwd"
    return member


@pytest.mark.parametrize(
    ("member", "why"),
    [
        (_member("web/device", tarfile.CHRTYPE), "neither a file nor a folder"),
        (_member("web/pipe", tarfile.FIFOTYPE), "neither a file nor a folder"),
        (_member("web/../../etc/x"), "not a path within"),
        (_member("../web/x"), "not a path within"),
        (_member("/web/x"), "not a path within"),
        (_member("web\\..\\x"), "not a path within"),
        (_member("C:/web/x"), "not a path within"),
        (_member("web//x/../../../y"), "not a path within"),
        (_member("web/a\x1b[2J"), "not a path within"),
        (_member("stray"), "not within the chart"),
        (_member("web/Chart.yaml", size=2_000_000), "more than"),
    ],
    ids=lambda value: value if isinstance(value, str) else repr(value.name),
)
def test_a_hostile_archive_is_refused(member: tarfile.TarInfo, why: str) -> None:
    with pytest.raises(FormatError, match=why):
        read_archive(_tar(member), "test")


def test_a_subchart_that_is_no_archive_is_refused() -> None:
    files = {"Chart.yaml": b"name: web\nversion: 1.0.0\n", "charts/x.tgz": b"not gzip"}
    with pytest.raises(FormatError, match="not a gzip"):
        read_archive(pack_chart("web", files), "test")


def test_a_link_is_an_empty_file_as_for_helm() -> None:
    """What it leads to, on this machine or in the archive, is never read."""
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        with pytest.raises(FormatError, match="no Chart"):
            read_archive(_tar(_member("web/crds", kind)), "test")
        with pytest.raises(FormatError, match="no Chart"):
            read_archive(_tar(_member("web/Chart.yaml", kind)), "test")


def test_charts_within_charts_without_end_are_refused() -> None:
    archive = pack_chart("web", {"Chart.yaml": b"name: web\nversion: 1.0.0\n"})
    for _ in range(40):
        inside = {"Chart.yaml": b"name: web\nversion: 1.0.0\n", "charts/web.tgz": archive}
        archive = pack_chart("web", inside)
    with pytest.raises(FormatError, match="nested deeper"):
        read_archive(archive, "test")


def test_an_archive_that_holds_far_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chart_parts, "MAX_CHART_MEMBERS", 3)
    with pytest.raises(FormatError, match="far too much"):
        read_archive(_tar(*(_member(f"web/{n}") for n in range(4))), "test")
