"""`isoward root`: making, signing and showing the root of trust."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from bundle.base.digest import hex_of
from bundle.cli.given import Given
from bundle.cli.output import Output, output_options, pass_output
from bundle.cli.passphrase import load_signing_key, passphrase_option
from bundle.trust.keys.stored import load_public_key
from bundle.trust.keys.terms import MAX_ROOT_LIFETIME_DAYS, MIN_APPROVALS, ROOT_LIFETIME_DAYS
from bundle.trust.metadata.fingerprint import (
    ROLE_WORDS,
    RootDescription,
    describe_root,
    fingerprint_groups,
)
from bundle.trust.metadata.root import offered_roots, root_name
from bundler.cli import root_ceremony, root_change
from bundler.cli.root_change import told_data
from bundler.root.ceremony import RootPlan, create_root
from bundler.root.draft import read_pending, sign_pending
from bundler.root.explain import explain, page

_FILE = click.Path(path_type=Path)


@click.group("root")
@output_options
def command() -> None:
    """Create, change, sign and show the root of trust."""


for _command in (*root_change.COMMANDS, *root_ceremony.COMMANDS):
    command.add_command(_command)


@command.command("new")
@click.argument("release", type=_FILE)
@click.option(
    "--root-key",
    "root_keys",
    type=Given("public-key"),
    multiple=True,
    required=True,
    metavar="PUB",
    help="Public key of a root key holder; repeatable.",
)
@click.option(
    "--root-threshold",
    type=click.IntRange(min=1),
    required=True,
    metavar="N",
    help="How many root key holders must sign the root.",
)
@click.option(
    "--approver",
    "approvers",
    type=Given("public-key"),
    multiple=True,
    required=True,
    metavar="PUB",
    help="Public key of an approver; repeatable.",
)
@click.option(
    "--threshold",
    type=int,
    default=MIN_APPROVALS,
    show_default=True,
    metavar="N",
    help="How many approvers must approve a release.",
)
@click.option(
    "--builder",
    type=Given("public-key"),
    required=True,
    metavar="PUB",
    help="The build system's public key.",
)
@click.option(
    "--expires-days",
    type=click.IntRange(min=1, max=MAX_ROOT_LIFETIME_DAYS),
    default=ROOT_LIFETIME_DAYS,
    show_default=True,
    help="Days until the root expires.",
)
@click.option(
    "--product", default="", metavar="NAME", help="The name that every bundle must have, if any."
)
@click.option(
    "--sign-with",
    "private_keys",
    type=Given("private-key"),
    multiple=True,
    metavar="PEM",
    help="Private root key that signs now; repeatable. Others can sign with `isoward root sign`.",
)
@passphrase_option
@output_options
@pass_output
def new(
    output: Output,
    release: Path,
    *,
    root_keys: tuple[Path, ...],
    root_threshold: int,
    approvers: tuple[Path, ...],
    threshold: int,
    builder: Path,
    expires_days: int,
    product: str,
    private_keys: tuple[Path, ...],
    passphrase_fd: int | None,
) -> None:
    """Create the first root in the folder RELEASE.

    The vendor keeps that folder in Git.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    plan = RootPlan(
        root_keys=tuple(load_public_key(path) for path in root_keys),
        root_threshold=root_threshold,
        approvers=tuple(load_public_key(path) for path in approvers),
        approvals=threshold,
        builder=load_public_key(builder),
        expires=now + timedelta(days=expires_days),
        product=product,
    )
    signers = [load_signing_key(output, path, passphrase_fd) for path in private_keys]
    described = create_root(release, plan, signers, now)
    output.result(_data(described), f"made {release / root_name(1)}", *_page(described))


@command.command("sign")
@click.argument("release", type=Given("release"))
@click.option(
    "--key", type=Given("private-key"), required=True, metavar="PEM", help="A private root key."
)
@passphrase_option
@output_options
@pass_output
def sign(output: Output, release: Path, key: Path, passphrase_fd: int | None) -> None:
    """Sign RELEASE's next root as a root key holder.

    This is the first root, or the draft of the next one, which takes effect once it has enough
    signatures. Its contents are shown before signing.
    """
    waiting = read_pending(release)
    if waiting is not None and not waiting.complete:
        output.say(*page(explain(waiting)), "")
    signer = load_signing_key(output, key, passphrase_fd)
    pending, added = sign_pending(release, signer)
    name = root_name(pending.version)
    what = "signed" if added else "already signed by this key; nothing changed:"
    if pending.previous is None or pending.complete:
        described = describe_root(pending.data, name)
        data, lines = _data(described), _page(described)
    else:
        told = explain(pending)
        data, lines = told_data(told), page(told)
    output.result({**data, "added": added}, f"{what} {release / name}", *lines)


@command.command("show")
@click.argument("source", metavar="RELEASE|BUNDLE", type=Given("release", "bundle", "root"))
@output_options
@pass_output
def show(output: Output, source: Path) -> None:
    """Show a root and its fingerprint, for reading aloud.

    RELEASE may be a release folder or a bundle, whose newest root is shown, or a root file.

    Showing a root does not trust it: compare the fingerprint with the vendor's.
    """
    roots, prefix = offered_roots(source)
    version = max(roots)
    where = prefix + root_name(version) if source.is_dir() else str(source)
    described = describe_root(roots[version], where)
    data, lines = _data(described), _page(described)
    pending = read_pending(source) if source.is_dir() and not prefix else None
    if pending and pending.previous:
        told = explain(pending)
        data["draft"] = told_data(told)
        lines += ["", "a draft is waiting for signatures", *page(told)]
    output.result(data, *lines)


def _data(root: RootDescription) -> dict[str, Any]:
    return {
        "version": root.version,
        "fingerprint": hex_of(root.fingerprint) if not root.missing else None,
        "expires": root.expires.isoformat(),
        "product": root.product or None,
        "signedBy": list(root.signed_by),
        "missingSignatures": root.missing,
        "roles": {
            role.name: {
                "threshold": role.threshold,
                "keys": [{"name": name, "keyId": key_id} for name, key_id in role.keys],
            }
            for role in root.roles
        },
    }


def _page(root: RootDescription) -> list[str]:
    lines = [f"root version {root.version}, valid until {root.expires:%Y-%m-%d}", ""]
    for role in root.roles:
        holders = ", ".join(name for name, _ in role.keys)
        lines.append(f"  {ROLE_WORDS[role.name]}: {role.threshold} of {holders}")
    if root.product:
        lines.append(f"  product: {root.product} only")
    lines += ["", f"  signed by: {', '.join(root.signed_by) or 'nobody yet'}"]
    if root.missing:
        # Each signature changes the file, and so its fingerprint.
        lines.append(f"  not valid yet: {root.missing} signature(s) missing; no fingerprint yet")
        return lines
    groups = fingerprint_groups(root.fingerprint)
    return [*lines, "", "  fingerprint:", *(f"    {line}" for line in groups)]
