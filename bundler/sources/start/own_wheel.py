"""Isoward's own wheel, made from the installation that runs: the same files give the same bytes.

An archive without compression, so that no version of a compressor decides about a digest.

Source: PyPA, "Binary distribution format" and "Recording installed projects".
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import zipfile
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path, PurePosixPath
from typing import Final

from bundle.base import limits
from bundle.base.errors import DefinitionError, DigestMismatchError
from bundle.base.limits import MAX_OWN_WHEEL_BYTES
from bundle.kinds.start import EXTRA, is_wheel_name
from bundle.store.atomic import storage_errors
from bundle.store.reading import read_bounded

PACKAGES: Final = ("bundle", "bundler", "installer", "inventory", "manifests")
"""What a wheel of isoward has, besides what describes it; pyproject.toml says the same."""

_NAME: Final = "isoward"
_DOCUMENTS: Final = "docs"
_DESCRIBES: Final = ("METADATA", "entry_points.txt", "top_level.txt")
_WHEEL: Final = b"""\
Wheel-Version: 1.0
Generator: isoward
Root-Is-Purelib: true
Tag: py3-none-any
"""
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The first moment that a ZIP archive can name."""
_MODE: Final = 0o100644 << 16
_AGAIN: Final = "Reinstall isoward, or name a wheel of it as `wheel:` under `start:`."


@dataclass(frozen=True, slots=True)
class MadeWheel:
    """A wheel of isoward.

    Attributes:
        name: Of the file, with its version.
        data: The whole of it; about 2 MB.
    """

    name: str
    data: bytes


def make_wheel() -> MadeWheel:
    """Make the wheel of the isoward that runs.

    Raises:
        DefinitionError: It is not installed, so nothing describes it.
        DigestMismatchError: A file is not what was installed.
        StorageError: A file cannot be read.
    """
    # The packages' own folder, which is not where the description lies for a work tree.
    root = Path(limits.__file__).resolve().parents[2]
    # A build leaves an isoward.egg-info in a work tree, which describes no installation.
    installed = [found for found in distributions(name=_NAME) if found.read_text("METADATA")]
    # Several are found where PYTHONPATH leads to another one; the one beside the packages is ours.
    installed.sort(key=lambda found: Path(str(found.locate_file(""))).resolve() != root)
    if not installed:
        raise DefinitionError(
            "start: the running isoward is not installed, so no wheel can be built from it",
            _AGAIN,
        )
    return wheel_of(installed[0], root)


def wheel_of(found: Distribution, root: Path) -> MadeWheel:
    """Make the wheel of an installed distribution.

    Args:
        found: Describes it.
        root: The folder that its packages lie in: where they are installed, or a work tree.
    Raises:
        DigestMismatchError, StorageError: As `make_wheel`.
    """
    info = f"{_NAME}-{found.version}.dist-info"
    files = _installed(found, root) or _of_tree(root)
    for name, data in _description(found).items():
        files[f"{info}/{name}"] = data
    files[f"{info}/WHEEL"] = _WHEEL
    files[f"{info}/RECORD"] = _record(files, f"{info}/RECORD")
    return MadeWheel(f"{_NAME}-{found.version}-py3-none-any.whl", _archive(files))


def read_wheel(path: Path) -> MadeWheel:
    """Read a wheel of isoward that a person names.

    Raises:
        DefinitionError: There is none, or it is no wheel of isoward.
        StorageError: A blob cannot be read.
    """
    if not path.is_file():
        raise DefinitionError(f"start.wheel: {path.name}: no such file", "Check the path.")
    larger = DefinitionError(
        f"start.wheel: {path.name}: expected at most {MAX_OWN_WHEEL_BYTES} bytes, found more",
        "Name a wheel of isoward.",
    )
    data = read_bounded(path, MAX_OWN_WHEEL_BYTES, larger)
    if not is_wheel_name(path.name) or requirements_of(MadeWheel(path.name, data)) is None:
        raise DefinitionError(
            f"start.wheel: expected a wheel of isoward, found {path.name!r}",
            "Name a file such as isoward-1.2.3-py3-none-any.whl, made by `pip wheel`.",
        )
    return MadeWheel(path.name, data)


def requirements_of(wheel: MadeWheel, extra: str = EXTRA) -> frozenset[str] | None:
    """Return the projects that a wheel of isoward needs, by normalized name.

    Args:
        wheel: Untrusted.
        extra: Also what this extra adds.
    Returns:
        None when it is no wheel of isoward.
    """
    name, version = wheel.name.split("-")[:2]
    try:
        with zipfile.ZipFile(io.BytesIO(wheel.data)) as archive:
            member = archive.getinfo(f"{name}-{version}.dist-info/METADATA")
            if member.file_size > MAX_OWN_WHEEL_BYTES:
                return None
            text = archive.read(member).decode("utf-8")
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError, NotImplementedError, OSError):
        return None
    lines = text.partition("\n\n")[0].splitlines()
    if f"Name: {_NAME}" not in lines or f"Version: {version}" not in lines:
        return None
    wanted = (line.removeprefix("Requires-Dist: ") for line in lines if "Requires-Dist: " in line)
    return frozenset(
        project_name(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0])
        for line in wanted
        if "extra ==" not in line or f'extra == "{extra}"' in line
    )


def project_name(text: str) -> str:
    """Return a project's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", text).lower()


def _installed(found: Distribution, root: Path) -> dict[str, bytes]:
    """Return the files that were installed below `root`, or none when it is a work tree."""
    listed = {
        path.as_posix(): path
        for path in found.files or ()
        if path.parts[0] in PACKAGES and path.suffix != ".pyc"
    }
    marker = listed.get("bundle/__init__.py")
    if marker is None or Path(str(marker.locate())).resolve().parent.parent != root:
        return {}
    files = {}
    for name, path in listed.items():
        with storage_errors(f"read {name}"):
            data = Path(str(path.locate())).read_bytes()
        if path.hash is not None and path.hash.value != _hash(data):
            raise DigestMismatchError(
                f"{name}: expected {path.hash.mode} {path.hash.value} as installed, "
                f"found {_hash(data)}",
                _AGAIN,
            )
        files[name] = data
    return files


def _of_tree(root: Path) -> dict[str, bytes]:
    """Return the packages' files of a work tree, without what is made by running them."""
    files = {}
    for package in PACKAGES:
        with storage_errors(f"read {root / package}"):
            for path in sorted((root / package).rglob("*")):
                inside = path.relative_to(root)
                if _belongs(inside) and path.is_file() and not path.is_symlink():
                    files[inside.as_posix()] = path.read_bytes()
    # bundle/docs is a link to them, which a build of the wheel follows.
    with storage_errors(f"read {root / _DOCUMENTS}"):
        for path in sorted((root / _DOCUMENTS).rglob("*.md")):
            files[f"bundle/{path.relative_to(root).as_posix()}"] = path.read_bytes()
    return files


def _belongs(path: Path) -> bool:
    hidden = any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    return not hidden and path.suffix != ".pyc"


def _description(found: Distribution) -> dict[str, bytes]:
    """Return what describes the project: its metadata, its command and its licence."""
    described = {}
    for name in _DESCRIBES:
        text = found.read_text(name)
        if text is not None:
            described[name] = text.encode()
    for path in found.files or ():
        if "licenses" in path.parts and path.parts[0].endswith(".dist-info"):
            inside = PurePosixPath(*path.parts[1:])
            described[inside.as_posix()] = path.read_text().encode()
    return described


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _record(files: dict[str, bytes], own: str) -> bytes:
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    for name, data in sorted(files.items()):
        rows.writerow((name, f"sha256={_hash(data)}", len(data)))
    rows.writerow((own, "", ""))
    return text.getvalue().encode()


def _archive(files: dict[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(files.items()):
            member = zipfile.ZipInfo(name, _EPOCH)
            member.external_attr = _MODE
            member.create_system = 3  # Unix, wherever it is made
            archive.writestr(member, data)
    return raw.getvalue()
