"""A few questions to the API server from this machine, by TLS with the cluster's CA alone."""

from __future__ import annotations

import http.client
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from bundle.base.errors import StepError, UnreachableError
from bundle.base.limits import KIB
from bundle.base.plain import visible
from bundle.store.atomic import storage_errors
from installer.kube.kubeconfig_file import Credentials
from installer.kube.kubectl import first_control_plane
from installer.site.document import Site

API_PORT: Final = 6443
_SECONDS: Final = 10.0
_MAX_BODY: Final = 64 * KIB


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server said."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Place:
    """Where the API server is."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """Its address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"


def api_place(site: Site) -> Place:
    """Return where it is: at the site's own load balancer, or on the first control-plane node."""
    options = site.kubernetes
    if options is not None and options.control_plane is not None:
        return Place(options.control_plane.address, options.control_plane.port)
    return Place(first_control_plane(site).address, API_PORT)


class ApiClient:
    """Asks one API server."""

    def __init__(self, place: Place, ca: bytes, credentials: Credentials | None = None) -> None:
        """Prepare to ask; nobody is asked yet.

        Args:
            place: Where it is.
            ca: Who vouches for it, PEM.
            credentials: Whose requests they are; anonymous without.
        Raises:
            StepError: The certificates or the key cannot be used.
        """
        self._place = place
        try:
            self._context = ssl.create_default_context(cadata=ca.decode("ascii"))
            if credentials is not None:
                with _in_memory(credentials.certificate + b"\n" + credentials.key) as path:
                    self._context.load_cert_chain(path)
        except ssl.SSLError as error:
            raise StepError(
                "the administrator's credentials: expected certificates and the key that belongs "
                f"to them, found some that cannot be used ({error.reason})",
                "Repeat the step `cluster`: `--from cluster`.",
            ) from error

    def get(self, path: str) -> Answer:
        """Ask for a path.

        Raises:
            UnreachableError: Nobody answers there.
            StepError: Who answers is not of this cluster.
        """
        where = self._place.url
        connection = http.client.HTTPSConnection(
            self._place.host, self._place.port, timeout=_SECONDS, context=self._context
        )
        try:
            connection.request("GET", path, headers={"Accept": "application/json"})
            response = connection.getresponse()
            return Answer(response.status, response.read(_MAX_BODY))
        except ssl.SSLCertVerificationError as error:
            raise StepError(
                f"{where}: expected a certificate of the cluster's CA for {self._place.host}, "
                f"found one that does not verify ({error.verify_message})",
                "Is it the address of this cluster's API server? Its certificate has to name it.",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(
                f"{where}: expected the API server, found {_reason(error)}",
                "Can this machine reach that address? It is kubernetes.controlPlane of the site "
                "file, or else the first control-plane node.",
                {"address": self._place.host},
            ) from error
        finally:
            connection.close()


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return visible(str(text))[:200]


@contextmanager
def _in_memory(data: bytes) -> Iterator[str]:
    """Give the path of a file that no file system has: TLS takes a private key by path only."""
    with storage_errors("keep a private key in memory"):
        descriptor = os.memfd_create("isoward", os.MFD_CLOEXEC)
    try:
        with storage_errors("keep a private key in memory"):
            os.write(descriptor, data)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
