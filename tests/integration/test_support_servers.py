"""The servers that other tests lean on do what they say, faults included."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import urllib3

from tests.support.programs.processes import ProcessFailedError, running, start
from tests.support.registries.content import RegistryContent, content_of_layout
from tests.support.registries.faulty_registry import Auth, Fault, FaultyRegistry, faulty_registry
from tests.support.registries.oci import EMPTY, LAYER, Artifact, Blob, manifest, write_layout
from tests.support.registries.referrers import SPDX, referrer
from tests.support.registries.static_site import static_site
from tests.support.registries.tls import make_server_tls

_DATA = bytes(range(256)) * 1000
_IMAGE = manifest(Blob(EMPTY, b"{}"), [Blob(LAYER, _DATA)])
_SBOM = referrer(SPDX, b'{"spdxVersion":"SPDX-2.3"}', _IMAGE)
_LAYER = _IMAGE.blobs[1].digest


def _content() -> RegistryContent:
    content = RegistryContent()
    content.put("app/web", _IMAGE, "1")
    content.put("app/web", _IMAGE, "2")
    content.put("app/web", _SBOM)
    return content


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with faulty_registry(_content()) as running_registry:
        yield running_registry


def _get(registry: FaultyRegistry, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return urllib3.request(
        "GET", registry.url + path, headers=sent, retries=False, redirect=False, timeout=5
    )


def _blob(registry: FaultyRegistry, **headers: str) -> urllib3.BaseHTTPResponse:
    return _get(registry, f"/v2/app/web/blobs/{_LAYER}", **headers)


def test_it_serves_manifests_blobs_ranges_tags_and_referrers(registry: FaultyRegistry) -> None:
    by_tag = _get(registry, "/v2/app/web/manifests/1")
    assert (by_tag.data, by_tag.headers["Docker-Content-Digest"]) == (_IMAGE.data, _IMAGE.digest)
    assert _blob(registry).data == _DATA
    part = _blob(registry, Range="bytes=100-199")
    assert (part.status, part.data) == (206, _DATA[100:200])
    assert _blob(registry, Range=f"bytes={len(_DATA)}-").status == 416
    assert _get(registry, "/v2/app/web/manifests/3").status == 404
    assert _get(registry, "/v2/other/manifests/1").status == 404
    registry.page = 1
    tags = _get(registry, "/v2/app/web/tags/list")
    assert tags.json()["tags"] == ["1"]
    assert 'last=1>; rel="next"' in tags.headers["Link"]
    found = _get(registry, f"/v2/app/web/referrers/{_IMAGE.digest}?artifactType={quote(SPDX)}")
    assert [entry["digest"] for entry in found.json()["manifests"]] == [_SBOM.digest]
    other = _get(registry, f"/v2/app/web/referrers/{_IMAGE.digest}?artifactType=a/b")
    assert other.json()["manifests"] == []
    assert registry.blob_fetches()[_LAYER] == 3


def test_a_cut_comes_once_and_the_rest_can_be_resumed(registry: FaultyRegistry) -> None:
    registry.fault(_LAYER, Fault(cut_after=1000, times=1))
    with pytest.raises(urllib3.exceptions.ProtocolError):
        _blob(registry)
    assert _blob(registry, Range="bytes=1000-").data == _DATA[1000:]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(flip=True), _DATA[:128000] + b"\x01" + _DATA[128001:]),
        (Fault(extend=2), _DATA + b"\0\0"),
        (Fault(shorten=3), _DATA[:-3]),
        (Fault(pause=0.001), _DATA),
    ],
)
def test_bytes_are_spoilt_as_asked(registry: FaultyRegistry, fault: Fault, expected: bytes) -> None:
    registry.fault("/blobs/", fault)
    assert _blob(registry).data == expected
    registry.heal()
    assert _blob(registry).data == _DATA


def test_statuses_redirects_and_ignored_ranges(registry: FaultyRegistry) -> None:
    registry.fault(_LAYER, Fault(status=503, times=2))
    registry.fault(_LAYER, Fault(status=429, headers={"Retry-After": "7"}, times=1))
    registry.fault(_LAYER, Fault(redirect="http://other.example", times=1))
    registry.fault(_LAYER, Fault(ignore_range=True))
    answers = [_blob(registry, Range="bytes=5-9") for _ in range(5)]
    assert [answer.status for answer in answers] == [503, 503, 429, 307, 200]
    assert answers[2].headers["Retry-After"] == "7"
    assert answers[3].headers["Location"] == f"http://other.example/v2/app/web/blobs/{_LAYER}"
    assert answers[4].data == _DATA


def test_basic_authentication() -> None:
    with faulty_registry(_content(), auth=Auth("basic", "ann", "secret")) as registry:
        refused = _get(registry, "/v2/app/web/manifests/1")
        assert (refused.status, refused.headers["WWW-Authenticate"][:5]) == (401, "Basic")
        known = urllib3.make_headers(basic_auth="ann:secret")["authorization"]
        assert _get(registry, "/v2/app/web/manifests/1", Authorization=known).status == 200


def test_tokens_are_scoped_and_used_up() -> None:
    auth = Auth("token", "ann", "secret", token_uses=1)
    with faulty_registry(_content(), auth=auth) as registry:
        challenge = _get(registry, "/v2/app/web/manifests/1").headers["WWW-Authenticate"]
        assert f'realm="{registry.url}/token"' in challenge
        assert 'scope="repository:app/web:pull"' in challenge
        scope = "/token?service=test&scope=repository:app/web:pull"
        assert _get(registry, scope).status == 401
        known = urllib3.make_headers(basic_auth="ann:secret")["authorization"]
        token = "Bearer " + _get(registry, scope, Authorization=known).json()["token"]
        wrong = _get(registry, "/v2/other/tags/list", Authorization=token)
        answers = [_get(registry, "/v2/app/web/tags/list", Authorization=token) for _ in "12"]
        assert [wrong.status, *(answer.status for answer in answers)] == [401, 200, 401]


def test_tls_with_a_private_authority(tmp_path: Path) -> None:
    tls = make_server_tls(tmp_path)
    with faulty_registry(_content(), tls=tls) as registry:
        with pytest.raises(urllib3.exceptions.SSLError):
            _get(registry, "/v2/")
        with urllib3.PoolManager(ca_certs=str(tls.ca)) as pool:
            assert pool.request("GET", f"{registry.url}/v2/").status == 200


def test_it_serves_an_oci_layout(tmp_path: Path) -> None:
    write_layout(tmp_path / "layout", {"app/web:1": _IMAGE, "app/web:sbom": _SBOM})
    with faulty_registry(content_of_layout(tmp_path / "layout")) as registry:
        assert _blob(registry).data == _DATA
        found = _get(registry, f"/v2/app/web/referrers/{_IMAGE.digest}")
        assert found.json()["manifests"][0]["artifactType"] == SPDX


def test_the_static_site_has_ranges_and_etags(tmp_path: Path) -> None:
    with static_site(tmp_path / "site") as site:
        url = site.put("files/a.bin", _DATA)
        whole = urllib3.request("GET", url)
        assert whole.data == _DATA
        tag = whole.headers["ETag"]
        part = urllib3.request("GET", url, headers={"Range": "bytes=10-", "If-Range": tag})
        assert (part.status, part.data) == (206, _DATA[10:])
        site.put("files/a.bin", _DATA[::-1])
        changed = urllib3.request("GET", url, headers={"Range": "bytes=10-", "If-Range": tag})
        assert (changed.status, changed.data) == (200, _DATA[::-1])
        assert urllib3.request("HEAD", url).headers["Content-Length"] == str(len(_DATA))
        assert urllib3.request("GET", f"{site.url}/../conftest.py").status == 404
        assert site.log.count("GET")["/files/a.bin"] == 3


def test_a_child_that_ends_early_is_reported_with_its_log(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "raise SystemExit('no such port')"]
    with (
        pytest.raises(ProcessFailedError, match="no such port"),
        running("broken", argv, tmp_path / "log", ready=lambda: False),
    ):
        pytest.fail("the block was entered")


def test_a_child_that_will_not_end_is_killed(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True)"
    log = tmp_path / "log"
    child = start("stubborn", [sys.executable, "-c", f"{code}; time.sleep(60)"], log)
    while not log.read_bytes():
        assert child.alive
    assert child.stop(patience=0.1) == -9
    assert not child.alive


def test_artifacts_are_the_same_bytes_every_time() -> None:
    again: Artifact = manifest(Blob(EMPTY, b"{}"), [Blob(LAYER, _DATA)])
    assert (again.digest, again.data) == (_IMAGE.digest, _IMAGE.data)
