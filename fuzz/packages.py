"""Parsers of what indexes of Python packages, their wheels and requirements files hold."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import urllib3

from bundle.base.errors import IsowardError
from bundle.base.reference import check_url
from bundler.registry.hosts import parse_url
from bundler.registry.response import Answer
from bundler.sources.python.requirements import Pin, parse_requirements
from bundler.sources.python.resolution import choose_wheel, counting_pins
from bundler.sources.python.simple_index import IndexFile, checked_address, read_page
from bundler.sources.python.target import Target as Machine
from bundler.sources.python.wheels import read_metadata
from fuzz.target import Target

_URL = parse_url("https://index.example.org/simple/app/")
_MACHINE = Machine("3.12", "linux/amd64", "2.28")
_JSON = "application/vnd.pypi.simple.v1+json"
WHEEL = "app-1.0-py3-none-any.whl"
PINS = f"app==1.0 --hash=sha256:{'0' * 64}\n"


@cache
def _pin() -> Pin:
    return parse_requirements(PINS, "requirements.txt")[0]


def _page(data: bytes, media_type: str) -> None:
    headers = urllib3.HTTPHeaderDict({"Content-Type": media_type})
    found = read_page(Answer(200, headers, _URL, data), str(_URL))
    for file in found:
        _address(file)
    chosen = choose_wheel(_pin(), found, _MACHINE, str(_URL), lambda file: file)
    assert chosen.digest in _pin().digests
    assert "/" not in chosen.name


def _address(file: IndexFile) -> None:
    try:
        address = checked_address(file, str(_URL))
    except IsowardError:
        return
    check_url(address, "address")
    assert "@" not in address.split("/")[2]


def python_json(data: bytes) -> None:
    """Read a project's page as JSON, and choose from it."""
    _page(data, _JSON)


def python_html(data: bytes) -> None:
    """Read a project's page as HTML, and choose from it."""
    _page(data, "text/html")


def requirements(data: bytes) -> None:
    """Read a requirements file, and judge its markers."""
    found = parse_requirements(data.decode("utf-8", "replace"), "requirements.txt")
    assert all(pin.digests for pin in found)
    assert len(counting_pins(found, _MACHINE)) <= len(found)


def wheel(data: bytes) -> None:
    """Read the metadata of a wheel."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wheel"
        path.write_bytes(data)
        read_metadata(path, WHEEL)


TARGETS = (
    Target("python-json", python_json, "json"),
    Target("python-html", python_html),
    Target("requirements", requirements),
    Target("wheel", wheel),
)
