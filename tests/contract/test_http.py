"""The depot as any HTTP client meets it: over TLS, from a real `isoward serve`."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import ssl
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
import urllib3

from tests.support.depot.imported import RunningDepot

WEB = "/v2/registry.example.org/app/web"
LARGE = "/files/example.org/large.bin"
CONTENT = bytes(range(256)) * 4096 * 3


def _raw(served: RunningDepot, request: bytes) -> bytes:
    """Send bytes as they are; clients of a library would make them well-formed."""
    context = ssl.create_default_context(cafile=str(served.ca))
    host, port = served.host.split(":")
    with (
        socket.create_connection((host, int(port)), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        secure.sendall(request)
        received = bytearray()
        while data := secure.recv(65536):
            received += data
    return bytes(received)


def test_the_certificate_is_by_the_depots_ca_for_this_address(served: RunningDepot) -> None:
    assert served.request("/v2/").status == 200
    assert stat.S_IMODE((served.ca.parent / "server.key").stat().st_mode) == 0o600
    with pytest.raises(urllib3.exceptions.SSLError):
        urllib3.PoolManager(retries=False, cert_reqs="REQUIRED").request("GET", served.url + "/v2/")


def test_only_tls_1_3_is_spoken(served: RunningDepot) -> None:
    context = ssl.create_default_context(cafile=str(served.ca))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    host, port = served.host.split(":")
    with (
        socket.create_connection((host, int(port)), timeout=20) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(plain, server_hostname=host)


def test_a_blob_is_sent_whole(served: RunningDepot) -> None:
    made = served.request(LARGE)
    assert made.status == 200
    assert made.data == CONTENT
    digest = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
    assert made.headers["docker-content-digest"] == digest
    assert made.headers["etag"] == f'"{digest}"'
    assert made.headers["content-length"] == str(len(CONTENT))
    assert served.request(f"{WEB}/blobs/{digest}").data == CONTENT


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1000000-2999999", 1_000_000, 3_000_000),
        ("bytes=3145727-", 3_145_727, 3_145_728),
        ("bytes=-131073", 3_145_728 - 131_073, 3_145_728),
        ("bytes=0-", 0, 3_145_728),
    ],
)
def test_a_range_is_those_bytes_and_no_others(
    served: RunningDepot, asked: str, start: int, end: int
) -> None:
    made = served.request(LARGE, range=asked)
    assert made.status == 206
    assert made.data == CONTENT[start:end]
    assert made.headers["content-range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"


def test_a_download_can_be_resumed(served: RunningDepot) -> None:
    tag = served.request(LARGE, "HEAD").headers["etag"]
    first = served.request(LARGE, range="bytes=0-999999")
    rest = served.request(LARGE, range="bytes=1000000-", if_range=tag)
    assert first.data + rest.data == CONTENT


def test_a_range_beyond_the_end_is_refused(served: RunningDepot) -> None:
    made = served.request(LARGE, range="bytes=3145728-")
    assert made.status == 416
    assert made.headers["content-range"] == "bytes */3145728"


def test_several_ranges_are_answered_with_all(served: RunningDepot) -> None:
    made = served.request(LARGE, range="bytes=0-1,5-6")
    assert made.status == 200
    assert made.data == CONTENT


@pytest.mark.parametrize("path", [LARGE, f"{WEB}/manifests/2.1", "/charts/index.yaml", "/v2/", "/"])
def test_head_says_what_get_would(served: RunningDepot, path: str) -> None:
    get, head = served.request(path), served.request(path, "HEAD")
    assert head.status == get.status == 200
    assert head.data == b""
    for name in ("content-length", "content-type", "etag", "docker-content-digest"):
        assert head.headers.get(name) == get.headers.get(name), name


def test_head_has_no_body_on_the_wire(served: RunningDepot) -> None:
    request = f"HEAD {LARGE} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    received = _raw(served, request.encode())
    assert received.startswith(b"HTTP/1.1 200")
    assert received.endswith(b"\r\n\r\n")
    assert b"content-length: 3145728" in received.lower()


def test_content_that_the_client_has_is_not_sent_again(served: RunningDepot) -> None:
    tag = served.request(f"{WEB}/manifests/2.1").headers["etag"]
    made = served.request(f"{WEB}/manifests/2.1", if_none_match=tag)
    assert made.status == 304
    assert made.data == b""
    assert made.headers["docker-content-digest"] == tag.strip('"')


def test_an_image_can_be_walked_from_its_tag_to_its_layers(served: RunningDepot) -> None:
    made = served.request(f"{WEB}/manifests/2.1")
    assert made.headers["content-type"] == "application/vnd.oci.image.index.v1+json"
    index = json.loads(made.data)
    assert len(index["manifests"]) == 2
    for entry in index["manifests"]:
        found = served.request(f"{WEB}/manifests/{entry['digest']}")
        assert found.headers["content-type"] == entry["mediaType"]
        assert "sha256:" + hashlib.sha256(found.data).hexdigest() == entry["digest"]
        image = json.loads(found.data)
        for part in (image["config"], *image["layers"]):
            blob = served.request(f"{WEB}/blobs/{part['digest']}")
            assert blob.status == 200
            assert "sha256:" + hashlib.sha256(blob.data).hexdigest() == part["digest"]
            assert len(blob.data) == part["size"]


def test_containerd_asks_as_a_mirrors_client(served: RunningDepot) -> None:
    made = served.request("/v2/library/busybox/manifests/1.36?ns=docker.io", "HEAD")
    assert made.status == 200
    digest = made.headers["docker-content-digest"]
    assert served.request(f"/v2/library/busybox/manifests/{digest}?ns=docker.io").status == 200
    port = "/v2/team/tool/manifests/v1?ns=registry.example.org%3A5000"
    assert served.request(port).status == 200


def test_errors_are_as_specified(served: RunningDepot) -> None:
    made = served.request(f"{WEB}/manifests/nope")
    assert made.status == 404
    assert made.headers["content-type"] == "application/json"
    (error,) = json.loads(made.data)["errors"]
    assert error["code"] == "MANIFEST_UNKNOWN"
    assert error.keys() == {"code", "message", "detail"}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_writes_are_refused_also_with_a_body(served: RunningDepot, method: str) -> None:
    url = f"{served.url}{WEB}/blobs/uploads/"
    made = served.pool.request(method, url, body=b"x" * 3000)
    assert made.status == 405
    assert made.headers["allow"] == "GET, HEAD"
    # A large one is not waited for: the connection may end before all of it is sent.
    with contextlib.suppress(urllib3.exceptions.HTTPError, OSError):
        assert served.pool.request(method, url, body=b"x" * 3_000_000).status == 405
    assert served.request("/v2/").status == 200


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/files/../../../../etc/passwd", 404),
        ("/files/%2e%2e/%2e%2e/etc/passwd", 404),
        ("/files/..%2f..%2fdepot.json", 404),
        ("/v2/%2e%2e/%2e%2e/blobs/sha256:00", 400),
        ("/files/example.org/large.bin%00", 404),
        ("/files/%252e%252e/depot.json", 404),
        ("/%ff%fe", 404),
        ("/v2/%C3%A9/tags/list", 400),
        ("/" + "a" * 9000, 414),
    ],
)
def test_hostile_paths_name_nothing(served: RunningDepot, target: str, status: int) -> None:
    request = f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    received = _raw(served, request.encode())
    assert received.startswith(f"HTTP/1.1 {status} ".encode()), received[:300]
    assert b"root:" not in received


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x00\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: " + b"b" * 600_000 + b"\r\n\r\n",
    ],
)
def test_malformed_requests_do_no_harm(served: RunningDepot, request_bytes: bytes) -> None:
    try:
        received = _raw(served, request_bytes)
    except OSError:
        received = b""
    assert b" 200 " not in received[:20]
    assert served.request("/healthz").status == 200


def test_a_header_that_is_not_text_is_ignored(served: RunningDepot) -> None:
    request = b"GET /v2/ HTTP/1.1\r\nHost: x\r\nRange: \xff\xfe\r\nConnection: close\r\n\r\n"
    assert _raw(served, request).startswith(b"HTTP/1.1 200")


def test_many_clients_get_the_same_bytes(served: RunningDepot) -> None:
    def fetch(_: int) -> str:
        with urllib3.PoolManager(ca_certs=str(served.ca), retries=False) as pool:
            return hashlib.sha256(pool.request("GET", served.url + LARGE).data).hexdigest()

    with ThreadPoolExecutor(16) as threads:
        digests = set(threads.map(fetch, range(48)))
    assert digests == {hashlib.sha256(CONTENT).hexdigest()}


def test_a_client_that_goes_away_does_no_harm(served: RunningDepot) -> None:
    for _ in range(5):
        made = served.pool.request("GET", served.url + LARGE, preload_content=False)
        made.read(1000)
        made.close()
    assert served.request(LARGE).data == CONTENT


def test_security_headers_are_on_every_answer(served: RunningDepot) -> None:
    for path in ("/", LARGE, "/nowhere", "/v2/_catalog", f"{WEB}/manifests/nope"):
        headers = served.request(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in headers["content-security-policy"]


def test_requests_are_logged_when_asked(served: RunningDepot) -> None:
    served.request("/v2/_catalog")
    assert '"GET /v2/_catalog" 200' in served.child.log.read_text()
