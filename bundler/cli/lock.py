"""`isoward lock`: resolve a definition to digests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from bundle.base.errors import ClosureError, DefinitionError
from bundle.base.progress import Progress, counted
from bundle.base.yaml.strict import dump_yaml
from bundle.cli.given import Given
from bundle.cli.help.schema_line import schema_line
from bundle.cli.output import Output, output_options, pass_output
from bundle.cli.progress_bar import readable_size
from bundle.kinds.registry import KINDS
from bundle.model.lock import Lock, lock_contents
from bundle.model.summary import content_counts
from bundle.store.atomic import storage_errors, write_atomic
from bundler.cli.connection import connection_options, open_cache, open_context
from bundler.lock.diff import changes
from bundler.lock.documents import load_definition, load_lock, parse_lock
from bundler.lock.partial import left_out, partial_words
from bundler.model.definition import Definition
from bundler.sources.common.source import Change


@click.command("lock")
@click.argument("definition", type=Given("definition"))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="The lock [next to the definition]."
)
@connection_options
@click.option("--check", is_flag=True, help="Write nothing; fail unless the lock is current.")
@output_options
@pass_output
def command(
    says: Output,
    *,
    definition: Path,
    output: Path | None,
    sources: Path | None,
    cache: Path | None,
    check: bool,
) -> None:
    """Resolve every reference of DEFINITION to a digest and write the lock.

    A second run reports what changed since the first. The lock is meant for review.
    """
    asked = load_definition(definition)
    target = output or definition.with_name(f"{definition.stem}.lock.yaml")
    old = load_lock(target) if target.exists() else None
    if check and old is None:
        raise DefinitionError(f"{target}: no such lock", "Make it with `isoward lock`.")
    try:
        new = _resolve(asked, definition, sources, cache=cache, progress=says.progress)
    except ClosureError as error:
        if not error.missing or check:
            raise
        missing = _missing_images(target)
        write_atomic(missing, error.missing)
        hint = f"{error.hint} {missing} lists who needs what."
        raise ClosureError(error.message, hint, error.context) from error
    found = changes(old, new) if old is not None else []
    if check:
        _require_current(target, found)
    else:
        if old != new:
            text = _header(definition, target) + dump_yaml(new)
            write_atomic(target, _readable_back(text, target))
        with storage_errors(f"remove {_missing_images(target)}"):
            _missing_images(target).unlink(missing_ok=True)
    partial = left_out(new, open_cache(cache))
    data = {**_data(target, new, old, found), "leftOut": partial}
    says.result(data, *_page(target, new, old, found), *partial_words(partial))


def _missing_images(target: Path) -> Path:
    """Return where it is said who wants what, when there is no lock because of it."""
    return target.with_name(f"{target.name.removesuffix('.yaml')}.missing-images.yaml")


def _header(definition: Path, target: Path) -> str:
    """Name the lock's schema for editors, if there is one: next to the definition's."""
    with storage_errors(f"read {definition}"), definition.open(encoding="utf-8") as file:
        first = file.readline().strip()
    like = first if target.parent == definition.parent else ""
    return f"{schema_line(target, 'lock', like)}# Made by isoward lock; do not edit.\n"


def _readable_back(text: str, target: Path) -> bytes:
    """Check that what is about to be written can be read: upstream decides some of its values.

    Raises:
        FormatError: It cannot; the old lock stays.
    """
    data = text.encode()
    parse_lock(data, str(target))
    return data


def _resolve(
    asked: Definition, path: Path, sources: Path | None, cache: Path | None, progress: Progress
) -> Lock:
    from bundler.lock.resolve import definition_hosts, resolve

    hosts = [*definition_hosts(asked), *_pip_hosts(asked)]
    return resolve(
        asked, open_context(sources, open_cache(cache), hosts, document=path, progress=progress)
    )


def _pip_hosts(asked: Definition) -> Iterator[str]:
    """Yield the host of pip's own index, where the definition leaves the index to pip."""
    from bundle.store.programs import run_program
    from bundler.sources.python.simple_index import pip_index

    if any(found.index is None for found in asked.python_packages):
        yield urlsplit(pip_index(run_program)).netloc


def _require_current(target: Path, found: list[Change]) -> None:
    if found:
        raise DefinitionError(
            f"{target} is not current: {found[0].line}"
            + (f" (and {len(found) - 1} more)" if len(found) > 1 else ""),
            "Run `isoward lock` without --check and review what changed.",
            {"changes": len(found)},
        )


def _data(target: Path, new: Lock, old: Lock | None, found: list[Change]) -> dict[str, Any]:
    sizes = lock_contents(new)
    return {
        "lock": str(target),
        "new": old is None,
        "changes": [
            {"kind": change.kind, "thing": change.thing, "old": change.old, "new": change.new}
            for change in found
        ],
        **{kind.key: kind.count(new) for kind in KINDS if not kind.single},
        "wantedBy": {image.reference: list(image.wanted_by) for image in new.images},
        "blobs": len(sizes),
        "bytes": sum(sizes.values()),
    }


def _page(target: Path, new: Lock, old: Lock | None, found: list[Change]) -> list[str]:
    sizes = lock_contents(new)
    size = readable_size(sum(sizes.values()))
    counts = f"{content_counts(new)}: {counted(len(sizes), 'blob')} with {size}"
    if old is None:
        return [counts, f"wrote {target}"]
    if not found:
        return [counts, f"no changes: {target}"]
    return [*(change.line for change in found), counts, f"wrote {target}"]
