"""TCP (RFC 7766): two octets of length before each message, queries pipelined, replies in their order.

1. What a client has not read holds up what it may ask: beyond ``TURN`` octets of replies that wait, no more
   queries are answered or read.  So a connection keeps one unfinished query and one reply, 64 KiB each at the
   most, and a turn's worth beside either.
2. Only a whole query counts as activity, so that a client cannot hold a connection octet by octet.
3. When all connections are taken, the one idle for longest gives way to the new one: a stranger who opens
   many costs others a reconnect, not their service.
4. No more than ``TURN`` octets are read before others have their turn: some 200 queries at the most, which
   take some 5 ms.
5. An idle connection is closed in order, so that a client which keeps connections sees its end and not an
   error.  One whose client does not read, or that has to give way, is reset: it must not linger.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.policies import TimeoutMixin
from zope.interface import implementer

from skydns_py.dataplane.counters import Counters
from skydns_py.server.handler import Handler

SHORTEST = 12
"""Octets of a DNS header: a shorter message means that the length octets are out of step."""
TURN = 4096
"""Octets read from a client before others have their turn, and of replies that wait for it to read them."""


@implementer(IPushProducer, IHalfCloseableProtocol)
class Stream(Protocol, TimeoutMixin):
    """One connection."""

    transport: Any
    """Twisted's TCP connection, whose interfaces the type checker cannot follow."""

    def __init__(self, factory: "StreamFactory") -> None:
        self._factory = factory
        self._host = ""
        self._buffer = b""
        self._paused = False
        self._ending = False
        self._closing = False

    def connectionMade(self) -> None:
        """Take a place, which may cost an idle connection its own."""
        self._host = self.transport.getPeer().host
        self.transport.bufferSize = TURN
        self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        self.setTimeout(self._factory.idle_seconds)  # type: ignore[no-untyped-call]  # Twisted's, untyped
        self._factory.admit(self)

    def dataReceived(self, data: bytes) -> None:
        """Answer every whole message, as long as the replies are being read."""
        self._buffer += data
        self._serve()

    def pauseProducing(self) -> None:
        """The client does not read its replies: answer and read no more (rule 1)."""
        self._paused = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """The client has read its replies."""
        self._paused = False
        self.transport.resumeProducing()
        self._serve()

    def stopProducing(self) -> None:
        """The connection is gone; ``connectionLost`` follows."""

    def readConnectionLost(self) -> None:
        """The client has sent its last query: what it asked is answered before the end."""
        self._ending = True
        self._serve()

    def writeConnectionLost(self) -> None:
        """We never close one half alone."""

    def timeoutConnection(self) -> None:
        """Idle for too long (rule 5)."""
        if self._paused or self._closing:
            self.give_way()
        else:
            self.setTimeout(self._factory.idle_seconds)  # type: ignore[no-untyped-call]  # Twisted's, untyped
            self._close()

    def give_way(self) -> None:
        """End now, whatever waits to be read or written."""
        self.transport.abortConnection()

    def connectionLost(self, reason: object = None) -> None:
        """Free the place."""
        self.setTimeout(None)  # type: ignore[no-untyped-call]  # Twisted's, untyped
        self._factory.release(self)

    def _serve(self) -> None:
        at, buffer = 0, self._buffer
        while not self._paused and len(buffer) >= at + 2:
            end = at + 2 + int.from_bytes(buffer[at : at + 2])
            if end - at - 2 < SHORTEST:
                self.give_way()
                return
            if len(buffer) < end:
                break
            self._answer(buffer[at + 2 : end])
            at = end
        self._buffer = buffer[at:]
        if self._ending and not self._paused and not self._closing:
            self._close()

    def _close(self) -> None:
        """End once the replies are written; the idle timer goes on running meanwhile."""
        self._closing = True
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def _answer(self, message: bytes) -> None:
        self.resetTimeout()  # type: ignore[no-untyped-call]  # Twisted's, untyped
        self._factory.touch(self)
        reply = self._factory.handler.handle(message, self._host, stream=True)
        if reply is not None:
            self._factory.counters.rcodes[reply[3] & 15] += 1
            self.transport.write(len(reply).to_bytes(2) + reply)


@dataclass(eq=False)
class StreamFactory(Factory):
    """The connections of one or more listening sockets, ``max_connections`` of them at the most."""

    handler: Handler
    counters: Counters
    max_connections: int
    idle_seconds: float
    _open: "OrderedDict[Stream, None]" = field(default_factory=OrderedDict)

    noisy = False

    def buildProtocol(self, addr: IAddress | None) -> Stream:
        """A connection of its own for each client."""
        return Stream(self)

    def admit(self, stream: Stream) -> None:
        """A connection is made; the one idle for longest may have to go (rule 3)."""
        self._open[stream] = None
        if len(self._open) > self.max_connections:
            self.counters.tcp_evicted += 1
            oldest, _ = self._open.popitem(last=False)
            oldest.give_way()
        self.counters.tcp_connections = len(self._open)

    def touch(self, stream: Stream) -> None:
        """A whole query came."""
        self.counters.tcp += 1
        if stream in self._open:
            self._open.move_to_end(stream)

    def release(self, stream: Stream) -> None:
        """A connection is gone."""
        self._open.pop(stream, None)
        self.counters.tcp_connections = len(self._open)
