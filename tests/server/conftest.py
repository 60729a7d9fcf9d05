"""One server for the tests that do not change it."""

from collections.abc import Iterator

import pytest

from tests.builders import Served
from tests.dataplane import samples
from tests.dataplane.strategies import EDNS_SIZE
from tests.server.listening import Listening


@pytest.fixture(scope="package")
def served() -> Served:
    """The sample cluster."""
    return samples.served(edns_size=EDNS_SIZE)


@pytest.fixture(scope="package")
def server(served: Served) -> Iterator[Listening]:
    """The sample cluster on 127.0.0.1 and ::1."""
    with Listening(served.feed) as listening:
        yield listening
