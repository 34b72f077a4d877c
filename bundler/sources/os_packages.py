"""Packages of operating systems: the resolver of each kind of repository."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bundle.model.os_packages import LockedOs, OsKind, OsSource
from bundle.model.platform import Platform
from bundler.sources.context import SourceContext
from bundler.sources.os_apt import resolve_apt
from bundler.sources.rpm import resolve_rpm

OsResolver = Callable[[OsSource, tuple[Platform, ...], SourceContext], LockedOs]

RESOLVERS: Final[Mapping[OsKind, OsResolver]] = {"apt": resolve_apt, "rpm": resolve_rpm}


def resolve_os_packages(
    source: OsSource, platforms: tuple[Platform, ...], context: SourceContext
) -> LockedOs:
    """Resolve packages with all that they depend on, against an empty system of their release.

    Raises:
        DefinitionError: The repositories do not have what is asked of them.
        SignatureError: The distribution did not sign what the repositories say.
        IntegrityError: Something is not what the signed index promises.
        ProgramError: The distribution's own tool failed, or is missing.
        TransportError: And its subclasses, when something cannot be had.
    """
    return RESOLVERS[source.kind](source, platforms, context)
