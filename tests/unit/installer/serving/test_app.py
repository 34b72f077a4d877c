"""The application without a server: what a request is answered with."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from bundle.base.digest import hex_of
from installer.depot.directory import open_depot
from installer.serving.live import LiveDepot
from tests.support.depot.imported import change_lock, import_now, signed_bundle
from tests.support.documents.content import Maker, sample
from tests.support.sites.depot_site import WEB, Site, subjects
from tests.support.trust.release_kit import (
    enrolled,
    make_release,
)


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


def test_referrers_have_their_type_and_annotations(site: Site) -> None:
    index, _ = subjects(site)
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
    index, _ = subjects(site)
    base = f"/v2/{WEB}/referrers/{index}?artifactType="
    made = site.ask(f"{base}application/vnd.cyclonedx{sign}json")
    assert len(json.loads(made.body)["manifests"]) == 1
    assert made.header("oci-filters-applied") == "artifactType"
    other = site.ask(f"{base}application/x")
    assert json.loads(other.body)["manifests"] == []


def test_a_config_type_stands_in_for_a_missing_artifact_type(site: Site) -> None:
    _, listed = subjects(site)
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
    _, listed = subjects(site)
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
    index, _ = subjects(site)
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


@pytest.mark.parametrize("how", ["gone", "short", "flipped"])
def test_a_blob_that_the_disk_lost_is_an_error_and_is_logged(
    site: Site, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    index, _ = subjects(site)
    _damage(site, index, how)
    fresh = Site(site.kit, site.depot, LiveDepot(site.depot))
    with caplog.at_level(logging.ERROR, "isoward.depot"):
        made = fresh.ask(f"/v2/{WEB}/manifests/{index}")
    assert made.status == 500
    assert made.file is None
    assert hex_of(index) in caplog.text


@pytest.mark.parametrize("how", ["gone", "short", "flipped"])
def test_a_damaged_referrer_is_an_error(
    site: Site, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    index, _ = subjects(site)
    made = site.ask(f"/v2/{WEB}/referrers/{index}")
    (entry,) = json.loads(made.body)["manifests"]
    _damage(site, entry["digest"], how)
    fresh = Site(site.kit, site.depot, LiveDepot(site.depot))
    assert fresh.ask(f"/v2/{WEB}/referrers/{index}").status == 500
    assert hex_of(entry["digest"]) in caplog.text
