"""What every stream transport shares: a client's place, its idle time, and what it may hold up.

1. What a client has not read holds up what it may ask: beyond ``turn_octets`` of replies that wait, no more
   queries are answered or read.  So a connection keeps one unfinished query and one reply, 64 KiB each at the
   most, and a turn's worth beside either.
2. Only a whole query counts as activity, so that a client cannot hold a connection octet by octet.  A TLS
   handshake is none: one that never ends is an idle connection.
3. When all connections are taken, the one idle for longest gives way to the new one: a stranger who opens
   many costs others a reconnect, not their service.  TCP, TLS and HTTPS share the places, because each takes
   a descriptor, of which a process has only so many.
4. No more than ``turn_octets`` are read before others have their turn.  A TLS record brings 16 KiB at once;
   its replies wait after as many octets, by rule 1, and so do its other queries.
5. An idle connection is closed in order, so that a client which keeps connections sees its end and not an
   error.  One whose client does not read, or that has to give way, is reset: it must not linger.
"""

from collections import OrderedDict
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol
from twisted.protocols.policies import TimeoutMixin
from zope.interface import implementer

from skydns_py.dataplane.counters import Counters

TURN = 4096
"""Octets read from a client before others have their turn, and of replies that wait for it to read them: some
200 queries at the most, which take some 5 ms."""


class Places:
    """The open connections of all stream transports, ``max_connections`` of them at the most."""

    def __init__(self, counters: Counters, max_connections: int, idle_seconds: float) -> None:
        self.counters = counters
        self.idle_seconds = idle_seconds
        self.open: OrderedDict[Connection, None] = OrderedDict()
        self._max = max_connections

    def admit(self, connection: "Connection") -> None:
        """A connection is made; the one idle for longest may have to go (rule 3)."""
        self.open[connection] = None
        if len(self.open) > self._max:
            self.counters.tcp_evicted += 1
            oldest, _ = self.open.popitem(last=False)
            oldest.give_way()
        self.counters.tcp_connections = len(self.open)

    def touch(self, connection: "Connection") -> None:
        """A whole query came."""
        if connection in self.open:
            self.open.move_to_end(connection)

    def release(self, connection: "Connection") -> None:
        """A connection is gone."""
        self.open.pop(connection, None)
        self.counters.tcp_connections = len(self.open)


@implementer(IPushProducer, IHalfCloseableProtocol)
class Connection(Protocol, TimeoutMixin):
    """One connection; what is spoken over it fulfils ``serve``."""

    transport: Any
    """Twisted's TCP or TLS connection, whose interfaces the type checker cannot follow."""
    turn_octets = TURN

    def __init__(self, places: Places) -> None:
        self._places = places
        self._host = ""
        self._paused = False
        self._ending = False
        self._closing = False
        self._next: Any = None

    def serve(self) -> bool:
        """Answer what has come; whether some of it is left for another turn."""
        raise NotImplementedError

    def turn(self) -> None:
        """Answer as long as replies are being read; what is left, after others had their turn."""
        if self._paused or self._closing:
            return
        more = self.serve()
        if self._paused or self._closing:
            return
        if more:
            self._again()
        elif self._ending:
            self.close()

    def touch(self) -> None:
        """A whole query came (rule 2)."""
        self.resetTimeout()  # type: ignore[no-untyped-call]  # Twisted's, untyped
        self._places.touch(self)

    def connectionMade(self) -> None:
        """Take a place, which may cost an idle connection its own."""
        self._host = self.transport.getPeer().host
        plain = getattr(self.transport, "transport", self.transport)  # below TLS
        plain.bufferSize = self.turn_octets
        plain.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        self._wait()
        self._places.admit(self)

    def pauseProducing(self) -> None:
        """The client does not read its replies: answer and read no more (rule 1)."""
        self._paused = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """The client has read its replies."""
        self._paused = False
        self.transport.resumeProducing()
        self.turn()

    def stopProducing(self) -> None:
        """The connection is gone; ``connectionLost`` follows."""

    def readConnectionLost(self) -> None:
        """The client has sent its last query: what it asked is answered before the end."""
        self._ending = True
        self.turn()

    def writeConnectionLost(self) -> None:
        """We never close one half alone."""

    def timeoutConnection(self) -> None:
        """Idle for too long (rule 5)."""
        if self._paused or self._closing:
            self.give_way()
        else:
            self._wait()
            self.close()

    def give_way(self) -> None:
        """End now, whatever waits to be read or written."""
        self._closing = True
        self.transport.abortConnection()

    def close(self) -> None:
        """End once the replies are written; the idle timer goes on running meanwhile."""
        self._closing = True
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def connectionLost(self, reason: object = None) -> None:
        """Free the place."""
        self.setTimeout(None)  # type: ignore[no-untyped-call]  # Twisted's, untyped
        if self._next is not None:
            self._next.cancel()
        self._closing, self._next = True, None
        self._places.release(self)

    def _wait(self) -> None:
        self.setTimeout(self._places.idle_seconds)  # type: ignore[no-untyped-call]  # Twisted's, untyped

    def _again(self) -> None:
        if self._next is None:
            self._next = self.callLater(0, self._turn_again)  # type: ignore[no-untyped-call]  # Twisted's

    def _turn_again(self) -> None:
        self._next = None
        self.turn()
