"""`isoward keys`: making the keys of persons and of the build system."""

from __future__ import annotations

from pathlib import Path

import click

from bundle.cli.output import Output, json_option, pass_output
from bundle.cli.passphrase import new_passphrase, passphrase_option
from bundle.model.errors import UsageError
from bundle.trust.keys import check_name, generate_key, require_absent, write_key


@click.group("keys")
def command() -> None:
    """Make keys."""


@command.command("new")
@click.argument("name")
@click.option(
    "-o",
    "--output",
    "path",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    metavar="KEYFILE",
    help="The private key, such as ada.pem; the public key goes next to it, as ada.pub.",
)
@click.option("--no-passphrase", is_flag=True, help="Do not encrypt it: for a build system only.")
@passphrase_option
@json_option
@pass_output
def new(
    output: Output, name: str, path: Path, no_passphrase: bool, passphrase_fd: int | None
) -> None:
    """Make a key for NAME, the person who will hold it, such as "Ada Example".

    No file is ever overwritten.
    """
    if no_passphrase and passphrase_fd is not None:
        raise UsageError(
            "--no-passphrase and --passphrase-fd exclude each other", "Give one of them."
        )
    check_name(name)
    require_absent(path)
    passphrase = None if no_passphrase else new_passphrase(path, passphrase_fd)
    key = generate_key(name)
    public = write_key(key, path, passphrase)
    data = {
        "name": name,
        "keyId": key.public_key.keyid,
        "privateKey": str(path),
        "publicKey": str(public),
        "encrypted": passphrase is not None,
    }
    text = (
        f"made a key for {name}\n"
        f"  private key  {path} (keep it; nobody else may have it)\n"
        f"  public key   {public} (for `isoward root new`)\n"
        f"  key id       {key.public_key.keyid}"
    )
    output.result(data, text)
