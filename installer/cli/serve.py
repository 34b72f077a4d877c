"""`isoward serve`: the depot, over HTTPS, to the site's machines."""

from __future__ import annotations

import datetime as dt
import signal
import socket
from pathlib import Path

import click

from bundle.cli.given import Given
from bundle.cli.output import Output, json_option, pass_output
from bundle.model.canonical import canonical_json
from bundle.model.errors import InterruptedByUserError, IsowardError
from bundle.model.reference import is_host
from bundle.store.atomic import write_atomic
from bundle.trust.clock import latest_known
from bundle.trust.state import load_readable_states
from installer.depot.directory import (
    DEFAULT_DEPOT,
    DepotDirectory,
    create_depot,
    open_depot,
)
from installer.depot.exceptions import notices
from installer.depot.server import (
    DEFAULT_PORT,
    DEFAULT_WORKERS,
    Listen,
    key_paths,
    serve,
    url_of,
)
from installer.depot.tls import Identity, made_identity, site_identity

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - nodes are other machines
_LOCAL = ("localhost", "127.0.0.1", "::1")
_PATH = click.Path(path_type=Path)


@click.command("serve")
@click.option(
    "--depot",
    type=Given("depot"),
    default=DEFAULT_DEPOT,
    show_default=True,
    help="The depot's directory.",
)
@click.option("--address", default="0.0.0.0", show_default=True, help="IP address to listen on.")  # noqa: S104
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Port to listen on; 0 takes any that is free.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="Host name or address of the depot, for its certificate; may be repeated.",
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
@json_option
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

    Without --tls-cert the depot makes a CA of its own, once, and a certificate for the names given
    by --name, this machine's name and the address it listens on.
    """
    pair = key_paths(tls_cert, tls_key)
    opened = create_depot(depot) if depot.is_dir() else open_depot(depot)
    if pair is not None:
        identity = site_identity(*pair, _now())
    else:
        # What is damaged is said by whoever loads the bundles; what is whole tells the time.
        known = latest_known(load_readable_states(opened.trust)[0])
        identity = made_identity(opened.tls, _names(address, names), _now, known)
        if address in _EVERYWHERE and not names:
            output.warn("the certificate has this machine's name only; add --name for nodes' use")
    listen = Listen(address, port, workers, access_log)

    def ready(actual: int) -> None:
        try:
            _announce(output, opened, identity, url_of(address, actual), ready_file)
        except IsowardError as error:
            output.warn(error.message)

    ended_by = serve(opened, identity, listen, ready)
    return InterruptedByUserError.exit_code if ended_by == signal.SIGINT else 0


def _announce(
    output: Output, depot: DepotDirectory, identity: Identity, url: str, ready_file: Path | None
) -> None:
    bundles = len(depot.bundle_names())
    ca = str(identity.ca) if identity.ca else ""
    said = notices(depot)
    data = {
        "url": url,
        "ca": ca,
        "fingerprint": identity.fingerprint,
        "bundles": bundles,
        "notices": list(said),
    }
    what = f"CA {ca}" if ca else f"certificate {identity.certificate}"
    lines = [f"serving {url}  {what}  sha256 {identity.fingerprint}"]
    lines += [f"NOTICE: {line}" for line in said]
    if not bundles:
        lines.append("the depot is empty; `isoward import` may fill it while it is being served")
    output.result(data, *lines)
    # Last, so that whoever waits for the file finds everything said.
    if ready_file is not None:
        write_atomic(ready_file, canonical_json(data))


def _names(address: str, names: tuple[str, ...]) -> list[str]:
    own = [] if address in _EVERYWHERE else [address]
    host = socket.gethostname()
    return [*names, *own, *_LOCAL, *([host] if is_host(host) else [])]


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
