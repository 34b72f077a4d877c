"""What Windows, macOS and Linux leave on any medium is passed over and told of; nothing else is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bundle.base.digest import hex_of
from bundle.base.errors import DigestMismatchError, UnexpectedFileError, UnsafePathError
from bundle.checks.blobs import check_layout
from bundle.model.plan import Plan
from bundle.store.layout import BundleDirectory
from bundle.store.leftovers import is_leftover, shown_leftovers
from tests.support.documents.bundles import write_bundle
from tests.support.documents.content import sample
from tests.support.sites.leftovers import FILES, litter
from tests.support.trust.commands import Isoward
from tests.support.trust.release_kit import ReleaseKit, enrolled, make_release, trusted_bundle

NOBODY = 65534


@pytest.fixture
def bundle(tmp_path: Path) -> tuple[BundleDirectory, Plan]:
    plan = write_bundle(tmp_path / "bundle", *sample())
    (tmp_path / "bundle" / "trust").mkdir()
    (tmp_path / "bundle" / "attestations" / "keys").mkdir(parents=True)
    return BundleDirectory(tmp_path / "bundle"), plan


def test_a_medium_that_was_in_other_machines_is_as_good(
    bundle: tuple[BundleDirectory, Plan],
) -> None:
    directory, plan = bundle
    before = check_layout(directory, plan.manifest)
    litter(directory.path, FILES)
    after = check_layout(directory, plan.manifest)
    assert after.others == before.others
    assert {name.split("/")[0] if name.split("/")[0] in _TOP else name for name in FILES} == set(
        after.leftovers
    )


_TOP = {
    *("System Volume Information", "$RECYCLE.BIN", ".Trashes", ".Spotlight-V100", ".fseventsd"),
    *(".Trash-1000", "lost+found", ".TemporaryItems", "FOUND.001", "LOST.DIR", "@eaDir"),
}


@pytest.mark.parametrize(
    "name",
    [
        "setup.sh",
        ".hidden",
        "autorun.inf",
        "lost+found2/x",
        "x/System Volume Information/y",
        "blobs/sha256/lost+found/x",
        "trust2/x",
        "._folder/x",
        ".DS_Store/x",
        "blobs/.Trashes/x",
        ".Trash-x/y",
        "Thumbs.db.exe",
        "found.0000/x",
        "found.x/y",
        "Icon",
        "trust2/FOUND.001/x",
        ".directory/x",
    ],
)
def test_whatever_else_is_not_vouched_for_is_still_refused(
    bundle: tuple[BundleDirectory, Plan], name: str
) -> None:
    directory, plan = bundle
    path = directory.path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    with pytest.raises(UnexpectedFileError) as caught:
        check_layout(directory, plan.manifest)
    assert name in caught.value.message


def test_below_trust_as_well(bundle: tuple[BundleDirectory, Plan]) -> None:
    directory, plan = bundle
    (directory.path / "trust" / "extra.json").write_text("{}")
    with pytest.raises(DigestMismatchError, match=r"trust/extra\.json"):
        check_layout(directory, plan.manifest)


@pytest.mark.parametrize("name", ["lost+found", "._x", ".DS_Store"])
def test_a_link_of_such_a_name_is_a_link(bundle: tuple[BundleDirectory, Plan], name: str) -> None:
    directory, plan = bundle
    (directory.path / name).symlink_to("/etc")
    with pytest.raises(UnsafePathError, match="link"):
        check_layout(directory, plan.manifest)


def test_many_are_told_of_in_short() -> None:
    assert shown_leftovers(["a", "b"]) == "a, b"
    assert shown_leftovers([str(number) for number in range(9)]) == "0, 1, 2, 3, 4 and 4 more"
    assert not is_leftover("bundle.json", folder=False)


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ReleaseKit]:
    base = tmp_path_factory.mktemp("vendor")
    kit = make_release(base)
    return trusted_bundle(base / "bundle", kit), kit


def test_the_commands_pass_over_it_and_say_so(
    signed: tuple[Path, ReleaseKit], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, kit = shutil.copytree(signed[0], tmp_path / "stick"), signed[1]
    litter(bundle, FILES)
    isoward = Isoward(capsys)
    shown = isoward("inspect", bundle)
    assert (shown.code, "skipped" in shown.out) == (0, True)
    assert "lost+found" in isoward("inspect", bundle, "--json").json["passedOver"]
    print_ = hex_of(kit.fingerprint)
    verified = isoward("verify", bundle, "--fingerprint", print_)
    assert (verified.code, "skipped and not read" in verified.out) == (0, True), verified
    again = isoward("verify", bundle, "--fingerprint", print_, "--json")
    assert "trust/._1.root.json" in again.json["passedOver"]
    enrolled(tmp_path / "depot", kit)
    done = isoward("import", bundle, "--depot", tmp_path / "depot")
    assert (done.code, "skipped" in done.out) == (0, True), done
    again = isoward("import", bundle, "--depot", tmp_path / "depot", "--json")
    assert again.json["passedOver"]
    found = {path.name for path in (tmp_path / "depot").rglob("*")}
    assert not found & {".DS_Store", "._1.root.json", "lost+found", "Thumbs.db"}


@pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to become somebody else")
def test_somebody_who_may_not_read_it_verifies_all_the_same(
    signed: tuple[Path, ReleaseKit], tmp_path: Path
) -> None:
    bundle, kit = shutil.copytree(signed[0], tmp_path / "stick"), signed[1]
    litter(bundle, FILES)
    for folder in (bundle, *bundle.parents):
        if folder.stat().st_uid == 0 and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    # Once as root first: what is imported late may lie where nobody else can read.
    code = (
        "import contextlib, io, os, sys; from bundle.cli.main import run\n"
        f"typed = ['verify', {str(bundle)!r}, '--fingerprint',"
        f" {hex_of(kit.fingerprint)!r}, '--json']\n"
        "with contextlib.redirect_stdout(io.StringIO()): run(typed)\n"
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "sys.exit(run(typed))"
    )
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done
    assert "lost+found" in json.loads(done.stdout)["passedOver"]
