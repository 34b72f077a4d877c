"""Asks dnf what an empty system would install. Run by the system's own Python, which has dnf.

It is a program of its own, with a JSON job in the file that its argument names, and a JSON answer
in the file that the job names. It imports nothing of ours, reads no configuration of this machine,
and speaks to no server: the repositories lie in a folder, where their metadata was put after it
was verified.

Source: DNF API reference (dnf.Base, dnf.conf.Conf); dnf.conf(5).
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main(job: dict[str, Any]) -> dict[str, Any]:
    """Answer a job: `packages`, or why there are none."""
    # A small file may say that it holds a great deal: libsolv keeps it all in memory.
    resource.setrlimit(resource.RLIMIT_AS, (job["memory"], job["memory"]))
    # Without that memory libsolv aborts; nobody wants to look at its core.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        import dnf
        import hawkey
    except ImportError:
        return {"missing": True}
    try:
        return {"packages": _packages(job)}
    except dnf.exceptions.DepsolveError as error:
        return {"unsolved": str(error)}
    except dnf.exceptions.MarkingError as error:
        return {"unknown": str(error)}
    except (
        dnf.exceptions.Error,
        hawkey.Exception,
        RuntimeError,
        OSError,
        MemoryError,
    ) as error:
        # What reads the metadata is a library of C, which raises these.
        return {"unreadable": f"{type(error).__name__}: {error}"}


def _packages(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Solve, also without what is recommended: neither solution need contain the other."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for weak in (False, True) if job["weak"] else (False,):
        for package in _solve(job, weak=weak):
            found[package["repository"], package["location"]] = package
    return [found[key] for key in sorted(found)]


def _solve(job: dict[str, Any], *, weak: bool) -> Iterator[dict[str, Any]]:
    import dnf
    import hawkey

    with dnf.Base(_configuration(job, weak=weak)) as base:
        for name, address in sorted(job["repositories"].items()):
            base.repos.add_new_repo(
                name, base.conf, baseurl=[address], skip_if_unavailable=False, sslverify=True
            )
        base.fill_sack(load_system_repo=False)
        for name in job["packages"]:
            base.install(name, strict=True)
        base.resolve(allow_erasing=False)
        # None when there is nothing to do.
        chosen = base.transaction.install_set if base.transaction else ()
        for package in chosen:
            kind, checksum = package.chksum
            yield {
                "repository": package.repoid,
                "name": package.name,
                "epoch": package.epoch,
                "version": package.version,
                "release": package.release,
                "architecture": package.arch,
                "location": package.location,
                "base": package.baseurl or "",
                "checksumKind": hawkey.chksum_name(kind),
                "checksum": checksum.hex(),
                "size": package.downloadsize,
            }


def _configuration(job: dict[str, Any], *, weak: bool) -> Any:
    """Return a configuration in which everything that could be this machine's is set."""
    import dnf

    folder = Path(job["folder"])
    conf = dnf.conf.Conf()
    for option, name in (
        ("installroot", "root"),
        ("cachedir", "cache"),
        ("persistdir", "persist"),
        ("logdir", "log"),
    ):
        (folder / name).mkdir(exist_ok=True)
        setattr(conf, option, str(folder / name))
    conf.config_file_path = ""
    conf.reposdir, conf.varsdir, conf.pluginpath, conf.pluginconfpath = [], [], [], []
    conf.plugins = False
    conf.zchunk = False
    conf.best = True
    if hasattr(conf, "optional_metadata_types"):
        # Newer ones leave the lists of files out, by which some packages name what they need.
        conf.optional_metadata_types = ["filelists"]
    conf.install_weak_deps = weak
    conf.module_platform_id = job["modulePlatform"]
    conf.substitutions["releasever"] = job["release"]
    conf.substitutions["arch"] = conf.substitutions["basearch"] = job["architecture"]
    return conf


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_bytes())
    Path(given["answer"]).write_text(json.dumps(main(given)))
