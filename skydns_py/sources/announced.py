"""Follows what ``skydns portal`` on this node says is in the kernel (``portal/announce`` has the format)."""

import logging
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from twisted.internet.protocol import ReconnectingClientFactory
from twisted.protocols.basic import LineOnlyReceiver

from skydns_py.cluster.objects import Address
from skydns_py.cluster.state import Key

log = logging.getLogger("skydns")

Programmed = Callable[[Key, frozenset[Address]], object]


class Announced(ReconnectingClientFactory):
    """``programmed`` is called for each Service; ``caught_up`` after the first of them and each change.

    While nobody announces, what was said last holds: rules stay when their programmer ends.
    """

    noisy = False
    initialDelay = 0.1  # noqa: N815 -- Twisted's name
    maxDelay = 1  # noqa: N815 -- likewise

    def __init__(self, programmed: Programmed, caught_up: Callable[[], object]) -> None:
        self._programmed = programmed
        self.caught_up = caught_up
        self._known: set[Key] = set()

    def start(self, path: str, reactor: Any) -> None:
        """Connect to the socket at ``path``, and again whenever that ends."""
        reactor.connectUNIX(path, self)

    def stop(self) -> None:
        """Connect no more."""
        self.stopTrying()  # type: ignore[no-untyped-call]  # Twisted's, untyped

    def buildProtocol(self, addr: object) -> "Lines":  # noqa: ARG002, N802  # Twisted's signature
        """One connection."""
        self.resetDelay()  # type: ignore[no-untyped-call]  # likewise
        return Lines(self)

    def say(self, key: Key, addresses: frozenset[Address]) -> None:
        """The Service has these portal IPs in the kernel."""
        (self._known.add if addresses else self._known.discard)(key)
        self._programmed(key, addresses)

    def only(self, keys: set[Key]) -> None:
        """There are no others."""
        for key in self._known - keys:
            self.say(key, frozenset())


class Lines(LineOnlyReceiver):
    """One connection to the programmer."""

    delimiter = b"\n"
    MAX_LENGTH = 4096

    def __init__(self, announced: Announced) -> None:
        self._announced = announced
        self._listed: set[Key] = set()

    def lineReceived(self, line: bytes) -> None:  # noqa: N802  # the name is Twisted's
        """A Service, or the end of what was there from the start."""
        if line == b".":
            self._announced.only(self._listed)
        else:
            namespace, name, texts = line.decode().split(" ")
            addresses = frozenset(ip_address(text).packed for text in texts.split(",") if text)
            (self._listed.add if addresses else self._listed.discard)((namespace, name))
            self._announced.say((namespace, name), addresses)
        self._announced.caught_up()
