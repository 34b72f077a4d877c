"""Requirements files: what is accepted, and that all else is refused by file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle.base.errors import DefinitionError
from bundler.sources.python.requirements import parse_requirements, read_requirements

A, B = "a" * 64, "b" * 64


def test_a_file_as_pip_compile_writes_it() -> None:
    text = f"""\
# made by pip-compile
Foo.Bar==1.2 \\
    --hash=sha256:{A} \\
    --hash=sha256:{B}
    # via -r requirements.in
other[extra]==2.0 ; python_version < "3.12" --hash=sha256:{B}  # via foo
"""
    foo, other = parse_requirements(text, "r.txt")
    assert (foo.name, str(foo.version), foo.where) == ("foo-bar", "1.2", "r.txt:2")
    assert foo.digests == {f"sha256:{A}", f"sha256:{B}"}
    assert (other.name, other.requirement.extras) == ("other", {"extra"})
    assert str(other.requirement.marker) == 'python_version < "3.12"'


def test_the_hash_of_an_installer_file_is_read_whole() -> None:
    found = read_requirements(Path(__file__).parents[5], "requirements/operator.txt")
    assert len(found) > 30
    assert {pin.name for pin in found} >= {"ansible-core", "granian", "cryptography"}
    assert all(pin.digests for pin in found)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("foo==1.0", "has no hash"),
        (f"foo>=1.0 --hash=sha256:{A}", "expected foo==<version>"),
        (f"foo --hash=sha256:{A}", "any version"),
        (f"foo==1.* --hash=sha256:{A}", "expected foo==<version>"),
        (f"foo==1.0,<2 --hash=sha256:{A}", "expected foo==<version>"),
        (f"foo===1.0 --hash=sha256:{A}", "expected foo==<version>"),
        (f"foo==1.0 --hash=md5:{A[:32]}", "expected --hash=sha256:"),
        (f"foo==1.0 --hash=sha256:{A.upper()}", "expected --hash=sha256:"),
        (f"foo @ https://example.org/foo.whl --hash=sha256:{A}", "names a URL"),
        (f"https://example.org/foo.whl --hash=sha256:{A}", "is not a requirement"),
        (f"https://user:secret@example.org/foo.whl --hash=sha256:{A}", "is not a requirement"),
        (f"./foo.whl --hash=sha256:{A}", "is not a requirement"),
        (f"foo==1.0 --config-settings x=y --hash=sha256:{A}", "is not a requirement"),
        ("-e .", "'-e' is not accepted"),
        ("--editable=.", "'--editable' is not accepted"),
        ("-c constraints.txt", "'-c' is not accepted"),
        ("--index-url https://user:secret@example.org/simple", "'--index-url' is not accepted"),
        ("--extra-index-url=https://example.org", "'--extra-index-url' is not accepted"),
        ("--find-links /tmp", "'--find-links' is not accepted"),
        ("--trusted-host example.org", "'--trusted-host' is not accepted"),
        ("--pre", "'--pre' is not accepted"),
        ("-r https://example.org/r.txt", "outside the definition's folder"),
        ("-r ../r.txt", "outside the definition's folder"),
        ("-r /etc/hostname", "outside the definition's folder"),
        ("-r link.txt", "outside the definition's folder"),
        ("-r none.txt", "no such file"),
        ("-r no\x00ne.txt", "outside the definition's folder"),
        (f"foo=={'9' * 5000} --hash=sha256:{A}", "expected foo==<version>"),
        (f"foo==1 ; {'(' * 5000} --hash=sha256:{A}", "is not a requirement"),
        ("-r r.txt", "at most 50 requirements files"),
    ],
)
def test_a_line_that_is_refused(tmp_path: Path, line: str, said: str) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    (tmp_path / "r.txt").write_text("")
    (folder / "link.txt").symlink_to(tmp_path / "r.txt")
    (folder / "r.txt").write_text(f"\nok==1 --hash=sha256:{A}\n{line}\n")
    with pytest.raises(DefinitionError) as caught:
        read_requirements(folder, "r.txt")
    assert said in caught.value.message
    assert "r.txt:3" in caught.value.message
    assert "secret" not in caught.value.message
    assert caught.value.hint


def test_an_included_file_is_beside_the_one_that_includes_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "r.txt").write_text(f"-r sub/a.txt\nfoo==1 --hash=sha256:{A}\n")
    (tmp_path / "sub" / "a.txt").write_text("--requirement=b.txt\n")
    (tmp_path / "sub" / "b.txt").write_text(f"bar==2 --hash=sha256:{B}")
    found = read_requirements(tmp_path, "r.txt")
    assert [(pin.name, pin.where) for pin in found] == [("bar", "sub/b.txt:1"), ("foo", "r.txt:2")]


@pytest.mark.parametrize("data", [b"\xff\xfe", b"x" * (4 * 1024 * 1024 + 1)])
def test_a_file_that_is_no_requirements_file(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "r.txt").write_bytes(data)
    with pytest.raises(DefinitionError, match=r"r\.txt: expected"):
        read_requirements(tmp_path, "r.txt")


def test_a_comment_may_end_in_a_backslash() -> None:
    (pin,) = parse_requirements(f"# nothing \\\nfoo==1 --hash=sha256:{A}\n", "r.txt")
    assert (pin.name, pin.where) == ("foo", "r.txt:2")
