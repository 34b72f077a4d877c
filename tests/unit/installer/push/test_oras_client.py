"""Odd registries, as people have met them: what is pushed to them, and what is said."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle.base.content import Content
from bundle.base.errors import (
    AuthenticationError,
    DigestMismatchError,
    HostNotAllowedError,
    IsowardError,
    SizeMismatchError,
    TransportError,
    TransportRefusedError,
)
from bundle.registry.credentials import Credential, Credentials, NoCredentials
from installer.push import oras_client
from installer.push.authorities import tls_context
from installer.push.oras_client import SiteRegistry
from installer.push.target import Target
from tests.support.registries.oci import sha256
from tests.support.registries.odd_registry import Odd, odd_registry

REPOSITORY = "mirror/docker.io/library/app"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DATA = bytes(range(256)) * 40


class Known:
    """The login of one user, for every host."""

    def find(self, host: str) -> Credential | None:
        return Credential("me", "secret")


class Waits:
    """Remembers how long was waited, and waits for nothing."""

    def __init__(self) -> None:
        self.all: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.all.append(seconds)


@pytest.fixture
def odd() -> Iterator[Odd]:
    with odd_registry() as running:
        yield running


def _registry(odd: Odd, credentials: Credentials | None = None, *token_hosts: str) -> SiteRegistry:
    target = Target(odd.host, "mirror", plain=True)
    return SiteRegistry(
        target,
        tls_context(odd.host, folders=()),
        credentials or NoCredentials(),
        token_hosts=token_hosts,
        sleep=Waits(),
    )


def _upload(
    registry: SiteRegistry, tmp_path: Path, data: bytes = DATA, wanted: bytes = DATA
) -> int:
    path = tmp_path / "blob"
    path.write_bytes(data)
    told: list[int] = []
    blob = Content(digest=sha256(wanted), size=len(wanted))
    with path.open("rb", buffering=0) as file:
        registry.upload(REPOSITORY, blob, file, "blobs/sha256/x", told.append)
    return sum(told)


@pytest.fixture(params=[oras_client.PIECE_BYTES, 1000], ids=["whole", "in-pieces"])
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(oras_client, "PIECE_BYTES", request.param)
    return int(request.param)


@pytest.mark.parametrize("form", ["absolute", "path", "query", "http", "port", "relative"])
def test_an_upload_goes_on_wherever_a_proxy_says(
    form: str, odd: Odd, tmp_path: Path, pieces: int
) -> None:
    port = odd.host.rpartition(":")[2]
    odd.location = {
        "absolute": lambda path: f"http://{odd.host}{path}",
        "path": lambda path: path,
        "query": lambda path: f"{path}&digest_algorithm=sha256",
        "http": lambda path: f"https://{odd.host}{path}",
        "port": lambda path: f"http://127.0.0.1{path}" if port else path,
        "relative": lambda path: f"//{odd.host}{path}",
    }[form]
    assert _upload(_registry(odd), tmp_path) == len(DATA)
    assert odd.blobs[REPOSITORY, sha256(DATA)] == DATA
    patches = [path for method, path in odd.seen if method == "PATCH"]
    assert len(patches) == (0 if pieces > len(DATA) else -(-len(DATA) // pieces))
    assert all("_state=a%2Bb" in path for path in patches)


def test_an_upload_is_never_sent_elsewhere(odd: Odd, tmp_path: Path) -> None:
    odd.location = lambda path: f"http://attacker.invalid{path}"
    with pytest.raises(HostNotAllowedError, match=r"attacker\.invalid"):
        _upload(_registry(odd), tmp_path)
    odd.location = lambda _: ""
    with pytest.raises(HostNotAllowedError):
        _upload(_registry(odd), tmp_path)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (bytes([DATA[0] ^ 1]) + DATA[1:], DigestMismatchError),
        (DATA[:-1] + b"\0", DigestMismatchError),
        (DATA[:-1], SizeMismatchError),
        (DATA + b"x", SizeMismatchError),
    ],
)
def test_a_damaged_blob_is_never_finished(
    data: bytes, error: type[IsowardError], odd: Odd, tmp_path: Path, pieces: int
) -> None:
    with pytest.raises(error, match="blobs/sha256/x"):
        _upload(_registry(odd), tmp_path, data)
    assert not odd.blobs
    assert "PUT" not in {method for method, _ in odd.seen}


def test_a_token_that_ends_in_the_middle_is_made_anew(
    odd: Odd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oras_client, "PIECE_BYTES", 1000)
    odd.realm, odd.token_lives = f"http://{odd.host}/token", 3
    assert _upload(_registry(odd, Known()), tmp_path) == len(DATA)
    assert odd.blobs[REPOSITORY, sha256(DATA)] == DATA
    asked = [path for _, path in odd.seen if path.startswith("/token?")]
    assert len(asked) > 3
    assert all(f"scope=repository%3A{REPOSITORY.replace('/', '%2F')}%3Apull%2Cpush" in path
               for path in asked)  # fmt: skip
    # The password goes to the token service, tokens to the registry.
    pairs = zip(odd.seen, odd.logins, strict=True)
    assert {login.partition(" ")[0] for (_, path), login in pairs if "/token" in path} == {"Basic"}


def test_a_token_service_elsewhere_gets_no_login(odd: Odd) -> None:
    with odd_registry() as other:
        odd.realm = f"http://localhost:{other.host.rpartition(':')[2]}/token"
        with pytest.raises(HostNotAllowedError, match="token service 'localhost'") as caught:
            _registry(odd, Known()).has_blob(REPOSITORY, sha256(DATA))
        assert "--token-host localhost" in caught.value.hint
        assert not other.seen
        other.token_lives = odd.token_lives
        with pytest.raises(AuthenticationError):
            # Named, it is asked; the registry does not know its tokens.
            _registry(odd, Known(), "localhost").has_blob(REPOSITORY, sha256(DATA))
        assert other.seen


@pytest.mark.parametrize(
    "realm", ["", "ftp://127.0.0.1/token", "http://me:x@127.0.0.1/token", "http://[", "Realm"]
)
def test_a_realm_that_is_no_address_gets_no_login(realm: str, odd: Odd) -> None:
    odd.realm = realm or " "
    with pytest.raises(TransportError):
        _registry(odd, Known()).has_blob(REPOSITORY, sha256(DATA))
    assert len(odd.seen) == 1


def test_basic_is_answered_once_and_a_wrong_one_is_said(odd: Odd) -> None:
    odd.basic = True
    registry = _registry(odd, Known())
    assert not registry.has_blob(REPOSITORY, sha256(DATA))
    assert not registry.has_blob("mirror/other", sha256(DATA))
    assert odd.logins[0] == ""
    assert all(odd.logins[1:])
    with pytest.raises(AuthenticationError, match="has none for it"):
        _registry(odd).has_blob(REPOSITORY, sha256(DATA))
    odd.refuse["HEAD"] = (401, "")
    with pytest.raises(AuthenticationError) as caught:
        registry.has_blob(REPOSITORY, sha256(DATA))
    assert "secret" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    ("status", "code", "words", "advice"),
    [
        (403, "DENIED", "requested access to the resource is denied", "permission"),
        (404, "NOT_FOUND", "project mirror not found", "Is there such a project"),
        (412, "PRECONDITION", "configured as immutable", "keeps this tag"),
        (413, "", "", "client_max_body_size"),
        (403, "DENIED", "adding 1 MiB of storage would exceed the quota", "quota"),
        (403, "DENIED", "The system is in read only mode.", "read-only"),
        (405, "UNSUPPORTED", "The operation is unsupported.", "read-only"),
        (302, "", "", "administrator"),
    ],
)
def test_what_a_registry_refuses_is_said_and_not_tried_again(
    status: int, code: str, words: str, advice: str, odd: Odd
) -> None:
    text = f'{{"errors":[{{"code":"{code}","message":"{words}"}}]}}' if code else "<html>"
    odd.refuse["PUT"] = (status, text)
    with pytest.raises(TransportRefusedError) as caught:
        _registry(odd).put_manifest(REPOSITORY, "1.0", b"{}", MANIFEST)
    assert f"{odd.host}/{REPOSITORY}:1.0: the registry answered {status}" in caught.value.message
    assert words in caught.value.message
    assert advice in caught.value.hint
    assert len(odd.seen) == 1


def test_a_server_that_stumbles_is_asked_again(odd: Odd, tmp_path: Path, pieces: int) -> None:
    odd.fail_once |= {"HEAD", "POST", "PUT"}
    registry = _registry(odd)
    assert not registry.has_blob(REPOSITORY, sha256(DATA))
    assert _upload(registry, tmp_path) == len(DATA)
    odd.fail_once |= {"PUT"}
    registry.put_manifest(REPOSITORY, "1.0", b"{}", MANIFEST)
    assert registry.manifest_digest(REPOSITORY, "1.0") == sha256(b"{}")


def test_a_full_disk_is_said(odd: Odd) -> None:
    odd.refuse["PUT"] = (500, '{"errors":[{"code":"UNKNOWN","message":"no space left on device"}]}')
    with pytest.raises(TransportRefusedError, match="no space") as caught:
        _registry(odd).put_manifest(REPOSITORY, "1.0", b"{}", MANIFEST)
    assert "disk is full" in caught.value.hint


def test_a_blob_in_other_storage_is_there(odd: Odd) -> None:
    odd.blobs[REPOSITORY, sha256(DATA)] = DATA
    odd.elsewhere = True
    assert _registry(odd).has_blob(REPOSITORY, sha256(DATA))
    odd.elsewhere = False
    odd.refuse["HEAD"] = (302, "")
    with pytest.raises(TransportRefusedError):
        # That is the page of a login, or of anything.
        _registry(odd).has_blob(REPOSITORY, sha256(DATA))


def test_a_blob_is_mounted_where_that_is_possible(odd: Odd) -> None:
    odd.blobs["mirror/first", sha256(DATA)] = DATA
    registry = _registry(odd)
    assert registry.mount(REPOSITORY, sha256(DATA), "mirror/first")
    assert registry.has_blob(REPOSITORY, sha256(DATA))
    odd.mounts = False
    assert not registry.mount("mirror/third", sha256(DATA), "mirror/first")
    assert odd.seen[-1][0] == "DELETE"
    odd.refuse["POST"] = (403, "")
    assert not registry.mount("mirror/third", sha256(DATA), "mirror/first")


def test_a_registry_that_says_no_digests_is_read(odd: Odd) -> None:
    odd.digest_header = False
    odd.manifests[REPOSITORY, "1.0"] = b"{}"
    registry = _registry(odd)
    assert registry.manifest_digest(REPOSITORY, "1.0") == sha256(b"{}")
    assert registry.manifest_digest(REPOSITORY, "2.0") is None


def test_nobody_there_is_said() -> None:
    registry = SiteRegistry(
        Target("127.0.0.1:1", plain=True), tls_context("x", folders=()), NoCredentials(),
        sleep=Waits(),
    )  # fmt: skip
    with pytest.raises(TransportError, match="nothing listens there"):
        registry.has_blob(REPOSITORY, sha256(DATA))


def test_plain_http_where_tls_is_expected_is_said(odd: Odd) -> None:
    registry = SiteRegistry(Target(odd.host), tls_context("x", folders=()), NoCredentials())
    with pytest.raises(TransportRefusedError, match="does not speak TLS"):
        registry.has_blob(REPOSITORY, sha256(DATA))


def test_memory_holds_a_piece_and_no_more(
    odd: Odd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oras_client, "PIECE_BYTES", 1000)
    sizes: list[int] = []
    add = oras_client._Sent.add

    def noted(self: oras_client._Sent, data: bytes, *, last: bool) -> None:
        sizes.append(len(data))
        add(self, data, last=last)

    monkeypatch.setattr(oras_client._Sent, "add", noted)
    _upload(_registry(odd), tmp_path)
    assert max(sizes) == 1000


def test_an_empty_blob_goes_up(odd: Odd, tmp_path: Path) -> None:
    assert _upload(_registry(odd), tmp_path, b"", b"") == 0
    assert odd.blobs[REPOSITORY, sha256(b"")] == b""


def test_the_library_opens_the_file_that_was_opened(odd: Odd, tmp_path: Path) -> None:
    """Another file under its name, after it was opened, is not sent."""
    path = tmp_path / "blob"
    path.write_bytes(DATA)
    with path.open("rb", buffering=0) as file:
        path.unlink()
        path.write_bytes(hashlib.sha256(DATA).digest())
        blob = Content(digest=sha256(DATA), size=len(DATA))
        _registry(odd).upload(REPOSITORY, blob, file, "x", lambda _: None)
    assert odd.blobs[REPOSITORY, sha256(DATA)] == DATA
