"""`isoward keys`: making and importing the keys of people and of the build system."""

from __future__ import annotations

from pathlib import Path

import click

from bundle.base.errors import UsageError
from bundle.cli.output import Output, output_options, pass_output
from bundle.cli.passphrase import ask_secret, new_passphrase, passphrase_option
from bundle.trust.keys.from_cosign import open_cosign_key
from bundle.trust.keys.hsm import import_token_key, key_of, write_reference
from bundle.trust.keys.schemes import (
    DEFAULT_KEY_TYPE,
    KEY_TYPES,
    FileSigner,
    KeyTypeName,
    type_name,
)
from bundle.trust.keys.stored import (
    check_name,
    generate_key,
    holder,
    read_key_file,
    require_absent,
    write_key,
)

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group("keys")
@output_options
def command() -> None:
    """Create and import keys."""


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
@click.option(
    "--type",
    "type_",
    type=click.Choice(KEY_TYPES),
    default=DEFAULT_KEY_TYPE,
    show_default=True,
    help="ml-dsa-65 also resists quantum computers; stock tools do not verify it yet.",
)
@click.option("--no-passphrase", is_flag=True, help="Do not encrypt it: for a build system only.")
@passphrase_option
@output_options
@pass_output
def new(
    output: Output,
    name: str,
    *,
    path: Path,
    type_: KeyTypeName,
    no_passphrase: bool,
    passphrase_fd: int | None,
) -> None:
    """Create a key for NAME, the person who will hold it.

    Use the name that people know, such as "Ada Example".

    Existing files are never overwritten.
    """
    if no_passphrase and passphrase_fd is not None:
        raise UsageError(
            "--no-passphrase and --passphrase-fd are mutually exclusive", "Give only one of them."
        )
    check_name(name)
    require_absent(path)
    passphrase = None if no_passphrase else new_passphrase(path, passphrase_fd)
    _write(
        output,
        generate_key(name, type_),
        path,
        passphrase=passphrase,
        done=f"made a key for {name}",
    )


@command.command("import-cosign")
@click.argument("source", metavar="COSIGN.KEY", type=_FILE)
@click.argument("name")
@click.option(
    "-o",
    "--output",
    "path",
    type=_FILE,
    required=True,
    metavar="KEYFILE",
    help="The private key, such as ada.pem; the public key goes next to it, as ada.pub.",
)
@click.option(
    "--empty-passphrase", is_flag=True, help="The cosign key was made with an empty passphrase."
)
@click.option("--no-passphrase", is_flag=True, help="Do not encrypt it: for a build system only.")
@passphrase_option
@output_options
@pass_output
def import_cosign(
    output: Output,
    source: Path,
    name: str,
    *,
    path: Path,
    empty_passphrase: bool,
    no_passphrase: bool,
    passphrase_fd: int | None,
) -> None:
    """Import a cosign private key for NAME.

    The key stays the same; only its file format changes.

    The passphrase of the cosign key is asked for first, then the new one; with --passphrase-fd they
    are two lines.
    """
    check_name(name)
    require_absent(path)
    data = read_key_file(source)
    old = b"" if empty_passphrase else ask_secret(source, passphrase_fd)
    key = open_cosign_key(data, old, name, str(source))
    passphrase = None if no_passphrase else new_passphrase(path, passphrase_fd)
    _write(output, key, path, passphrase=passphrase, done=f"imported the cosign key of {name}")


@command.command("import-hsm")
@click.argument("name")
@click.option(
    "--module",
    required=True,
    metavar="LIB",
    help="The PKCS#11 module, absolute, such as /usr/lib/x86_64-linux-gnu/libykcs11.so.",
)
@click.option("--token", "label", required=True, metavar="LABEL", help="The token's label.")
@click.option(
    "--key",
    "key_id",
    required=True,
    metavar="ID",
    help="The key's id (CKA_ID) in hexadecimal, as pkcs11-tool shows it, such as 02.",
)
@click.option(
    "-o",
    "--output",
    "path",
    type=_FILE,
    required=True,
    metavar="REFERENCE",
    help="The reference, such as ada.hsm; the public key goes next to it, as ada.pub.",
)
@passphrase_option
@output_options
@pass_output
def import_hsm(
    output: Output,
    name: str,
    *,
    module: str,
    label: str,
    key_id: str,
    path: Path,
    passphrase_fd: int | None,
) -> None:
    """Use NAME's key on a PKCS#11 token.

    It must be an ECDSA key on P-256 or P-384.

    The reference holds no secret. Give it wherever a private key file is expected.
    """
    check_name(name)
    require_absent(path)
    reference = import_token_key(
        name,
        module,
        label,
        key_id=_key_number(key_id),
        ask_pin=lambda: ask_secret(path, passphrase_fd, "PIN").decode(errors="replace"),
    )
    public = write_reference(reference, path)
    key = key_of(reference, str(path))
    data = {
        "name": name,
        "type": type_name(key),
        "keyId": key.keyid,
        "reference": str(path),
        "publicKey": str(public),
        "uri": reference.uri,
    }
    output.result(
        data,
        f"{name}'s {type_name(key)} key stays on the token {label}",
        f"  reference    {path} (pass it as --key; the PIN is prompted for)",
        f"  public key   {public} (for `isoward root`)",
        f"  key id       {key.keyid}",
    )


def _key_number(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError as error:
        raise UsageError(
            f"--key {text}: expected a hexadecimal number", "Give it as pkcs11-tool shows it."
        ) from error


def _write(
    output: Output, key: FileSigner, path: Path, passphrase: bytes | None, done: str
) -> None:
    public = write_key(key, path, passphrase)
    data = {
        "name": holder(key.public_key),
        "type": type_name(key.public_key),
        "keyId": key.public_key.keyid,
        "privateKey": str(path),
        "publicKey": str(public),
        "encrypted": passphrase is not None,
    }
    output.result(
        data,
        f"{done}: {type_name(key.public_key)}",
        f"  private key  {path} (keep it secret)",
        f"  public key   {public} (for `isoward root`)",
        f"  key id       {key.public_key.keyid}",
    )
