"""Each contract test runs against the stand-in, and against a real server where there is one."""

import itertools
from collections.abc import Iterator
from contextlib import closing

import pytest

from skydns_py.sources.kubernetes_client import ApiClient
from tests.kube.desk import Desk
from tests.kube_server import KubeServer, servers

_numbers = itertools.count(1)


@pytest.fixture(scope="session", params=servers())
def server(request: pytest.FixtureRequest) -> Iterator[KubeServer]:
    with request.param() as running:
        yield running


@pytest.fixture
def desk(server: KubeServer) -> Iterator[Desk]:
    with closing(ApiClient(server.access, 10)) as client:
        namespace = f"test-{next(_numbers)}"
        client.call("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        yield Desk(server, client, namespace)
