"""What a command is given: a document or a folder of ours, of the right kind.

People mix up a definition and its lock, or a private key and its public half. A command that gets
the wrong one names what it got, and which command takes that.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import click

from bundle.base.errors import UsageError
from bundle.store.atomic import storage_errors
from bundle.store.layout import MANIFEST_NAME
from bundle.trust.keys.terms import NAME_FIELD

Kind = Literal[
    "definition",
    "lock",
    "sources",
    "site",
    "site-policy",
    "missing-images",
    "manifest",
    "bundle",
    "release",
    "depot",
    "root",
    "request",
    "private-key",
    "public-key",
]


@dataclass(frozen=True, slots=True)
class _About:
    """The name of a kind, and what to do with it."""

    name: str
    advice: str


_KINDS: Final[dict[Kind, _About]] = {
    "definition": _About("a definition", "Lock it first: `isoward lock {path}`."),
    "lock": _About("a lock", "`isoward build {path}` builds a bundle from it."),
    "sources": _About("a source configuration", "Pass it to `lock` and `build` as --sources."),
    "site": _About(
        "a site file", "`isoward site check {path}` checks it; `plan` and `install` use it."
    ),
    "site-policy": _About("a site's policy", "It belongs in the depot's folder."),
    "missing-images": _About(
        "a list of missing images", "Decide about each image in its definition."
    ),
    "manifest": _About("the manifest of a bundle", "Give the folder that contains it."),
    "bundle": _About(
        "a bundle's folder", "Pass it to `isoward inspect`, `verify`, `approve` or `import`."
    ),
    "release": _About(
        "a release folder", "Pass it to `build` as --release, or to `root` and `release`."
    ),
    "depot": _About("a depot", "Pass it to the site's commands as --depot."),
    "root": _About(
        "a root of trust", "`isoward enroll {path}` trusts it at a site; `root show` shows it."
    ),
    "request": _About("a signing request", "`isoward sign {path}` signs it."),
    "private-key": _About("a private key", "Pass it as --key or --sign-with; keep it secret."),
    "public-key": _About(
        "a public key", "Its private key was made with it, such as ada.pem for ada.pub."
    ),
}
_DOCUMENTS: Final[dict[str, Kind]] = {
    "BundleDefinition": "definition",
    "BundleLock": "lock",
    "SourceConfig": "sources",
    "Site": "site",
    "SitePolicy": "site-policy",
    "MissingImages": "missing-images",
    "Bundle": "manifest",
    "SigningRequest": "request",
    "TokenKey": "private-key",
}
_FOLDERS: Final[dict[str, Kind]] = {
    MANIFEST_NAME: "bundle",
    "depot.json": "depot",
    "1.root.json": "release",
}
_YAML_KIND: Final = re.compile(r"""(?m)^kind:[ \t]*["']?(\w+)["']?[ \t\r]*(?:#.*)?$""")
_JSON_KIND: Final = re.compile(r'"kind":\s*"(\w+)"')
_OURS: Final = re.compile(r"""["']?apiVersion["']?:\s*["']?isoward/v1\b""")

_HEAD_BYTES: Final = 256 * 1024
"""Bytes read to recognize a file. Canonical JSON sorts its fields, so `kind` comes early."""


class Given(click.Path):
    """The path of one of the accepted kinds; unknown content passes."""

    def __init__(self, *kinds: Kind, foreign: str = "") -> None:
        """Accept these kinds, and also foreign content if it is named."""
        super().__init__(path_type=Path)
        self._kinds = kinds
        self._foreign = foreign

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse a known kind that is not accepted.

        Raises:
            UsageError: It is another kind.
        """
        path = super().convert(value, param, ctx)
        require_kind(Path(str(value)), *self._kinds, foreign=self._foreign)
        return path


def require_kind(path: Path, *kinds: Kind, foreign: str = "") -> None:
    """Refuse a known kind that is not accepted.

    Args:
        path: May be anything, or not exist: its reader reports what is wrong then.
        kinds: What is accepted.
        foreign: Names other accepted content that is not ours, for the message.
    Raises:
        UsageError: It is another kind.
        StorageError: A blob cannot be read.
    """
    found = recognize(path)
    if found is None or found in kinds:
        return
    names = dict.fromkeys(_KINDS[kind].name for kind in kinds)
    wanted = " or ".join([*names, *filter(None, [foreign])])
    about = _KINDS[found]
    raise UsageError(
        f"{path}: expected {wanted}, found {about.name}", about.advice.format(path=path)
    )


def recognize(path: Path) -> Kind | None:
    """Recognize which of our kinds is at a path; None if unknown.

    Raises:
        StorageError: A blob cannot be read.
    """
    with storage_errors(f"read {path}"):
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            return None
        if stat.S_ISDIR(mode):
            return next((kind for name, kind in _FOLDERS.items() if (path / name).exists()), None)
        if not stat.S_ISREG(mode):
            return None
        with path.open("rb") as file:
            return _kind_of(file.read(_HEAD_BYTES))


def _kind_of(data: bytes) -> Kind | None:
    text = data.decode("utf-8", "replace")
    start = text.lstrip("\ufeff \t\r\n")
    if start.startswith("-----BEGIN ") and "PRIVATE KEY-----" in start[:60]:
        return "private-key"
    if start.startswith("{"):
        return _kind_of_json(start)
    named = _YAML_KIND.search(text)
    return _DOCUMENTS.get(named[1]) if named and _OURS.search(text) else None


def _kind_of_json(text: str) -> Kind | None:
    if '"signed"' in text and '"_type":"root"' in text.replace(" ", ""):
        return "root"
    named = _JSON_KIND.search(text)
    if named and _OURS.search(text):
        # Before the next one: a reference file of a token contains its public half.
        return _DOCUMENTS.get(named[1])
    return "public-key" if NAME_FIELD in text and '"keyval"' in text else None
