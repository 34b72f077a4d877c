"""The file with a site's secrets: encrypted by SOPS with age, decrypted into memory alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from bundle.base.errors import DefinitionError, StorageError
from bundle.base.limits import KIB, MAX_DEFINITION_BYTES
from bundle.base.problem import Problem
from bundle.base.yaml.strict import load_yaml, yaml_lines
from bundle.store.atomic import storage_errors
from bundle.store.reading import read_bounded
from installer.site.secrets import NAMES, problem_of

_FIELD: Final = "secrets"
_SOPS: Final = "sops"
_MAX_KEY_BYTES: Final = 64 * KIB
_ENCRYPTED: Final = "ENC["
_ADVICE: Final = "Encrypt it: `sops encrypt --age RECIPIENT --in-place FILE`."


def secrets_problems(path: Path) -> list[Problem]:
    """Find what is wrong with a secrets file; no value of it is ever quoted."""
    if not path.is_file():
        return [Problem(_FIELD, f"expected a file at {path}, found none", _ADVICE)]
    try:
        data = read_bounded(path, MAX_DEFINITION_BYTES)
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
    plain = [
        Problem(_FIELD, f"{path}: the value of {name!r} is not encrypted", _ADVICE)
        for name in _plain(tree, "")
    ]
    return plain or _unknown(tree, data, path)


def secret_names(path: Path) -> tuple[str, ...]:
    """Return which secrets a file has; that needs no key.

    Raises:
        DefinitionError: It is not such a file.
    """
    for problem in secrets_problems(path):
        raise DefinitionError(problem.text, problem.hint)
    return tuple(name for name in _read(path) if name != _SOPS)


def load_secrets(path: Path, key: Path) -> dict[str, str]:
    """Decrypt a site's secrets; they are in memory only, and so they must stay.

    Args:
        path: The file that SOPS wrote.
        key: The operator's private key of age, its owner's alone.
    Raises:
        DefinitionError: The file or the key is wrong, or a secret is not what it must be.
        StorageError: One of them cannot be read.
    """
    # Not at the top: most sites have no secrets, and most commands none to do with them.
    from installer.site.sops import decrypt

    names = secret_names(path)
    secrets = decrypt(_read(path), _identities(key), str(path))
    for name in names:
        problem = problem_of(name, secrets[name])
        if problem:
            raise DefinitionError(f"{path}: {name}: {problem}", _ADVICE)
    return secrets


def _read(path: Path) -> dict[str, Any]:
    data = read_bounded(path, MAX_DEFINITION_BYTES)
    return load_yaml(
        data, dict[str, Any], where=str(path), limit=MAX_DEFINITION_BYTES, error=DefinitionError
    )


def _identities(key: Path) -> list[str]:
    if not key.is_file():
        raise DefinitionError(
            f"expected a private key of age at {key}, found none",
            "Name it with --age-key, or make one with `age-keygen -o FILE`.",
        )
    with storage_errors(f"read {key}"), key.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        text = file.read(_MAX_KEY_BYTES).decode("ascii", errors="replace")
    if mode & 0o077:
        raise DefinitionError(
            f"expected {key} to be its owner's alone, found mode {mode & 0o777:o}",
            f"Run `chmod 600 {key}`.",
        )
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _unknown(tree: dict[str, Any], data: bytes, path: Path) -> list[Problem]:
    lines = yaml_lines(data.decode("utf-8"))
    return [
        Problem(
            _FIELD,
            f"{path}: line {lines.get(name, 1)}: expected one of {', '.join(NAMES)}, found {name}",
            'Remove it with `sops edit`; see docs/FORMAT.md, "Secrets file".',
        )
        for name in tree
        if name not in NAMES
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
