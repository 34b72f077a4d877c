"""What the commands about an installation are told in the same way."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from bundle.base.errors import UsageError
from bundle.cli.depots import depot_option
from bundle.cli.given import Given
from installer.installation.context import InstallRequest
from installer.installation.rendered_inventory import read_overrides
from installer.site.load import SiteFile, load_site
from installer.site.secrets_file import load_secrets, secret_names

F = TypeVar("F", bound=Callable[..., Any])
_PATH: Final = click.Path(path_type=Path)
_OPTIONS: Final = (
    click.argument("site", metavar="SITE", type=Given("site")),
    depot_option(),
    click.option(
        "--bundle",
        "medium",
        type=Given("bundle"),
        help="A bundle to import first, such as on a medium.",
    ),
    click.option(
        "--waiver", type=_PATH, metavar="FILE", help="The site's signed waiver, for --bundle."
    ),
    click.option("--ca", type=_PATH, help="The site's CA, PEM; otherwise the depot's own."),
    click.option("--overrides", type=_PATH, help="A folder whose files override the inventory's."),
    click.option(
        "--from",
        "again_from",
        default="",
        metavar="STEP",
        help="Repeat this step and all after it.",
    ),
    click.option("--until", default="", metavar="STEP", help="Stop when this step is done."),
)


age_key_option: Final = click.option(
    "--age-key",
    type=_PATH,
    default=Path("~/.config/sops/age/keys.txt"),
    show_default=True,
    metavar="FILE",
    help="Your age private key, which decrypts the site's secrets file.",
)
"""For commands that need the secrets themselves."""


def install_options(function: F) -> F:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallOptions:
    """What `install_options` adds to a command, as a person typed it."""

    site: Path
    depot: Path
    medium: Path | None
    waiver: Path | None
    ca: Path | None
    overrides: Path | None
    again_from: str
    until: str
    age_key: Path | None = None

    def request(self) -> InstallRequest:
        """Read what the options name; the site's secrets only where their key is named.

        Raises:
            DefinitionError: The site file is wrong, or its secrets file.
            UsageError: The overrides are, or the site has no use for them.
            StorageError: Something cannot be read.
        """
        loaded = load_site(self.site)
        if self.overrides is not None and loaded.site.kubernetes is None:
            raise meant_for("--overrides", "with kubernetes:")
        return InstallRequest(
            loaded,
            self.depot,
            medium=self.medium,
            waiver=self.waiver,
            ca=self.ca,
            overrides=read_overrides(self.overrides) if self.overrides is not None else {},
            secrets=site_secrets(loaded, self.age_key),
            again_from=self.again_from,
            until=self.until,
            who=who(),
        )


def meant_for(names: str, where: str) -> UsageError:
    """Return the error for options that mean nothing for a site of another kind."""
    return UsageError(
        f"{names}: expected for a site {where} only",
        "`isoward plan SITE` shows what an installation would do.",
    )


def site_secrets(site: SiteFile, age_key: Path | None) -> dict[str, str]:
    """Return a cluster's secrets; without a key only which ones there are, for the plan."""
    if site.site.secrets is None or site.site.kubernetes is None:
        return {}
    path = site.path.parent / site.site.secrets
    if age_key is None:
        return dict.fromkeys(secret_names(path), "")
    return load_secrets(path, age_key.expanduser())


def who() -> str:
    """Return the person at the keyboard, for the receipt."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def utc_now() -> datetime:
    """Return the time, UTC."""
    return datetime.now(UTC)
