from __future__ import annotations

from pathlib import Path

import pytest

from installer.serving.http import FileBody, Reply, Request, file_reply

DIGEST = "sha256:" + "a" * 64
PATH = Path("/depot/blob")


def _reply(size: int = 100, method: str = "GET", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(method, "/x", "", named)
    return file_reply(request, PATH, size, DIGEST, {"content-type": "text/plain"})


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=10-19", 10, 20),
        ("bytes=90-", 90, 100),
        ("bytes=90-1000", 90, 100),
        ("bytes=-1", 99, 100),
        ("bytes=-1000", 0, 100),
        (" bytes=5-6 ", 5, 7),
    ],
)
def test_a_range_is_answered(asked: str, start: int, end: int) -> None:
    made = _reply(range=asked)
    assert made.status == 206
    assert made.file == FileBody(PATH, start, end, whole=False)
    assert made.header("content-range") == f"bytes {start}-{end - 1}/100"
    assert made.header("content-length") == str(end - start)


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=999-"])
def test_a_range_beyond_the_end_is_416(asked: str) -> None:
    made = _reply(range=asked)
    assert made.status == 416
    assert made.header("content-range") == "bytes */100"
    assert made.file is None


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=5-4",
        "bytes=0-1,3-4",
        "lines=0-1",
        "bytes=0-1-2",
        "bytes=\u0661-\u0662\u0660",
        "bytes=1e1-20",
        "bytes=99999999999999999999999-",
    ],
)
def test_a_malformed_or_multiple_range_is_ignored(asked: str) -> None:
    made = _reply(range=asked)
    assert made.status == 200
    assert made.file == FileBody(PATH, 0, 100, whole=True)


def test_an_empty_blob_has_no_range() -> None:
    assert _reply(0, range="bytes=0-").status == 416
    assert _reply(0).status == 200


def test_head_ignores_a_range() -> None:
    made = _reply(method="HEAD", range="bytes=0-1")
    assert made.status == 200
    assert made.header("content-length") == "100"


def test_if_range_of_other_content_gives_all_of_it() -> None:
    assert _reply(range="bytes=0-1", if_range='"sha256:other"').status == 200
    assert _reply(range="bytes=0-1", if_range=f'"{DIGEST}"').status == 206
    assert _reply(range="bytes=0-1", if_range=f'W/"{DIGEST}"').status == 200


@pytest.mark.parametrize(
    "tags", [f'"{DIGEST}"', "*", f'W/"{DIGEST}"', f'"x", "{DIGEST}"', f'"x" , W/"{DIGEST}" ']
)
def test_content_that_the_client_has_is_not_sent(tags: str) -> None:
    made = _reply(if_none_match=tags, range="bytes=0-1")
    assert made.status == 304
    assert made.file is None
    assert made.body == b""
    assert made.header("etag") == f'"{DIGEST}"'
    assert made.header("content-length") == ""


@pytest.mark.parametrize("tags", ["", '"x"', DIGEST, f'"{DIGEST}x"'])
def test_content_that_the_client_does_not_have_is_sent(tags: str) -> None:
    assert _reply(if_none_match=tags).status == 200


def test_a_query_with_too_many_fields_is_refused() -> None:
    with pytest.raises(ValueError, match="fields"):
        Request("GET", "/", "a=1&" * 40 + "b=2", {}).fields()


def test_the_first_field_of_a_name_counts() -> None:
    assert Request("GET", "/", "ns=a&ns=b&n=", {}).fields() == {"ns": "a", "n": ""}
