from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bundle.base.errors import (
    AuthenticationError,
    DefinitionError,
    MissingProgramError,
    ProgramError,
)
from bundle.registry.challenge import Challenge, parse_challenges
from bundle.registry.credentials import (
    Credential,
    DockerCredentials,
    load_docker_credentials,
)
from bundle.store.programs import USUAL_STREAMS, Finished, Streams

HOST = "registry.example.org:5000"


def _auth(user: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


class Helper:
    """Answers as a credential helper, and remembers how it was called."""

    def __init__(self, result: Finished | ProgramError) -> None:
        self.result = result
        self.calls: list[tuple[Sequence[str], bytes]] = []

    def __call__(
        self, command: Sequence[str], *, streams: Streams = USUAL_STREAMS, **_: Any
    ) -> Finished:
        self.calls.append((command, streams.given))
        if isinstance(self.result, ProgramError):
            raise self.result
        return self.result


def _answer(user: str, secret: str) -> Finished:
    return Finished(0, json.dumps({"Username": user, "Secret": secret}).encode(), b"")


@pytest.mark.parametrize("key", [HOST, f"https://{HOST}", f"https://{HOST}/v2/", HOST.upper()])
def test_a_login_is_found_however_its_host_is_written(key: str) -> None:
    found = DockerCredentials({"auths": {key: _auth("me", "pass:word")}}).find(HOST)
    assert found == Credential("me", "pass:word")
    assert DockerCredentials({"auths": {key: {}}}).find(HOST) is None


@pytest.mark.parametrize(
    "key", ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io"]
)
def test_docker_hub_has_several_names(key: str) -> None:
    assert DockerCredentials({"auths": {key: _auth("me", "x")}}).find("docker.io") is not None


def test_an_identity_token_goes_before_a_password() -> None:
    entry = {**_auth("me", "x"), "identitytoken": "refresh"}
    found = DockerCredentials({"auths": {HOST: entry}}).find(HOST)
    assert found == Credential(identity_token="refresh")


def test_a_helper_is_asked_once_for_its_host() -> None:
    helper = Helper(_answer("me", "x"))
    found = DockerCredentials({"credHelpers": {HOST: "vault"}}, helper)
    assert found.find(HOST) == found.find(HOST) == Credential("me", "x")
    assert found.find("other.example.org") is None
    assert helper.calls == [(("docker-credential-vault", "get"), HOST.encode())]


def test_the_store_is_asked_for_docker_hub_by_its_old_name() -> None:
    helper = Helper(_answer("me", "x"))
    DockerCredentials({"credsStore": "pass"}, helper).find("docker.io")
    assert helper.calls == [(("docker-credential-pass", "get"), b"https://index.docker.io/v1/")]


def test_a_helper_may_give_an_identity_token() -> None:
    helper = Helper(_answer("<token>", "refresh"))
    found = DockerCredentials({"credsStore": "pass"}, helper).find(HOST)
    assert found == Credential(identity_token="refresh")


def test_a_helper_that_knows_nothing_leaves_us_anonymous() -> None:
    nothing = Finished(1, b"credentials not found in native keychain\n", b"")
    assert DockerCredentials({"credsStore": "pass"}, Helper(nothing)).find(HOST) is None


@pytest.mark.parametrize(
    "result",
    [
        Finished(1, b"gpg: the agent is locked, secret s3cr3t", b"s3cr3t"),
        Finished(0, b'{"Username": "me", "Secret": ["s3cr3t"]}', b"s3cr3t"),
        Finished(0, b"s3cr3t", b"s3cr3t"),
        Finished(0, b'{"Username": "s3cr3t"}', b"s3cr3t"),
        MissingProgramError("this machine has no such program", ""),
    ],
)
def test_a_helper_that_fails_is_an_error_and_its_words_are_not_repeated(
    result: Finished | ProgramError,
) -> None:
    with pytest.raises(AuthenticationError, match="docker-credential-pass failed") as caught:
        DockerCredentials({"credsStore": "pass"}, Helper(result)).find(HOST)
    error = caught.value
    assert "s3cr3t" not in f"{error.message} {error.hint} {error.context} {error.__cause__}"


@pytest.mark.parametrize("name", ["../../bin/sh", "a b", "", "-x"])
def test_a_helper_of_another_path_is_not_run(name: str) -> None:
    helper = Helper(_answer("me", "x"))
    if name:
        with pytest.raises(DefinitionError, match="not the name of a credential helper"):
            DockerCredentials({"credHelpers": {HOST: name}}, helper).find(HOST)
    assert helper.calls == []


@pytest.mark.parametrize(
    "config", [{"auths": []}, {"credHelpers": "x"}, {"auths": {HOST: {"auth": "%%%"}}}]
)
def test_a_malformed_configuration_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match=r"config\.json"):
        DockerCredentials(config).find(HOST)


def test_the_configuration_is_read_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"auths": {HOST: _auth("me", "x")}}))
    assert load_docker_credentials({"DOCKER_CONFIG": str(tmp_path)}).find(HOST) is not None
    assert load_docker_credentials({"HOME": str(tmp_path)}).find(HOST) is None
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(DefinitionError, match="expected a JSON object"):
        load_docker_credentials({"DOCKER_CONFIG": str(tmp_path)})


def test_a_real_helper_is_run_without_the_host_in_its_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "docker-credential-test"
    program.write_text(
        '#!/bin/sh\nread host\necho "{\\"Username\\":\\"$1\\",\\"Secret\\":\\"$host\\"}"'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    subprocess.run([program, "get"], input=b"x", check=True, stdout=subprocess.DEVNULL)
    found = DockerCredentials({"credHelpers": {HOST: "test"}}).find(HOST)
    assert found == Credential("get", HOST)


def test_secrets_do_not_show() -> None:
    shown = repr(Credential("me", "s3cr3t", "t0k3n")) + repr(Finished(0, b"s3cr3t", b"s3cr3t"))
    assert "s3cr3t" not in shown
    assert "t0k3n" not in shown


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('Basic realm="Registry Realm"', [Challenge("basic", {"realm": "Registry Realm"})]),
        (
            'Bearer realm="https://a/token",service="r", scope="repository:a/b:pull,push"',
            [
                Challenge(
                    "bearer",
                    {
                        "realm": "https://a/token",
                        "service": "r",
                        "scope": "repository:a/b:pull,push",
                    },
                )
            ],
        ),
        (
            'Negotiate, BEARER realm=x , Basic realm="a \\"b\\""',
            [
                Challenge("negotiate", {}),
                Challenge("bearer", {"realm": "x"}),
                Challenge("basic", {"realm": 'a "b"'}),
            ],
        ),
        ("", []),
        ('="x"', []),
    ],
)
def test_challenges_are_parsed(header: str, expected: list[Challenge]) -> None:
    assert parse_challenges([header]) == expected
