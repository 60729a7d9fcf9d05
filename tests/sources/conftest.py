"""Etcd servers for the tests of the sources."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.etcd_server import EtcdServer
from tests.sources.following import PINGS


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """An etcd for tests that leave it running."""
    with EtcdServer(tmp_path_factory.mktemp("etcd"), *PINGS) as server:
        yield server


@pytest.fixture
def client(shared: EtcdServer) -> Iterator[Any]:
    """A client of the shared etcd, which is emptied first."""
    with shared.client() as client:
        client.delete_prefix("/")
        yield client


@pytest.fixture
def own(tmp_path: Path) -> Iterator[EtcdServer]:
    """An etcd that the test may mistreat."""
    with EtcdServer(tmp_path / "own", *PINGS) as server:
        yield server
