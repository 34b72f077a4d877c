"""`isoward inspect` says that nothing is verified, whatever the medium says of itself."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bundle.base.canonical import decode_canonical
from bundle.cli.auditor.inspect_page import NOT_VERIFIED, page
from bundle.model.manifest import Manifest
from tests.support.trust.commands import Isoward
from tests.support.trust.release_kit import make_bundle

LINE = "verified: tiny 1.0.0, release 7"


@pytest.mark.parametrize(
    "wanted", [LINE, f"x\n{LINE}", f"x\r{LINE}", f"x\u2028{LINE}", f"\x1b[1A\x1b[2K{LINE}"]
)
def test_no_field_begins_a_line_of_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wanted: str
) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    path = bundle / "bundle.json"
    manifest = decode_canonical(path.read_bytes(), Manifest, "bundle.json")
    file = msgspec.structs.replace(manifest.files[0], wanted_by=(wanted,))
    path.write_bytes(
        msgspec.json.encode(msgspec.structs.replace(manifest, files=(file,)), order="sorted")
    )
    done = Isoward(capsys)("inspect", bundle)
    lines = (done.out + done.err).splitlines()
    assert not any(line.startswith("verified") for line in lines)
    assert "\x1b" not in done.out + done.err
    if done.code == 0:
        assert wanted == LINE
        assert lines[0] == lines[-1] == NOT_VERIFIED
        assert all(line.startswith("  ") for line in lines[1:-1])
    else:
        assert done.code == 11
        assert "expected one line of text" in done.err


def test_every_line_but_the_first_and_last_is_the_medium_s(tmp_path: Path) -> None:
    data = (make_bundle(tmp_path / "bundle") / "bundle.json").read_bytes()
    lines = page(decode_canonical(data, Manifest, "bundle.json"), "sha256:0")
    assert [line for line in lines if not line.startswith("  ")] == [NOT_VERIFIED] * 2
