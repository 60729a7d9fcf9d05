"""Opening sockets: what is refused says why in one line and leaves nothing open."""

import errno
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet import reactor
from twisted.internet.protocol import Factory

from bench.ports import free_port
from skydns_py.errors import ConfigError
from skydns_py.server import listen
from skydns_py.server.listen import Pair, open_pairs, own_addresses
from skydns_py.server.udp import open_socket
from tests.reactor import run_in_reactor
from tests.server import listening

TAKEN = "something else listens there; stop it, or choose another address with --listen"
ABSENT_V4, ABSENT_V6 = "203.0.113.1", "2001:db8::1"


def opened(*addresses: tuple[str, int]) -> list[Pair]:
    """Open them in the reactor."""
    pairs: list[Pair] = run_in_reactor(open_pairs, list(addresses), Factory(), reactor, 5)
    return pairs


def close(pairs: list[Pair]) -> None:
    run_in_reactor(listening.close, pairs)


def refusal(*addresses: tuple[str, int]) -> str:
    """The line that these addresses are refused with; nothing may stay open after it."""
    before = open_sockets()
    with pytest.raises(ConfigError) as refused:
        opened(*addresses)
    run_in_reactor(lambda: None)  # a listening port closes in the reactor's next turn
    run_in_reactor(lambda: None)
    assert open_sockets() == before
    return str(refused.value)


def open_sockets() -> int:
    return sum(path.is_socket() for path in Path("/proc/self/fd").iterdir())


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture(params=[socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["UDP", "TCP"])
def taken(request: pytest.FixtureRequest) -> Iterator[int]:
    """A port of 127.0.0.1 that something listens on."""
    with socket.socket(socket.AF_INET, request.param) as other:
        other.bind(("127.0.0.1", 0))
        if request.param == socket.SOCK_STREAM:
            other.listen(1)
        yield other.getsockname()[1]


def test_port_that_is_taken_is_refused(taken: int) -> None:
    assert refusal(("127.0.0.1", taken)) == f"cannot listen on 127.0.0.1:{taken}: {TAKEN}"


def test_what_was_opened_before_a_refusal_is_closed_again(taken: int) -> None:
    places = [("127.0.0.2", taken), ("127.0.0.3", taken), ("127.0.0.1", taken)]
    assert refusal(*places) == f"cannot listen on 127.0.0.1:{taken}: {TAKEN}"
    close(opened(*places[:2]))


def test_an_address_that_the_machine_does_not_have_is_refused(port: int) -> None:
    expected = f"cannot listen on {ABSENT_V4}:{port}: this machine has no such address"
    assert refusal((ABSENT_V4, port)) == expected
    assert refusal(("127.0.0.1", port), (ABSENT_V4, port)) == expected


def test_the_only_ipv6_address_is_refused_in_brackets(port: int) -> None:
    expected = f"cannot listen on [{ABSENT_V6}]:{port}: this machine has no such address"
    assert refusal((ABSENT_V6, port)) == expected


def test_an_absent_ipv6_address_beside_another_is_passed_over_with_a_warning(
    port: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        pairs = opened(("127.0.0.1", port), (ABSENT_V6, port))
    close(pairs)
    assert [pair.host for pair in pairs] == ["127.0.0.1"]
    warning = f"not listening on [{ABSENT_V6}]:{port}: this machine has no such address"
    assert caplog.messages == [warning]


def test_absent_ipv6_addresses_alone_are_refused(port: int) -> None:
    expected = "no address to listen on is left; give one with --listen ADDR:PORT"
    assert refusal((ABSENT_V6, port), ("2001:db8::2", port)) == expected


def test_low_port_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(host: str, port: int) -> socket.socket:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(listen, "open_socket", forbidden)  # the test may run as root, who may do anything
    hint = "ports below 1024 need root or CAP_NET_BIND_SERVICE; or choose another with --listen"
    assert refusal(("127.0.0.1", 53)) == f"cannot listen on 127.0.0.1:53: {hint}"


def test_port_zero_is_one_number_for_both_protocols() -> None:
    pairs = opened(("127.0.0.1", 0), ("::1", 0))
    ports = [(pair.port, pair.udp[0].getsockname()[1], pair.tcp.getHost().port) for pair in pairs]
    close(pairs)
    assert all(len(set(each)) == 1 and each[0] for each in ports)


def test_port_zero_tries_again_where_the_number_is_taken_for_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        numbers = [other.getsockname()[1], 0]
        monkeypatch.setattr(
            listen, "open_socket", lambda host, _: open_socket(host, numbers.pop(0) if numbers else 0)
        )
        pairs = opened(("127.0.0.1", 0))
        close(pairs)
        assert pairs[0].port != other.getsockname()[1]
        assert not numbers


@pytest.mark.parametrize("hosts", [("0.0.0.0", "::"), ("::", "0.0.0.0")])
def test_both_wildcards_share_a_port(hosts: tuple[str, ...]) -> None:
    pairs: list[Pair] = run_in_reactor(listening.open_together, hosts, Factory())
    close(pairs)
    assert len({pair.port for pair in pairs}) == 1


def test_ipv6_wildcard_takes_no_ipv4() -> None:
    (alone,) = opened(("::", 0))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", alone.port), timeout=5)
    close([alone])


def test_own_addresses_are_those_listened_on_each_once_and_without_a_scope() -> None:
    found = own_addresses(["127.0.0.1", "::1", "127.0.0.1", "fe80::1%lo"])
    assert found == (b"\x7f\0\0\1", bytes(15) + b"\1", b"\xfe\x80" + bytes(13) + b"\1")


def test_own_address_of_a_wildcard_is_no_wildcard() -> None:
    assert not {bytes(4), bytes(16)} & set(own_addresses(["0.0.0.0", "::"]))
