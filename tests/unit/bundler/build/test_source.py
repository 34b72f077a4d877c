"""The commit of a lock, as a real Git says; and machines where there is none."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from bundle.base.errors import MissingProgramError, ProgramError
from bundle.model.summary import source_lines
from bundle.store.programs import Finished
from bundler.build.work_tree import run_git, source_of
from tests.support.programs.needs import requires_tool


class Repository:
    """A work tree with one committed lock."""

    def __init__(self, path: Path) -> None:
        requires_tool("git")
        self.path = path
        self.lock = path / "platform" / "hospital.lock.yaml"
        self.lock.parent.mkdir(parents=True)
        self.lock.write_text("kind: Lock\n")
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("add", ".")
        self.commit()

    def git(self, *arguments: str) -> str:
        identity = {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            "GIT_AUTHOR_NAME": "Ada",
            "GIT_AUTHOR_EMAIL": "ada@example.org",
            "GIT_COMMITTER_NAME": "Ada",
            "GIT_COMMITTER_EMAIL": "ada@example.org",
        }
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env={**os.environ, **identity},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(self, *options: str) -> None:
        self.git("commit", "--quiet", "--allow-empty", "--message=x", *options)


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "work")


def test_a_clean_work_tree(repository: Repository) -> None:
    source = source_of(repository.lock)
    assert (source.kind, source.commit) == ("git", repository.git("rev-parse", "HEAD"))
    assert (source.clean, source.lock_committed, source.signature) == (True, True, "none")
    assert source_lines(source)[1:] == (
        "not signed",
        "no uncommitted changes",
        "the lock matches the commit",
    )


def test_a_file_that_git_does_not_know_changes_nothing(repository: Repository) -> None:
    (repository.path / "bundle").mkdir()
    (repository.path / "bundle/bundle.json").write_text("{}")
    assert source_of(repository.lock).clean


def test_a_changed_file_shows(repository: Repository) -> None:
    other = repository.path / "definition.yaml"
    other.write_text("a")
    repository.git("add", ".")
    repository.commit()
    other.write_text("b")
    source = source_of(repository.lock)
    assert (source.clean, source.lock_committed) == (False, True)
    assert "UNCOMMITTED CHANGES" in source_lines(source)


def test_a_changed_lock_shows(repository: Repository) -> None:
    repository.lock.write_text("kind: Lock # changed\n")
    source = source_of(repository.lock)
    assert (source.clean, source.lock_committed) == (False, False)
    assert "the lock does NOT match the commit" in source_lines(source)


def test_a_lock_that_was_never_committed_shows(repository: Repository) -> None:
    new = repository.lock.with_name("new.lock.yaml")
    new.write_text("x")
    source = source_of(new)
    assert (source.kind, source.lock_committed) == ("git", False)


def test_no_work_tree(tmp_path: Path) -> None:
    lock = tmp_path / "x.lock.yaml"
    lock.write_text("x")
    source = source_of(lock)
    assert (source.kind, source.commit) == ("none", "")
    assert source_lines(source) == ("unknown: the lock is in no Git work tree",)


def test_a_work_tree_without_a_commit(tmp_path: Path) -> None:
    requires_tool("git")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    lock = tmp_path / "x.lock.yaml"
    lock.write_text("x")
    assert source_of(lock).reason == "the Git work tree has no commit yet"


def sign(repository: Repository, folder: Path, *, trusted: bool) -> None:
    """Sign the commit with an SSH key, and tell Git whom to trust, or not."""
    requires_tool("ssh-keygen")
    key = folder / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ada", "-f", key], check=True
    )
    repository.git("config", "gpg.format", "ssh")
    repository.git("config", "user.signingkey", str(key))
    if trusted:
        allowed = folder / "allowed"
        allowed.write_text(f"ada@example.org {key.with_suffix('.pub').read_text()}")
        repository.git("config", "gpg.ssh.allowedSignersFile", str(allowed))
    repository.commit("--gpg-sign")


def test_a_signed_commit(tmp_path: Path, repository: Repository) -> None:
    sign(repository, tmp_path, trusted=True)
    source = source_of(repository.lock)
    assert (source.signature, source.signer) == ("good", "ada@example.org")
    assert source_lines(source)[1] == "signed with a valid signature (ada@example.org)"


def test_a_signed_commit_of_nobody_that_git_knows(tmp_path: Path, repository: Repository) -> None:
    sign(repository, tmp_path, trusted=False)
    assert source_of(repository.lock).signature == "unchecked"


def test_a_commit_with_a_bad_signature(tmp_path: Path, repository: Repository) -> None:
    sign(repository, tmp_path, trusted=True)
    raw = repository.git("cat-file", "commit", "HEAD").replace("\n\nx", "\n\nforged")
    path = tmp_path / "commit"
    path.write_text(f"{raw}\n")
    forged = repository.git("hash-object", "-t", "commit", "-w", str(path))
    repository.git("reset", "--quiet", "--hard", forged)
    assert source_of(repository.lock).signature in {"bad", "unchecked"}


def test_no_git_and_a_git_that_hangs(tmp_path: Path) -> None:
    def missing(arguments: Sequence[str], folder: Path) -> Finished:
        raise MissingProgramError("this machine has no 'git' that can be run", "")

    def slow(arguments: Sequence[str], folder: Path) -> Finished:
        raise ProgramError("git: expected an end within 60 s", "")

    assert source_of(tmp_path / "x", missing).reason == "this machine has no git"
    assert "did not answer" in source_of(tmp_path / "x", slow).reason


@pytest.mark.parametrize(
    ("letter", "status"),
    [("G", "good"), ("B", "bad"), ("U", "untrusted"), ("X", "expired"), ("Y", "expired"),
     ("R", "revoked"), ("E", "unchecked"), ("N", "unchecked"), ("", "unchecked")],
)  # fmt: skip
def test_git_s_letters(tmp_path: Path, letter: str, status: str) -> None:
    lock = tmp_path / "x"
    lock.write_text("x")

    def git(arguments: Sequence[str], folder: Path) -> Finished:
        if "cat-file" in arguments:
            return Finished(0, b"tree 0\ngpgsig -----BEGIN\n x\n\nmessage", b"")
        if "log" in arguments:
            return Finished(0, f"{letter}\0Ada \x1b[2J{'x' * 999}\n".encode(), b"")
        return Finished(0, b"true" if "--is-inside-work-tree" in arguments else b"a" * 40, b"")

    source = source_of(lock, git)
    assert source.signature == status
    assert source.signer.startswith("Ada \\x1b[2J")
    assert len(source.signer) == 200


def test_the_environment_does_not_lead_to_another_work_tree(
    tmp_path: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Repository(tmp_path / "other")
    other.commit()
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.path))
    found = source_of(repository.lock).commit
    monkeypatch.undo()
    assert found == repository.git("rev-parse", "HEAD") != other.git("rev-parse", "HEAD")


def test_git_writes_nothing(repository: Repository) -> None:
    repository.lock.touch()
    before = {p: p.stat().st_mtime_ns for p in repository.path.rglob("*")}
    source_of(repository.lock, run_git)
    assert {p: p.stat().st_mtime_ns for p in repository.path.rglob("*")} == before
