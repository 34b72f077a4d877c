"""`isoward push`: what the depot has, for a registry that the site has already."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from bundle.base.progress import counted
from bundle.cli.depots import depot_option
from bundle.cli.given import Given, recognize
from bundle.cli.output import Output, output_options, pass_output
from bundle.cli.progress_bar import readable_size
from bundle.registry.credentials import load_docker_credentials
from bundle.registry.hosts import host_key
from installer.push.authorities import tls_context
from installer.push.comparison import Compared, compare, refuse_conflicts
from installer.push.oras_client import SiteRegistry
from installer.push.source import PushSource, depot_source, medium_source
from installer.push.target import Target, parse_target
from installer.push.transfer import Pushed, Transfer
from installer.push.wanted import Lost, wanted_of


@click.command("push")
@click.argument("source", type=Given("depot", "bundle"), required=False)
@click.option(
    "--to", required=True, metavar="REGISTRY[/PREFIX]", help="Where to; with Harbor, a project."
)
@depot_option("The depot, and its enrolled root if SOURCE is a bundle.")
@click.option("--dry-run", is_flag=True, help="Show what would be pushed, and push nothing.")
@click.option(
    "--replace-tags", is_flag=True, help="Let tags that name other content name what is pushed."
)
@click.option(
    "--ca", type=click.Path(path_type=Path), metavar="FILE", help="Trust these CAs as well (PEM)."
)
@click.option(
    "--token-host",
    "token_hosts",
    multiple=True,
    metavar="HOST",
    help="A host that may get the login, beside the registry's; may be repeated.",
)
@output_options
@pass_output
def command(
    output: Output,
    *,
    source: Path | None,
    to: str,
    depot: Path,
    dry_run: bool,
    replace_tags: bool,
    ca: Path | None,
    token_hosts: tuple[str, ...],
) -> None:
    """Push images, charts and signatures into a registry that the site has.

    SOURCE is a depot, the site's own when left out, or a bundle, which is verified first as an
    import does. A repository keeps its name below REGISTRY/PREFIX, its first registry included.
    Only what is missing is sent. The login is that of `docker login`, CAs are the system's and
    those below /etc/docker/certs.d. Stopped and run again, it goes on where it was.
    """
    target = parse_target(to)
    registry = SiteRegistry(
        target,
        tls_context(target.host, ca),
        load_docker_credentials(),
        token_hosts=[host_key(host) for host in token_hosts],
    )
    found = _open(output, source, depot)
    wanted = [wanted_of(one, found.sizes, found.read) for one in found.repositories]
    for name, lost in ((one.name, lost) for one in wanted for lost in one.lost):
        output.warn(_lost_line(name, lost))
    compared = compare(registry, target, wanted, output.progress)
    if not replace_tags:
        refuse_conflicts(target, compared)
    if dry_run:
        output.result(_facts(target, compared, None), *_plan(target, compared))
        return
    if any(one.missing_documents or one.missing_tags for one in compared):
        output.say(*_plan(target, compared)[:1])
    done = Transfer(registry, found, output.progress).run(compared)
    output.result(_facts(target, compared, done), *_page(target, done))


def _open(output: Output, source: Path | None, depot: Path) -> PushSource:
    if source is not None and recognize(source) == "bundle":
        return medium_source(source, depot, dt.datetime.now(dt.UTC), output.progress)
    return depot_source(source or depot)


def _lost_line(name: str, lost: Lost) -> str:
    missing = ", ".join(lost.missing) or "what no registry can have"
    shown = f":{lost.tags[0]}" if lost.tags else f"@{lost.digest}"
    line = f"{name}{shown}: its index cannot be pushed, for {missing} did not travel"
    line += f"; its tag names {lost.instead}" if lost.instead and lost.tags else ""
    if lost.signatures:
        line += f"; what was said of the index is lost: {', '.join(lost.signatures)}"
    return line


def _plan(target: Target, compared: Sequence[Compared]) -> list[str]:
    blobs = sum(len(one.wanted.blobs) - len(one.blobs) for one in compared)
    size = readable_size(sum(one.missing_bytes for one in compared))
    documents = sum(len(one.missing_documents) for one in compared)
    tags = sum(len(one.missing_tags) for one in compared)
    names = [
        f"  {target.host}/{one.name}:{tag}  {one.wanted.tags[tag]}"
        + (f", instead of {one.tags[tag]}" if tag in one.tags else "")
        for one in compared
        for tag in one.missing_tags
    ]
    first = (
        f"to push to {target}: {counted(blobs, 'blob')} with {size}, "
        f"{counted(documents, 'manifest')}, {counted(tags, 'tag')}"
    )
    return [first, *names]


def _page(target: Target, done: Pushed) -> list[str]:
    if not done.names and not done.blobs and not done.mounted:
        return [f"nothing to do: {target} has all of it"]
    blobs = f"{counted(done.blobs, 'blob')} with {readable_size(done.size)}"
    if done.mounted:
        blobs += f", {counted(done.mounted, 'blob')} taken from its own repositories"
    return [f"pushed to {target}: {blobs}, {counted(len(done.names), 'name')}"]


def _facts(target: Target, compared: Sequence[Compared], done: Pushed | None) -> dict[str, Any]:
    missing = [
        *(f"{one.name}@{d.digest}" for one in compared for d in one.missing_documents),
        *(f"{one.name}:{tag}" for one in compared for tag in one.missing_tags),
    ]
    present = [
        *(f"{one.name}@{digest}" for one in compared for digest in sorted(one.documents)),
        *(
            f"{one.name}:{t}"
            for one in compared
            for t in sorted(one.tags.keys() - one.missing_tags)
        ),
    ]
    return {
        "to": str(target),
        "dryRun": done is None,
        "pushed": missing if done is None else done.names,
        "present": present,
        "blobs": sum(len(one.wanted.blobs) - len(one.blobs) for one in compared),
        "bytes": sum(one.missing_bytes for one in compared),
        "sent": {"blobs": 0, "mounted": 0, "bytes": 0}
        if done is None
        else {"blobs": done.blobs, "mounted": done.mounted, "bytes": done.size},
        "lost": [
            {
                "repository": one.name,
                "index": lost.digest,
                "tags": list(lost.tags),
                "missing": list(lost.missing),
                "signatures": list(lost.signatures),
                "instead": lost.instead,
            }
            for one in compared
            for lost in one.wanted.lost
        ],
    }
