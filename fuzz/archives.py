"""Image archives: tars whose headers a stranger chose, with valid check sums."""

from __future__ import annotations

import gzip
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

from bundle.base.digest import digest_of
from bundle.base.errors import IsowardError
from bundle.base.progress import NO_PROGRESS
from bundle.kinds.artifacts import LockedArtifact, artifact_contents
from bundle.kinds.images import ImageSource
from bundle.store.programs import run_program
from bundler.build.cache import BlobCache
from bundler.sources.common.context import SourceContext
from bundler.sources.images.on_disk import resolve_local_image
from fuzz.target import Target

_MEMORY: Final = Path("/dev/shm")
_SUM: Final = slice(148, 156)


def archive(data: bytes) -> None:
    """Take the image of an archive, plain and compressed: both ways it is the same image."""
    data = summed(data)
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as name:
        folder = Path(name)
        (folder / "plain.tar").write_bytes(data)
        (folder / "packed.tgz").write_bytes(gzip.compress(data, 1))
        # Of a compressed one all files are in the store, whatever their names, so it has more.
        packed = _resolve(folder, "packed.tgz", quiet=True)
        plain = _resolve(folder, "plain.tar")
        assert plain is not None
        assert packed is not None
        assert (plain.digest, plain.manifests) == (packed.digest, packed.manifests)


def _resolve(folder: Path, path: str, *, quiet: bool = False) -> LockedArtifact | None:
    store = BlobCache(folder / f"{path}-cache")
    context = SourceContext(
        client=cast("Any", None),
        store=store,
        folder=folder,
        progress=NO_PROGRESS,
        now=datetime.now(UTC),
        run=run_program,
    )
    source = ImageSource(reference="registry.example.org/app/own:1.0", archive=path)
    try:
        found = resolve_local_image(source, ("linux/amd64",), context)
    except IsowardError:
        if quiet:
            return None
        raise
    finally:
        assert not list(store.workspace("incoming").iterdir())
    for content in artifact_contents(found):
        data = store.blob_path(content.digest).read_bytes()
        assert (digest_of(data), len(data)) == (content.digest, content.size)
    return found


def summed(data: bytes) -> bytes:
    """Return `data` with a right check sum in each block that looks like a tar's header."""
    made = bytearray(data)
    for place in range(0, len(made) - tarfile.BLOCKSIZE + 1, tarfile.BLOCKSIZE):
        block = memoryview(made)[place : place + tarfile.BLOCKSIZE]
        if bytes(block[257:262]) == b"ustar":
            block[_SUM] = b" " * 8
            block[_SUM] = b"%06o\0 " % sum(block)
    return bytes(made)


TARGETS = (Target("archive", archive, max_length=12_288),)
