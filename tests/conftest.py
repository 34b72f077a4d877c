"""What holds for all tests."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.support.programs.needs import how_to_get, requires_root, requires_tool, unmet

_LAB_TOOLS = ("mmdebstrap", "systemd-nspawn", "ip", "ssh-keygen")
_LAB_SECONDS = 2700
"""The first test of a lab makes a node's root out of packages, and nodes boot."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what `make e2e` gives, which has the time for it."""
    parser.addoption("--whole", action="store_true", help="all cases of the longest tests")


@pytest.fixture(scope="session")
def whole(pytestconfig: pytest.Config) -> bool:
    """Whether all cases of the longest tests are asked for; `make test` has some of them."""
    return bool(pytestconfig.getoption("--whole"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of a lab the time that a busy machine needs for its nodes."""
    for item in items:
        if item.get_closest_marker("e2e") and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_LAB_SECONDS))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, or fail it in CI."""
    lab = item.get_closest_marker("lab") is not None
    if lab or item.get_closest_marker("root") is not None:
        requires_root()
    if lab:
        requires_tool(*_LAB_TOOLS)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup() -> Generator[None, object, object]:
    """Say how to get a program that a fixture runs and this machine has not."""
    return (yield from _say_what_lacks())


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    """And one that a test runs."""
    return (yield from _say_what_lacks())


def _say_what_lacks() -> Generator[None, object, object]:
    try:
        return (yield)
    except FileNotFoundError as error:
        lacking = how_to_get(error)
        if lacking is None:
            raise
        return unmet(lacking)
