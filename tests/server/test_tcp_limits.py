"""What a TCP client can take from others: a place for a while, and a bounded amount of memory."""

import contextlib
import select
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from skydns_py.server.connection import TURN
from skydns_py.server.listen import STREAM_BUFFER
from skydns_py.server.tcp import Stream
from tests.builders import Served
from tests.dataplane import samples, wire
from tests.reactor import run_in_reactor
from tests.server.listening import SECONDS, Connection, Listening, framed

PLAIN = wire.query(samples.SERVICE)
IDLE = 0.5
"""Seconds, where a test waits for the end of an idle connection."""
LARGEST = 2 + 0xFFFF


def until(holds: Callable[[], bool]) -> None:
    """Let the reactor turn until this holds, as seen on its thread."""
    deadline = time.monotonic() + SECONDS
    while not run_in_reactor(holds):
        assert time.monotonic() < deadline, "it never held"


def held(stream: Any) -> tuple[int, int]:
    """Octets that a connection keeps, of queries and of replies."""
    transport = stream.transport
    return len(stream._buffer), len(transport.dataBuffer) - transport.offset + transport._tempDataLen


def closed_after(client: Connection) -> float:
    start = time.monotonic()
    assert client.is_closed()
    return time.monotonic() - start


# Time


def stays(client: Connection) -> bool:
    """Send one more octet; whether the connection is still there a moment later."""
    try:
        client.send_octets(b"\xff")
        return client.socket.recv(1) != b""
    except TimeoutError:
        return True
    except ConnectionError:
        return False


def test_connection_that_asks_nothing_is_closed_in_order_after_the_idle_time(served: Served) -> None:
    with Listening(served.feed, idle_seconds=IDLE) as server, server.tcp() as client:
        start = time.monotonic()
        assert client.receive() == b"", "the end of the stream, not a reset"
        assert IDLE * 0.9 <= time.monotonic() - start < SECONDS


def test_query_starts_the_idle_time_anew(served: Served) -> None:
    with Listening(served.feed, idle_seconds=IDLE) as server, server.tcp() as client:
        start = time.monotonic()
        while time.monotonic() - start < 1.5 * IDLE:
            assert client.ask(PLAIN)
        assert closed_after(client) < SECONDS


@pytest.mark.parametrize("ahead", [b"", framed(PLAIN)[:-1]], ids=["a length", "a message"])
def test_slow_writer_does_not_stay(served: Served, ahead: bytes) -> None:
    """Octets that make no whole query are no activity (rule 2 of ``server.connection``)."""
    with Listening(served.feed, idle_seconds=IDLE) as server, server.tcp() as client:
        client.send_octets(b"\xff\xff" + ahead)
        client.socket.settimeout(IDLE / 10)
        start = time.monotonic()
        while stays(client):
            assert time.monotonic() - start < SECONDS
        assert time.monotonic() - start >= IDLE * 0.9


def test_client_that_does_not_read_is_reset_after_the_idle_time(served: Served) -> None:
    with Listening(served.feed, idle_seconds=IDLE) as server:
        client = stuffed(server)
        until(lambda: not server.streams)
        assert server.counters.tcp_connections == 0
        client.__exit__()


# Memory


def stuffed(server: Listening) -> Connection:
    """A client that asks and asks and reads nothing, until the server takes no more from it."""
    client = server.tcp(receive_buffer=4096)
    client.socket.settimeout(0.1)
    query = framed(wire.query(samples.WIDE_NAME)) * 20
    rest = query
    with contextlib.suppress(ConnectionError):  # where the test is about the end of such a client
        while not is_stuck(client, server):
            rest = rest[client.socket.send(rest) :] or query
    client.socket.settimeout(SECONDS)
    return client


def is_stuck(client: Connection, server: Listening) -> bool:
    """Whether nothing can be sent any more, because the server has paused its only client."""
    _, writable, _ = select.select([], [client.socket], [], 0.1)
    return not writable and run_in_reactor(lambda: all(stream._paused for stream in server.streams))


def test_client_that_does_not_read_is_paused_with_little_kept_for_it(served: Served) -> None:
    with Listening(served.feed, ("127.0.0.1",)) as server:
        client = stuffed(server)
        (stream,) = server.streams
        for _ in range(20):
            queries, replies = run_in_reactor(held, stream)
            assert queries <= 2 * TURN
            assert 0 < replies <= TURN + LARGEST, "it waits for the client"
            with server.tcp() as other:
                assert wire.read(other.ask(PLAIN)).answers
        client.__exit__()


def test_kernel_keeps_no_more_than_two_messages_each_way(served: Served) -> None:
    buffers = (socket.SO_SNDBUF, socket.SO_RCVBUF)
    with Listening(served.feed) as server, server.tcp() as client:
        client.ask(PLAIN)
        accepted = server.streams[0].transport.socket
        sizes = [accepted.getsockopt(socket.SOL_SOCKET, each) for each in buffers]
        assert sizes == [2 * STREAM_BUFFER] * 2


def test_client_that_reads_at_last_gets_every_reply_in_order(served: Served) -> None:
    count = 1500
    packets = [wire.query(samples.WIDE_NAME, ident=ident) for ident in range(count)]
    with Listening(served.feed, ("127.0.0.1",)) as server, server.tcp(receive_buffer=4096) as client:
        client.socket.setblocking(False)
        rest = b"".join(map(framed, packets))
        with contextlib.suppress(BlockingIOError):
            while rest:
                rest = rest[client.socket.send(rest) :]
        client.socket.settimeout(SECONDS)
        replies = []
        for _ in range(count):
            replies.append(client.receive())
            if rest:
                rest = rest[client.socket.send(rest[:100]) :]
        assert [int.from_bytes(reply[:2]) for reply in replies] == list(range(count))
        assert {len(wire.take_apart(reply).answers) for reply in replies} == {samples.WIDE}


def test_half_closed_client_that_does_not_read_gets_its_replies_when_it_does(served: Served) -> None:
    count = 600
    with Listening(served.feed, ("127.0.0.1",)) as server, server.tcp(receive_buffer=4096) as client:
        client.send(*(wire.query(samples.WIDE_NAME, ident=ident) for ident in range(count)))
        client.socket.shutdown(1)
        until(lambda: bool(server.streams) and held(server.streams[0])[1] > TURN)
        assert [int.from_bytes(client.receive()[:2]) for _ in range(count)] == list(range(count))
        assert client.receive() == b""


def test_pipelining_client_gives_others_their_turn(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its queries cost some 30 µs each; a read of 64 KiB of them would take the reactor for 100 ms."""
    seen: list[int] = []
    read = Stream.dataReceived

    def note(stream: Stream, data: bytes) -> None:
        seen.append(len(data))
        read(stream, data)

    monkeypatch.setattr(Stream, "dataReceived", note)
    with Listening(served.feed, ("127.0.0.1",)) as server, server.tcp() as client:
        client.send(*[PLAIN] * 500)
        for _ in range(500):
            client.receive()
    assert max(seen) <= TURN
    assert sum(seen) == 500 * len(framed(PLAIN))


# Places


def connected(server: Listening, count: int) -> list[Connection]:
    """Clients that have been answered, in this order."""
    clients = [server.tcp() for _ in range(count)]
    for client in clients:
        client.ask(PLAIN)
    return clients


def test_connection_idle_for_longest_gives_way_at_the_limit(served: Served) -> None:
    with Listening(served.feed, max_connections=3) as server:
        clients = connected(server, 3)
        clients[0].ask(PLAIN)
        newcomer = server.tcp()
        assert wire.read(newcomer.ask(PLAIN)).answers
        assert clients[1].is_closed()
        for client in (clients[0], clients[2]):
            assert wire.read(client.ask(PLAIN)).answers
        assert (server.counters.tcp_evicted, server.counters.tcp_connections) == (1, 3)
        for client in (*clients, newcomer):
            client.__exit__()


def test_limit_holds_when_many_connect_at_once(served: Served) -> None:
    limit, crowd = 3, 40
    with Listening(served.feed, max_connections=limit) as server:
        clients: list[Connection] = []
        run_in_reactor(lambda: clients.extend(server.tcp() for _ in range(crowd)))
        until(lambda: server.counters.tcp_evicted == crowd - limit)
        assert run_in_reactor(lambda: server.counters.tcp_connections) == limit
        for client in clients[: crowd - limit]:
            assert client.is_closed()
        for client in clients[crowd - limit :]:
            assert wire.read(client.ask(PLAIN)).answers
            client.__exit__()


def test_places_are_free_again_when_clients_leave(served: Served) -> None:
    with Listening(served.feed) as server:
        for client in connected(server, 5):
            client.__exit__()
        until(lambda: server.counters.tcp_connections == 0)
        assert server.streams == []
