"""Another key for Secrets would lose all of them; the file is a real one, read by a real shell."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bundle.base.errors import StepError
from installer.core.step import Context
from installer.preflight.ask import on_this_machine
from installer.steps.encryption_key import require_same_key
from tests.support.sites.clusters import cluster

KEY = "abcdefghijklmnopqrstuvwxyz012345"
OTHER = KEY[::-1]

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as the file's reader has")


def context(**secrets: str) -> Context:
    given = {"secrets": secrets, "site": cluster(3, "calico"), "connect": on_this_machine}
    return cast("Context", SimpleNamespace(**given))


def written(path: Path, *keys: str) -> str:
    """Write the file as Kubespray does; return its path."""
    secrets = "".join(
        f"        - name: key\n          secret: {base64.b64encode(key.encode()).decode()}\n"
        for key in keys
    )
    path.write_text(
        "kind: EncryptionConfiguration\nresources:\n  - resources:\n    - secrets\n"
        f"    providers:\n    - secretbox:\n        keys:\n{secrets}    - identity: {{}}\n"
    )
    return str(path)


def test_the_key_that_is_there_and_a_first_one_are_taken(tmp_path: Path) -> None:
    require_same_key(context(encryptionKey=KEY), written(tmp_path / "same", KEY))
    require_same_key(context(encryptionKey=KEY), str(tmp_path / "none"))
    # Kubespray keeps what it finds, so a site without a key of its own asks nobody.
    require_same_key(context(sudoPassword=OTHER), written(tmp_path / "own", KEY))


@pytest.mark.parametrize("keys", [(OTHER,), (KEY, OTHER), ()])
def test_another_key_is_refused_and_none_is_shown(tmp_path: Path, keys: tuple[str, ...]) -> None:
    path = written(tmp_path / "file", *keys)
    with pytest.raises(StepError, match="found another one; nothing was changed") as caught:
        require_same_key(context(encryptionKey=KEY), path)
    said = f"{caught.value.message} {caught.value.hint}"
    assert path in said
    for key in (KEY, OTHER):
        assert key not in said
        assert base64.b64encode(key.encode()).decode() not in said


def test_a_file_that_cannot_be_read_is_no_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="expected to read"):
        require_same_key(context(encryptionKey=KEY), str(tmp_path))
