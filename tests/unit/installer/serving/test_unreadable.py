"""A blob that cannot be opened: an error of the registry's kind, and a line in the log."""

from __future__ import annotations

import json
import logging
import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from installer.serving.content import BlobReader
from installer.serving.http import Request
from tests.support.sites.depot_site import WEB, Site

LARGE = "/files/example.org/large.bin"


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path) -> None:
    elsewhere = path.with_name("elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def _shorter(path: Path) -> None:
    data = path.read_bytes()[:-1]
    path.unlink()
    path.write_bytes(data)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("fault", [Path.unlink, _folder, _pipe, _link, _shorter])
def test_what_cannot_be_opened_is_an_error_and_a_line_in_the_log(
    site: Site,
    fault: Callable[[Path], None],
    method: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    digest = site.ask(LARGE).header("docker-content-digest")
    fault(site.depot.blob_path(digest))
    caplog.set_level(logging.ERROR, "isoward.depot")
    for target in (LARGE, f"/v2/{WEB}/blobs/{digest}"):
        made = site.ask(target, method)
        assert made.status == 500
        (error,) = json.loads(made.body)["errors"]
        assert error["code"] == "UNKNOWN"
        assert error["detail"] == {"digest": digest}
    assert str(site.depot.blob_path(digest)) in caplog.text


def test_too_many_open_files_is_for_the_moment(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    digest = site.ask(LARGE).header("docker-content-digest")
    size = 3 * 1024 * 1024
    reader = BlobReader(site.depot)
    free = os.open("/dev/null", os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        made = reader.send(Request("GET", LARGE, "", {}), digest, size, {})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert made.status == 503
    assert made.header("retry-after")
    assert json.loads(made.body)["errors"][0]["code"] == "UNAVAILABLE"
    assert "Too many open files" in caplog.text
