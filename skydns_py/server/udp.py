"""UDP: read a datagram, ask the hot path, else the slow one, write the reply from the address it came to.

``Port`` is a reactor reader of its own instead of a ``twisted.internet.udp`` protocol: that one checks the
destination's syntax at each write, which costs 3 to 4 of the 10 to 13 µs that a query may take in all.
"""

import errno
import logging
import socket
from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

from skydns_py.dataplane.counters import Counters
from skydns_py.server.handler import Handler

log = logging.getLogger(__name__)

LARGEST = 4096
"""Octets read of a datagram: far more than any query, and a longer one fails to parse."""
BATCH = 64
"""Datagrams read before the reactor has its turn, so that a flood leaves time for the control plane."""
BUFFER = 4 << 20
"""Octets asked for the socket's receive buffer: some 10 000 queries of a burst."""

_PKTINFO = {
    socket.AF_INET: (socket.IPPROTO_IP, getattr(socket, "IP_PKTINFO", 8)),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO),
}
WILDCARDS = ("0.0.0.0", "::")  # noqa: S104  # compared with, not bound to


class Reactor(Protocol):
    """The part of ``IReactorFDSet`` used here."""

    def addReader(self, reader: object) -> None:
        """Call ``doRead`` whenever the descriptor is readable."""

    def removeReader(self, reader: object) -> None:
        """Stop doing so."""


def open_socket(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A bound, non-blocking UDP socket for one address family; raises OSError.

    ``shared``: one of several on its port, among which the kernel spreads clients (SO_REUSEPORT).
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if host in WILDCARDS:
            level, option = _PKTINFO[family]
            request = socket.IPV6_RECVPKTINFO if family == socket.AF_INET6 else option
            sock.setsockopt(level, request, 1)
        sock.bind((host, port))
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


@implementer(IReadDescriptor)
class Port:
    """One UDP socket being served. ``answer`` is the hot path: octets to octets, None for the slow one."""

    def __init__(
        self,
        sock: socket.socket,
        answer: Callable[[bytes], bytes | None],
        handler: Handler,
        counters: Counters,
    ) -> None:
        self._socket = sock
        self._answer = answer
        self._handler = handler
        self._counters = counters
        self._wildcard = sock.getsockname()[0] in WILDCARDS
        self.doRead = self._read_wildcard if self._wildcard else self._read

    def start(self, reactor: Reactor) -> None:
        """Serve until ``stop``."""
        reactor.addReader(self)

    def stop(self, reactor: Reactor) -> None:
        """Serve no more, and close the socket."""
        reactor.removeReader(self)
        self._socket.close()

    def fileno(self) -> int:
        """The descriptor the reactor waits on."""
        return self._socket.fileno()

    def logPrefix(self) -> str:
        """How the reactor calls this in its log."""
        return "udp"

    def connectionLost(self, reason: object) -> None:
        """The reactor gave the socket up, which happens when it stops."""
        self._socket.close()

    def _read(self) -> None:
        receive, send, answer = self._socket.recvfrom, self._socket.sendto, self._answer
        counters = self._counters
        rcodes = counters.rcodes
        try:
            for _ in range(BATCH):
                packet, client = receive(LARGEST)
                counters.udp += 1
                try:
                    reply = answer(packet) or self._miss(packet, client[0])
                except Exception:
                    reply = self._rescue(packet, client[0])
                if reply:
                    rcodes[reply[3] & 15] += 1
                    send(reply, client)
        except OSError as error:
            self._failed(error)

    def _read_wildcard(self) -> None:
        """As ``_read``, but the reply leaves from the address the query came to, as its sender expects."""
        family = self._socket.family
        for _ in range(BATCH):
            try:
                packet, ancillary, _, client = self._socket.recvmsg(LARGEST, 64)
                self._counters.udp += 1
                try:
                    reply = self._answer(packet) or self._miss(packet, client[0])
                except Exception:
                    reply = self._rescue(packet, client[0])
                if reply:
                    self._counters.rcodes[reply[3] & 15] += 1
                    self._socket.sendmsg([reply], _source(family, ancillary), 0, client)
            except OSError as error:
                self._failed(error)
                return

    def _miss(self, packet: bytes, host: str) -> bytes | None:
        self._counters.misses += 1
        return self._handler.handle(packet, host, stream=False)

    def _rescue(self, packet: bytes, host: str) -> bytes | None:
        """The hot path failed: the slow one owes nothing to it.

        Left to itself, the exception would have the reactor close the socket.
        """
        self._handler.note_failure(packet)
        return self._miss(packet, host)

    def _failed(self, error: OSError) -> None:
        """Nothing left to read, or a reply that cannot be sent: the client asks again."""
        if error.errno not in (errno.EAGAIN, errno.EINTR):
            self._counters.send_errors += 1
            log.debug("udp: %s", error)


def _source(family: int, ancillary: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """Ancillary data that sends from the address a datagram came to; see ip(7) and RFC 3542 section 6.

    The interface is left to the routes, except for a link-local address, which means nothing without it.
    """
    level, option = _PKTINFO[socket.AddressFamily(family)]
    for found_level, found_option, data in ancillary:
        if (found_level, found_option) == (level, option):
            if family == socket.AF_INET:
                return [(level, option, bytes(4) + data[8:12] + bytes(4))]
            local = data[0] == 0xFE and data[1] & 0xC0 == 0x80
            return [(level, option, data if local else data[:16] + bytes(4))]
    return []
