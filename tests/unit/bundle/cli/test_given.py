"""A command that was given something else of ours says what it got, and what takes that."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.cli.given import recognize
from bundle.cli.main import run
from bundle.trust.keys.stored import generate_key, write_key

Said = pytest.CaptureFixture[str]
HEAD = "apiVersion: isoward/v1\nkind: "


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make one of each, and be there."""
    monkeypatch.chdir(tmp_path)
    for name, kind in (
        ("hospital.yaml", "BundleDefinition"),
        ("hospital.lock.yaml", "BundleLock"),
        ("site.yaml", "Site"),
        ("sources.yaml", "SourceConfig"),
    ):
        (tmp_path / name).write_text(f"# a comment\n{HEAD}{kind}\nmetadata: {{}}\n")
    for name, file in (("bundle", "bundle.json"), ("depot", "depot.json"), ("rel", "1.root.json")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("{}")
    (tmp_path / "root.json").write_text('{"signatures":[],"signed":{"_type":"root"}}')
    write_key(generate_key("Ada"), tmp_path / "ada.pem", None)


@pytest.mark.parametrize(
    ("command", "got", "advice"),
    [
        ("build hospital.yaml -o b --release rel --key ada.pem", "a definition", "isoward lock"),
        ("build site.yaml -o b --release rel --key ada.pem", "a site file", "site check"),
        ("build hospital.lock.yaml -o b --release bundle --key ada.pem", "a bundle's", "inspect"),
        ("build hospital.lock.yaml -o b --release rel --key ada.pub", "a public key", "ada.pem"),
        ("lock hospital.lock.yaml", "a lock", "isoward build"),
        ("lock site.yaml", "a site file", "site check"),
        ("lock bundle", "a bundle's folder", "inspect"),
        ("export hospital.yaml --to hauler -o x", "a definition", "isoward lock"),
        ("site check hospital.yaml", "a definition", "isoward lock"),
        ("preflight hospital.lock.yaml --depot depot", "a lock", "isoward build"),
        ("plan bundle", "a bundle's folder", "inspect"),
        ("install site.yaml --depot bundle", "a bundle's folder", "import"),
        ("install site.yaml --bundle depot", "a depot", "--depot"),
        ("inspect hospital.lock.yaml", "a lock", "isoward build"),
        ("inspect bundle/bundle.json", "", ""),
        ("verify depot", "a depot", "--depot"),
        ("import rel --depot depot", "a release folder", "--release"),
        ("enroll hospital.yaml --depot depot", "a definition", "isoward lock"),
        ("enroll ada.pub --depot depot", "a public key", "ada.pem"),
        ("enroll bundle --depot bundle", "a bundle's folder", "import"),
        ("approve hospital.lock.yaml --key ada.pem --ticket T", "a lock", "isoward build"),
        ("approve bundle --key ada.pub --ticket T", "a public key", "ada.pem"),
        ("approve bundle --key root.json --ticket T", "a root of trust", "enroll"),
        ("root show hospital.yaml", "a definition", "isoward lock"),
        ("sign root.json --key ada.pem", "a root of trust", "enroll"),
        ("serve --depot bundle --name x", "a bundle's folder", "import"),
        ("convert hospital.lock.yaml -o x", "a lock", "isoward build"),
        ("convert bundle -o x", "a bundle's folder", "inspect"),
        ("lock hospital.yaml --sources site.yaml", "a site file", "site check"),
        ("release show bundle", "a bundle's folder", "inspect"),
        ("release refresh depot --key ada.pem", "a depot", "--depot"),
        ("site inventory hospital.yaml -o x", "a definition", "isoward lock"),
        ("waiver new depot --reason a --ticket b --days 1 -o x", "a depot", "--depot"),
        ("waiver sign site.yaml --key ada.pem", "a site file", "site check"),
        ("recover sign root.json --key ada.pem", "a root of trust", "enroll"),
        ("recover apply hospital.yaml --depot depot", "a definition", "isoward lock"),
        ("import bundle --depot depot --waiver site.yaml", "a site file", "site check"),
        ("depot check --depot rel", "a release folder", "--release"),
        ("import bundle --depot rel", "a release folder", "--release"),
        ("approve bundle --key ada.pem --ticket T --collect depot", "a depot", "--depot"),
        ("root rotate bundle Ada --new ada.pub", "a bundle's folder", "inspect"),
    ],
)
@pytest.mark.usefixtures("ours")
def test_the_wrong_thing_is_named(capsys: Said, command: str, got: str, advice: str) -> None:
    code = run(command.split())
    said = capsys.readouterr().err
    if not got:
        assert code != 2
        return
    assert code == 2, said
    assert f", found {got}" in said
    assert advice in said


def test_what_is_not_ours_passes(tmp_path: Path) -> None:
    for name, data in (
        ("a", b""),
        ("b", b"\x00\xff" * 1000),
        ("c", b"kind: Site\n"),
        ("d", b"apiVersion: v1\nkind: Pod\n"),
        ("e", b"{" * 100_000),
    ):
        (tmp_path / name).write_bytes(data)
        assert recognize(tmp_path / name) is None
    assert recognize(tmp_path / "none") is None
    assert recognize(tmp_path) is None
