"""healthCheckNodePort over real sockets, on Twisted's real reactor."""

import http.client
import json
import logging
import socket
from collections.abc import Iterator

import pytest
from twisted.internet import reactor

from skydns_py.portal.health import HealthPorts
from tests.reactor import run_in_reactor


@pytest.fixture
def ports() -> Iterator[HealthPorts]:
    made = HealthPorts(reactor)
    yield made
    run_in_reactor(made.set, {})


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        number: int = probe.getsockname()[1]
        return number


def get(port: int, host: str = "127.0.0.1", method: str = "GET") -> tuple[int, str | None, bytes]:
    """Status, weight header and body."""
    visit = http.client.HTTPConnection(host, port, timeout=10)
    try:
        visit.request(method, "/")
        answer = visit.getresponse()
        return answer.status, answer.getheader("X-Load-Balancing-Endpoint-Weight"), answer.read()
    finally:
        visit.close()


def rest(visit: socket.socket) -> bytes:
    """What comes until the other side ends the connection, in whatever way."""
    try:
        return visit.recv(4096)
    except ConnectionResetError:
        return b""


def test_local_ready_endpoints_and_a_healthy_programmer_are_200_with_their_number(ports: HealthPorts) -> None:
    port = free()
    run_in_reactor(ports.set, {port: ("shop", "front", 3)})
    status, weight, body = get(port)
    assert (status, weight) == (200, "3")
    assert json.loads(body) == {
        "service": {"namespace": "shop", "name": "front"},
        "localEndpoints": 3,
        "serviceProxyHealthy": True,
    }


def test_no_local_endpoint_is_503(ports: HealthPorts) -> None:
    port = free()
    run_in_reactor(ports.set, {port: ("shop", "front", 0)})
    status, weight, body = get(port)
    assert (status, weight, json.loads(body)["localEndpoints"]) == (503, "0", 0)


def test_an_unhealthy_programmer_is_503_until_it_recovers(ports: HealthPorts) -> None:
    port = free()
    run_in_reactor(ports.set, {port: ("shop", "front", 1)})
    ports.healthy = False
    status, _, body = get(port)
    assert (status, json.loads(body)["serviceProxyHealthy"]) == (503, False)
    ports.healthy = True
    assert get(port)[0] == 200


def test_an_update_changes_the_answer_of_an_open_port(ports: HealthPorts) -> None:
    port = free()
    run_in_reactor(ports.set, {port: ("shop", "front", 1)})
    run_in_reactor(ports.set, {port: ("shop", "back", 0)})
    status, _, body = get(port)
    assert (status, json.loads(body)["service"]["name"]) == (503, "back")


def test_a_port_that_is_no_longer_wanted_is_closed(ports: HealthPorts) -> None:
    gone, kept = free(), free()
    run_in_reactor(ports.set, {gone: ("shop", "front", 1), kept: ("shop", "back", 1)})
    run_in_reactor(ports.set, {kept: ("shop", "back", 1)})
    run_in_reactor(lambda: None)  # the reactor closes a listener at its next turn
    with pytest.raises(ConnectionRefusedError):
        get(gone)
    assert get(kept)[0] == 200


def test_a_head_request_has_no_body(ports: HealthPorts) -> None:
    port = free()
    run_in_reactor(ports.set, {port: ("shop", "front", 1)})
    assert get(port, method="HEAD") == (200, "1", b"")


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_a_port_listens_on_both_families(ports: HealthPorts) -> None:
    port = free()
    run_in_reactor(ports.set, {port: ("shop", "front", 1)})
    assert [get(port, host)[0] for host in ("127.0.0.1", "::1")] == [200, 200]


def test_a_taken_port_is_one_warning_and_is_had_once_it_is_free(
    ports: HealthPorts, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = {}
    with socket.create_server(("0.0.0.0", 0)) as taken, caplog.at_level(logging.WARNING):
        port = taken.getsockname()[1]
        wanted = {port: ("shop", "front", 1)}
        run_in_reactor(ports.set, wanted)
        run_in_reactor(ports.set, wanted)
    assert [record.getMessage().split(";")[-1] for record in caplog.records] == [" free it"]
    assert f"health check port {port} of shop/front: " in caplog.text
    run_in_reactor(ports.set, wanted)
    assert get(port)[0] == 200


def test_a_stranger_who_sends_headers_without_end_is_cut_off(ports: HealthPorts) -> None:
    port = free()
    run_in_reactor(ports.set, {port: ("shop", "front", 1)})
    with socket.create_connection(("127.0.0.1", port), timeout=10) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 150)
        assert rest(stranger) == b""
    assert get(port)[0] == 200
