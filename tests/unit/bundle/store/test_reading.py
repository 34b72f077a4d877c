from __future__ import annotations

from pathlib import Path

import pytest

from bundle.base.errors import FormatError, StorageError
from bundle.store.reading import read_bounded


def test_a_byte_more_than_the_limit_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345678")
    larger = FormatError("it is larger", "")
    assert read_bounded(path, 8, larger) == b"12345678"
    assert read_bounded(path, 5) == b"123456"
    with pytest.raises(FormatError, match="it is larger"):
        read_bounded(path, 7, larger)


def test_what_cannot_be_read_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=f"cannot read {tmp_path}"):
        read_bounded(tmp_path, 5)
    with pytest.raises(StorageError):
        read_bounded(tmp_path / "none", 5)
