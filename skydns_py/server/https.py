"""DNS over HTTPS (RFC 8484): the connection below HTTP/2 and HTTP/1.1, one of which ALPN chose (RFC 7301)."""

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from skydns_py.server.connection import Connection, Places
from skydns_py.server.doh import NoQuery, Reply, Request, Resource
from skydns_py.server.http1 import Http1
from skydns_py.server.http2 import Http2

PROTOCOLS = (b"h2", b"http/1.1")
"""Best first.  A client that names none is taken to speak HTTP/1.1."""


class Https(Connection):
    """One connection; which HTTP it speaks is known once its first octets come, and TLS is agreed on."""

    turn_octets = 1024
    """Less than elsewhere: a request costs ten times as much as a bare query."""

    def __init__(self, places: Places, resource: Resource) -> None:
        super().__init__(places)
        self._resource = resource
        self._http: Http1 | Http2 | None = None

    @property
    def paused(self) -> bool:
        """See ``Channel``."""
        return self._paused or self._closing

    def dataReceived(self, data: bytes) -> None:
        """Answer every whole request, as long as the replies are being read."""
        if self._closing:
            return
        if self._http is None:
            self._http = Http2(self) if self.transport.negotiatedProtocol == b"h2" else Http1(self)
        self._http.receive(data)
        self.turn()

    def serve(self) -> bool:
        """See ``Connection.serve``."""
        return self._http is not None and self._http.serve()

    def answer(self, request: Request) -> Reply:
        """See ``Channel``."""
        self.touch()
        return self._resource.reply(request, self._host)

    def refuse(self, error: NoQuery) -> Reply:
        """See ``Channel``."""
        return self._resource.count(error.reply)

    def write(self, octets: bytes) -> None:
        """See ``Channel``."""
        self.transport.write(octets)

    def close(self) -> None:
        """See ``Connection.close``; HTTP/2 is told before."""
        if self._http is not None and not self._closing:
            self._http.finish()
        if not self._closing:
            super().close()


class HttpsFactory(Factory):
    """The connections of one or more listening sockets."""

    noisy = False

    def __init__(self, places: Places, resource: Resource) -> None:
        self.places = places
        self._resource = resource

    def buildProtocol(self, addr: IAddress | None) -> Https:
        """A connection of its own for each client."""
        return Https(self.places, self._resource)
