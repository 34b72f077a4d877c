"""`isoward root request` and `collect`: a ceremony whose holders are elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from bundle.base.digest import digest_of, hex_of
from bundle.base.errors import UsageError
from bundle.cli.given import Given
from bundle.cli.output import Output, output_options, pass_output
from bundle.store.atomic import write_atomic
from bundle.trust.keys.schemes import type_name
from bundle.trust.keys.stored import holder
from bundler.cli.root_change import outcome, told_data
from bundler.root.draft import require_pending
from bundler.root.explain import explain, page
from bundler.root.request import collect, write_request

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command("request")
@click.argument("release", type=Given("release"))
@click.option(
    "-o", "--output", "path", type=_FILE, required=True, metavar="FILE", help="The request."
)
@output_options
@pass_output
def request_command(output: Output, release: Path, path: Path) -> None:
    """Write a signing request for RELEASE's next root.

    It contains that root and its predecessor, and no secrets. The holders sign it with
    `isoward sign` on their own machines; `isoward root collect` merges what comes back.
    """
    pending = require_pending(release)
    if path.exists():
        raise UsageError(f"{path}: already exists", "Choose another name.")
    write_atomic(path, write_request(pending))
    told = explain(pending)
    # By key: who gets another root key signs with the old one and with the new one.
    waiting = [
        f"{holder(key)} ({type_name(key)} {key_id[:16]})"
        for key_id, key in pending.signers.items()
        if key_id not in pending.draft.signatures
    ]
    data = {**told_data(told), "request": str(path), "waitingFor": waiting}
    output.result(data, f"wrote {path}", "", *page(told), "", f"Send it to: {', '.join(waiting)}")


@click.command("collect")
@click.argument("release", type=Given("release"))
@click.argument("files", type=Given("request"), nargs=-1, required=True)
@output_options
@pass_output
def collect_command(output: Output, release: Path, files: tuple[Path, ...]) -> None:
    """Collect signatures for RELEASE's next root from FILES.

    With enough signatures it becomes the newest root. All files are checked before any is accepted.
    """
    done = collect(release, files)
    pending = done.pending
    fingerprint = hex_of(digest_of(pending.data)) if pending.complete else None
    data = {**told_data(explain(pending)), "taken": list(done.taken), "fingerprint": fingerprint}
    taken = f"new signatures: {', '.join(done.taken) or 'none'}"
    output.result(data, taken, *outcome(release, pending))


COMMANDS = (request_command, collect_command)
