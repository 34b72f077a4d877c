"""`isoward serve`: the depot, over HTTPS, to the site's machines."""

from __future__ import annotations

import datetime as dt
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

import click

from bundle.base.canonical import canonical_json
from bundle.base.errors import InterruptedByUserError, IsowardError
from bundle.base.reference import is_host
from bundle.cli.depots import depot_option
from bundle.cli.output import Output, output_options, pass_output
from bundle.store.atomic import write_atomic
from bundle.trust.site.state import load_readable_states
from bundle.trust.verify.clock import latest_known
from installer.depot.directory import (
    DepotDirectory,
    create_depot,
    open_depot,
)
from installer.depot.exceptions import notices
from installer.serving.listening import url_of
from installer.serving.reach import EVERYWHERE, addresses_for_nodes, reach_notices
from installer.serving.server import DEFAULT_PORT, DEFAULT_WORKERS, Listen, key_paths, serve
from installer.serving.shown import ShownIdentity
from installer.serving.site_certificate import names_without_certificate, site_identity
from installer.serving.tls.certificate import Identity, made_identity
from installer.serving.tls.held import HeldPair, hold

_LOCAL = ("localhost", "127.0.0.1", "::1")
_PATH = click.Path(path_type=Path)


@click.command("serve")
@depot_option()
@click.option("--address", default="0.0.0.0", show_default=True, help="IP address to listen on.")  # noqa: S104
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port to listen on; 0 for any free port.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="Host name or address of the depot, for its certificate; repeatable.",
)
@click.option("--tls-cert", type=_PATH, help="The site's own certificate chain, PEM.")
@click.option("--tls-key", type=_PATH, help="Its private key, PEM.")
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=DEFAULT_WORKERS,
    show_default=True,
    help="Server processes.",
)
@click.option("--access-log", is_flag=True, help="Log every request on standard error.")
@click.option("--ready-file", type=_PATH, help="Write {url, ca, ...} as JSON there when ready.")
@output_options
@pass_output
def command(
    output: Output,
    *,
    depot: Path,
    address: str,
    port: int,
    names: tuple[str, ...],
    tls_cert: Path | None,
    tls_key: Path | None,
    workers: int,
    access_log: bool,
    ready_file: Path | None,
) -> int:
    """Serve the depot until it is stopped: images, charts, files and packages, read-only.

    SIGHUP takes the certificate that there is by then, and drops no connection for it.

    Without --tls-cert the depot makes a CA of its own, once, and a certificate for the names given
    by --name, this machine's name and the address it listens on.
    """
    pair = key_paths(tls_cert, tls_key)
    opened = create_depot(depot) if depot.is_dir() else open_depot(depot)

    def current() -> tuple[Identity, HeldPair]:
        if pair is not None:
            return site_identity(*pair, names, _now())
        # What is damaged is said by whoever loads the bundles; what is whole tells the time.
        known = latest_known(load_readable_states(opened.trust)[0])
        made = made_identity(opened.tls, _names(address, names), _now, known)
        return made, hold(made.certificate, made.key)

    shown = ShownIdentity(current, _now)
    listen = Listen(address, port, workers, access_log)

    def ready(actual: int) -> None:
        try:
            where = place_of(shown, address, names, actual)
            _announce(output, opened, shown.identity, where=where, ready_file=ready_file)
        except IsowardError as error:
            output.warn(error.message)

    ended_by = serve(opened, shown, listen, ready)
    return InterruptedByUserError.exit_code if ended_by == signal.SIGINT else 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where the depot is.

    Attributes:
        address: It listens on.
        names: That were given.
        port: It listens on.
        refused: Of its own addresses those that its certificate is not for.
    """

    address: str
    names: tuple[str, ...]
    port: int
    refused: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """By an address: one that nodes can use if there is any, else one of this machine."""
        usable = addresses_for_nodes(self.address)
        local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.address, self.address)  # noqa: S104
        return url_of(usable[0] if usable else local, self.port)

    @property
    def for_nodes(self) -> list[str]:
        """By the names that were given, else by every address."""
        usable = self.names or addresses_for_nodes(self.address)
        return [url_of(name, self.port) for name in usable if name not in self.refused]


def place_of(shown: ShownIdentity, address: str, names: tuple[str, ...], port: int) -> Place:
    """Say where nodes reach a depot, and which of its addresses its certificate is not for."""
    refused: list[str] = []
    # What we make is for all of them, and what was given as a name was checked.
    if shown.identity.ca is None and not names:
        own = addresses_for_nodes(address)
        refused = names_without_certificate(shown.certificate.read_bytes(), own)
    return Place(address, names, port, tuple(refused))


def _announce(
    output: Output,
    depot: DepotDirectory,
    identity: Identity,
    where: Place,
    ready_file: Path | None,
) -> None:
    bundles = len(depot.bundle_names())
    ca = str(identity.ca) if identity.ca else ""
    said = [*reach_notices(where.address, where.names), *notices(depot)]
    if where.refused:
        said.append(
            f"nodes cannot reach the depot by {', '.join(where.refused)}: its certificate is for "
            "other names; say by which one with --name"
        )
    data = {
        "url": where.url,
        "nodes": where.for_nodes,
        "ca": ca,
        "fingerprint": identity.fingerprint,
        "bundles": bundles,
        "certificate": f"{identity.expires:%Y-%m-%dT%H:%M:%SZ}",
        "notices": said,
    }
    what = f"CA {ca}" if ca else f"certificate {identity.certificate}"
    lines = [f"serving {where.url}  {what}  sha256 {identity.fingerprint}"]
    lines += [f"nodes reach it at {url}" for url in where.for_nodes if url != where.url]
    lines.append(f"its certificate is valid until {identity.expires:%Y-%m-%d}")
    lines += [f"NOTICE: {line}" for line in said]
    if not bundles:
        lines.append("the depot is empty; `isoward import` can fill it while it is served")
    output.result(data, *lines)
    # Last, so that whoever waits for the file finds everything said.
    if ready_file is not None:
        write_atomic(ready_file, canonical_json(data))


def _names(address: str, names: tuple[str, ...]) -> list[str]:
    # Where it listens everywhere and was given no name, its addresses are what nodes know it by.
    own = [] if address in EVERYWHERE and names else addresses_for_nodes(address)
    own += [] if address in EVERYWHERE else [address]
    host = socket.gethostname()
    return [*names, *own, *_LOCAL, *([host] if is_host(host) else [])]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
