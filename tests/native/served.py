"""A native table with its threads on sockets of the test's, and clients that ask it."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from skydns_py.answers.packed import Answer, record
from skydns_py.server.udp import open_socket
from skydns_py.zone.rrset import RRset
from tests.dataplane import wire
from tests.native.built import NativeTable

ZONE = wire.encode("cluster.local")
SOA = wire.encode("ns.dns.cluster.local") + wire.encode("hostmaster.cluster.local") + bytes(20)
EDNS_SIZE = 1232
WAIT_SECONDS = 5.0


def name_of(number: int) -> bytes:
    """The name of Service ``number``."""
    return wire.encode(f"svc-{number}.ns-{number % 100}.svc.cluster.local")


def node_of(number: int, generation: int = 0) -> dict[int, Answer]:
    """One address, of which the last octet tells the generation."""
    rdata = bytes((10,)) + (number & 0xFFFF).to_bytes(2) + bytes((generation % 256,))
    return {wire.A: Answer(1, 0, record(0xC00C, wire.A, 5, rdata))}


def table_of(count: int) -> Any:
    """A table with a zone and ``count`` Services, ready to serve."""
    table = NativeTable(lambda name: None, EDNS_SIZE)
    table.replace_zone(ZONE, RRset(5, (SOA,)))
    table.replace(ZONE, {})
    for number in range(count):
        table.replace(name_of(number), node_of(number))
    table.ready = True
    return table


@contextmanager
def serving(table: Any, *hosts: str, threads: int = 1) -> Iterator[list[int]]:
    """Serve on each host with ``threads`` threads; yields the ports."""
    sockets: list[socket.socket] = []
    ports = []
    for host in hosts or ("127.0.0.1",):
        port = 0
        for _ in range(threads):
            sockets.append(_open(host, port))
            port = sockets[-1].getsockname()[1]
        ports.append(port)
    wildcard = [each.getsockname()[0] in ("0.0.0.0", "::") for each in sockets]
    table.start([each.fileno() for each in sockets], wildcard)
    try:
        yield ports
    finally:
        table.stop()
        for each in sockets:
            each.close()


def _open(host: str, port: int) -> socket.socket:
    """As the server opens one, but one of several on its port."""
    first = open_socket(host, 0)
    family, wildcard = first.family, host in ("0.0.0.0", "::")
    first.close()
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if wildcard and family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    elif wildcard:
        sock.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_PKTINFO", 8), 1)
    sock.bind((host, port))
    return sock


def client(host: str, port: int, source: str = "") -> socket.socket:
    """A socket that takes replies from ``host`` only."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(WAIT_SECONDS)
    if source:
        sock.bind((source, 0))
    sock.connect((host, port))
    return sock


def ask(sock: socket.socket, packet: bytes) -> bytes:
    """The reply to a packet; TimeoutError without one."""
    sock.send(packet)
    return sock.recv(65535)


def await_misses(table: Any, count: int = 1) -> list[Any]:
    """The misses, once there are ``count``."""
    found: list[Any] = []
    while len(found) < count:
        readable, _, _ = select.select([table.fileno()], [], [], WAIT_SECONDS)
        assert readable, f"{len(found)} of {count} misses"
        found += table.misses()
    return found


class Asker:
    """Asks for random Services over and over, ``WINDOW`` at a time; counts replies that are lost or wrong."""

    WINDOW = 32

    def __init__(self, port: int, count: int) -> None:
        self.asked = self.lost = self.wrong = 0
        self._port, self._count = port, count
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Asker":
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._stop.set()
        self._thread.join(2 * WAIT_SECONDS)

    def _run(self) -> None:
        sock, number = client("127.0.0.1", self._port), 0
        while not self._stop.is_set():
            numbers = [(number + i * 7919) % self._count for i in range(self.WINDOW)]
            for ident, each in enumerate(numbers):
                sock.send(wire.query(name_of(each), ident=ident))
            for _ in numbers:
                self._take(sock, numbers)
            self.asked += len(numbers)
            number += 1

    def _take(self, sock: socket.socket, numbers: list[int]) -> None:
        try:
            reply = wire.take_apart(sock.recv(4096))
        except TimeoutError:
            self.lost += 1
            return
        expected = node_of(numbers[reply.ident])[wire.A].body[12:15]
        if reply.rcode or len(reply.rdatas) != 1 or reply.rdatas[0][:3] != expected:
            self.wrong += 1
