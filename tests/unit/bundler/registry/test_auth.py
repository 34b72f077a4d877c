from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from bundle.base.errors import AuthenticationError, HostNotAllowedError, IsowardError
from bundle.base.reference import Reference, parse_reference
from bundle.registry.credentials import Credential
from tests.support.registries.connecting import Known, client
from tests.support.registries.content import RegistryContent
from tests.support.registries.faulty_registry import Auth, FaultyRegistry, faulty_registry
from tests.support.registries.oci import CONFIG, MANIFEST, Blob, manifest, to_json
from tests.support.registries.scripted import Asked, Reply, Scripted, scripted

ME = Credential("me", "s3cr3t")
IMAGE = manifest(Blob(CONFIG, to_json({"os": "linux", "architecture": "amd64"})), [])


def _content() -> RegistryContent:
    content = RegistryContent()
    content.put("app/web", IMAGE, "1")
    content.put("app/db", IMAGE, "1")
    return content


def _reference(registry: FaultyRegistry, name: str = "app/web") -> Reference:
    return parse_reference(f"{registry.host}/{name}:1")


def _tokens(registry: FaultyRegistry) -> int:
    return sum(request.path.startswith("/token") for request in registry.log.entries)


def test_basic() -> None:
    with faulty_registry(_content(), auth=Auth("basic", "me", "s3cr3t")) as registry:
        made = client(registry.host, credentials=Known({registry.host: ME}))
        for _ in range(2):
            assert made.get_manifest(_reference(registry)).digest == IMAGE.digest
        sent = [request.authorization for request in registry.log.entries]
    assert sent == ["", "Basic", "Basic"]


def test_a_token_is_fetched_once_a_repository() -> None:
    with faulty_registry(_content(), auth=Auth("token", "me", "s3cr3t")) as registry:
        made = client(registry.host, credentials=Known({registry.host: ME}))
        for name in ("app/web", "app/web", "app/db"):
            assert made.get_manifest(_reference(registry, name)).digest == IMAGE.digest
        assert _tokens(registry) == 2


def test_an_anonymous_token() -> None:
    with faulty_registry(_content(), auth=Auth("token")) as registry:
        assert client(registry.host).get_manifest(_reference(registry)).digest == IMAGE.digest
        token = next(r for r in registry.log.entries if r.path.startswith("/token"))
    assert token.authorization == ""
    assert parse_qs(urlsplit(token.path).query) == {
        "service": ["test"],
        "scope": ["repository:app/web:pull"],
    }


def test_a_token_that_expired_is_renewed() -> None:
    with faulty_registry(_content(), auth=Auth("token", token_uses=2)) as registry:
        made = client(registry.host)
        for _ in range(5):
            made.get_manifest(_reference(registry))
        assert _tokens(registry) == 3


@pytest.mark.parametrize("kind", ["basic", "token"])
def test_wrong_credentials_are_an_error_that_does_not_show_them(kind: str) -> None:
    auth = Auth("basic" if kind == "basic" else "token", "me", "right")
    with faulty_registry(_content(), auth=auth) as registry:
        made = client(registry.host, credentials=Known({registry.host: ME}))
        with pytest.raises(AuthenticationError) as caught:
            made.get_manifest(_reference(registry))
    _shows_no_secret(caught.value)
    assert f"docker login {registry.host}" in caught.value.hint


@pytest.mark.parametrize("kind", ["basic", "token"])
def test_no_credentials_are_an_error(kind: str) -> None:
    auth = Auth("basic" if kind == "basic" else "token", "me", "right")
    with (
        faulty_registry(_content(), auth=auth) as registry,
        pytest.raises(AuthenticationError, match=r"user name and password|refuses"),
    ):
        client(registry.host).get_manifest(_reference(registry))


def _registry_with(
    challenge: Callable[[], str], good: str = "Bearer good"
) -> Callable[[Asked], Reply]:
    def script(asked: Asked) -> Reply:
        if asked.headers.get("authorization") == good:
            return Reply(body=IMAGE.data, headers={"Content-Type": MANIFEST})
        return Reply(401, headers={"WWW-Authenticate": challenge()})

    return script


def test_an_identity_token_is_posted() -> None:
    token = Reply(body=json.dumps({"token": None, "access_token": "good"}).encode())
    with scripted(lambda _: token) as realm:
        script = _registry_with(lambda: f'Bearer realm="{realm.url}/oauth2/token",service="s&t"')
        with scripted(script) as registry:
            known = Known({registry.host: Credential(identity_token="t0k3n")})
            made = client(registry.host, realm.host, credentials=known)
            made.get_manifest(parse_reference(f"{registry.host}/app/web:1"))
    (asked,) = realm.asked
    assert asked.method == "POST"
    assert asked.path == "/oauth2/token"
    assert "authorization" not in asked.headers
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["refresh_token"],
        "service": ["s&t"],
        "scope": ["repository:app/web:pull"],
        "client_id": ["isoward"],
        "refresh_token": ["t0k3n"],
    }


def test_a_realm_at_a_host_that_is_not_allowed_gets_nothing() -> None:
    with scripted(lambda _: Reply(body=b'{"token": "good"}')) as realm:
        script = _registry_with(lambda: f'Bearer realm="{realm.url}/token"')
        with scripted(script) as registry:
            made = client(registry.host, credentials=Known({registry.host: ME}))
            with pytest.raises(HostNotAllowedError) as caught:
                made.get_manifest(parse_reference(f"{registry.host}/app/web:1"))
        assert realm.asked == []
    assert realm.host in caught.value.message


def test_a_host_that_we_were_redirected_to_cannot_ask_for_the_credentials_of_the_first() -> None:
    def demand(asked: Asked) -> Reply:
        return Reply(401, headers={"WWW-Authenticate": f'Basic realm="{asked.path}"'})

    with scripted(demand) as other:
        away = Reply(307, headers={"Location": f"{other.url}/x"})
        with scripted(lambda _: away) as registry:
            made = client(registry.host, other.host, credentials=Known({registry.host: ME}))
            with pytest.raises(AuthenticationError, match=other.host):
                made.get_manifest(parse_reference(f"{registry.host}/app/web:1"))
        assert len(other.asked) == 1
        assert "authorization" not in other.asked[0].headers


@pytest.mark.parametrize(
    "answer",
    [
        b"s3cr3t",
        b"{}",
        b'{"token": ""}',
        b'{"token": "a\\r\\nX: s3cr3t"}',
        b'{"token": ["s3cr3t"]}',
    ],
)
def test_a_realm_that_gives_no_sane_token_is_an_error(answer: bytes) -> None:
    with scripted(lambda _: Reply(body=answer)) as realm:
        script = _registry_with(lambda: f'Bearer realm="{realm.url}/token"')
        with scripted(script) as registry:
            made = client(registry.host, realm.host)
            with pytest.raises(AuthenticationError, match="expected a token") as caught:
                made.get_manifest(parse_reference(f"{registry.host}/app/web:1"))
    _shows_no_secret(caught.value)


@pytest.mark.parametrize("challenge", ["", "Negotiate", 'Digest realm="x"'])
def test_a_demand_that_is_not_known_is_an_error(challenge: str) -> None:
    with scripted(_registry_with(lambda: challenge)) as registry:
        with pytest.raises(AuthenticationError, match="an unsupported kind of login"):
            client(registry.host).get_manifest(parse_reference(f"{registry.host}/app/web:1"))
        assert len(registry.asked) == 1


def test_a_basic_challenge_never_makes_its_realm_an_address() -> None:
    """An OCI client was seen to do so, sending the password to a host named like the realm."""
    good = ME.basic
    with scripted(_registry_with(lambda: 'Basic realm="Registry Realm"', good)) as registry:
        made = client(registry.host, credentials=Known({registry.host: ME}))
        made.get_manifest(parse_reference(f"{registry.host}/app/web:1"))
    _only_manifests(registry)


def test_a_file_server_may_demand_basic_too() -> None:
    def script(asked: Asked) -> Reply:
        if asked.headers.get("authorization") == ME.basic:
            return Reply(body=b"tool")
        return Reply(401, headers={"WWW-Authenticate": 'Basic realm="files"'})

    with scripted(script) as server:
        made = client(server.host, credentials=Known({server.host: ME}))
        assert made.url_size(f"{server.url}/tool") == 4


def _only_manifests(server: Scripted) -> None:
    assert set(server.paths) == {"/v2/app/web/manifests/1"}


def _shows_no_secret(error: BaseException) -> None:
    seen: BaseException | None = error
    while seen is not None:
        text = f"{seen} {seen.args}"
        if isinstance(seen, IsowardError):
            text += f"{seen.hint} {seen.context}"
        assert "s3cr3t" not in text
        assert ME.basic.removeprefix("Basic ") not in text
        seen = seen.__cause__
