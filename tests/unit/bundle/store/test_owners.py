"""What somebody else could have changed is not believed, and nobody else gets to change it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bundle.base.digest import hex_of
from bundle.base.errors import (
    CouldNotVerifyError,
    DefinitionError,
    IsowardError,
    StorageError,
    UnsafePathError,
)
from bundle.store.atomic import make_directory, write_atomic
from bundle.store.owners import entry_problem, way_problem
from bundle.trust.keys.stored import generate_key, write_key
from bundle.trust.site.ledger import LEDGER_NAME, load_ledger
from bundle.trust.site.state import load_readable_states, load_states
from bundle.trust.upstream.site_policy import POLICY_NAME, load_site_policy
from installer.depot.directory import create_depot, open_depot
from installer.enrollment.first_trust import enroll, read_candidate
from installer.serving.tls.certificate import made_identity
from tests.support.depot.imported import import_now
from tests.support.trust.release_kit import ReleaseKit, make_release, now, trusted_bundle

NOBODY = 65534
root = pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to give a file away")


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> tuple[ReleaseKit, Path]:
    base = tmp_path_factory.mktemp("vendor")
    kit = make_release(base)
    return kit, trusted_bundle(base / "bundle", kit)


def fill(depot: Path, vendor: tuple[ReleaseKit, Path]) -> None:
    kit, bundle = vendor
    enroll(depot, read_candidate(kit.release, None, now()), now())
    import_now(bundle, depot)
    made_identity(depot / "tls", ["depot.example.org"], now)


@pytest.fixture
def depot(tmp_path: Path, vendor: tuple[ReleaseKit, Path]) -> Path:
    fill(tmp_path / "depot", vendor)
    return tmp_path / "depot"


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o077])
def test_a_depot_has_the_same_modes_under_every_umask(
    tmp_path: Path, vendor: tuple[ReleaseKit, Path], mask: int
) -> None:
    with umask(mask):
        fill(tmp_path / "srv" / "depot", vendor)
    modes = {
        str(path.relative_to(tmp_path)): stat.S_IMODE(path.stat().st_mode)
        for path in tmp_path.rglob("*")
    }
    assert {name for name, mode in modes.items() if mode & 0o022} == set()
    private = {"srv/depot/staging", "srv/depot/tls"}
    for name, mode in modes.items():
        path = tmp_path / name
        if path.is_dir():
            assert mode == (0o700 if name in private else 0o755), name
    assert {modes[f"srv/depot/tls/{name}"] for name in ("ca.key", "server.key")} == {0o600}


EVIL: dict[str, Callable[[Path], None]] = {
    "the depot, for all": lambda depot: depot.chmod(0o777),
    "the depot, for its group": lambda depot: depot.chmod(0o775),
    "the depot, sticky": lambda depot: depot.chmod(0o1777),
    "a folder above it": lambda depot: depot.parent.chmod(0o777),
    "its trust folder": lambda depot: (depot / "trust").chmod(0o1777),
    "a state": lambda depot: _state(depot).chmod(0o620),
    "the ledger": lambda depot: (depot / "trust" / LEDGER_NAME).chmod(0o602),
}
GIVEN: dict[str, Callable[[Path], None]] = {
    "the depot is another's": lambda depot: os.chown(depot, NOBODY, 0),
    "a folder above it is another's": lambda depot: os.chown(depot.parent, NOBODY, 0),
    "its trust folder is another's": lambda depot: os.chown(depot / "trust", NOBODY, 0),
    "a state is another's": lambda depot: os.chown(_state(depot), NOBODY, 0),
    "the ledger is another's": lambda depot: os.chown(depot / "trust" / LEDGER_NAME, NOBODY, 0),
}


def _state(depot: Path) -> Path:
    return next(path for path in (depot / "trust").iterdir() if len(path.stem) == 64)


def _refuses(depot: Path) -> None:
    with pytest.raises(CouldNotVerifyError) as caught:
        load_states(depot / "trust")
    assert "can write" in caught.value.message or "belongs to" in caught.value.message
    _, problems = load_readable_states(depot / "trust") if _is_own(depot) else ((), [True])
    assert problems


def _is_own(depot: Path) -> bool:
    return not way_problem(depot) and not entry_problem(depot / "trust")


@pytest.mark.parametrize("change", EVIL.values(), ids=EVIL.keys())
def test_records_that_others_may_write_are_not_believed(
    depot: Path, change: Callable[[Path], None]
) -> None:
    load_states(depot / "trust")
    change(depot)
    _refuses(depot)


@root
@pytest.mark.parametrize("change", GIVEN.values(), ids=GIVEN.keys())
def test_records_of_another_owner_are_not_believed(
    depot: Path, change: Callable[[Path], None]
) -> None:
    change(depot)
    _refuses(depot)


@pytest.mark.parametrize("name", ["blobs", "bundles", "tls", "blobs/sha256", "depot.json"])
def test_a_depot_that_others_may_write_is_not_opened(depot: Path, name: str) -> None:
    (depot / name).chmod(0o777)
    for opened in (open_depot, create_depot):
        with pytest.raises(UnsafePathError, match="others can write"):
            opened(depot)


def test_a_policy_that_others_may_write_is_not_believed(depot: Path) -> None:
    write_atomic(depot / POLICY_NAME, b"apiVersion: isoward/v1\nkind: SitePolicy\n", 0o664)
    with pytest.raises(DefinitionError, match="others can write"):
        load_site_policy(depot)


def test_nothing_is_enrolled_where_others_may_write(
    tmp_path: Path, vendor: tuple[ReleaseKit, Path]
) -> None:
    place = tmp_path / "open"
    place.mkdir()
    place.chmod(0o777)
    candidate = read_candidate(vendor[0].release, None, now())
    with pytest.raises(IsowardError, match="others can write"):
        enroll(place / "depot", candidate, now())
    place.chmod(0o1777)
    enroll(place / "depot", candidate, now())
    assert [hex_of(entry.fingerprint) for entry in load_ledger(place / "depot" / "trust").roots]


@root
def test_a_link_of_somebody_else_on_the_way(depot: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(depot)
    assert way_problem(link) == ""
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    assert "belongs to" in way_problem(link)
    assert entry_problem(tmp_path / "nothing") == ""


class TestWithoutModes:
    """FAT and some network file systems: a mode is taken without a word, and not kept."""

    @pytest.fixture(autouse=True)
    def careless(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        real = os.open

        def opened(path: Path, flags: int, mode: int = 0o777, **rest: int | None) -> int:
            return real(path, flags, 0o777, **rest)

        monkeypatch.setattr(os, "open", opened)
        monkeypatch.setattr(os, "fchmod", lambda *_: None)
        with umask(0):
            yield

    def test_a_private_key_is_refused_and_nothing_is_left(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError) as caught:
            write_key(generate_key("Ada Example"), tmp_path / "ada.pem", None)
        assert "has no modes" in caught.value.message
        assert "ext4" in caught.value.hint
        assert list(tmp_path.iterdir()) == []

    def test_so_is_every_other_file_of_its_owner_alone(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="has no modes"):
            write_atomic(tmp_path / "kubeconfig", b"secret", 0o600)
        assert list(tmp_path.iterdir()) == []
        write_atomic(tmp_path / "public", b"x")


def test_a_mount_for_one_user_alone_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As FAT with umask=0077: the mode is another, and nobody else can read."""
    real = os.fchmod
    monkeypatch.setattr(os, "fchmod", lambda descriptor, _: real(descriptor, 0o700))
    write_key(generate_key("Ada Example"), tmp_path / "ada.pem", None)


def test_a_folder_that_is_there_keeps_its_mode(tmp_path: Path) -> None:
    with umask(0):
        make_directory(tmp_path / "a" / "b", 0o700)
        make_directory(tmp_path / "a" / "b" / "c")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("a", "a/b", "a/b/c")]
    assert modes == [0o700, 0o700, 0o755]
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        make_directory(tmp_path / "file")
