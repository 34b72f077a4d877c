"""Bad input gets its documented exit code and one clear message, and leaves nothing behind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bundle.cli.main import run
from installer.depot.directory import create_depot
from tests.support.sites.plain import new_key
from tests.support.trust.release_kit import ReleaseKit, enrolled, make_release, trusted_bundle
from tests.vectors.bad_bundles import BadBundle, bad_bundles
from tests.vectors.bad_documents import (
    GOOD_DEFINITION,
    GOOD_LOCK,
    GOOD_SITE,
    BadDocument,
    bad_definitions,
    bad_locks,
    bad_sites,
)

Said = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> ReleaseKit:
    return make_release(tmp_path_factory.mktemp("kit"))


@pytest.fixture(scope="module")
def good_bundle(tmp_path_factory: pytest.TempPathFactory, kit: ReleaseKit) -> Path:
    return trusted_bundle(tmp_path_factory.mktemp("good") / "bundle", kit)


def _refused(arguments: list[str], folder: Path, code: int, says: str, said: Said) -> None:
    """Run a command that must fail as documented and change no file below `folder`."""
    before = _tree(folder)
    assert run(arguments) == code
    written = said.readouterr()
    lines = written.err.splitlines()
    errors = [line for line in lines if line.startswith("isoward: error: ")]
    assert len(errors) == 1, written.err
    assert says in errors[0]
    assert "Traceback" not in written.err
    assert lines[-1].startswith("  "), "a hint follows the message"
    assert written.out == ""
    assert _tree(folder) == before


def _tree(folder: Path) -> dict[str, tuple[int, int]]:
    files = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    found = {str(path.relative_to(folder)): path.lstat() for path in files}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in found.items()}


def _ids(vector: BadDocument | BadBundle) -> str:
    return vector.name


@pytest.mark.parametrize("bad", bad_definitions(), ids=_ids)
def test_a_bad_definition(bad: BadDocument, tmp_path: Path, capsys: Said) -> None:
    path = tmp_path / "definition.yaml"
    path.write_bytes(bad.data)
    arguments = ["lock", str(path), "--cache", str(tmp_path / "cache")]
    _refused(arguments, tmp_path, bad.code, bad.says, capsys)


@pytest.mark.parametrize("bad", bad_locks(), ids=_ids)
def test_a_bad_lock(bad: BadDocument, kit: ReleaseKit, tmp_path: Path, capsys: Said) -> None:
    path = tmp_path / "lock.yaml"
    path.write_bytes(bad.data)
    _refused(_build(path, kit, tmp_path), tmp_path, bad.code, bad.says, capsys)


@pytest.mark.parametrize("bad", bad_sites(), ids=_ids)
def test_a_bad_site(bad: BadDocument, tmp_path: Path, capsys: Said) -> None:
    path = tmp_path / "site.yaml"
    path.write_bytes(bad.data)
    (tmp_path / "id_ed25519").write_text("not looked at before the site is right")
    (tmp_path / "id_ed25519").chmod(0o600)
    arguments = ["install", str(path), "--depot", str(tmp_path / "depot")]
    _refused(arguments, tmp_path, bad.code, bad.says, capsys)


@pytest.mark.parametrize("bad", bad_bundles(), ids=_ids)
@pytest.mark.parametrize("command", ["verify", "import"])
def test_a_bad_bundle(
    bad: BadBundle,
    command: str,
    *,
    kit: ReleaseKit,
    good_bundle: Path,
    tmp_path: Path,
    capsys: Said,
) -> None:
    bundle, depot = tmp_path / "bundle", tmp_path / "depot"
    shutil.copytree(good_bundle, bundle)
    enrolled(depot, kit)
    create_depot(depot)
    bad.spoil(bundle)
    arguments = [command, str(bundle), "--depot", str(depot)]
    _refused(arguments, tmp_path, bad.code, bad.says, capsys)


MISSING: list[tuple[str, Callable[[Path], list[str]], int]] = [
    ("definition", lambda p: ["lock", str(p / "no.yaml")], 10),
    ("definition-is-a-folder", lambda p: ["lock", str(p)], 12),
    ("verify", lambda p: ["verify", str(p / "no"), "--depot", str(p)], 11),
    ("inspect", lambda p: ["inspect", str(p / "no")], 11),
    ("site", lambda p: ["install", str(p / "no.yaml"), "--depot", str(p)], 10),
    ("not-enrolled", lambda p: ["verify", str(p), "--depot", str(p)], 11),
    ("command", lambda _: ["frobnicate"], 2),
    ("option", lambda p: ["verify", str(p), "--insecure"], 2),
    ("argument", lambda _: ["build"], 2),
    ("fingerprint", lambda p: ["verify", str(p), "--fingerprint", "abc"], 11),
]


@pytest.mark.parametrize(
    ("arguments", "code"), [m[1:] for m in MISSING], ids=[m[0] for m in MISSING]
)
def test_what_is_not_there(
    arguments: Callable[[Path], list[str]], code: int, tmp_path: Path, capsys: Said
) -> None:
    _refused(arguments(tmp_path), tmp_path, code, "", capsys)


def test_the_good_ones_are_not_refused_for_their_form(
    kit: ReleaseKit, tmp_path: Path, capsys: Said
) -> None:
    """Else every vector above could be refused for another reason than its own."""
    for name, text in (("d", GOOD_DEFINITION), ("l", GOOD_LOCK), ("s", GOOD_SITE)):
        (tmp_path / name).write_text(text)
    new_key(tmp_path / "id_ed25519")
    from bundler.lock.documents import load_definition, load_lock
    from installer.site.load import load_site

    load_definition(tmp_path / "d")
    load_lock(tmp_path / "l")
    load_site(tmp_path / "s")


def _build(lock: Path, kit: ReleaseKit, folder: Path) -> list[str]:
    output, cache = folder / "bundle", folder / "cache"
    arguments = ["build", str(lock), "-o", str(output), "--cache", str(cache)]
    return [*arguments, "--release", str(kit.release), "--key", str(kit.builder.path)]
