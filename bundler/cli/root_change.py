"""`isoward root add`, `retire`, `rotate`, `threshold`, `refresh`, `discard`: the next root."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from bundle.base.digest import digest_of, hex_of
from bundle.cli.given import Given
from bundle.cli.output import Output, output_options, pass_output
from bundle.trust.keys.stored import load_public_key
from bundle.trust.keys.terms import MAX_ROOT_LIFETIME_DAYS, ROOT_LIFETIME_DAYS
from bundle.trust.metadata.fingerprint import fingerprint_groups
from bundle.trust.metadata.root import root_name
from bundler.root.changes import (
    PERSONS,
    Change,
    add,
    expire,
    retire,
    rotate,
    set_thresholds,
)
from bundler.root.draft import Pending, amend, discard
from bundler.root.explain import Explanation, explain, page

F = TypeVar("F", bound=Callable[..., Any])
_FILE = click.Path(path_type=Path)
_DAYS = click.IntRange(min=1, max=MAX_ROOT_LIFETIME_DAYS)
_ROLES = {"root": "root", "approver": "targets"}


def _expires_option(function: F) -> F:
    return click.option(
        "--expires-days",
        type=_DAYS,
        help="Days until the new root expires; by default it expires with the present one.",
    )(function)


@click.command("add")
@click.argument("release", type=Given("release"))
@click.option(
    "--approver",
    "approvers",
    type=Given("public-key"),
    multiple=True,
    metavar="PUB",
    help="Public key of a new approver; repeatable.",
)
@click.option(
    "--root-key",
    "root_keys",
    type=Given("public-key"),
    multiple=True,
    metavar="PUB",
    help="Public key of a new root key holder; repeatable.",
)
@_expires_option
@output_options
@pass_output
def add_command(
    output: Output,
    release: Path,
    approvers: tuple[Path, ...],
    root_keys: tuple[Path, ...],
    expires_days: int | None,
) -> None:
    """Add approvers or root keys to the next root of RELEASE."""
    change = add(
        [load_public_key(path) for path in root_keys],
        [load_public_key(path) for path in approvers],
    )
    _amend(output, release, [change], expires_days)


@click.command("retire")
@click.argument("release", type=Given("release"))
@click.argument("name")
@click.option(
    "--from",
    "role",
    type=click.Choice(list(_ROLES)),
    help="From this role only; by default from both.",
)
@_expires_option
@output_options
@pass_output
def retire_command(
    output: Output, release: Path, name: str, role: str | None, expires_days: int | None
) -> None:
    """Remove the keys of NAME from the next root of RELEASE."""
    roles = (_ROLES[role],) if role else PERSONS
    _amend(output, release, [retire(name, roles)], expires_days)


@click.command("rotate")
@click.argument("release", type=Given("release"))
@click.argument("name")
@click.option(
    "--new", type=Given("public-key"), required=True, metavar="PUB", help="The new public key."
)
@_expires_option
@output_options
@pass_output
def rotate_command(
    output: Output, release: Path, name: str, new: Path, expires_days: int | None
) -> None:
    """Replace the key of NAME in the next root of RELEASE.

    NAME is a person or the build system.
    """
    _amend(output, release, [rotate(name, load_public_key(new))], expires_days)


@click.command("threshold")
@click.argument("release", type=Given("release"))
@click.option(
    "--root-keys",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many root key holders must sign the root.",
)
@click.option(
    "--approvals",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many approvers must approve a release.",
)
@_expires_option
@output_options
@pass_output
def threshold_command(
    output: Output,
    release: Path,
    root_keys: int | None,
    approvals: int | None,
    expires_days: int | None,
) -> None:
    """Change how many people must sign from the next root on."""
    _amend(output, release, [set_thresholds(root_keys, approvals)], expires_days)


@click.command("refresh")
@click.argument("release", type=Given("release"))
@click.option(
    "--expires-days",
    type=_DAYS,
    default=ROOT_LIFETIME_DAYS,
    show_default=True,
    help="Days until the new root expires.",
)
@output_options
@pass_output
def refresh_command(output: Output, release: Path, expires_days: int) -> None:
    """Extend the expiry of RELEASE's next root."""
    _amend(output, release, [], expires_days)


@click.command("discard")
@click.argument("release", type=Given("release"))
@output_options
@pass_output
def discard_command(output: Output, release: Path) -> None:
    """Drop the draft of the next root of RELEASE.

    Signatures already made stay valid: with enough of them the draft is still a valid root, and
    only another root of the same version keeps sites from accepting it.
    """
    discard(release)
    output.result({"discarded": True}, f"{release}: the draft was discarded")


def _amend(
    output: Output, release: Path, changes: Sequence[Change], expires_days: int | None
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    if expires_days is not None:
        changes = [*changes, expire(now + timedelta(days=expires_days))]
    pending, dropped = amend(release, changes, now)
    if dropped:
        output.warn(f"the draft had {dropped} signature(s), which no longer apply and were removed")
    told = explain(pending)
    output.result(
        told_data(told),
        f"drafted root version {pending.version}; nothing has changed yet",
        "",
        *page(told),
        "",
        f"Next: its holders sign, here with `isoward root sign {release}` or elsewhere with "
        f"`isoward root request {release}`.",
    )


def told_data(told: Explanation) -> dict[str, Any]:
    """Return an explanation for `--json`."""
    before, own = told.missing
    return {
        "version": told.version,
        "present": told.present or None,
        "presentFingerprint": hex_of(told.present_fingerprint) if told.present else None,
        "checkValue": hex_of(told.check_value),
        "changes": list(told.changes),
        "roles": list(told.roles),
        "signedBy": list(told.signed_by),
        "missing": {"present": before, "new": own},
        "complete": not before and not own,
    }


def outcome(release: Path, pending: Pending) -> list[str]:
    """Say where a root stands, after signatures came to it."""
    if pending.complete:
        name = release / root_name(pending.version)
        first = f"root version {pending.version} is complete: {name}; its fingerprint is"
        groups = fingerprint_groups(digest_of(pending.data))
        return [first, *(f"    {line}" for line in groups)]
    return [f"root version {pending.version} is not complete yet", "", *page(explain(pending))]


COMMANDS = (
    add_command,
    retire_command,
    rotate_command,
    threshold_command,
    refresh_command,
    discard_command,
)
