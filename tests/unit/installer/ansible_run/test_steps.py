"""The steps that need no node: choosing an image, the CA, the receipt, the run itself."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bundle.base.errors import (
    DefinitionError,
    InterruptedByUserError,
    NoSpaceError,
    StepError,
    StorageError,
)
from bundle.base.progress import NO_PROGRESS
from installer.ansible_run import run_log
from installer.ansible_run import runner as run_ansible
from installer.ansible_run.runner import Run, find_program, interruptible, run_playbook
from installer.depot.directory import open_depot
from installer.hosts.choose_image import choose_image
from installer.hosts.site_ca import read_ca
from installer.records.receipt import Receipt, make_run_directory
from installer.serving.tls.certificate import made_identity
from tests.lab.content import HUB_IMAGE, IMAGE, add_bundle, busybox_image, lock_of
from tests.support.documents.content import Maker
from tests.support.trust.release_kit import make_release

_NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def depot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bundles of one vendor; both have IMAGE, with other content in the newer one."""
    work = tmp_path_factory.mktemp("depot")
    path, kit = work / "depot", make_release(work)
    for number, images in enumerate([(HUB_IMAGE, IMAGE), (IMAGE,)]):
        make = Maker()
        platform = ("linux/amd64", "linux/arm64")[number]
        locked = tuple(busybox_image(make, reference, platform) for reference in images)
        add_bundle(work / f"bundle{number}", path, kit, lock_of(locked, platform), make)
    return path


def test_the_newest_bundle_that_has_the_image_is_chosen(depot: Path) -> None:
    both = choose_image(open_depot(depot), IMAGE)
    assert both.bundle.record.sequence == 2
    assert both.platforms == ("linux/arm64",)
    assert both.registries == ("registry.example.org:5000",)
    assert both.reference.name == IMAGE.rpartition(":")[0]
    assert both.reference.tag == ""
    only_old = choose_image(open_depot(depot), "busybox:1")
    assert only_old.bundle.record.sequence == 1
    assert only_old.registries == ("docker.io", "registry.example.org:5000")


def test_a_digest_chooses_that_content_even_from_an_older_bundle(depot: Path) -> None:
    old = choose_image(open_depot(depot), HUB_IMAGE).bundle
    (image,) = [i for i in old.manifest.images if i.reference == IMAGE]
    chosen = choose_image(open_depot(depot), f"{IMAGE}@{image.digest}")
    assert chosen.bundle.record.sequence == 1
    assert chosen.reference.digest == image.digest


@pytest.mark.parametrize("wanted", ["nginx:1", f"{IMAGE}0", f"{IMAGE}@sha256:{'0' * 64}"])
def test_an_image_that_no_bundle_has_is_refused_and_others_are_named(
    depot: Path, wanted: str
) -> None:
    with pytest.raises(DefinitionError, match=r"firstImage\.reference") as caught:
        choose_image(open_depot(depot), wanted)
    assert IMAGE in caught.value.hint


def test_a_ca_is_its_certificates_only(tmp_path: Path) -> None:
    made = made_identity(tmp_path, ["depot.example"], lambda: datetime.now(UTC))
    assert made.ca is not None
    pem = made.ca.read_bytes()
    made.ca.write_bytes(b"subject: whatever\n" + pem + b"\n# end\n")
    assert read_ca(made.ca).decode().strip() == pem.decode().strip()


def _with_key(path: Path) -> None:
    made_identity(path.parent, ["x"], lambda: datetime.now(UTC))
    path.write_bytes((path.parent / "ca.pem").read_bytes() + (path.parent / "ca.key").read_bytes())


def _no_certificate(path: Path) -> None:
    path.write_text("hello\n")


def _broken(path: Path) -> None:
    path.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda _: None, "no such file"),
        (_with_key, "private key"),
        (_no_certificate, "found none"),
        (_broken, "cannot be read"),
    ],
)
def test_a_ca_that_must_not_reach_a_node_is_refused(
    tmp_path: Path, write: Callable[[Path], None], says: str
) -> None:
    path = tmp_path / "given.pem"
    write(path)
    with pytest.raises(DefinitionError, match=says):
        read_ca(path)


def test_each_run_has_a_folder_of_its_own(tmp_path: Path) -> None:
    first = make_run_directory(tmp_path / "runs", "ward", _NOON)
    second = make_run_directory(tmp_path / "runs", "ward", _NOON)
    assert [first.name, second.name] == ["20261122T120000Z-ward", "20261122T120000Z-ward-2"]
    assert stat.S_IMODE(first.stat().st_mode) == 0o700


def test_a_run_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(StorageError):
        make_run_directory(tmp_path / "runs", "ward", _NOON)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "ok"),
        (StepError("no", "do it"), "failed"),
        (InterruptedByUserError("stopped"), "interrupted"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_the_receipt_is_written_however_a_run_ends(
    tmp_path: Path, error: BaseException | None, outcome: str
) -> None:
    receipt = Receipt(tmp_path, lambda: _NOON, {"who": "ada"})

    def work() -> None:
        with receipt.kept(), receipt.step("one") as entry:
            entry["seen"] = 3
            if error is not None:
                raise error

    if error is None:
        work()
    else:
        with pytest.raises(type(error)):
            work()
    written = json.loads((tmp_path / "receipt.json").read_bytes())
    assert written["result"] == outcome
    assert written["who"] == "ada"
    assert written["started"] == written["ended"] == "2026-11-22T12:00:00Z"
    (step,) = written["steps"]
    assert step["seen"] == 3
    assert step["result"] == ("ok" if error is None else "failed")


@pytest.fixture
def playbooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for playbooks of the test."""
    folder = tmp_path / "playbooks"
    folder.mkdir()
    monkeypatch.setattr(run_ansible, "PLAYBOOKS", folder)
    return folder


def _run(tmp_path: Path, nodes: str = "node1:") -> Run:
    inventory = tmp_path / "inventory.yml"
    here = f"{{ansible_connection: local, ansible_python_interpreter: {sys.executable}}}"
    inventory.write_text(f"all:\n  vars: {here}\n  hosts:\n    {nodes}\n")
    directory = tmp_path / "run"
    directory.mkdir()
    return Run(directory, "play.yml", inventory, tmp_path / "known_hosts", ["node1"],
               local=True, check=False)  # fmt: skip


def _play(folder: Path, task: str) -> None:
    head = "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: try\n      "
    (folder / "play.yml").write_text(head + task + "\n")


def test_a_run_without_stats_is_no_success(tmp_path: Path, playbooks: Path) -> None:
    (playbooks / "play.yml").write_text("- hosts: nobody\n  tasks: []\n")
    with pytest.raises(StepError, match=r"play\.yml: expected every node to finish"):
        run_playbook(_run(tmp_path), NO_PROGRESS)


def test_a_playbook_that_is_none_is_told_by_what_ansible_said(
    tmp_path: Path, playbooks: Path
) -> None:
    (playbooks / "play.yml").write_text("- hosts: all\n  tasks: nonsense\n")
    with pytest.raises(StepError, match="found exit code"):
        run_playbook(_run(tmp_path), NO_PROGRESS)


def test_a_task_that_fails_is_named(tmp_path: Path, playbooks: Path) -> None:
    _play(playbooks, "ansible.builtin.fail: {msg: the cause}")
    with pytest.raises(StepError, match="node1: 'try' failed: the cause") as caught:
        run_playbook(_run(tmp_path), NO_PROGRESS)
    assert Path(str(caught.value.context["events"])).is_file()


def test_no_secret_of_the_environment_is_recorded(
    tmp_path: Path, playbooks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY_PASSWORD", "correct-horse")
    _play(playbooks, "ansible.builtin.debug: {msg: fine}")
    run = _run(tmp_path)
    run_playbook(run, NO_PROGRESS)
    kept = [path.read_bytes() for path in run.directory.rglob("*") if path.is_file()]
    assert len(kept) > 3
    assert not [data for data in kept if b"correct-horse" in data]


def test_ctrl_c_ends_ansible_and_says_so(tmp_path: Path, playbooks: Path) -> None:
    pids = tmp_path / "pid"
    _play(playbooks, f"ansible.builtin.shell: echo $$ > {pids}; exec sleep 600")
    # A shell gives what it starts in the background SIG_IGN, also a whole run of these tests.
    before = signal.getsignal(signal.SIGINT)
    pressed = threading.Thread(target=_press_when, args=(pids.exists,))
    pressed.start()
    with pytest.raises(InterruptedByUserError, match="events are in"):
        run_playbook(_run(tmp_path), NO_PROGRESS)
    pressed.join()
    assert signal.getsignal(signal.SIGINT) is before


def _press_when(ready: Callable[[], bool]) -> None:
    while not ready():
        threading.Event().wait(0.05)
    os.kill(os.getpid(), signal.SIGINT)


def test_handlers_are_left_alone_outside_the_main_thread() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen: list[bool] = []

    def work() -> None:
        with interruptible() as is_interrupted:
            seen.append(is_interrupted() or signal.getsignal(signal.SIGINT) is not before)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


def test_ansible_is_the_one_of_our_own_environment() -> None:
    assert find_program().parent == Path(sys.executable).parent


def test_a_disk_that_takes_no_more_events_ends_the_run(
    tmp_path: Path, playbooks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    _play(playbooks, "ansible.builtin.command: sleep 600")
    monkeypatch.setattr(run_log.RunLog, "take", refuse)
    with pytest.raises(NoSpaceError, match=r"write into .*play"):
        run_playbook(_run(tmp_path), NO_PROGRESS)
