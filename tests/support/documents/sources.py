"""What sources work with, for tests."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from bundle.base.progress import NO_PROGRESS, Progress
from bundle.store.programs import Runner, run_program
from bundler.build.cache import BlobCache
from bundler.registry.client import RegistryClient
from bundler.sources.common.context import SourceContext


def context(
    client: RegistryClient,
    cache: BlobCache,
    folder: Path | None = None,
    *,
    progress: Progress = NO_PROGRESS,
    now: dt.datetime | None = None,
    run: Runner = run_program,
) -> SourceContext:
    """Return a context; `folder` is beside the cache when left out."""
    return SourceContext(
        client=client,
        store=cache,
        folder=folder or cache.path.parent,
        progress=progress,
        now=now or dt.datetime.now(dt.UTC),
        run=run,
    )
