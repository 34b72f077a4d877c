"""Small images of real Debian content, made from .debs that the host's own apt fetches."""

from __future__ import annotations

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.support.registries.oci import Artifact, Layer, image, index, layer_of
from tests.support.registries.referrers import with_provenance

AMD64 = "linux/amd64"
ARM64 = "linux/arm64"
TAG = "12"
_APPLETS = ("sh", "cat", "echo", "grep", "head", "id", "ls", "sleep", "true", "uname", "wc")
_PASSWD = "root:x:0:0:root:/root:/bin/sh\n"


class ContentError(RuntimeError):
    """The content could not be fetched or unpacked; the message has what the tool said."""


@dataclass(frozen=True)
class Recipe:
    """What goes into an image.

    Attributes:
        name: Repository below `debian/`, always with the tag of `TAG`.
        packages: One layer each, on top of busybox-static.
        command: What it runs.
        data: Of these packages, those for all architectures: with some, there is an arm64 image of
            them (data only) beside the amd64 one, and an index over both.
        docker: Pushed in Docker's schema 2 instead of OCI's.
        referrers: Which signatures and SBOMs it is given; see `upstream_attach`.
    """

    name: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    data: tuple[str, ...] = ()
    docker: bool = False
    referrers: Literal["none", "signed", "all", "buildkit"] = "none"

    @property
    def repository(self) -> str:
        return f"debian/{self.name}"


BASE = "busybox-static"
RECIPES: tuple[Recipe, ...] = (
    Recipe("hello", ("libc6", "hello"), ("hello",), referrers="signed"),
    Recipe(
        "tzdata",
        ("tzdata",),
        ("ls", "/usr/share/zoneinfo"),
        data=("tzdata",),
        referrers="all",
    ),
    Recipe(
        "ca-certificates",
        ("ca-certificates",),
        ("ls", "/usr/share/ca-certificates/mozilla"),
        data=("ca-certificates",),
        referrers="buildkit",
    ),
    Recipe("busybox", (), ("uname", "-a")),
    Recipe("netbase", ("netbase",), ("cat", "/etc/protocols")),
    Recipe("media-types", ("media-types",), ("wc", "-l", "/etc/mime.types")),
    Recipe("mawk", ("libc6", "mawk"), ("mawk", "BEGIN { print 6 * 7 }")),
    Recipe("hostname", ("libc6", "hostname"), ("hostname",)),
    Recipe("gzip", ("libc6", "gzip"), ("gzip", "--version"), docker=True),
    Recipe("dash", ("libc6", "dash"), ("dash", "-c", "echo hello")),
    Recipe("sensible-utils", ("sensible-utils",), ("ls", "/usr/bin")),
    Recipe("locales", ("locales",), ("head", "/usr/share/i18n/SUPPORTED")),
    # The same name in every release of Debian, and as large as an image needs to be here.
    Recipe("iso-codes", ("iso-codes",), ("ls", "/usr/share/iso-codes")),
)


def recipes(*names: str) -> tuple[Recipe, ...]:
    """Return these recipes in their order, or all."""
    chosen = tuple(recipe for recipe in RECIPES if not names or recipe.name in names)
    if names and len(chosen) != len(names):
        raise KeyError(names)
    return chosen


def content_cache() -> Path:
    """Return the folder in which downloads are kept between runs."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "isoward" / "debian"


def packages_of(chosen: Iterable[Recipe]) -> list[str]:
    """Return every Debian package that the recipes need."""
    return sorted({BASE, *(name for recipe in chosen for name in recipe.packages)})


def download(packages: Sequence[str], cache_dir: Path) -> dict[str, Path]:
    """Return the .deb of each package, fetching with apt those that are not there yet.

    Raises:
        ContentError: apt cannot fetch one, such as without package lists.
    """
    folder = cache_dir / "debs"
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        missing = [name for name in packages if not _find(folder, name)]
        if missing:
            _fetch(missing, folder)
        return {name: _find(folder, name)[-1] for name in packages}


def _locked(folder: Path) -> AbstractContextManager[object]:
    """Let one process at a time fill the folder; closing the file lets the lock go."""
    stream = (folder / ".lock").open("w", encoding="ascii")
    fcntl.flock(stream, fcntl.LOCK_EX)
    return stream


def _find(folder: Path, package: str) -> list[Path]:
    return sorted(folder.glob(f"{package}_*.deb"))


def _fetch(packages: Sequence[str], folder: Path) -> None:
    # Into a folder beside it and then renamed, so that a broken download is never taken for one.
    with tempfile.TemporaryDirectory(dir=folder) as name:
        command = ["apt-get", "download", *packages]
        try:
            _run(command, Path(name))
        except ContentError:
            if os.geteuid() != 0:
                raise
            # Machine images often come without package lists, or with old ones.
            _run(["apt-get", "-qq", "update"], Path(name))
            _run(command, Path(name))
        for deb in Path(name).glob("*.deb"):
            deb.rename(folder / deb.name)


def versions(recipe: Recipe, cache_dir: Path) -> list[str]:
    """Return `name=version` of each downloaded package of a recipe, for its SBOM."""
    found = (_find(cache_dir / "debs", name) for name in packages_of([recipe]))
    names = [files[-1].name.split("_") for files in found if files]
    return [f"{name}={version.replace('%3a', ':')}" for name, version, _ in names]


def build_images(chosen: Sequence[Recipe], cache_dir: Path) -> dict[str, Artifact]:
    """Make the images or indexes of some recipes, by the recipes' names."""
    debs = download(packages_of(chosen), cache_dir)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        layers = dict(zip(debs, pool.map(_package_layer, debs.items()), strict=True))
    return {recipe.name: _build(recipe, layers) for recipe in chosen}


def _build(recipe: Recipe, layers: dict[str, Layer]) -> Artifact:
    labels = {"org.opencontainers.image.title": recipe.name}
    stack = [layers[BASE], *(layers[name] for name in recipe.packages)]
    runnable = image(stack, AMD64, recipe.command, labels)
    if not recipe.data:
        return runnable
    data = [layers[name] for name in recipe.data]
    children = [runnable, image(data, ARM64, recipe.command, labels)]
    if recipe.referrers == "buildkit":
        return with_provenance(children, recipe.name)
    return index(children)


def _package_layer(entry: tuple[str, Path]) -> Layer:
    package, deb = entry
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name)
        _run(["dpkg-deb", "--extract", str(deb), name], tree)
        if package == BASE:
            _add_base(tree)
        return layer_of(tree)


def _add_base(tree: Path) -> None:
    """Add what a runtime and a shell expect around busybox."""
    # From Debian 13 on the package has it below /usr.
    places = ("bin/busybox", "usr/bin/busybox")
    program = next(place for place in places if (tree / place).is_file())
    (tree / "bin").mkdir(exist_ok=True)
    for applet in _APPLETS:
        (tree / "bin" / applet).symlink_to(f"../{program}")
    for folder in ("dev", "etc", "proc", "root", "sys", "tmp", "var"):
        (tree / folder).mkdir(exist_ok=True)
    (tree / "etc" / "passwd").write_text(_PASSWD, encoding="ascii")


def _run(argv: Sequence[str], cwd: Path) -> None:
    try:
        subprocess.run(argv, cwd=cwd, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise ContentError(f"{argv[0]} is not on this machine; the content is Debian's") from error
    except subprocess.CalledProcessError as error:
        raise ContentError(
            f"{' '.join(argv)} failed; without package lists, run `apt-get update`:\n"
            f"{error.stderr[-2000:]}"
        ) from error
