"""Options and marks of the whole suite."""

import os

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--nightly`` runs the long campaigns too."""
    parser.addoption("--nightly", action="store_true", help="run the long form of every campaign")


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark of tests/needs.py known."""
    config.addinivalue_line(
        "markers", "needs(reason): skip with the reason, fail where CI=true; see tests/needs.py"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long campaigns out of a plain run."""
    if config.getoption("--nightly"):
        return
    for item in items:
        if item.get_closest_marker("nightly"):
            item.add_marker(pytest.mark.skip(reason="long: run with --nightly"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or in CI fail, a test whose needs are not met, before any of its fixtures starts."""
    reasons = [mark.args[0] for mark in item.iter_markers("needs") if mark.args[0]]
    if not reasons or item.get_closest_marker("skip"):
        return
    if os.environ.get("CI") == "true":
        pytest.fail("; ".join(reasons), pytrace=False)
    pytest.skip("; ".join(reasons))
