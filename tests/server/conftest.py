"""Servers for the tests that do not change them."""

from collections.abc import Callable, Iterator

import pytest

from tests.authority import Authority
from tests.builders import Served
from tests.dataplane import samples
from tests.dataplane.strategies import EDNS_SIZE
from tests.native.built import needed
from tests.native.twins import Twin
from tests.server.listening import Listening
from tests.server.secure import Secure


@pytest.fixture(scope="package")
def served() -> Served:
    """The sample cluster."""
    return samples.served(edns_size=EDNS_SIZE)


@pytest.fixture(scope="package")
def server(served: Served) -> Iterator[Listening]:
    """The sample cluster on 127.0.0.1 and ::1."""
    with Listening(served.feed) as listening:
        yield listening


@pytest.fixture(scope="package")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Vouches for the servers of the tests."""
    return Authority(tmp_path_factory.mktemp("tls") / "own").create()


@pytest.fixture(scope="package", params=["pure", pytest.param("native", marks=needed)])
def secure(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Secure]:
    """The sample cluster over TLS and HTTPS, from either data plane."""
    cluster = Twin(request.param, *samples.objects())
    with Secure(cluster.feed, *authority.issue("server"), authority.ca) as server:
        yield server


@pytest.fixture
def limited(served: Served, authority: Authority) -> Callable[..., Secure]:
    """A server over TLS and HTTPS with limits of the test's."""
    return lambda **limits: Secure(served.feed, *authority.issue("limited"), authority.ca, **limits)
