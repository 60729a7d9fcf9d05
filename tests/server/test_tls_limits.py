"""What a client of DNS over TLS can take from others: a place for a while, and a bounded amount of memory."""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable

import pytest

from skydns_py.server.connection import TURN
from skydns_py.server.tcp import Stream
from tests import needs
from tests.dataplane import samples, wire
from tests.reactor import run_in_reactor
from tests.server.listening import SECONDS, Connection, framed
from tests.server.secure import (
    Secure,
    stuff,
    until,
)

pytestmark = needs.program("openssl")

PLAIN = wire.query(samples.SERVICE)
IDLE = 0.5
"""Seconds, where a test waits for the end of an idle connection."""


def hello(server: Secure) -> bytes:
    """What a client says first."""
    outgoing = ssl.MemoryBIO()
    speaker = server.context("dot").wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="127.0.0.1")
    with pytest.raises(ssl.SSLWantReadError):
        speaker.do_handshake()
    return outgoing.read()


def closed_after(client: Connection) -> float:
    """Seconds until the end of the connection; what comes before it does not matter."""
    start = time.monotonic()
    try:
        while client.socket.recv(65536):
            pass
    except ConnectionError:
        pass
    return time.monotonic() - start


@pytest.mark.parametrize("said", [0, 1, 40, None], ids=["nothing", "an octet", "half a hello", "a hello"])
def test_handshake_that_does_not_end_is_an_idle_connection(
    limited: Callable[..., Secure], said: int | None
) -> None:
    with limited(idle_seconds=IDLE) as server, Connection("127.0.0.1", server.tls_port) as client:
        client.send_octets(hello(server)[:said])
        assert closed_after(client) < SECONDS
        until(lambda: server.counters.tcp_connections == 0)


def test_slow_handshake_gains_nothing(limited: Callable[..., Secure]) -> None:
    with limited(idle_seconds=IDLE) as server, Connection("127.0.0.1", server.tls_port) as client:
        client.socket.settimeout(IDLE / 20)
        start, octets = time.monotonic(), iter(hello(server))
        while time.monotonic() - start < SECONDS:
            try:
                client.send_octets(bytes((next(octets),)))
                assert client.socket.recv(1) != b""
            except TimeoutError:
                continue
            except (ConnectionError, AssertionError):
                break
        assert IDLE * 0.9 < time.monotonic() - start < SECONDS


def test_idle_connection_ends_in_order(limited: Callable[..., Secure]) -> None:
    with limited(idle_seconds=IDLE) as server, server.tls() as client:
        assert client.ask(PLAIN)
        assert client.tls.recv(1) == b"", "a close_notify, not a reset"


def test_client_that_never_says_goodbye_does_not_stay(limited: Callable[..., Secure]) -> None:
    with limited(idle_seconds=IDLE) as server, server.tls() as client:
        assert client.ask(PLAIN)
        until(lambda: server.counters.tcp_connections == 0)


@pytest.mark.parametrize("spoken", ["tls", "http1"])
def test_client_that_goes_on_after_its_end_is_not_listened_to(
    limited: Callable[..., Secure], spoken: str
) -> None:
    """It has not said goodbye, so that what it sends still comes."""
    with limited(idle_seconds=IDLE) as server, getattr(server, spoken)() as client:
        until(lambda: bool(server.streams))
        (stream,) = server.streams
        until(lambda: stream._closing)
        with contextlib.suppress(OSError):
            for _ in range(20):
                client.send_octets(bytes(4000))
        until(lambda: not server.streams)
        assert not getattr(stream, "_buffer", b"")
        assert getattr(stream, "_http", None) is None


@pytest.mark.parametrize("octets", [framed(PLAIN), b"GET / HTTP/1.1\r\n\r\n", bytes(70000), b"\x16\x03\x01"])
def test_octets_that_are_no_tls_cost_nobody_else_anything(secure: Secure, octets: bytes) -> None:
    with secure.tls() as bystander, Connection("127.0.0.1", secure.tls_port) as client:
        with contextlib.suppress(OSError):  # it may be told so before it has ended
            client.send_octets(octets)
            client.socket.shutdown(socket.SHUT_WR)
        assert closed_after(client) < SECONDS
        assert bystander.ask(PLAIN)


@pytest.mark.parametrize("length", [0, 11])
def test_length_below_a_header_ends_the_connection(secure: Secure, length: int) -> None:
    with secure.tls() as client:
        client.send_octets(framed(PLAIN[:length]) + framed(PLAIN))
        assert closed_after(client) < SECONDS


def test_largest_messages_are_taken(secure: Secure) -> None:
    with secure.tls() as client:
        for _ in range(3):
            assert wire.read(client.ask(PLAIN.ljust(0xFFFF, b"\xff"))).answers


def test_tls_and_tcp_share_their_places(limited: Callable[..., Secure]) -> None:
    with limited(max_connections=2) as server, server.tls() as first, server.tcp() as second:
        for client in (first, second):
            assert client.ask(PLAIN)
        with server.tls() as third:
            assert third.ask(PLAIN)
            assert closed_after(first) < SECONDS
            assert second.ask(PLAIN)
        assert server.counters.tcp_evicted == 1


def test_handshakes_without_end_give_way_to_those_that_ask(limited: Callable[..., Secure]) -> None:
    with limited(max_connections=3) as server:
        crowd = [Connection("127.0.0.1", server.tls_port) for _ in range(10)]
        with server.tls() as client:
            for _ in range(3):
                assert wire.read(client.ask(PLAIN)).answers
        for each in crowd:
            each.__exit__()


def test_client_that_does_not_read_is_paused_with_little_kept_for_it(limited: Callable[..., Secure]) -> None:
    with limited() as server, server.tls(receive_buffer=4096) as client:
        stuff(client, framed(wire.query(samples.WIDE_NAME)) * 100)
        (stream,) = server.streams
        transport = stream.transport.transport
        kept = run_in_reactor(lambda: (len(stream._buffer), len(transport.dataBuffer) - transport.offset))  # type: ignore[attr-defined]  # it is a Stream
        assert kept[0] <= 5 * TURN + 0xFFFF, "a record, and what was there before"
        assert kept[1] <= TURN + 0xFFFF + 200
        with server.tls() as other:
            assert wire.read(other.ask(PLAIN)).answers


def test_record_full_of_queries_gives_others_their_turn(
    limited: Callable[..., Secure], monkeypatch: pytest.MonkeyPatch
) -> None:
    """16 KiB come at once, 300 queries; a turn answers as many as give 4 KiB of replies."""
    answered: list[int] = []
    serve = Stream.serve

    def note(stream: Stream) -> bool:
        before = len(stream._buffer)
        more = serve(stream)
        answered.append(before - len(stream._buffer))
        return more

    monkeypatch.setattr(Stream, "serve", note)
    count = 16000 // len(framed(PLAIN))
    with limited() as server, server.tls() as client:
        client.send(*[PLAIN] * count)
        for _ in range(count):
            assert client.receive()
    assert max(answered) < TURN + len(framed(PLAIN))
    assert sum(answered) == count * len(framed(PLAIN))
