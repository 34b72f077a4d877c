"""The file with a site's secrets: encrypted by SOPS with age, and never read any further here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bundle.model.errors import DefinitionError, StorageError
from bundle.model.limits import MAX_DEFINITION_BYTES
from bundle.model.problems import Problem
from bundle.model.yaml_strict import load_yaml
from bundle.store.atomic import storage_errors

_FIELD: Final = "secrets"
_ENCRYPTED: Final = "ENC["
_ADVICE: Final = "Encrypt it: `sops encrypt --age RECIPIENT --in-place FILE`."


def secrets_problems(path: Path) -> list[Problem]:
    """Find what is wrong with a secrets file; no value of it is ever quoted."""
    if not path.is_file():
        return [Problem(_FIELD, f"expected a file at {path}, found none", _ADVICE)]
    try:
        with storage_errors(f"read {path}"), path.open("rb") as file:
            data = file.read(MAX_DEFINITION_BYTES + 1)
        tree = load_yaml(
            data, dict[str, Any], where=str(path), limit=MAX_DEFINITION_BYTES, error=DefinitionError
        )
    except StorageError as error:
        return [Problem(_FIELD, error.message, error.hint)]
    except DefinitionError:
        # Its message would quote a line of the file.
        return [Problem(_FIELD, f"expected {path} to be YAML as SOPS writes it", _ADVICE)]
    sops = tree.pop("sops", None)
    if not isinstance(sops, dict) or not sops.get("age") or not sops.get("mac"):
        return [Problem(_FIELD, f"expected {path} to be encrypted by SOPS with age", _ADVICE)]
    return [
        Problem(_FIELD, f"{path}: the value of {name!r} is not encrypted", _ADVICE)
        for name in _plain(tree, "")
    ]


def _plain(value: Any, name: str) -> Iterator[str]:
    """Yield the names of values that are not encrypted; SOPS leaves empty ones as they are."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _plain(inner, f"{name}.{key}".lstrip("."))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _plain(inner, f"{name}[{i}]")
    elif value not in {None, ""} and not str(value).startswith(_ENCRYPTED):
        yield name
