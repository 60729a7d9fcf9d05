"""What the native data plane passes on: questions that come by a ring, and their replies by its sockets.

``Misses`` is a reactor reader on the ring's event.  Every question waits at most for one turn of the
reactor and those before it; the ring keeps the newest when it is full.
"""

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.interfaces import IReadDescriptor
from zope.interface import implementer

from skydns_py.server.handler import Handler
from skydns_py.server.udp import Reactor

BATCH = 64
"""Questions answered before the reactor has its turn: some 3 ms of the slow path."""


class Miss(Protocol):
    """One question that was passed on."""

    @property
    def packet(self) -> bytes:
        """Its octets."""

    @property
    def host_text(self) -> str:
        """The client's address."""


class Plane(Protocol):
    """The part of ``NativeTable`` that serves."""

    def start(self, fds: list[int], wildcard: list[bool]) -> None:
        """Serve each socket with a thread of its own."""

    def stop(self) -> None:
        """End the threads."""

    def fileno(self) -> int:
        """A descriptor that is readable while questions wait."""

    def misses(self, most: int) -> Sequence[Miss]:
        """Take what waits, ``most`` at the most."""

    def send(self, reply: bytes, miss: Miss) -> None:
        """Send the reply from where the question came to."""


@implementer(IReadDescriptor)
class Misses:
    """Answers what a plane passes on."""

    def __init__(self, plane: Plane, handler: Handler) -> None:
        self._plane = plane
        self._handler = handler

    def start(self, reactor: Reactor) -> None:
        """Answer until ``stop``."""
        reactor.addReader(self)

    def stop(self, reactor: Reactor) -> None:
        """Answer no more."""
        reactor.removeReader(self)

    def fileno(self) -> int:
        """The descriptor the reactor waits on."""
        return self._plane.fileno()

    def logPrefix(self) -> str:
        """How the reactor calls this in its log."""
        return "misses"

    def connectionLost(self, reason: object) -> None:
        """The reactor stops; the plane keeps its descriptor."""

    def doRead(self) -> None:
        """Answer a batch of what waits."""
        for miss in self._plane.misses(BATCH):
            reply = self._handler.handle(miss.packet, miss.host_text, stream=False)
            if reply is not None:
                self._plane.send(reply, miss)
