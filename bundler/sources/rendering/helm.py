"""Helm, which renders charts: the one that a definition names by digest, or this machine's own."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final

from bundle.base.digest import digest_of
from bundle.base.errors import DefinitionError, FormatError, MissingProgramError, ProgramError
from bundle.base.limits import (
    CHUNK_BYTES,
    KIB,
    MAX_HELM_ARCHIVE_BYTES,
    MAX_HELM_BYTES,
    MAX_HELM_MEMORY,
)
from bundle.kinds.rendering import HelmSource, RenderedWith
from bundle.store.atomic import storage_errors
from bundle.store.programs import Bounds, Runner, Streams, require_success
from bundler.sources.common.context import SourceContext
from bundler.sources.common.download import check_typed, read_whole
from bundler.sources.rendering.apart import ERRORS, Apart, apart, environment

WORKSPACE: Final = "helm"
_OLDEST: Final = 3
_SECONDS: Final = 300.0
_SAID: Final = 64 * KIB
"""Of the end of its standard error; the last lines say what went wrong."""
_NO_MEMORY: Final = b"out of memory"
"""As Go's runtime says it."""


_IS_IT: Final = (
    "Is it Helm itself? It runs without access to this machine's files, so a script "
    "that starts Helm (asdf, mise, snap) finds nothing: put the binary itself first on "
    "the PATH, or name its archive under helm:."
)


@dataclass(frozen=True, slots=True)
class Helm:
    """A Helm that runs.

    Attributes:
        program: Its path.
        what: How the lock names it.
        run: Runs it.
        folder: Has a folder for each run; it is gone afterwards.
        sealed: Whether this machine lets it see nothing else.
    """

    program: Path
    what: RenderedWith
    run: Runner
    folder: Path
    sealed: bool

    def prints(
        self, arguments: Sequence[str], folder: Path, what: str, hint: str, *, limit: int
    ) -> bytes:
        """Run it, apart from the user's own Helm, files, cluster and network.

        Args:
            arguments: To it; paths are absolute.
            folder: For this run alone, below its own; all that it can see.
            what: What it is to do, for messages.
            hint: What to do when it fails.
            limit: Most bytes that it may print.
        Raises:
            ProgramError: It failed, took too long or too much memory, or printed more than `limit`
                bytes.
        """
        (folder / "root").mkdir()
        with _bounded_pipe(limit) as pipe:
            done = self.run(
                Apart(folder, self.sealed).command(self.program, arguments),
                folder=folder,
                environment=environment(folder),
                streams=Streams(into=pipe.input),
                bounds=Bounds(_SECONDS),
            )
            output = pipe.output()
        if len(output) > limit:
            raise ProgramError(f"{what}: expected at most {limit} bytes, found more", hint)
        said = _end_of(folder / ERRORS) or done.errors
        if done.code != 0 and _NO_MEMORY in said:
            raise ProgramError(
                f"{what}: expected at most {MAX_HELM_MEMORY} bytes of memory, but it needs more",
                hint,
            )
        require_success(replace(done, errors=said), what, hint)
        return output


@contextmanager
def open_helm(source: HelmSource | None, context: SourceContext) -> Iterator[Helm]:
    """Make Helm ready to run until the end of the block.

    Args:
        source: As the definition names it; None for this machine's own.
        context: Its store keeps what is fetched.
    Raises:
        MissingProgramError: This machine has none, or cannot run the one that is named.
        DefinitionError: It is too old.
        DigestMismatchError: The archive is not the one that the definition names.
        FormatError: The archive has no such program.
        TransportError: And its subclasses, when it cannot be had.
    """
    workspace = context.store.workspace(WORKSPACE)
    with storage_errors(f"work in {workspace}"), TemporaryDirectory(dir=workspace) as name:
        folder = Path(name).resolve()
        program = _own() if source is None else _unpack(_fetch(source, context), folder)
        archive = None if source is None else source.digest
        tried = folder / "tried"
        tried.mkdir()
        sealed = apart(tried, context).sealed
        unknown = RenderedWith(version="v0", archive=archive)
        helm = Helm(program, unknown, context.run, folder, sealed)
        first = folder / "version"
        first.mkdir()
        ask = ["version", "--template", "{{.Version}}"]
        said = helm.prints(ask, first, f"{program} version", _IS_IT, limit=1000)
        yield replace(helm, what=_known(said, archive))


def _own() -> Path:
    """Return this machine's Helm."""
    found = shutil.which("helm")
    if found is None:
        raise MissingProgramError(
            "cannot find the program 'helm' on this machine",
            "Install helm, and make sure that it is on the PATH; or name the platform's one under "
            "helm:.",
            {"program": "helm"},
        )
    return Path(found).resolve()


def _end_of(path: Path) -> bytes:
    """Return the last part of what Helm said."""
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _SAID))
        return file.read(_SAID)


def _known(said: bytes, archive: str | None) -> RenderedWith:
    version = said.decode("utf-8", "replace").strip()
    first = version.removeprefix("v").partition(".")[0]
    if not first.isdecimal() or int(first) < _OLDEST:
        raise DefinitionError(
            f"helm: expected version {_OLDEST} or newer, found {version[:40]!r}",
            "Name a newer one under helm:, or install it.",
        )
    # What follows a plus sign says how a distribution built it.
    return RenderedWith(version=version.partition("+")[0][:64], archive=archive)


def _fetch(source: HelmSource, context: SourceContext) -> bytes:
    with storage_errors("look for helm in the cache"):
        path = context.store.blob_path(source.digest)
        size = path.lstat().st_size if path.exists() else -1
    kept = context.store.read_bytes(source.digest, size) if size >= 0 else None
    if kept is not None:
        return kept
    data = read_whole(
        lambda: context.client.open_url(source.url), MAX_HELM_ARCHIVE_BYTES, source.url
    )
    check_typed(digest_of(data), source.digest, f"helm {source.url}")
    context.store.put_bytes(source.digest, data)
    return data


def _unpack(archive: bytes, folder: Path) -> Path:
    """Unpack the one program called helm out of its project's archive."""
    target = folder / "helm"
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            for member in tar:
                if member.isfile() and member.name.rpartition("/")[2] == "helm":
                    stream = tar.extractfile(member)
                    if stream is None or member.size > MAX_HELM_BYTES:
                        break
                    target.write_bytes(stream.read(MAX_HELM_BYTES))
                    target.chmod(0o700)
                    return target
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise _refuse(f"not a gzip-compressed tar archive ({error})") from error
    raise _refuse("it has no helm binary")


def _refuse(why: str) -> FormatError:
    return FormatError(f"helm: {why}", "Name the Linux archive from Helm's releases under helm:.")


class _Pipe:
    """Takes what a program prints, and hangs up on one that prints without end."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._chunks: list[bytes] = []
        read, write = os.pipe()
        self.input: BinaryIO = os.fdopen(write, "wb")
        self._reader: BinaryIO = os.fdopen(read, "rb", buffering=0)
        self._thread = threading.Thread(target=self._take, name="helm", daemon=True)
        self._thread.start()

    def _take(self) -> None:
        left = self._limit + 1
        with self._reader:
            while left > 0 and (chunk := self._reader.read(min(CHUNK_BYTES, left))):
                self._chunks.append(chunk)
                left -= len(chunk)

    def output(self) -> bytes:
        """Return all of it, once the program has ended."""
        self.input.close()
        self._thread.join()
        return b"".join(self._chunks)


@contextmanager
def _bounded_pipe(limit: int) -> Iterator[_Pipe]:
    pipe = _Pipe(limit)
    try:
        yield pipe
    finally:
        pipe.output()
