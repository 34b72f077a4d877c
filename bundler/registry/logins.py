"""All credentials that this machine has for hosts: docker's, then those of the netrc file.

Indexes of Python packages and plain web servers are logged into by netrc everywhere: pip, uv, git
and curl read it. docker's come first, being made for one registry each.
"""

from __future__ import annotations

import netrc
import os
from collections.abc import Mapping
from pathlib import Path

from bundle.base.errors import DefinitionError
from bundle.registry.credentials import Credential, Credentials, load_docker_credentials


class NetrcCredentials:
    """The logins of a netrc file, for the hosts that it names; its `default` is for nobody.

    Source: GNU inetutils, "The .netrc file".
    """

    def __init__(self, path: Path) -> None:
        """Read `path`, which need not exist.

        Raises:
            DefinitionError: It is there and cannot be read, or is no such file.
        """
        self._known: Mapping[str, tuple[str, str, str]] = {}
        try:
            self._known = netrc.netrc(str(path)).hosts
        except FileNotFoundError:
            return
        except (OSError, netrc.NetrcParseError, UnicodeDecodeError) as error:
            # Without its cause, whose text may quote a password.
            why = error.strerror if isinstance(error, OSError) else "it is not a netrc file"
            raise DefinitionError(f"{path}: {why}", "Correct it.") from None

    def find(self, host: str) -> Credential | None:
        """Return the login for a host; ports are no matter in a netrc file."""
        found = self._known.get(host) or self._known.get(host.rpartition(":")[0])
        if found is None or host == "default":
            return None
        user, _, password = found
        return Credential(user, password)


class FirstOf:
    """Several kinds of credentials; the first that has one for a host counts."""

    def __init__(self, *kinds: Credentials) -> None:
        """Ask `kinds` in this order."""
        self._kinds = kinds

    def find(self, host: str) -> Credential | None:
        """Return the first credential for a host, or None.

        Raises:
            AuthenticationError, DefinitionError: As the kinds do.
        """
        found = (kind.find(host) for kind in self._kinds)
        return next((credential for credential in found if credential is not None), None)


def load_logins(environ: Mapping[str, str] = os.environ) -> Credentials:
    """Read docker's credentials and $NETRC or ~/.netrc.

    Raises:
        DefinitionError: One of the files is there and cannot be read, or is no such file.
    """
    home = environ.get("HOME") or "/"
    path = Path(environ.get("NETRC") or str(Path(home) / ".netrc"))
    return FirstOf(load_docker_credentials(environ), NetrcCredentials(path))
