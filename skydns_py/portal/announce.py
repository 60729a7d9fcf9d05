"""Tells who listens on a local socket which portals are in the kernel; ``sources/announced`` reads it.

A line is namespace, name and the portal IPs that lead to endpoints (or are refused as they should be), with
commas between; without addresses the Service has no portal any more.  Whoever connects is told everything
first; then comes a line with a single dot, then what changes.
"""

import os
import stat
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory, Protocol

from skydns_py.cluster.objects import Address
from skydns_py.errors import ConfigError
from skydns_py.portal.plan.model import ServiceKey


class Announcer(Factory):
    """What is programmed, and who wants to know it."""

    noisy = False

    def __init__(self) -> None:
        self._known: dict[ServiceKey, tuple[Address, ...]] = {}
        self.listeners: set[Listener] = set()

    def programmed(self, services: Mapping[ServiceKey, tuple[Address, ...]]) -> None:
        """These Services have these portal IPs, in order, from now on."""
        news = {key: there for key, there in services.items() if self._known.get(key, ()) != there}
        self._known |= news
        for key in [key for key, there in news.items() if not there]:
            del self._known[key]
        lines = b"".join(_line(key, there) for key, there in news.items())
        for listener in tuple(self.listeners):
            listener.tell(lines)

    def everything(self) -> bytes:
        """The lines for who has just connected."""
        return b"".join(_line(key, there) for key, there in self._known.items()) + b".\n"

    def buildProtocol(self, addr: object) -> "Listener":  # noqa: ARG002, N802  # Twisted's signature
        """One that listens."""
        return Listener(self)


class Listener(Protocol):
    """A connection that is only written to. One that reads too slowly is told everything anew later."""

    transport: Any

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer
        self._paused = False

    def connectionMade(self) -> None:  # noqa: N802  # the name is Twisted's
        """Tell everything."""
        self._announcer.listeners.add(self)
        self.transport.registerProducer(self, True)
        self.tell(self._announcer.everything())

    def connectionLost(self, reason: object = None) -> None:  # noqa: ARG002, N802  # Twisted's signature
        """Tell nothing more."""
        self._announcer.listeners.discard(self)

    def tell(self, lines: bytes) -> None:
        """Write, unless much waits already."""
        if not self._paused:
            self.transport.write(lines)

    def pauseProducing(self) -> None:  # noqa: N802  # the name is Twisted's
        """Much waits."""
        self._paused = True

    def resumeProducing(self) -> None:  # noqa: N802  # the name is Twisted's
        """It has been read; what was left unsaid meanwhile is not known any more."""
        self._paused = False
        self.tell(self._announcer.everything())

    def stopProducing(self) -> None:  # noqa: N802  # the name is Twisted's
        """The connection ends."""


def announce_at(path: str, announcer: Announcer, reactor: Any) -> Any:
    """The listening port at ``path``; a socket that a killed programmer left there is replaced.

    Raises ConfigError where that cannot be.
    """
    try:
        if stat.S_ISSOCK(os.stat(path).st_mode):
            os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ConfigError(f"portal.announce: {path}: {error.strerror}") from None
    try:
        return reactor.listenUNIX(path, announcer, mode=0o600)
    except (CannotListenError, OSError) as error:
        raise ConfigError(f"portal.announce: cannot listen at {path}: {error}") from None


def _line(key: ServiceKey, addresses: tuple[Address, ...]) -> bytes:
    return f"{key[0]} {key[1]} {','.join(str(ip_address(each)) for each in addresses)}\n".encode()
