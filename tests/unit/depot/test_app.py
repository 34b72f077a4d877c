"""The application without a server: what a request is answered with."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bundle.model.digest import hex_of
from bundle.trust.keys import load_key
from installer.depot.app import answer
from installer.depot.directory import DepotDirectory, create_depot, open_depot
from installer.depot.http import Reply, Request
from installer.depot.live import LiveDepot
from tests.support.content import Maker, sample
from tests.support.depot import change_lock, import_now, rich_sample, signed_bundle
from tests.support.trust import (
    APPROVERS,
    BUILDER,
    ROOT_HOLDERS,
    KeyFile,
    ReleaseKit,
    enrolled,
    make_release,
)

WEB = "registry.example.org/app/web"


@dataclass
class Site:
    kit: ReleaseKit
    depot: DepotDirectory
    live: LiveDepot

    def ask(self, target: str, method: str = "GET", **headers: str) -> Reply:
        path, _, query = target.partition("?")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return asyncio.run(answer(self.live, Request(method, path, query, named)))

    def error(self, target: str, method: str = "GET") -> tuple[int, str]:
        made = self.ask(target, method)
        (error,) = json.loads(made.body)["errors"]
        assert error["message"]
        return made.status, error["code"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("site")
    kit = make_release(path / "vendor")
    enrolled(path / "depot", kit)
    import_now(signed_bundle(path / "bundle", kit, *rich_sample()), path / "depot")
    return path


def _kit(directory: Path) -> ReleaseKit:
    """Read the vendor's keys again below a copy of its folder, which the test may release into."""

    def key(name: str) -> KeyFile:
        file = directory / "keys" / f"{name.split(maxsplit=1)[0].lower()}.pem"
        return KeyFile(name, file, load_key(file))

    return ReleaseKit(
        release=directory / "release",
        fingerprint="",
        roots=tuple(key(name) for name in ROOT_HOLDERS),
        approvers=tuple(key(name) for name in APPROVERS),
        builder=key(BUILDER),
        stranger=key("Mallory Stranger"),
    )


@pytest.fixture
def site(base: Path, tmp_path: Path) -> Site:
    """A copy of a depot, which the test may spoil."""
    for name in ("depot", "vendor"):
        shutil.copytree(base / name, tmp_path / name)
    depot = open_depot(tmp_path / "depot")
    return Site(_kit(tmp_path / "vendor"), depot, LiveDepot(depot))


def test_the_api_says_that_it_is_there(site: Site) -> None:
    for path in ("/v2/", "/v2"):
        made = site.ask(path)
        assert made.status == 200
        assert made.header("docker-distribution-api-version") == "registry/2.0"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"])
@pytest.mark.parametrize("path", ["/v2/", f"/v2/{WEB}/blobs/uploads/", "/files/x", "/nowhere"])
def test_writes_are_refused(site: Site, method: str, path: str) -> None:
    made = site.ask(path, method)
    assert made.status == 405
    assert made.header("allow") == "GET, HEAD"
    assert json.loads(made.body)["errors"][0]["code"] == "UNSUPPORTED"


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/v2/registry.example.org/none/manifests/1", 404, "NAME_UNKNOWN"),
        ("/v2/app/web/manifests/2.1", 404, "NAME_UNKNOWN"),
        (f"/v2/{WEB}/manifests/9.9", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/{WEB}/manifests/sha256:{'0' * 64}", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/{WEB}/manifests/-not-a-tag", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/{WEB}/manifests/sha256:xyz", 400, "DIGEST_INVALID"),
        (f"/v2/{WEB}/manifests/sha512:{'0' * 128}", 400, "DIGEST_INVALID"),
        (f"/v2/{WEB}/blobs/sha256:{'0' * 64}", 404, "BLOB_UNKNOWN"),
        (f"/v2/{WEB}/blobs/sha256:{'A' * 64}", 400, "DIGEST_INVALID"),
        (f"/v2/{WEB}/blobs/latest", 400, "DIGEST_INVALID"),
        (f"/v2/{WEB}/referrers/latest", 400, "DIGEST_INVALID"),
        ("/v2/UPPER/case/manifests/1", 400, "NAME_INVALID"),
        ("/v2/../../etc/passwd/manifests/1", 400, "NAME_INVALID"),
        ("/v2/a//b/manifests/1", 400, "NAME_INVALID"),
        ("/v2/" + "a/" * 200 + "b/manifests/1", 400, "NAME_INVALID"),
        ("/v2/a\0b/manifests/1", 400, "NAME_INVALID"),
        ("/v2/a\nb/tags/list", 400, "NAME_INVALID"),
        (f"/v2/{WEB}/nothing/here", 404, "UNSUPPORTED"),
        ("/v2/manifests/1", 404, "UNSUPPORTED"),
        (f"/v2/{WEB}/tags/other", 404, "UNSUPPORTED"),
        (f"/v2/{WEB}/tags/list?n=-1", 400, "PAGINATION_NUMBER_INVALID"),
        (f"/v2/{WEB}/tags/list?n=many", 400, "PAGINATION_NUMBER_INVALID"),
        (f"/v2/{WEB}/tags/list?n=%C2%B2", 400, "PAGINATION_NUMBER_INVALID"),
        ("/v2/_catalog?n=" + "9" * 5000, 400, "PAGINATION_NUMBER_INVALID"),
    ],
)
def test_errors_have_the_code_of_the_specification(
    site: Site, target: str, status: int, code: str
) -> None:
    assert site.error(target) == (status, code)


def test_an_ambiguous_name_comes_with_its_choices(site: Site) -> None:
    detail = json.loads(site.ask("/v2/app/web/tags/list").body)["errors"][0]["detail"]
    assert detail["choices"] == ["quay.example.org/app/web", WEB]


@pytest.mark.parametrize("target", ["/" + "a" * 9000, "/v2/?x=" + "a" * 9000])
def test_an_address_that_is_too_long_is_refused(site: Site, target: str) -> None:
    assert site.ask(target).status == 414


def test_too_many_query_fields_are_refused(site: Site) -> None:
    assert site.ask(f"/v2/{WEB}/tags/list?" + "&".join("a" * 50)).status == 400


@pytest.mark.parametrize(
    "path",
    [
        "",
        "nothing",
        "//",
        "/..",
        "/files/../depot.json",
        "/files/%2e%2e/depot.json",
        "/files/example.org/../example.org/tool-1.4.tar.gz",
        "/charts/../tls/ca.key",
        "/charts/x/index.yaml",
        "/v2x/",
        "/tls/ca.key",
    ],
)
def test_nothing_else_has_a_name(site: Site, path: str) -> None:
    made = site.ask(path)
    assert made.status == 404
    assert made.file is None


def test_tags_come_in_pages_in_order(site: Site) -> None:
    base = "/v2/registry.example.org/many/tags/tags/list"
    first = site.ask(f"{base}?n=2")
    assert json.loads(first.body) == {"name": "registry.example.org/many/tags", "tags": ["a", "b"]}
    assert first.header("link") == f'<{base}?n=2&last=b>; rel="next"'
    second = site.ask(f"{base}?n=2&last=b")
    assert json.loads(second.body)["tags"] == ["c", "d"]
    assert second.header("link") == ""
    assert json.loads(site.ask(f"{base}?n=0").body)["tags"] == []
    assert json.loads(site.ask(f"{base}?last=zzz").body)["tags"] == []


def test_the_next_page_stays_in_the_namespace(site: Site) -> None:
    made = site.ask("/v2/team/tool/tags/list?ns=registry.example.org:5000&n=1")
    assert json.loads(made.body)["tags"] == ["v1"]
    made = site.ask("/v2/many/tags/tags/list?ns=registry.example.org&n=1")
    assert made.header("link").endswith('?n=1&last=a&ns=registry.example.org>; rel="next"')


def test_the_catalogue_comes_in_pages(site: Site) -> None:
    seen: list[str] = []
    target = "/v2/_catalog?n=3"
    while target:
        made = site.ask(target)
        seen += json.loads(made.body)["repositories"]
        target = made.header("link").partition(">")[0].removeprefix("<")
    assert seen == sorted(set(seen))
    assert WEB in seen
    assert len(seen) == 11


def _subjects(site: Site) -> tuple[str, str]:
    index = site.ask(f"/v2/{WEB}/manifests/2.1").header("docker-content-digest")
    listed = site.ask("/v2/registry.example.org/app/listed/manifests/1")
    return index, listed.header("docker-content-digest")


def test_referrers_have_their_type_and_annotations(site: Site) -> None:
    index, _ = _subjects(site)
    made = site.ask(f"/v2/{WEB}/referrers/{index}")
    assert made.header("content-type") == "application/vnd.oci.image.index.v1+json"
    body = json.loads(made.body)
    assert body["schemaVersion"] == 2
    (entry,) = body["manifests"]
    assert entry["artifactType"] == "application/vnd.cyclonedx+json"
    assert entry["annotations"] == {"org.example.made": "yes"}
    found = site.ask(f"/v2/{WEB}/manifests/{entry['digest']}")
    assert found.status == 200
    assert found.header("content-length") == str(entry["size"])


@pytest.mark.parametrize("sign", ["%2B", "+"])
def test_referrers_are_filtered_and_say_so(site: Site, sign: str) -> None:
    index, _ = _subjects(site)
    base = f"/v2/{WEB}/referrers/{index}?artifactType="
    made = site.ask(f"{base}application/vnd.cyclonedx{sign}json")
    assert len(json.loads(made.body)["manifests"]) == 1
    assert made.header("oci-filters-applied") == "artifactType"
    other = site.ask(f"{base}application/x")
    assert json.loads(other.body)["manifests"] == []


def test_a_config_type_stands_in_for_a_missing_artifact_type(site: Site) -> None:
    _, listed = _subjects(site)
    made = site.ask(f"/v2/registry.example.org/app/listed/referrers/{listed}")
    (entry,) = json.loads(made.body)["manifests"]
    assert entry["artifactType"] == "application/vnd.example.signature"


def test_a_subject_without_referrers_has_an_empty_list(site: Site) -> None:
    made = site.ask(f"/v2/{WEB}/referrers/sha256:{'0' * 64}")
    assert made.status == 200
    assert json.loads(made.body)["manifests"] == []


def test_a_cosign_tag_is_served_and_is_no_referrer(site: Site) -> None:
    tags = json.loads(site.ask(f"/v2/{WEB}/tags/list").body)["tags"]
    (tag,) = [tag for tag in tags if tag.endswith(".sig")]
    assert site.ask(f"/v2/{WEB}/manifests/{tag}").status == 200
    subject = tag.removesuffix(".sig").replace("-", ":")
    made = site.ask(f"/v2/{WEB}/referrers/{subject}")
    assert json.loads(made.body)["manifests"] == []


def test_a_fallback_tag_is_an_index_also_by_its_digest(site: Site) -> None:
    _, listed = _subjects(site)
    base = "/v2/registry.example.org/app/listed"
    tag = listed.replace(":", "-")
    made = site.ask(f"{base}/manifests/{tag}")
    assert made.body == site.ask(f"{base}/referrers/{listed}").body
    digest = made.header("docker-content-digest")
    assert site.ask(f"{base}/manifests/{digest}").body == made.body
    unchanged = site.ask(f"{base}/manifests/{tag}", if_none_match=f'"{digest}"')
    assert unchanged.status == 304
    assert tag in json.loads(site.ask(f"{base}/tags/list").body)["tags"]


def test_a_repository_may_be_called_manifests(tmp_path: Path) -> None:
    make = Maker()
    lock = change_lock(
        sample(make)[0],
        images=(make.image("registry.example.org/blobs/manifests/tags:list"),),
    )
    kit = make_release(tmp_path / "vendor")
    enrolled(tmp_path / "depot", kit)
    import_now(signed_bundle(tmp_path / "bundle", kit, lock, make.blobs), tmp_path / "depot")
    depot = open_depot(tmp_path / "depot")
    site = Site(kit, depot, LiveDepot(depot))
    base = "/v2/registry.example.org/blobs/manifests/tags"
    assert site.ask(f"{base}/manifests/list").status == 200
    assert json.loads(site.ask(f"{base}/tags/list").body)["tags"] == ["list"]


def test_content_by_digest_may_be_kept_and_by_name_not(site: Site) -> None:
    index, _ = _subjects(site)
    assert "immutable" in site.ask(f"/v2/{WEB}/manifests/{index}").header("cache-control")
    assert site.ask(f"/v2/{WEB}/manifests/2.1").header("cache-control") == "no-cache"


def _damage(site: Site, digest: str, how: str) -> None:
    path = site.depot.blob_path(digest)
    data = path.read_bytes()
    path.unlink()
    if how == "short":
        path.write_bytes(data[:-1])
    elif how == "flipped":
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])


@pytest.mark.parametrize("how", ["gone", "short"])
def test_a_blob_that_the_disk_lost_is_an_error_and_is_logged(
    site: Site, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    index, _ = _subjects(site)
    _damage(site, index, how)
    with caplog.at_level(logging.ERROR, "isoward.depot"):
        made = site.ask(f"/v2/{WEB}/manifests/{index}")
    assert made.status == 500
    assert made.file is None
    assert hex_of(index) in caplog.text


@pytest.mark.parametrize("how", ["gone", "short", "flipped"])
def test_a_damaged_referrer_is_an_error(
    site: Site, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    index, _ = _subjects(site)
    made = site.ask(f"/v2/{WEB}/referrers/{index}")
    (entry,) = json.loads(made.body)["manifests"]
    _damage(site, entry["digest"], how)
    fresh = Site(site.kit, site.depot, LiveDepot(site.depot))
    assert fresh.ask(f"/v2/{WEB}/referrers/{index}").status == 500
    assert hex_of(entry["digest"]) in caplog.text


def test_files_are_listed_and_found(site: Site) -> None:
    listed = json.loads(site.ask("/files/").body)["files"]
    assert [entry["path"] for entry in listed] == [
        "/files/example.org/large.bin",
        "/files/example.org/tool-1.4.tar.gz",
        "/files/example.org_8443/a%20b/tool.bin",
    ]
    made = site.ask("/files/example.org_8443/a b/tool.bin")
    assert made.status == 200
    assert made.header("docker-content-digest") == listed[2]["digest"]
    assert made.header("content-type") == "application/octet-stream"


def test_os_packages_are_listed_and_found(site: Site) -> None:
    (listed,) = json.loads(site.ask("/os/").body)["osPackages"]
    assert listed == {
        "name": "debian-12",
        "release": "debian-12",
        "kind": "apt",
        "keyring": "/os/debian-12/keyring.gpg",
        "recommends": False,
        "repositories": [
            {"path": "/os/debian-12/debian/", "suite": "bookworm", "components": ["main"]}
        ],
        "packages": 1,
    }
    folder = listed["repositories"][0]["path"]
    for path in (
        listed["keyring"],
        f"{folder}dists/bookworm/InRelease",
        f"{folder}pool/main/s/socat/socat_1.7.4.4-2_amd64.deb",
    ):
        made = site.ask(path)
        assert made.status == 200
        assert made.header("content-type") == "application/octet-stream"
    # apt asks for what it can do without; it must be told plainly that it is not there.
    assert site.ask(f"{folder}dists/bookworm/main/i18n/Translation-en.xz").status == 404
    assert site.ask(f"{folder}dists/bookworm/../../../depot.json").status == 404


def test_chart_indexes_name_what_can_be_fetched(site: Site) -> None:
    for folder in ("", "charts.example.org/stable/", "registry.example.org/charts/"):
        index = json.loads(site.ask(f"/charts/{folder}index.yaml").body)
        assert index["apiVersion"] == "v1"
        for entries in index["entries"].values():
            for entry in entries:
                assert entry["appVersion"] == "1.10"
                name = entry["urls"][0].replace("%2B", "+")
                made = site.ask(f"/charts/{folder}{name}")
                assert made.status == 200
                assert made.header("docker-content-digest") == f"sha256:{entry['digest']}"


def test_a_chart_is_an_oci_artefact_too(site: Site) -> None:
    made = site.ask("/v2/registry.example.org/charts/db/manifests/0.9.0_build.7")
    assert made.status == 200
    assert site.ask("/v2/charts.example.org/stable/web/manifests/1.2.3").status == 200


def test_an_import_is_seen_at_once_and_in_its_order(site: Site, tmp_path: Path) -> None:
    before = site.ask(f"/v2/{WEB}/manifests/2.1").header("etag")
    make = Maker()
    lock, _ = sample(make, version="2.0.0")
    newer = make.index(f"{WEB}:2.1", ("linux/amd64",))
    lock = change_lock(lock, images=(newer,), charts=(), files=())
    import_now(signed_bundle(tmp_path / "newer", site.kit, lock, make.blobs), site.depot.path)
    assert site.ask(f"/v2/{WEB}/manifests/2.1").header("etag") == f'"{newer.digest}"' != before
    assert site.ask(f"/v2/{WEB}/manifests/{before.strip(chr(34))}").status == 200


def test_a_bundle_that_was_removed_is_no_longer_served(site: Site) -> None:
    index, _ = _subjects(site)
    (name,) = site.depot.bundle_names()
    shutil.rmtree(site.depot.bundles / name)
    assert site.error(f"/v2/{WEB}/manifests/{index}") == (404, "NAME_UNKNOWN")


def test_a_damaged_bundle_does_not_take_down_the_others(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    (name,) = site.depot.bundle_names()
    broken = site.depot.bundles / ("e" * 64)
    shutil.copytree(site.depot.bundles / name, broken)
    (site.depot.bundles / ("d" * 64)).mkdir()
    (site.depot.bundles / ("c" * 64)).touch()
    assert site.ask(f"/v2/{WEB}/manifests/2.1").status == 200
    health = json.loads(site.ask("/healthz").body)
    assert health == {
        "status": "degraded",
        "bundles": 1,
        "broken": ["c" * 64, "d" * 64, "e" * 64],
    }
    assert "not served" in caplog.text


def test_a_changed_manifest_is_not_served(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    (name,) = site.depot.bundle_names()
    path = site.depot.bundles / name / "bundle.json"
    path.write_bytes(path.read_bytes().replace(b"hospital-platform", b"hospital-plotform"))
    fresh = Site(site.kit, site.depot, LiveDepot(site.depot))
    assert fresh.error(f"/v2/{WEB}/manifests/2.1") == (404, "NAME_UNKNOWN")
    assert name in caplog.text


def test_an_empty_depot_is_served(tmp_path: Path) -> None:
    depot = create_depot(tmp_path)
    live = LiveDepot(depot)

    def ask(path: str) -> Any:
        return asyncio.run(answer(live, Request("GET", path, "", {})))

    assert json.loads(ask("/v2/_catalog").body) == {"repositories": []}
    assert json.loads(ask("/healthz").body)["status"] == "ok"
    assert json.loads(ask("/charts/index.yaml").body)["entries"] == {}
    assert b"bundles 0" in ask("/").body
