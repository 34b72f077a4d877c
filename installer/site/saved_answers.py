"""The answers of a person who was interrupted, kept beside the site file that they are for.

Written after each answer, so that Ctrl-C, a closed terminal or a power cut loses none. No answer is
a secret; one that looks like a private key, which somebody pasted in the wrong place, is left out.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from bundle.base.documents import Document, Text
from bundle.base.limits import MAX_DEFINITION_BYTES
from bundle.store.atomic import storage_errors, write_atomic
from installer.site.load import looks_secret

Kind = Literal["zones", "nodes"]
Fields = dict[Text, Text]
_MODE: Final = 0o600
_OTHERS_WRITE: Final = 0o022


class SiteAnswers(Document, frozen=True, kw_only=True):
    """What was answered so far.

    Source: docs/FORMAT.md, "Site".
    """

    api_version: Literal["isoward/v1"] = "isoward/v1"
    kind: Literal["SiteAnswers"]
    answers: Fields = msgspec.field(default_factory=dict)
    """Texts by the name of the question; an empty one is an answer too."""
    zones: Annotated[tuple[Fields, ...], msgspec.Meta(max_length=1000)] = ()
    nodes: Annotated[tuple[Fields, ...], msgspec.Meta(max_length=10_000)] = ()
    finished: tuple[Kind, ...] = ()
    """Of what there is no other one."""
    begun: Fields = msgspec.field(default_factory=dict)
    """What was answered of the zone or node that comes next."""


def answers_path(file: Path) -> Path:
    """Return where the answers for a site file are kept."""
    return file.with_name(f"{file.name}.draft")


def write_answers(path: Path, answers: SiteAnswers) -> None:
    """Keep answers, for their owner alone.

    Raises:
        StorageError: The disk refused.
    """
    kept = msgspec.structs.replace(
        answers,
        answers=_without_secrets(answers.answers),
        zones=tuple(_without_secrets(zone) for zone in answers.zones),
        nodes=tuple(_without_secrets(node) for node in answers.nodes),
        begun=_without_secrets(answers.begun),
    )
    write_atomic(path, msgspec.json.format(msgspec.json.encode(kept)) + b"\n", _MODE)


def read_answers(path: Path) -> SiteAnswers | None:
    """Return the answers that were kept; nothing where there are none that are ours and whole.

    Raises:
        StorageError: They cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    found = os.fstat(descriptor)
    ours = found.st_uid == os.geteuid() and not found.st_mode & _OTHERS_WRITE
    if not stat.S_ISREG(found.st_mode) or not ours:
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as file, storage_errors(f"read {path}"):
        data = file.read(MAX_DEFINITION_BYTES + 1)
    try:
        return msgspec.json.decode(data, type=SiteAnswers)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _without_secrets(texts: Mapping[str, str]) -> Fields:
    return {name: text for name, text in texts.items() if not looks_secret(text)}
