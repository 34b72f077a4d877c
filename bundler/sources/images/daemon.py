"""Images of a container engine on this machine: Docker's daemon, or podman behind the same API.

`DOCKER_HOST` says where it is, as for the docker command. What it sends is a docker-archive.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from bundle.base.errors import DefinitionError, MissingProgramError, TransportError
from bundle.base.extras import VENDOR, how_to_install
from bundle.base.limits import CHUNK_BYTES
from bundler.sources.images.archive import Stream

_SECONDS: Final = 600
"""Without a byte; an engine packs a large image before it begins to send."""


@contextmanager
def saved_image(name: str) -> Iterator[Stream]:
    """Have the engine send an image, as `docker save` does.

    Args:
        name: Checked; as the engine knows it.
    Raises:
        DefinitionError: The engine has no such image, or DOCKER_HOST is wrong.
        MissingProgramError: The builder's extra is not installed.
        TransportError: The engine does not answer, or breaks off.
    """
    try:
        import docker
        import docker.errors
    except ImportError as error:
        raise MissingProgramError(
            "images of a daemon need the docker library, which is not installed",
            how_to_install(VENDOR),
        ) from error
    try:
        client = docker.from_env(timeout=_SECONDS)
    except (docker.errors.DockerException, OSError, ValueError) as error:
        raise _unreachable(error) from error
    try:
        yield _ImageStream(client, name)
    finally:
        client.close()


class _ImageStream:
    """The bytes of an image, as they come."""

    def __init__(self, client: Any, name: str) -> None:
        import docker.errors

        self._name = name
        self._rest = memoryview(b"")
        try:
            # Asked first, for podman answers a save of what it does not have as a fault of its own.
            client.api.inspect_image(name)
            self._chunks = iter(client.api.get_image(name, chunk_size=CHUNK_BYTES))
        except docker.errors.NotFound:
            raise DefinitionError(
                f"daemon image {name}: the container engine has no such image",
                "Check with `docker images` or `podman images`; another machine's build needs it "
                "in its own engine, or the cache of the machine that locked it.",
            ) from None
        except (docker.errors.DockerException, OSError) as error:
            raise _unreachable(error) from error

    def read(self, count: int, /) -> bytes:
        """Return at most `count` bytes; none at the end."""
        import docker.errors

        try:
            while not self._rest and (chunk := next(self._chunks, None)) is not None:
                self._rest = memoryview(chunk)
        except (docker.errors.DockerException, OSError) as error:
            raise TransportError(
                f"daemon image {self._name}: the container engine aborted ({type(error).__name__})",
                "Run the command again.",
            ) from error
        data, self._rest = bytes(self._rest[:count]), self._rest[count:]
        return data


def _unreachable(error: Exception) -> TransportError:
    return TransportError(
        f"the container engine does not answer: {str(error)[:300]}",
        "Start it, and set DOCKER_HOST if its socket is not in Docker's default place; for podman: "
        "`podman system service` and its socket.",
    )
