"""TCP (RFC 7766): two octets of length before each message, queries pipelined, replies in their order.

DNS over TLS (RFC 7858) is the same within TLS; ``connection`` has the rules that hold for every stream.
"""

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from skydns_py.server.connection import Connection, Places
from skydns_py.server.handler import Handler

SHORTEST = 12
"""Octets of a DNS header: a shorter message means that the length octets are out of step."""


class Stream(Connection):
    """One connection."""

    def __init__(self, factory: "StreamFactory") -> None:
        super().__init__(factory.places)
        self._factory = factory
        self._buffer = b""

    def dataReceived(self, data: bytes) -> None:
        """Answer every whole message, as long as the replies are being read."""
        if self._closing:
            return
        self._buffer += data
        self.turn()

    def serve(self) -> bool:
        """See ``Connection.serve``; nothing is ever left for another turn but what waits for the client."""
        at, buffer = 0, self._buffer
        while not self._paused and len(buffer) >= at + 2:
            end = at + 2 + int.from_bytes(buffer[at : at + 2])
            if end - at - 2 < SHORTEST:
                self.give_way()
                return False
            if len(buffer) < end:
                break
            self._answer(buffer[at + 2 : end])
            at = end
        self._buffer = buffer[at:]
        return False

    def _answer(self, message: bytes) -> None:
        self.touch()
        reply = self._factory.answer(message, self._host)
        if reply is not None:
            self.transport.write(len(reply).to_bytes(2) + reply)


class StreamFactory(Factory):
    """The connections of one or more listening sockets."""

    noisy = False

    def __init__(self, handler: Handler, places: Places) -> None:
        self.places = places
        self._handler = handler

    def buildProtocol(self, addr: IAddress | None) -> Stream:
        """A connection of its own for each client."""
        return Stream(self)

    def answer(self, message: bytes, host: str) -> bytes | None:
        """The reply to the client at ``host``; None where none is due."""
        return self._handler.handle_stream(message, host)
