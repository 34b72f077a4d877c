"""Where content is pushed to, and under which names.

A repository keeps its whole name, registry included, below the prefix: that is how the depot serves
it, how `skopeo sync --scoped` copies, and what a mirror configuration of containerd expects. Two
repositories of different registries can so never meet in one.
"""

from __future__ import annotations

from dataclasses import dataclass

from bundle.base.errors import UsageError
from bundle.base.queries import concealed
from bundle.base.reference import is_host, is_repository
from bundle.registry.hosts import is_loopback, split_port

_FORM = "Write it as REGISTRY[/PREFIX], such as harbor.example.org/mirror."


@dataclass(frozen=True, slots=True)
class Target:
    """A registry, and a prefix for the repositories in it.

    Attributes:
        host: With its port, where it has one.
        prefix: Or an empty string; of Harbor, the project.
        plain: Whether plain HTTP is spoken, which only this machine may be asked by.
    """

    host: str
    prefix: str = ""
    plain: bool = False

    def __str__(self) -> str:
        """Return it as it is given to `--to`."""
        return "/".join(filter(None, (self.host, self.prefix)))

    @property
    def scheme(self) -> str:
        """The scheme of all of its addresses."""
        return "http" if self.plain else "https"

    def repository(self, name: str) -> str:
        """Return the name in this registry of a repository, which is named with its own registry.

        Raises:
            UsageError: No registry takes a name of this form or length.
        """
        whole = f"{self.prefix}/{name}" if self.prefix else name
        if not is_repository(whole):
            raise UsageError(
                f"{whole}: not a name that a registry takes, of at most 255 characters",
                "Give --to a shorter prefix.",
            )
        return whole


def parse_target(text: str) -> Target:
    """Read what `--to` was given.

    Raises:
        UsageError: It is no registry, or plain HTTP would leave this machine.
    """
    plain = text.startswith("http://")
    rest = text.removeprefix("http://").removeprefix("https://")
    host, _, prefix = rest.partition("/")
    prefix = prefix.strip("/")
    if not is_host(host):
        shown = concealed(host.rpartition("@")[2])[:200]
        raise UsageError(f"--to: expected a host first, found {shown!r}", _FORM)
    if prefix and not is_repository(prefix):
        raise UsageError(f"--to: {prefix[:200]!r} is not a prefix of repositories", _FORM)
    if plain and not is_loopback(split_port(host)[0]):
        raise UsageError(
            f"--to: {host} would get logins and content over plain HTTP",
            "Give it a certificate; plain HTTP is for a registry on this machine alone.",
        )
    return Target(host.lower(), prefix, plain)
