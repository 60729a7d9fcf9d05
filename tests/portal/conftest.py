"""The lab of the packet tests: one for each backend, shared by all of them, for it takes a while to build."""

from collections.abc import Iterator

import pytest

from tests.portal.programming import BACKENDS, Lab, laboratory


@pytest.fixture(scope="session", params=BACKENDS)
def shared_lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with laboratory(request.param, tmp_path_factory.mktemp(request.param)) as lab:
        yield lab


@pytest.fixture
def lab(shared_lab: Lab) -> Iterator[Lab]:
    """The lab with an empty store and a programmer that runs as usual, whatever the last test did."""
    if not shared_lab.programmer.running:
        shared_lab.restart()
    try:
        yield shared_lab
    finally:
        shared_lab.store.clear()
