"""What the vendor reads when other bytes came than were promised: what, from where, what next."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from bundle.base.digest import digest_of
from bundle.base.errors import Advice, DigestMismatchError, SizeMismatchError, TransportError
from bundle.cli.endings import ended
from bundle.kinds.files import LockedFile
from bundle.store import advice
from bundler.build.origins import blames
from bundler.sources.common.blame import blaming, naming
from tests.support.documents.content import sample

ROOT = Path(__file__).resolve().parents[5]
OTHER = digest_of(b"other")
Said = pytest.CaptureFixture[str]


def test_every_blob_that_is_fetched_has_a_name() -> None:
    lock, blobs = sample()
    found = blames(lock)
    for file in lock.files:
        assert str(file.url) in found[file.digest].name
    for image in lock.images:
        assert found[image.digest].name.startswith(f"image {image.reference}: sha256:")
    for chart in lock.charts:
        assert chart.name in found[chart.archive.digest].name
    assert set(blobs) <= found.keys()


def test_other_bytes_are_told_by_entry_and_address() -> None:
    lock, _ = sample()
    file: LockedFile = lock.files[0]
    blame = blames(lock)[file.digest]
    facts = {"expected": file.digest, "found": OTHER}
    with pytest.raises(DigestMismatchError) as caught, blaming(blame):
        raise DigestMismatchError(f"{file.digest}: x", advice.CHANGED, facts)
    assert caught.value.message == (
        f"file {file.url}: the lock says {file.digest}, the server sent {OTHER}"
    )
    assert "publisher's own checksum" in caught.value.hint
    with pytest.raises(SizeMismatchError, match=f"^file {file.url}: expected 3"), blaming(blame):
        raise SizeMismatchError(f"{file.digest}: expected 3 bytes", advice.DAMAGED)
    with pytest.raises(TransportError, match=f"^file {file.url}: aborted"), blaming(blame):
        raise TransportError(f"{file.digest}: aborted", "again")


def test_what_a_chart_brought_is_named_with_it() -> None:
    said = r"no pull \(needed by chart web 1\.2\.3\)$"
    with pytest.raises(TransportError, match=said), naming(("chart web 1.2.3",)):
        raise TransportError("registry.example.org/app: no pull", "x")
    with pytest.raises(TransportError, match=r"no pull$"), naming(()):
        raise TransportError("registry.example.org/app: no pull", "x")


@pytest.mark.parametrize(
    "hint", [value for value in vars(advice).values() if isinstance(value, Advice)]
)
def test_a_hint_of_both_sides_has_words_for_each(hint: Advice, capsys: Said) -> None:
    assert "medium" in hint
    assert "medium" not in hint.vendor
    error = DigestMismatchError("bundle.json: other bytes", hint)
    for command, said in (("import", hint), ("verify", hint), ("approve", hint.vendor)):
        assert ended(error, [command, "bundle"]) == 21
        assert capsys.readouterr().err.splitlines()[1].strip() == said


def test_nobody_at_the_vendors_is_told_of_a_good_medium() -> None:
    """All such hints stand in one place, where each has the vendor's words beside it."""
    found = []
    for folder in ("bundle/store", "bundle/trust", "bundler"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found += [
                f"{path.relative_to(ROOT)}:{call.lineno}"
                for call in ast.walk(tree)
                if isinstance(call, ast.Call) and getattr(call.func, "id", "").endswith("Error")
                for part in ast.walk(call)
                if isinstance(part, ast.Constant) and "medium" in str(part.value)
            ]
    assert not found
