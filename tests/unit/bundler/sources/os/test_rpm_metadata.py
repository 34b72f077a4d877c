from __future__ import annotations

import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bundle.base.errors import FormatError
from bundle.base.limits import MAX_OS_INDEX_BYTES, MAX_REPOMD_DEPTH
from bundler.sources.common.promised import Promise
from bundler.sources.os.rpm.repodata import NAMESPACE, MetadataFile, is_carried, read_repomd

DIGEST = hashlib.sha256(b"primary").hexdigest()
WHERE = "https://host/repo/repodata/repomd.xml"


def data(
    kind: str = "primary",
    path: str = "repodata/p.xml.gz",
    *,
    checksum: str = f'<checksum type="sha256">{DIGEST}</checksum>',
    size: str = "<size>7</size>",
) -> str:
    return f'<data type="{kind}">{checksum}<location href="{path}"/>{size}</data>'


def repomd(*entries: str, before: str = "") -> bytes:
    body = "".join(entries)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{before}'
        f'<repomd xmlns="{NAMESPACE}"><revision>1</revision>{body}</repomd>'
    ).encode()


def test_what_dnf_asks_for_is_read_and_the_rest_is_left() -> None:
    found = read_repomd(
        repomd(
            data(),
            data("modules", "repodata/modules.yaml.gz"),
            data("group_gz", "repodata/c.xml.gz"),
            data("primary_db", "repodata/p.sqlite"),
        ),
        WHERE,
    )
    assert [(file.kind, file.path) for file in found] == [
        ("group_gz", "repodata/c.xml.gz"),
        ("modules", "repodata/modules.yaml.gz"),
        ("primary", "repodata/p.xml.gz"),
    ]
    assert found[2] == MetadataFile("primary", "repodata/p.xml.gz", Promise("sha256", DIGEST, 7))


def test_the_checksum_of_the_unpacked_file_is_not_taken_for_the_files_own() -> None:
    other = f'<open-checksum type="sha256">{"0" * 64}</open-checksum>'
    entry = data(checksum=f'<checksum type="sha256">{DIGEST}</checksum>{other}')
    assert read_repomd(repomd(entry), WHERE)[0].promise.value == DIGEST


@pytest.mark.parametrize(
    ("kind", "carried"),
    [("primary_zck", True), ("filelists_ext", False), ("other_db", False), ("appstream", False)],
)
def test_kinds(kind: str, carried: bool) -> None:
    assert is_carried(kind) is carried


LAUGHS = (
    '<!DOCTYPE repomd [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
    + "]>"
)
DEEP = "<a>" * 100_000


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (repomd(data().replace("<size>7", "<size>&j;"), before=LAUGHS), "document type"),
        (repomd(data(), before='<!DOCTYPE r SYSTEM "file:///etc/passwd">'), "document type"),
        (repomd(DEEP), f"deeper than {MAX_REPOMD_DEPTH}"),
        (repomd(data(checksum='<checksum type="sha">' + "0" * 40 + "</checksum>")), "found sha"),
        (repomd(data(checksum='<checksum type="sha256">abc</checksum>')), "SHA-256"),
        (repomd(data(checksum="")), "found none"),
        (repomd(data(size="<size>-1</size>")), "size"),
        (repomd(data(size=f"<size>{MAX_OS_INDEX_BYTES + 1}</size>")), "size"),
        (repomd(data(size=f"<size>{'9' * 2000}</size>")), "characters"),
        (repomd(data(), data()), "duplicate"),
        (repomd(data(), data("filelists")), "duplicate"),
        (repomd(*(data(f"x{i}", f"repodata/{i}") for i in range(101))), "more than 100"),
        (repomd(data("filelists")), "no primary"),
        (repomd(data()).replace(NAMESPACE.encode(), b"http://example.org"), "another kind"),
        (repomd(data().replace("href", 'xml:base="https://other/" href')), "xml:base"),
        (b"<repomd", "not XML"),
        (b"", "not XML"),
        (b"\xff\xfe\x00", "not XML"),
    ],
)
def test_what_is_refused(document: bytes, why: str) -> None:
    with pytest.raises(FormatError, match=why) as caught:
        read_repomd(document, WHERE)
    assert WHERE in caught.value.message
    assert len(caught.value.message) < 1500


@example(b"<?xml version='1.0' encoding='x'?><repomd/>", 0)
@given(st.binary(max_size=300), st.integers(0, 300))
def test_no_bytes_raise_anything_else(noise: bytes, at: int) -> None:
    whole = repomd(data())
    for document in (noise, whole[:at] + noise + whole[at:], whole[:at]):
        try:
            read_repomd(document, WHERE)
        except FormatError:
            continue
