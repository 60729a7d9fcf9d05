"""A server's sockets in the test's reactor, and two clients that talk to them: plain, blocking sockets."""

import contextlib
import socket
from collections.abc import Iterator, Sequence
from typing import Any, Self

from twisted.internet import defer, reactor
from twisted.internet.protocol import Factory

from skydns_py.dataplane.counters import Counters
from skydns_py.errors import ConfigError
from skydns_py.feed import Feed
from skydns_py.server.connection import Connection as Connected
from skydns_py.server.connection import Places
from skydns_py.server.handler import Handler
from skydns_py.server.listen import Pair, open_pairs
from skydns_py.server.tcp import StreamFactory
from skydns_py.server.udp import Port
from tests.reactor import run_in_reactor

LOOPBACK = ("127.0.0.1", "::1")
TRIES = 8
SECONDS = 10.0
"""How long a client waits for what must come."""


def open_together(hosts: Sequence[str], factory: Factory) -> list[Pair]:
    """These hosts on one port number that the system chooses; another, where it is taken on one of them."""
    for tries_left in reversed(range(TRIES)):
        pairs = open_pairs([(hosts[0], 0)], factory, reactor, 50)
        try:
            rest = [(host, pairs[0].port) for host in hosts[1:]]
            return pairs + (open_pairs(rest, factory, reactor, 50) if rest else [])
        except ConfigError:
            close(pairs)
            if not tries_left:
                raise
    raise AssertionError("the last try returns or raises")


def close(pairs: Sequence[Pair]) -> defer.Deferred[list[object]]:
    """Close both sockets of each, in the reactor; fires when they are."""
    for pair in pairs:
        for sock in pair.udp:
            sock.close()
    return defer.gatherResults([defer.maybeDeferred(pair.tcp.stopListening) for pair in pairs])


class Listening:
    """A ``Feed`` behind UDP and TCP sockets, one port number for each host, until the test is over."""

    def __init__(
        self,
        feed: Feed,
        hosts: tuple[str, ...] = LOOPBACK,
        *,
        max_connections: int = 100,
        idle_seconds: float = 30.0,
    ) -> None:
        self.feed = feed
        self.hosts = hosts
        self.counters = Counters()
        handler = Handler(feed.responder, self.counters)
        self.factory = StreamFactory(handler, Places(self.counters, max_connections, idle_seconds))
        self._handler = handler
        self.port = 0

    def __enter__(self) -> Self:
        run_in_reactor(self._start)
        return self

    def __exit__(self, *unused: object) -> None:
        run_in_reactor(self._stop)

    def _start(self) -> None:
        self.pairs = open_together(self.hosts, self.factory)
        self.port = self.pairs[0].port
        self.ports = [Port(p.udp[0], self.feed.answer, self._handler, self.counters) for p in self.pairs]
        for port in self.ports:
            port.start(reactor)

    def _stop(self) -> Any:
        for port in self.ports:
            port.stop(reactor)
        for stream in self.streams:
            stream.give_way()
        return close(self.pairs)

    @property
    def streams(self) -> list[Connected]:
        """The connections that have a place."""
        return list(self.factory.places.open)

    def udp(self, host: str = "127.0.0.1", source: str = "") -> "Datagrams":
        """A UDP client that hears nobody but the address it asks."""
        return Datagrams(host, self.port, source)

    def tcp(self, host: str = "127.0.0.1", source: str = "", *, receive_buffer: int = 0) -> "Connection":
        """A TCP client; ``receive_buffer`` in octets, where it matters."""
        return Connection(host, self.port, source, receive_buffer)


def _socket(kind: socket.SocketKind, host: str, source: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    sock.settimeout(SECONDS)
    if source:
        sock.bind((source, 0))
    return sock


class Datagrams:
    """A connected UDP socket."""

    def __init__(self, host: str, port: int, source: str) -> None:
        self.socket = _socket(socket.SOCK_DGRAM, host, source)
        self.socket.connect((host, port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.socket.close()

    def send(self, packet: bytes) -> None:
        self.socket.send(packet)

    def receive(self) -> bytes:
        return self.socket.recv(65535)

    def ask(self, packet: bytes) -> bytes:
        """The next reply after the packet."""
        self.send(packet)
        return self.receive()


class Connection:
    """A TCP connection that speaks in messages, or in octets."""

    def __init__(self, host: str, port: int, source: str = "", receive_buffer: int = 0) -> None:
        self.socket = _socket(socket.SOCK_STREAM, host, source)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        self.socket.close()

    def send(self, *messages: bytes) -> None:
        """Whole messages, in one piece."""
        self.send_octets(b"".join(framed(message) for message in messages))

    def send_octets(self, octets: bytes) -> None:
        self.socket.sendall(octets)

    def receive(self) -> bytes:
        """The next message; b"" at the end of the connection, ConnectionError where it was reset."""
        length = self._file.read(2)
        return self._file.read(int.from_bytes(length)) if length else b""

    def ask(self, packet: bytes) -> bytes:
        """The next reply after the packet."""
        self.send(packet)
        return self.receive()

    def is_closed(self) -> bool:
        """Wait for the end of the connection, however it comes; anything else that comes is an error."""
        try:
            found = self._file.read(1)
        except ConnectionError:
            return True
        assert not found, "octets instead of the end"
        return True


def framed(message: bytes) -> bytes:
    """A message as TCP carries it (RFC 1035 section 4.2.2)."""
    return len(message).to_bytes(2) + message


@contextlib.contextmanager
def reset(connection: Connection) -> Iterator[None]:
    """End the connection with a reset at the end of the block."""
    yield
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.__exit__()
