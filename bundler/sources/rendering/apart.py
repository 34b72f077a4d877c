"""Keeping Helm apart: what a chart may make it reach, and how much it may take.

A chart's schema may name files and addresses, which Helm reads while it looks at values; a template
may ask for memory without end. So Helm runs where it sees itself, what this machine's programs are
made of and its own folder: no other file, no home, no network, not even the loopback. What it takes
is limited whether or not that can be had.

Source: unshare(1), mount(8), chroot(1), namespaces(7); ulimit in POSIX, sh.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bundle.base.limits import KIB, MAX_HELM_ERRORS, MAX_HELM_MEMORY
from bundler.sources.common.alone import bare_environment, can_run
from bundler.sources.common.context import SourceContext

SKIP_SCHEMAS: Final = "--skip-schema-validation"
"""Helm reads nothing outside of a chart but what its schemas name."""

ERRORS: Final = "errors"
"""Its standard error within its folder: a file has a largest size, memory would not."""

_NAMESPACES: Final = ("unshare", "--user", "--map-root-user", "--net", "--mount", "--ipc")

_LIMITS: Final = f"""\
ulimit -c 0
ulimit -v {MAX_HELM_MEMORY // KIB}
ulimit -f {MAX_HELM_ERRORS // 512}
"""

_FREE: Final = _LIMITS + 'folder=$1; shift; exec "$@" 2>"$folder/errors"\n'

_APART: Final = (
    """\
set -eu
root=$1 folder=$2 program=$3
shift 3
PATH=$PATH:/usr/sbin:/sbin
mount -t tmpfs -o size=1m,mode=0755 tmpfs "$root"
show() {
    mkdir -p "$root${1%/*}"
    if [ -L "$1" ]; then ln -s "$(readlink "$1")" "$root$1"
    elif [ -d "$1" ]; then mkdir -p "$root$1"; mount --rbind "$1" "$root$1"
    elif [ -e "$1" ]; then : >"$root$1"; mount --bind "$1" "$root$1"
    fi
}
for place in /usr /bin /lib /lib32 /lib64 /dev/null; do show "$place"; done
[ -e "$root$program" ] || show "$program"
mkdir -p "$root$folder"
mount --bind "$folder" "$root$folder"
"""
    + _LIMITS
    + 'exec chroot "$root" "$program" "$@" 2>"$folder/errors"\n'
)


@dataclass(frozen=True, slots=True)
class Apart:
    """How Helm is run on this machine.

    Attributes:
        folder: All that it may read and write.
        sealed: Whether the machine lets it see nothing else.
    """

    folder: Path
    sealed: bool

    def command(self, program: Path, arguments: Sequence[str]) -> list[str]:
        """Return what runs a program within its limits.

        Args:
            program: Its absolute path, without links.
            arguments: To it.
        """
        if not self.sealed:
            return ["sh", "-c", _FREE, "sh", str(self.folder), str(program), *arguments]
        root = str(self.folder / "root")
        given = [root, str(self.folder), str(program), *arguments]
        return [*_NAMESPACES, "sh", "-c", _APART, "sh", *given]


def apart(folder: Path, context: SourceContext) -> Apart:
    """Find out how far this machine can keep a program apart, and say so where that is not far.

    Args:
        folder: Of a new workspace; absolute, without links.
        context: Runs the attempt, and is told.
    """
    (folder / "root").mkdir(exist_ok=True)
    sealed = Apart(folder, sealed=True)
    tried = sealed.command(Path("/usr/bin/env"), ["true"])
    if can_run(tried, folder, environment(folder), context):
        return sealed
    context.progress.note(
        "Charts are rendered without checking their schemas (values.schema.json): this machine "
        "allows no namespaces, and a schema can make Helm access this machine's files and network"
    )
    return Apart(folder, sealed=False)


def environment(folder: Path) -> Mapping[str, str]:
    """Return what Helm sees of the environment."""
    homes = {name: str(folder / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
    return {
        **bare_environment(folder),
        **{f"HELM_{name}_HOME": home for name, home in homes.items()},
        "HELM_PLUGINS": str(folder / "plugins"),
        "KUBECONFIG": os.devnull,
        # Where it is not sealed a proxy that is none takes the network away.
        **{
            name: "http://127.0.0.1:9"
            for plain in ("HTTP_PROXY", "HTTPS_PROXY")
            for name in (plain, plain.lower())
        },
    }
