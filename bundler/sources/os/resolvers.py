"""Packages of operating systems: the resolver of each kind of repository."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from bundle.base.errors import DefinitionError, FormatError
from bundle.base.platform import Platform
from bundle.kinds.os_names import PackageName
from bundle.kinds.os_packages import LockedOs, OsKind, OsSource
from bundler.sources.common.context import OsWant, SourceContext
from bundler.sources.os.apt.repositories import resolve_apt
from bundler.sources.os.rpm.packages import resolve_rpm

OsResolver = Callable[[OsSource, tuple[Platform, ...], SourceContext], LockedOs]

RESOLVERS: Final[Mapping[OsKind, OsResolver]] = {"apt": resolve_apt, "rpm": resolve_rpm}


def resolve_os_packages(
    source: OsSource,
    platforms: tuple[Platform, ...],
    context: SourceContext,
    wants: Iterable[OsWant] = (),
) -> LockedOs:
    """Resolve packages with all that they depend on, against an empty system of their release.

    Args:
        source: Checked.
        platforms: Of the definition; the source's own come before them.
        context: What sources work with.
        wants: What other content wants; it counts where the source says so.
    Raises:
        DefinitionError: The repositories do not have what is asked of them.
        SignatureError: The distribution did not sign what the repositories say.
        IntegrityError: Something is not what the signed index promises.
        ProgramError: The distribution's own tool failed, or is missing.
        TransportError: And its subclasses, when something cannot be had.
    """
    sought = _with_wants(source, wants) if source.kubespray else source
    return RESOLVERS[source.kind](sought, source.platforms or platforms, context)


def _with_wants(source: OsSource, wants: Iterable[OsWant]) -> OsSource:
    """Add the packages that other content wants for the release.

    Raises:
        DefinitionError: Nothing wants any.
        FormatError: What is wanted is not the name of a package.
    """
    named = set(source.packages)
    found = [want for want in wants if want.release == source.release]
    if not found:
        raise DefinitionError(
            f"osPackages {source.name}: kubespray: true, but nothing in the definition needs "
            f"packages of {source.release}",
            "Add kubespray: to the definition, or remove it here.",
        )
    for want in found:
        try:
            named.update(msgspec.convert(want.packages, tuple[PackageName, ...]))
        except msgspec.ValidationError as error:
            raise FormatError(
                f"osPackages {source.name}: {want.by} needs an invalid package ({error})",
                "Check its list of packages.",
            ) from error
    return replace(source, packages=tuple(sorted(named)))
