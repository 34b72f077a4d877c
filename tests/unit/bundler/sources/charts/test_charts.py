from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from bundle.base.digest import digest_of
from bundle.base.errors import (
    DefinitionError,
    DigestMismatchError,
    FormatError,
    HostNotAllowedError,
    NotFoundError,
)
from bundle.base.limits import MAX_CHART_BYTES
from bundle.kinds.chart_source import ChartSource
from bundle.kinds.charts import LockedChart
from bundle.store.programs import run_program
from bundler.build.cache import BlobCache
from bundler.model.chart import LAYER_TYPE, chart_artifact
from bundler.sources.charts.index import IndexEntry, read_index
from bundler.sources.charts.published import ChartResolver, chart_reference
from bundler.sources.common.manifests import ManifestSource
from tests.support.registries.connecting import client
from tests.support.registries.content import RegistryContent
from tests.support.registries.faulty_registry import FaultyRegistry, faulty_registry
from tests.support.registries.oci import Artifact, Blob, manifest
from tests.support.registries.referrers import referrer
from tests.support.registries.static_site import StaticSite, static_site

CONFIG = "application/vnd.cncf.helm.config.v1+json"


def archive(name: str, version: str, description: str = "") -> bytes:
    text = f"apiVersion: v2\nname: {name}\nversion: {version}\n"
    text += f"description: {description}\n" if description else ""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo(f"{name}/Chart.yaml")
        info.size = len(text)
        tar.addfile(info, io.BytesIO(text.encode()))
    return gzip.compress(buffer.getvalue(), mtime=0)


WEB = archive("web", "1.2.3")


@dataclass
class Repository:
    """A chart repository, with the pieces that tests change."""

    site: StaticSite
    cache: BlobCache

    def index(self, url: str = "web-1.2.3.tgz", digest: str = "", more: str = "") -> None:
        text = (
            "apiVersion: v1\ngenerated: 2024-01-01T00:00:00Z\nentries:\n"
            "  other: [{version: 9.9.9, urls: [o.tgz]}]\n"
            "  web:\n"
            "    - {apiVersion: v2, name: web, version: 1.2.4, urls: [no.tgz]}\n"
            f"    - name: web\n      version: 1.2.3\n      digest: {digest}\n"
            f"      urls: ['{url}']\n      dependencies: [{{name: x, version: 1.x}}]\n{more}"
        )
        self.site.put("charts/index.yaml", text.encode())

    def chart(self, version: str = "1.2.3", name: str = "web") -> ChartSource:
        return ChartSource(name=name, version=version, repository=f"{self.site.url}/charts")

    def resolve(self, *charts: ChartSource, hosts: tuple[str, ...] = ()) -> list[LockedChart]:
        wanted = charts or (self.chart(),)
        source = ManifestSource(client(self.site.url.partition("//")[2], *hosts), self.cache)
        resolver = ChartResolver(wanted, source, run_program)
        return [resolver.resolve(chart) for chart in wanted]


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    with static_site(tmp_path / "site") as site:
        made = Repository(site, BlobCache(tmp_path / "cache"))
        made.index(digest=digest_of(WEB))
        site.put("charts/web-1.2.3.tgz", WEB)
        yield made


def test_a_chart_of_a_repository_becomes_an_artefact(repository: Repository) -> None:
    (locked,) = repository.resolve()
    host = repository.site.url.removeprefix("http://")
    assert locked.archive.digest == digest_of(WEB)
    assert locked.archive.size == len(WEB)
    assert locked.url == f"{repository.site.url}/charts/web-1.2.3.tgz"
    assert locked.artifact.reference == f"{host}/charts/web:1.2.3"
    made = chart_artifact(WEB, "test")
    assert locked.artifact.digest == digest_of(made.manifest)
    (part,) = locked.artifact.manifests
    assert part.layers == (locked.archive,)
    assert repository.cache.read_bytes(locked.archive.digest, len(WEB)) == WEB


@pytest.mark.parametrize("written", ["{0}", "sha256:{0}", ""])
def test_a_digest_in_the_index_is_checked_in_both_spellings(
    repository: Repository, written: str
) -> None:
    repository.index(digest=written.format(digest_of(WEB)[7:]))
    repository.resolve()
    if written:
        repository.index(digest=written.format("0" * 64))
        with pytest.raises(DigestMismatchError, match="0000"):
            repository.resolve()


def test_an_archive_that_is_here_comes_again_only_where_it_is_damaged(
    repository: Repository,
) -> None:
    (first,), path = repository.resolve(), "/charts/web-1.2.3.tgz"
    assert repository.resolve() == [first]
    assert repository.site.log.count()[path] == 1
    kept = repository.cache.blob_path(digest_of(WEB))
    for damaged in (bytes(len(WEB)), WEB[:-1], bytes(MAX_CHART_BYTES + 1)):
        kept.unlink()
        kept.write_bytes(damaged)
        repository.site.log.clear()
        assert repository.resolve() == [first]
        assert repository.site.log.count()[path] == 1
        assert kept.read_bytes() == WEB


def test_an_archive_comes_every_time_where_the_index_does_not_promise_it(
    repository: Repository,
) -> None:
    repository.index(digest="")
    repository.resolve()
    repository.site.put("charts/web-1.2.3.tgz", archive("web", "1.2.3", "other"))
    (second,) = repository.resolve()
    assert second.archive.digest != digest_of(WEB)


def test_an_index_is_read_once_for_all_of_its_charts(repository: Repository) -> None:
    repository.site.put("charts/o.tgz", archive("other", "9.9.9"))
    other = repository.chart("9.9.9", "other")
    assert [c.name for c in repository.resolve(repository.chart(), other)] == ["web", "other"]
    assert repository.site.log.count()["/charts/index.yaml"] == 1


def test_an_archive_may_have_an_address_of_its_own(repository: Repository, tmp_path: Path) -> None:
    with static_site(tmp_path / "elsewhere") as other:
        url = other.put("files/web.tgz", WEB)
        repository.index(url)
        with pytest.raises(HostNotAllowedError):
            repository.resolve()
        (locked,) = repository.resolve(hosts=(other.url.partition("//")[2],))
        assert locked.url == url


@pytest.mark.parametrize(
    ("version", "name", "why"),
    [
        ("1.2.9", "web", "expected web 1.2.9, found 1.2.4, 1.2.3"),
        ("1.2.3", "db", "has no chart 'db'"),
    ],
)
def test_a_chart_that_is_not_there(
    repository: Repository, version: str, name: str, why: str
) -> None:
    with pytest.raises(DefinitionError, match=why):
        repository.resolve(repository.chart(version, name))


def test_a_repository_without_an_index(repository: Repository) -> None:
    (repository.site.root / "charts/index.yaml").unlink()
    with pytest.raises(NotFoundError, match=r"index\.yaml"):
        repository.resolve()


@pytest.mark.parametrize(("name", "version"), [("web", "1.2.4"), ("other", "1.2.3")])
def test_an_archive_of_another_chart_is_refused(
    repository: Repository, name: str, version: str
) -> None:
    repository.index()
    repository.site.put("charts/web-1.2.3.tgz", archive(name, version))
    with pytest.raises(FormatError, match=f"found {name} {version}"):
        repository.resolve()


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "https://user:s3cr3t@charts.example.org/web.tgz",
        "//[",
        "https://[/web.tgz",
        "https://charts.example.org/%2e%2e/web.tgz",
        "",
    ],
)
def test_an_address_that_cannot_be_locked_is_refused(repository: Repository, url: str) -> None:
    repository.index(url)
    with pytest.raises(FormatError, match="no lockable address") as caught:
        repository.resolve()
    assert "s3cr3t" not in caught.value.message


@pytest.mark.parametrize(
    ("query", "locked"),
    [
        ("?ref=main&raw=true", "?ref=main&raw=true"),
        ("?ref=main&private_token=s3cr3t", "?ref=main"),
        (
            "?X-Amz-Algorithm=AWS4&X-Amz-Credential=s3cr3t&X-Amz-Signature=s3cr3t&Expires=5",
            "",
        ),
    ],
)
def test_a_query_is_kept_unless_it_is_a_secret(
    repository: Repository, query: str, locked: str
) -> None:
    repository.index(f"web-1.2.3.tgz{query}")
    (found,) = repository.resolve()
    assert found.url == f"{repository.site.url}/charts/web-1.2.3.tgz{locked}"
    # Asked with all of it, and kept for a build that cannot.
    asked = repository.site.log.count()
    assert asked[f"/charts/web-1.2.3.tgz{query}"] == 1
    assert asked[f"/charts/web-1.2.3.tgz.prov{query}"] == 1
    assert repository.cache.read_bytes(digest_of(WEB), len(WEB)) == WEB
    assert b"s3cr3t" not in msgspec.json.encode(found)


def test_a_secret_is_in_no_error(repository: Repository) -> None:
    repository.index("gone.tgz?token=s3cr3t")
    with pytest.raises(NotFoundError, match=r"gone\.tgz") as caught:
        repository.resolve()
    assert "s3cr3t" not in f"{caught.value.message} {caught.value.hint} {caught.value.context}"
    repository.index("web-1.2.3.tgz?token=s3cr3t", "0" * 64)
    with pytest.raises(DigestMismatchError) as other:
        repository.resolve()
    assert "s3cr3t" not in f"{other.value.message} {other.value.hint} {other.value.context}"


@pytest.mark.parametrize("tag", ["", ":1.2.3"])
def test_an_index_that_points_into_a_registry(
    repository: Repository, registry: FaultyRegistry, tag: str
) -> None:
    made = pushed(WEB)
    registry.content.put("charts/web", made, "1.2.3")
    # What an index says of its digest is not of the archive there, and Helm does not look.
    repository.index(f"oci://{registry.host}/charts/web{tag}", "0" * 64)
    with pytest.raises(HostNotAllowedError, match=registry.host):
        repository.resolve()
    (found,) = repository.resolve(hosts=(registry.host,))
    assert (found.url, found.repository) == (None, f"{repository.site.url}/charts")
    assert found.artifact.reference == f"{registry.host}/charts/web:1.2.3"
    assert found.artifact.digest == made.digest
    assert found.archive.digest == digest_of(WEB)
    assert not found.is_made


@pytest.mark.parametrize("url", ["oci://", "oci://registry.example.org/UPPER/web", "oci://x y/web"])
def test_an_index_that_points_nowhere(repository: Repository, url: str) -> None:
    repository.index(url)
    with pytest.raises(FormatError, match=r"index\.yaml: web 1\.2\.3"):
        repository.resolve()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "entries: []",
        "entries: {web: &a [{version: 1}, *a]}",
        "entries: {web: [{version: 1",
        "entries: {[a]: b}",
        "entries: {web: [{version: 1.2.3, digest: sha1:abc}]}",
        "entries: {web: " + "[" * 200 + "]" * 200 + "}",
        "entries: {web: " + "{a: " * 5000 + "1" + "}" * 5000 + "}",
        "\x00",
    ],
)
def test_a_hostile_index_is_refused(repository: Repository, text: str) -> None:
    repository.site.put("charts/index.yaml", text.encode())
    with pytest.raises(FormatError, match="not the index of a chart repository"):
        repository.resolve()


def test_what_the_index_says_of_others_is_passed_over() -> None:
    text = b"""
serverInfo: {x: [1, {y: &anchor z}]}
entries:
  odd: *anchor
  web: [{version: 1.10, urls: [a], digest: null}, {urls: [b]}, 7, {version: "2", urls: x}]
"""
    null = b"digest: null"
    entries = read_index(text.replace(null, b"digest: ''"), ["web"], "https://x")
    assert entries == {"web": (IndexEntry("1.10", ("a",), ""), IndexEntry("2", (), ""))}


@pytest.mark.parametrize(
    ("repository", "version", "expected"),
    [
        ("https://charts.example.org", "1.2.3", "charts.example.org/web:1.2.3"),
        ("https://Charts.Example.org/a/b/", "1.2.3", "charts.example.org/a/b/web:1.2.3"),
        ("https://charts.example.org:8443/a", "1.0.0+b1", "charts.example.org:8443/a/web:1.0.0_b1"),
        ("https://charts.example.org/A/~b", "1.2.3", "charts.example.org/charts/web:1.2.3"),
        ("http://localhost", "1.2.3", "localhost/web:1.2.3"),
    ],
)
def test_the_reference_of_a_chart(repository: str, version: str, expected: str) -> None:
    chart = ChartSource(name="web", version=version, repository=repository)
    assert str(chart_reference(chart)) == expected


def test_a_host_that_no_reference_can_have_is_refused() -> None:
    chart = ChartSource(name="web", version="1.2.3", repository="http://intranet/charts")
    with pytest.raises(DefinitionError, match="cannot be served under this reference"):
        chart_reference(chart)


def pushed(
    archive_: bytes, *more: Blob, config_type: str = CONFIG, layer_type: str = LAYER_TYPE
) -> Artifact:
    return manifest(Blob(config_type, b"{}"), [Blob(layer_type, archive_), *more])


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with faulty_registry(RegistryContent()) as made:
        yield made


def from_registry(registry: FaultyRegistry, cache: BlobCache, version: str) -> LockedChart:
    chart = ChartSource(name="web", version=version, repository=f"oci://{registry.host}/charts")
    source = ManifestSource(client(registry.host), cache)
    return ChartResolver([chart], source, run_program).resolve(chart)


def test_a_chart_of_a_registry_with_its_referrers(registry: FaultyRegistry, tmp_path: Path) -> None:
    data = archive("web", "1.2.3+b1")
    provenance = Blob("application/vnd.cncf.helm.chart.provenance.v1.prov", b"signed")
    made = pushed(data, provenance)
    signed = referrer("application/x.signature", b"signature", made)
    registry.content.put("charts/web", made, "1.2.3_b1")
    registry.content.put("charts/web", signed)
    locked = from_registry(registry, BlobCache(tmp_path), "1.2.3+b1")
    assert locked.url is None
    assert locked.archive.digest == digest_of(data)
    assert locked.artifact.reference == f"{registry.host}/charts/web:1.2.3_b1"
    assert locked.artifact.digest == made.digest
    assert len(locked.artifact.manifests[0].layers) == 2
    assert [r.digest for r in locked.artifact.referrers] == [signed.digest]


def test_a_chart_that_a_helm_before_3_7_pushed(registry: FaultyRegistry, tmp_path: Path) -> None:
    data = archive("web", "1.2.3")
    made = pushed(data, layer_type="application/tar+gzip")
    registry.content.put("charts/web", made, "1.2.3")
    locked = from_registry(registry, BlobCache(tmp_path), "1.2.3")
    assert locked.archive.digest == digest_of(data)
    assert locked.artifact.digest == made.digest


def test_a_chart_of_a_registry_that_is_another_one_is_refused(
    registry: FaultyRegistry, tmp_path: Path
) -> None:
    registry.content.put("charts/web", pushed(archive("web", "2.0.0")), "1.2.3")
    with pytest.raises(FormatError, match=r"expected chart web 1\.2\.3, found web 2\.0\.0"):
        from_registry(registry, BlobCache(tmp_path), "1.2.3")


def test_an_image_among_the_charts_is_refused(registry: FaultyRegistry, tmp_path: Path) -> None:
    registry.content.put("charts/web", manifest(Blob("application/x", b"{}"), []), "1.2.3")
    with pytest.raises(FormatError, match="expected one chart archive, found 0"):
        from_registry(registry, BlobCache(tmp_path), "1.2.3")
