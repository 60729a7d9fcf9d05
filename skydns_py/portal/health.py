"""``healthCheckNodePort``: tells an external load balancer whether this node has endpoints of a Service.

One HTTP/1.1 listener a port, one request a connection (RFC 9112), whatever the path.  200 where the Service
has ready endpoints on this node and the programmer is healthy, else 503; the body and the weight header are
those that kube-proxy documents (KEP-1669, KEP-3836).
"""

import errno
import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver
from twisted.protocols.policies import TimeoutMixin

log = logging.getLogger(__name__)

State = tuple[str, str, int]
"""Namespace and name of a Service, and how many ready endpoints it has on this node."""
SECONDS = 10
"""A request takes no longer; a stranger who dawdles holds one descriptor for that long."""
HEADERS = 100
"""Header lines of a request, at most 8 KiB each; who sends more is cut off."""
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class HealthPorts:
    """The listeners of a node; ``healthy`` is whether the programmer keeps the rules current."""

    def __init__(self, reactor: Any) -> None:
        self.healthy = True
        self._reactor = reactor
        self._states: dict[int, State] = {}
        self._open: dict[int, Any] = {}
        self._refused: set[int] = set()

    def set(self, wanted: Mapping[int, State]) -> None:
        """From now on these ports answer, on all addresses, each for its Service; the others are closed.

        A port that cannot be had is a warning, once, and tried again at the next call.
        """
        self._states = dict(wanted)
        for port in self._open.keys() - wanted.keys():
            self._open.pop(port).stopListening()
        self._refused &= wanted.keys()
        for port in sorted(wanted.keys() - self._open.keys()):
            self._listen(port)

    def answer(self, port: int) -> tuple[int, int, str]:
        """Status, weight and JSON body of a port at this moment."""
        namespace, name, ready = self._states.get(port, ("", "", 0))
        body = {
            "service": {"namespace": namespace, "name": name},
            "localEndpoints": ready,
            "serviceProxyHealthy": self.healthy,
        }
        good = ready > 0 and self.healthy
        return (HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE), ready, json.dumps(body)

    def _listen(self, port: int) -> None:
        site = Site(self, port)
        try:
            try:
                self._open[port] = self._reactor.listenTCP(port, site, interface="::")
            except CannotListenError as error:
                if getattr(error.socketError, "errno", None) not in _NO_IPV6:
                    raise
                self._open[port] = self._reactor.listenTCP(port, site)
        except CannotListenError as error:
            self._warn(port, error)
        else:
            self._refused.discard(port)

    def _warn(self, port: int, error: CannotListenError) -> None:
        if port not in self._refused:
            self._refused.add(port)
            owner = "/".join(self._states[port][:2])
            log.warning("health check port %d of %s: %s; free it", port, owner, error.socketError)


class Visit(LineReceiver, TimeoutMixin):
    """One connection, one request: its headers are read and not looked at."""

    MAX_LENGTH = 8192
    transport: Any
    """Twisted's TCP connection, whose interfaces the type checker cannot follow."""

    def __init__(self, ports: HealthPorts, port: int) -> None:
        self._ports = ports
        self._port = port
        self._method = b""
        self._lines = 0

    def connectionMade(self) -> None:  # noqa: N802  # the name is Twisted's
        """Wait for a request, but not for long."""
        self.setTimeout(SECONDS)  # type: ignore[no-untyped-call]  # Twisted's, untyped

    def lineReceived(self, line: bytes) -> None:  # noqa: N802  # the name is Twisted's
        """The request line, header lines, and the empty line that ends them."""
        self._lines += 1
        if not self._method:
            self._method = line.partition(b" ")[0]
        elif not line:
            self._reply()
        elif self._lines > HEADERS:
            self.transport.abortConnection()

    def connectionLost(self, reason: object = None) -> None:  # noqa: ARG002, N802  # Twisted's signature
        """Nobody waits any more."""
        self.setTimeout(None)  # type: ignore[no-untyped-call]  # Twisted's, untyped

    def _reply(self) -> None:
        status, weight, text = self._ports.answer(self._port)
        body = text.encode()
        head = (
            f"HTTP/1.1 {status:d} {HTTPStatus(status).phrase}\r\n"
            "Content-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n"
            f"X-Load-Balancing-Endpoint-Weight: {weight}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + (b"" if self._method == b"HEAD" else body))
        self.transport.loseConnection()


class Site(Factory):
    """The page of one port."""

    noisy = False

    def __init__(self, ports: HealthPorts, port: int) -> None:
        self._ports = ports
        self._port = port

    def buildProtocol(self, addr: object) -> Visit:  # noqa: ARG002, N802  # Twisted's signature
        """A visit for each connection."""
        return Visit(self._ports, self._port)
