"""Credentials as `docker login` left them: config.json and the credential helpers it names.

They are asked for when a server demands them, not before, and each helper runs once a host.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from bundle.base.errors import AuthenticationError, DefinitionError, ProgramError
from bundle.base.limits import MAX_DEFINITION_BYTES
from bundle.base.reference import DOCKER_HUB
from bundle.registry.hosts import host_key
from bundle.store.programs import Bounds, Runner, Streams, run_program

_HUB_KEY: Final = "https://index.docker.io/v1/"
_HUB_HOSTS: Final = frozenset({DOCKER_HUB, "index.docker.io", "registry-1.docker.io"})
_HELPER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HELPER_SECONDS: Final = 60
_NOT_FOUND: Final = "credentials not found"
_TOKEN_USER: Final = "<token>"  # noqa: S105 - the protocol's marker, not a secret


@dataclass(frozen=True, slots=True)
class Credential:
    """How to log in to one host: a user and a password, or an identity token."""

    user: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """The value of an Authorization header for Basic."""
        pair = f"{self.user}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode("ascii")


class Credentials(Protocol):
    """Where credentials come from."""

    def find(self, host: str) -> Credential | None:
        """Return the credential for a host, or None to go on anonymously."""


class NoCredentials:
    """For those who are always anonymous."""

    def find(self, host: str) -> Credential | None:  # noqa: ARG002 - the protocol's argument
        """Return None."""
        return None


class DockerCredentials:
    """The credentials of docker's config.json.

    Source: docker CLI, "docker login", "Credential helper protocol".
    """

    def __init__(self, config: Mapping[str, Any], runner: Runner = run_program) -> None:
        """Use a parsed config.json."""
        self._runner = runner
        self._auths = {_host_of(k): v for k, v in _mapping(config, "auths").items()}
        self._helpers = {_host_of(k): v for k, v in _mapping(config, "credHelpers").items()}
        self._store = config.get("credsStore") or ""
        self._known: dict[str, Credential | None] = {}
        self._lock = threading.Lock()

    def find(self, host: str) -> Credential | None:
        """Return the credential for a host, or None when there is none.

        Raises:
            AuthenticationError: A helper failed; going on anonymously would hide that.
            DefinitionError: config.json is malformed.
        """
        name = _host_of(host)
        with self._lock:
            if name not in self._known:
                self._known[name] = self._look_up(name)
            return self._known[name]

    def _look_up(self, host: str) -> Credential | None:
        helper = self._helpers.get(host) or self._store
        found = self._ask_helper(helper, host) if helper else None
        if found is not None:
            return found
        return _from_entry(self._auths.get(host), host)

    def _ask_helper(self, helper: Any, host: str) -> Credential | None:
        if not isinstance(helper, str) or not _HELPER_NAME.fullmatch(helper):
            raise _malformed(f"{helper!r} is not the name of a credential helper")
        program = f"docker-credential-{helper}"
        server = _HUB_KEY if host == DOCKER_HUB else host
        try:
            done = self._runner(
                (program, "get"), streams=Streams(server.encode()), bounds=Bounds(_HELPER_SECONDS)
            )
        except ProgramError as error:
            raise _helper_failed(program, host, error.message) from error
        # What it writes to standard error is not shown: it may quote the secret.
        if done.code != 0:
            if _NOT_FOUND in done.output.decode("utf-8", "replace").lower():
                return None
            raise _helper_failed(program, host, f"exit code {done.code}")
        try:
            answer = msgspec.json.decode(done.output, type=dict[str, str])
            user, secret = answer["Username"], answer["Secret"]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError):
            # Without its cause, whose text may quote the secret.
            raise _helper_failed(program, host, "its answer is malformed") from None
        if user == _TOKEN_USER:
            return Credential(identity_token=secret)
        return Credential(user, secret)


def load_docker_credentials(
    environ: Mapping[str, str] = os.environ, runner: Runner = run_program
) -> DockerCredentials:
    """Read $DOCKER_CONFIG/config.json or ~/.docker/config.json; none is as good as an empty one.

    Raises:
        DefinitionError: It is there and cannot be read, or is no such file.
    """
    folder = environ.get("DOCKER_CONFIG") or str(Path(environ.get("HOME") or "/") / ".docker")
    path = Path(folder) / "config.json"
    try:
        with path.open("rb") as file:
            data = file.read(MAX_DEFINITION_BYTES + 1)
    except FileNotFoundError:
        return DockerCredentials({}, runner)
    except OSError as error:
        raise _malformed(error.strerror or type(error).__name__, str(path)) from error
    try:
        config = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _malformed("expected a JSON object", str(path)) from None
    return DockerCredentials(config, runner)


def _from_entry(entry: Any, host: str) -> Credential | None:
    """Read one entry of `auths`; an empty one only says that a helper has the secret."""
    if not isinstance(entry, dict):
        return None
    if token := entry.get("identitytoken"):
        return Credential(identity_token=str(token))
    encoded = entry.get("auth")
    if not encoded:
        return None
    try:
        user, colon, password = base64.b64decode(str(encoded)).decode().partition(":")
    except (binascii.Error, ValueError):
        colon = user = password = ""
    if not colon:
        raise _malformed(f"auths.{host}.auth is not the base64 of user:password")
    return Credential(user, password.rstrip("\0"))


def _host_of(key: str) -> str:
    host = host_key(key.removeprefix("https://").removeprefix("http://").partition("/")[0])
    return DOCKER_HUB if host in _HUB_HOSTS else host


def _mapping(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = config.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _malformed(f"{name} is not an object")
    return value


def _malformed(why: str, path: str = "docker's config.json") -> DefinitionError:
    return DefinitionError(f"{path}: {why}", "Correct it, or log in again with `docker login`.")


def _helper_failed(program: str, host: str, why: str) -> AuthenticationError:
    return AuthenticationError(
        f"{program} failed for {host}: {why}",
        f"Run it by hand, or take the helper out of docker's config.json; "
        f"{host} was not asked without credentials.",
        {"host": host},
    )
