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

from skydns_py.ops.pages import Reply, Visit

log = logging.getLogger(__name__)

State = tuple[str, str, int]
"""Namespace and name of a Service, and how many ready endpoints it has on this node."""
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


class Site(Factory):
    """The page of one port."""

    noisy = False

    def __init__(self, ports: HealthPorts, port: int) -> None:
        self._ports = ports
        self._port = port

    def buildProtocol(self, addr: object) -> Visit:  # noqa: ARG002, N802  # Twisted's signature
        """A visit for each connection; whatever it asks for, the page is the same."""
        return Visit(self._page)

    def _page(self, target: str) -> Reply:  # noqa: ARG002 -- see above
        status, weight, text = self._ports.answer(self._port)
        headers = ("X-Content-Type-Options: nosniff", f"X-Load-Balancing-Endpoint-Weight: {weight}")
        return Reply(status, text, "application/json", headers)
