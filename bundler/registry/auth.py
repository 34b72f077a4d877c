"""Answering a server's demand for credentials.

Basic: the credential itself. Bearer: a token from the realm that the server names, got with the
credential, with an identity token, or anonymously. A realm is asked through the transport, so the
allow-list holds for it too.

Source: distribution, "Token Authentication Specification" and "OAuth2 Token Authentication".
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

import msgspec

from bundle.base.errors import AuthenticationError
from bundle.base.limits import MIB
from bundle.registry.challenge import Challenge, parse_challenges
from bundle.registry.credentials import Credential, Credentials
from bundler.registry.hosts import Url, parse_url
from bundler.registry.response import Answer, Request
from bundler.registry.transport import Transport

_OK: Final = 200
_UNAUTHORIZED: Final = 401
_CLIENT_ID: Final = "isoward"
_MAX_TOKEN_ANSWER: Final = MIB
_NO_SCOPE: Final = "-"
_SAFE: Final = re.compile(r"[\x21-\x7e]+")


class _TokenAnswer(msgspec.Struct):
    """What a realm says; unknown fields are ignored."""

    token: str | None = None
    access_token: str | None = None


class Authenticator:
    """Knows which Authorization to send where; safe to use from several threads."""

    def __init__(self, transport: Transport, credentials: Credentials) -> None:
        """Log in with `credentials`, asking realms through `transport`."""
        self._transport = transport
        self._credentials = credentials
        self._sent: dict[tuple[str, str], str] = {}
        self._tokens: dict[tuple[str, str, str, str], str] = {}
        self._lock = threading.Lock()
        self._busy: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def known(self, host: str, scope: str) -> str | None:
        """Return the Authorization that was last good for a host and scope."""
        with self._lock:
            return self._sent.get((host, scope or _NO_SCOPE)) or self._sent.get((host, ""))

    def answer(
        self, url: Url, host: str, scope: str, demands: Sequence[str], refused: str | None
    ) -> str:
        """Return the Authorization that answers a 401.

        Args:
            url: What was asked.
            host: Whose credential to use, as configurations name the host.
            scope: What the request needs, such as `repository:app/web:pull`, or nothing.
            demands: The values of WWW-Authenticate.
            refused: The Authorization that was sent and not accepted.
        Raises:
            AuthenticationError: No credential, one that was refused, or a demand that is not known.
            HostNotAllowedError: The realm is on a host that is not allowed.
        """
        with self._lock:
            busy = self._busy[f"{host} {scope}"]
        with busy:
            current = self.known(host, scope)
            if current is not None and current != refused:
                return current
            for challenge in parse_challenges(demands):
                if challenge.scheme == "bearer":
                    value = self._bearer(url, host, scope, challenge=challenge, refused=refused)
                    key = scope or _NO_SCOPE
                elif challenge.scheme == "basic":
                    value, key = self._basic(url, host, refused), ""
                else:
                    continue
                with self._lock:
                    self._sent[host, key] = value
                return value
        raise AuthenticationError(
            f"{url.shown}: it requires an unsupported kind of login",
            "Isoward supports Basic and Bearer; ask the server's operator.",
            {"host": host, "status": _UNAUTHORIZED},
        )

    def _basic(self, url: Url, host: str, refused: str | None) -> str:
        credential = self._credentials.find(host)
        if credential is None or credential.identity_token:
            raise AuthenticationError(
                f"{url.shown}: {host} requires a user name and password, but none are configured",
                f"Run `docker login {host}`, or add them to docker's config.json.",
                {"host": host, "status": _UNAUTHORIZED},
            )
        if credential.basic == refused:
            raise refusal(url, host)
        return credential.basic

    def _bearer(
        self, url: Url, host: str, scope: str, challenge: Challenge, refused: str | None
    ) -> str:
        realm = challenge.parameters.get("realm", "")
        service = challenge.parameters.get("service", "")
        wanted = challenge.parameters.get("scope", "") or scope
        key = (host, realm, service, wanted)
        with self._lock:
            cached = self._tokens.get(key)
        if cached is not None and cached != refused:
            return cached
        value = self._token(url, host, parse_url(realm), service=service, scope=wanted)
        with self._lock:
            self._tokens[key] = value
        return value

    def _token(self, url: Url, host: str, realm: Url, service: str, scope: str) -> str:
        credential = self._credentials.find(host)
        if credential is not None and credential.identity_token:
            answer = self._post(realm, service, scope, credential)
        else:
            answer = self._get(realm, service, scope, credential)
        if answer.status != _OK:
            who = "the credentials" if credential else "an anonymous request"
            raise AuthenticationError(
                f"{realm.shown} refuses {who} a token for {host} (status {answer.status})",
                f"Log in with `docker login {host}` as a user with pull permission.",
                {"host": host, "status": answer.status},
            )
        try:
            given = msgspec.json.decode(answer.data, type=_TokenAnswer)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            # Without its cause, whose text may quote the token.
            given = _TokenAnswer()
        token = given.token or given.access_token or ""
        if not _SAFE.fullmatch(token):
            raise AuthenticationError(
                f"{realm.shown}: expected a token for {url.shown}, found none in its answer",
                "Ask the operator of that server.",
                {"host": host},
            )
        return f"Bearer {token}"

    def _get(self, realm: Url, service: str, scope: str, credential: Credential | None) -> Answer:
        fields = {"service": service, "scope": scope}
        query = urlencode({name: value for name, value in fields.items() if value})
        joint = "&" if "?" in realm.target else "?"
        target = f"{realm.target}{joint}{query}" if query else realm.target
        return self._transport.fetch(
            Request(
                "GET",
                Url(realm.scheme, realm.host, realm.port, target),
                {"Accept": "application/json"},
            ),
            limit=_MAX_TOKEN_ANSWER,
            authorization=credential.basic if credential else None,
        )

    def _post(self, realm: Url, service: str, scope: str, credential: Credential) -> Answer:
        form = {
            "grant_type": "refresh_token",
            "service": service,
            "scope": scope,
            "client_id": _CLIENT_ID,
            "refresh_token": credential.identity_token,
        }
        headers = {
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        request = Request("POST", realm, headers, urlencode(form).encode("ascii"))
        return self._transport.fetch(request, limit=_MAX_TOKEN_ANSWER)


def refusal(url: Url, host: str) -> AuthenticationError:
    """Return the error for credentials that a server does not accept."""
    return AuthenticationError(
        f"{url.shown}: {host} did not accept the credentials",
        f"Log in with `docker login {host}` as a user with pull permission, and check the name: "
        "some registries answer like this for missing content.",
        {"host": host, "status": _UNAUTHORIZED},
    )
