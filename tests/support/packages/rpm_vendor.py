"""A vendor's machine that locks packages of an rpm distribution; see `rpm_world`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from bundle.kinds.os_packages import LockedOs, OsRepositorySource, OsSource
from bundle.store.programs import Runner, run_program
from bundler.build.cache import BlobCache
from bundler.sources.common.context import OsWant
from bundler.sources.os.resolvers import resolve_os_packages
from tests.support.documents.sources import context
from tests.support.packages.rpm_world import RpmWorld
from tests.support.registries.connecting import client
from tests.support.registries.static_site import StaticSite

AMD64 = ("linux/amd64",)


class Vendor:
    """Locks packages of a site, with a cache of its own."""

    def __init__(self, folder: Path, world: RpmWorld, site: StaticSite) -> None:
        self.folder = folder
        self.cache = BlobCache(folder / "cache")
        self.site = site
        shutil.copy(world.key.keyring, folder / "rocky.asc")

    def lock(
        self,
        *packages: str,
        platforms: tuple[str, ...] = AMD64,
        run: Runner = run_program,
        repositories: tuple[str, ...] = ("baseos", "appstream"),
        metadata_signed: bool = True,
        own_platforms: tuple[str, ...] = (),
        wants: tuple[OsWant, ...] = (),
        **fields: Any,
    ) -> LockedOs:
        named = tuple(
            OsRepositorySource(
                name=path.partition("/")[0],
                url=f"{self.site.url}/{path}",
                metadata_signed=metadata_signed,
            )
            for path in repositories
        )
        source = OsSource(
            **{
                "name": "rocky-9",
                "release": "rocky-9",
                "repositories": named,
                "keyring": "rocky.asc",
                "packages": packages,
                "platforms": own_platforms,
                **fields,
            }
        )
        host = self.site.url.removeprefix("http://")
        made = context(client(host), self.cache, self.folder, run=run)
        return resolve_os_packages(source, platforms, made, wants)


def names(locked: LockedOs) -> list[str]:
    return [f"{p.name} {p.version} {p.architecture}" for p in locked.packages]


CLOSURE = [
    "bash 5.1.8-9.el9 x86_64",
    "conntrack-tools 1.4.7-2.el9 x86_64",
    "helper++ 2.0~rc1^git7-1.el9 noarch",
    "libnetfilter_conntrack 1.0.9-1.el9 x86_64",
]
