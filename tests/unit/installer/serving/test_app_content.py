"""The application without a server: files, packages and charts, and what is imported or removed."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from installer.depot.directory import create_depot
from installer.serving.app import answer
from installer.serving.http import Request
from installer.serving.live import LiveDepot
from tests.support.depot.imported import change_lock, import_now, signed_bundle
from tests.support.documents.content import Maker, sample
from tests.support.sites.depot_site import WEB, Site, subjects


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
                # As Helm has what is not quoted.
                assert entry["appVersion"] == "1.1"
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
    index, _ = subjects(site)
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
    assert (health["status"], health["bundles"]) == ("degraded", 1)
    assert health["broken"] == ["c" * 64, "d" * 64, "e" * 64]
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
