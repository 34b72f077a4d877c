"""Lists of images and of Kubespray's files become content of a definition."""

from __future__ import annotations

import pytest

from bundle.base.errors import DefinitionError
from bundler.formats.image_list import read_image_list, write_image_list
from bundler.formats.kubespray_lists import read_kubespray_lists
from tests.support.documents.right import lock

HOST = "https://files.example.org"
ONE, TWO, THREE, FOUR = (f"sha256:{digit * 64}" for digit in "1234")
LONG = f"sha512:{'a' * 128}"
CHECKSUMS = f"""
runner_checksums:
  amd64: {{1.4.2: {ONE}, 1.4.20: {TWO}}}
  arm64: {{1.4.2: {TWO}}}
runner_static_archive_checksums:
  amd64: {{1.4.2: {THREE}}}
pack_tool_binary_checksums:
  amd64: {{'20260323.0': {LONG}}}
net_crds_checksums:
  no_arch: {{3.31.5: {"4" * 64}}}
"""
NAMES = ("files.list", "images.list", "checksums.yml")


def test_references_comments_and_blank_lines() -> None:
    text = b"\xef\xbb\xbf# ours\n\nnginx:1.27\n  quay.io/a/b:v1  # why\r\nnginx:1.27\n"
    images = read_image_list(text, "images.txt").images
    assert [i.reference for i in images] == ["docker.io/library/nginx:1.27", "quay.io/a/b:v1"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"nginx:1\nnginx\n", "line 2: 'nginx' is not a reference: it has neither"),
        (b"nginx:\n", "line 1: .*'' is not a tag"),
        (b"{{ repo }}/x:1\n", "line 1: unfilled template"),
        (b"${REPO}/x:1\n", "line 1: unfilled template"),
        (b"\xff\xfe", "expected UTF-8"),
        (b"# nothing\n", "it lists no images"),
        (b"a b:1\n", "line 1: .*not a repository name"),
    ],
)
def test_what_is_no_list_is_refused_by_its_line(text: bytes, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        read_image_list(text, "images.txt")


def test_a_list_is_written_by_digest_and_read_back() -> None:
    text = write_image_list(lock().images)
    assert all("@sha256:" in line for line in text.splitlines())
    read = read_image_list(text.encode(), "out").images
    assert [i.reference.partition("@")[0] for i in read] == sorted(
        i.reference.partition("@")[0] for i in lock().images
    )


def kubespray(files: str, checksums: str = CHECKSUMS) -> dict[str, str]:
    converted = read_kubespray_lists(files.encode(), b"a/b:1\n", checksums.encode(), NAMES)
    pinned = {file.url or "": file.digest or "" for file in converted.files}
    return pinned | {file.url: file.sha512 for file in converted.unpinned}


@pytest.mark.parametrize(
    ("path", "digest"),
    [
        ("runner/releases/v1.4.2/runner.amd64", ONE),
        ("runner/releases/v1.4.2/runner.arm64", TWO),
        ("runner/releases/v1.4.20/runner-1.4.20-x86_64.tar.gz", TWO),
        ("runner/releases/v1.4.2/runner-static-1.4.2-linux-amd64.tar.gz", THREE),
        ("pack/release/20260323.0/x86_64/pack-tool", "a" * 128),
        ("net/raw/v3.31.5/manifests/all.yaml", FOUR),
    ],
)
def test_a_file_is_joined_to_its_checksum(path: str, digest: str) -> None:
    assert kubespray(f"{HOST}/{path}\n") == {f"{HOST}/{path}": digest}


@pytest.mark.parametrize(
    "path",
    [
        "runner/releases/v1.4.3/runner.amd64",
        "runner/releases/v11.4.2/runner.amd64",
        "runner/releases/v1.4.2.1/runner.amd64",
        "runner/releases/v1.4.2/runner.s390x",
        "walker/releases/v1.4.2/walker.amd64",
    ],
)
def test_a_file_without_a_checksum_is_refused_by_its_line(path: str) -> None:
    with pytest.raises(DefinitionError, match=r"files.list: line 2: .*found none"):
        kubespray(f"# files\n{HOST}/{path}\n")


def test_a_file_that_could_have_two_checksums_is_refused() -> None:
    other = CHECKSUMS + f"rrunne_checksums:\n  amd64: {{1.4.2: {FOUR}}}\n"
    other = other.replace("rrunne_checksums", "unnerr_checksums")
    url = f"{HOST}/unnerr/v1.4.2/runner-unnerr.amd64"
    with pytest.raises(DefinitionError, match=r"found runner 1\.4\.2, unnerr 1\.4\.2"):
        kubespray(f"{url}\n", other)


def test_checksums_must_be_kubesprays() -> None:
    with pytest.raises(DefinitionError, match=r"checksums\.yml: line 1: expected a mapping"):
        kubespray(f"{HOST}/x\n", "- a\n")
