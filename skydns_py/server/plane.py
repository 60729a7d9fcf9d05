"""Who answers over UDP: Twisted reading each socket, or threads of the native data plane."""

import socket
from collections.abc import Callable, Iterable
from typing import Protocol

from skydns_py.dataplane.counters import Counters
from skydns_py.server.handler import Handler
from skydns_py.server.misses import Misses, Plane
from skydns_py.server.udp import WILDCARDS, Port, Reactor


class Datagrams(Protocol):
    """UDP being served, from ``start`` to ``stop``, which closes the sockets."""

    def start(self, reactor: Reactor) -> None:
        """Answer."""

    def stop(self, reactor: Reactor) -> None:
        """Answer no more."""


class PureDatagrams:
    """Each socket is read by the reactor; ``answer`` is the hot path."""

    def __init__(
        self,
        sockets: Iterable[socket.socket],
        answer: Callable[[bytes], bytes | None],
        handler: Handler,
        counters: Counters,
    ) -> None:
        self._ports = [Port(sock, answer, handler, counters) for sock in sockets]

    def start(self, reactor: Reactor) -> None:
        """See ``Datagrams.start``."""
        for port in self._ports:
            port.start(reactor)

    def stop(self, reactor: Reactor) -> None:
        """See ``Datagrams.stop``."""
        for port in self._ports:
            port.stop(reactor)


class NativeDatagrams:
    """Each socket has a thread of the plane; what those pass on is answered on the reactor's."""

    def __init__(self, sockets: Iterable[socket.socket], plane: Plane, handler: Handler) -> None:
        self._sockets = list(sockets)
        self._plane = plane
        self._misses = Misses(plane, handler)

    def start(self, reactor: Reactor) -> None:
        """See ``Datagrams.start``."""
        wildcard = [sock.getsockname()[0] in WILDCARDS for sock in self._sockets]
        self._misses.start(reactor)
        self._plane.start([sock.fileno() for sock in self._sockets], wildcard)

    def stop(self, reactor: Reactor) -> None:
        """See ``Datagrams.stop``."""
        self._plane.stop()
        self._misses.stop(reactor)
        for sock in self._sockets:
            sock.close()
