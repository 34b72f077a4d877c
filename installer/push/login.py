"""Logging in to the registry that is pushed to, by what docker's config.json has for it.

A credential goes to the registry, and to a token service on the registry's own host or on one that
the operator named: a registry does not choose by itself who gets a password.

Source: distribution, "Token Authentication Specification" and "OAuth2 Token Authentication".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit

import msgspec

from bundle.base.errors import AuthenticationError, HostNotAllowedError
from bundle.base.queries import shown_url
from bundle.registry.challenge import Challenge, parse_challenges
from bundle.registry.credentials import Credential, Credentials
from bundle.registry.hosts import split_port
from installer.push.target import Target

_OK: Final = 200
_CLIENT_ID: Final = "isoward"
_SAFE: Final = re.compile(r"[\x21-\x7e]+")

Ask = Callable[[str, str, Mapping[str, str], str], tuple[int, bytes]]
"""Sends method, address, headers and body, with no login of its own; gives status and body."""


class _TokenAnswer(msgspec.Struct):
    """What a token service says; unknown fields are ignored."""

    token: str | None = None
    access_token: str | None = None


class Login:
    """Knows what to send as Authorization."""

    def __init__(
        self, target: Target, credentials: Credentials, ask: Ask, token_hosts: Collection[str]
    ) -> None:
        """Log in to `target`; its token service is on its host or one of `token_hosts`."""
        self._target = target
        self._credentials = credentials
        self._ask = ask
        self._token_hosts = {split_port(target.host)[0], *(host.lower() for host in token_hosts)}
        self._known: dict[str, str] = {}

    def known(self, scope: str) -> str | None:
        """Return what was last good for a scope."""
        return self._known.get(scope) or self._known.get("")

    def answer(self, demands: str, scope: str, refused: str | None) -> str:
        """Return the Authorization that answers a 401.

        Args:
            demands: The registry's WWW-Authenticate.
            scope: What is to be done, such as `repository:app/web:pull,push`.
            refused: What was sent and not accepted; a token may have ended, a password has not.
        Raises:
            AuthenticationError: There is no credential, or it is not accepted.
            HostNotAllowedError: The token service is on another host.
        """
        for challenge in parse_challenges([demands]):
            if challenge.scheme == "bearer":
                made, key = self._bearer(challenge, scope), scope
            elif challenge.scheme == "basic":
                made, key = self._basic(), ""
            else:
                continue
            if made == refused:
                raise self.refusal()
            self._known[key] = made
            return made
        raise AuthenticationError(
            f"{self._target.host}: it demands a login in no way that is known",
            "Isoward logs in by Basic and by Bearer tokens; ask the registry's administrator.",
        )

    def refusal(self) -> AuthenticationError:
        """Return the error for a login that the registry does not accept, or that is missing."""
        host = self._target.host
        if self._credentials.find(host) is None:
            return AuthenticationError(
                f"{host}: it demands a login, and docker's config.json has none for it",
                f"Run `docker login {host}`, as a user who may push.",
            )
        return AuthenticationError(
            f"{host}: it does not accept the login for what is to be pushed",
            f"Check that the user of `docker login {host}` may push below "
            f"{self._target.prefix or 'this name'}, and, with Harbor, that the project exists.",
        )

    def _basic(self) -> str:
        credential = self._credentials.find(self._target.host)
        if credential is None or credential.identity_token:
            raise self.refusal()
        return credential.basic

    def _bearer(self, challenge: Challenge, scope: str) -> str:
        realm = challenge.parameters.get("realm", "")
        self._check_realm(realm)
        credential = self._credentials.find(self._target.host)
        # All that is wanted, in fields of their own, as docker asks.
        fields = [("service", challenge.parameters.get("service", ""))]
        fields += [("scope", part) for part in scope.split()]
        fields = [(name, value) for name, value in fields if value]
        status, data = self._ask_for_token(realm, fields, credential)
        if status != _OK:
            raise self.refusal()
        try:
            given = msgspec.json.decode(data, type=_TokenAnswer)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            given = _TokenAnswer()
        token = given.token or given.access_token or ""
        if not _SAFE.fullmatch(token):
            # Without its words, which may quote a token.
            raise AuthenticationError(
                f"{shown_url(realm)}: expected a token, found none in its answer",
                "Ask the registry's administrator.",
            )
        return f"Bearer {token}"

    def _ask_for_token(
        self, realm: str, fields: list[tuple[str, str]], credential: Credential | None
    ) -> tuple[int, bytes]:
        if credential is not None and credential.identity_token:
            form = [
                ("grant_type", "refresh_token"),
                ("client_id", _CLIENT_ID),
                ("refresh_token", credential.identity_token),
                *[(n, v) for n, v in fields if n != "scope"],
                ("scope", " ".join(v for n, v in fields if n == "scope")),
            ]
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            return self._ask("POST", realm, kind, urlencode(form))
        headers = {"Authorization": credential.basic} if credential is not None else {}
        joint = "&" if "?" in realm else "?"
        return self._ask("GET", f"{realm}{joint}{urlencode(fields)}", headers, "")

    def _check_realm(self, realm: str) -> None:
        try:
            parts = urlsplit(realm)
            host = (parts.hostname or "").lower()
        except ValueError:
            parts, host = urlsplit(""), ""
        if parts.scheme not in {self._target.scheme, "https"}:
            raise AuthenticationError(
                f"{self._target.host}: its token service {shown_url(realm)[:200]!r} is no https "
                "address",
                "Ask the registry's administrator: a password would be sent there.",
            )
        if parts.username is not None or host not in self._token_hosts:
            raise HostNotAllowedError(
                f"{self._target.host}: it sends logins to the token service {host[:200]!r}",
                f"If that is right, add --token-host {host[:200]}.",
            )
