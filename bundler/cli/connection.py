"""How `lock` and `build` reach the outside: their common options, and the client made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bundle.base.progress import Progress
from bundle.cli.given import Given
from bundler.build.cache import BlobCache, default_cache
from bundler.lock.documents import load_sources

if TYPE_CHECKING:
    from bundler.registry.client import RegistryClient
    from bundler.sources.common.context import SourceContext

F = TypeVar("F", bound=Callable[..., Any])


def connection_options(function: F) -> F:
    """Add `--sources` and `--cache` to a command."""
    sources = click.option(
        "--sources",
        type=Given("sources"),
        metavar="PATH",
        help="How hosts are reached [~/.config/isoward/sources.yaml, if it exists].",
    )
    cache = click.option(
        "--cache",
        type=click.Path(path_type=Path, file_okay=False),
        help="Where fetched content is kept [~/.cache/isoward/content].",
    )
    return sources(cache(function))


def open_client(
    sources: Path | None, hosts: Iterable[str], note: Callable[[str], None]
) -> RegistryClient:
    """Make a client that may ask these hosts, with the user's own logins.

    Raises:
        DefinitionError: The source configuration, docker's config.json or the netrc file is wrong.
    """
    # Imported here, for `--help` and errors in documents need no HTTP.
    from bundler.registry.client import connect
    from bundler.registry.logins import load_logins

    return connect(load_sources(sources), hosts, load_logins(), note)


def open_cache(path: Path | None) -> BlobCache:
    """Open the blob cache that the user named, or the user's own."""
    return BlobCache(path or default_cache())


def open_context(
    sources: Path | None,
    cache: BlobCache,
    hosts: Iterable[str],
    document: Path,
    progress: Progress,
) -> SourceContext:
    """Put together what sources work with.

    Args:
        sources: The source configuration that the user named, if any.
        cache: From `open_cache`.
        hosts: Which the document names.
        document: The definition or lock, from whose folder relative paths are.
        progress: Told of what a person may want to know.
    Raises:
        DefinitionError: The source configuration, docker's config.json or the netrc file is wrong.
    """
    from bundle.store.programs import run_program
    from bundler.sources.common.context import SourceContext

    return SourceContext(
        client=open_client(sources, hosts, progress.note),
        store=cache,
        folder=document.resolve().parent,
        progress=progress,
        now=datetime.now(UTC),
        run=run_program,
    )
