"""``/health``, ``/ready`` and ``/metrics`` over HTTP/1.1 (RFC 9112), each where the configuration puts it.

Three pages of plain text for probes and Prometheus, one request a connection.  Twisted's web server would do,
but importing it costs a tenth of the whole start and 4 MB, which is why this is here.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver
from twisted.protocols.policies import TimeoutMixin

Answer = Callable[[], tuple[int, str]]
"""A page: its HTTP status and its text."""


class Reply(NamedTuple):
    """What a visit is answered: status, text, its media type, and further header lines."""

    status: int
    text: str
    kind: str = "text/plain; version=0.0.4; charset=utf-8"
    headers: tuple[str, ...] = ()


SECONDS = 10
"""A request takes no longer; a stranger who dawdles holds one descriptor for that long."""
HEADERS = 100
"""Header lines of a request, at most 8 KiB each; who sends more is cut off."""


class Visit(LineReceiver, TimeoutMixin):
    """One connection, one request: its headers are read and not looked at."""

    MAX_LENGTH = 8192
    transport: Any
    """Twisted's TCP connection, whose interfaces the type checker cannot follow."""

    def __init__(self, reply: Callable[[str], Reply]) -> None:
        """``reply`` is given what was asked for, as ``/ready?now``."""
        self._ask = reply
        self._request = b""
        self._headers = 0

    def connectionMade(self) -> None:  # noqa: N802  # the name is Twisted's
        """Wait for a request, but not for long."""
        self.setTimeout(SECONDS)  # type: ignore[no-untyped-call]  # Twisted's, untyped

    def lineReceived(self, line: bytes) -> None:  # noqa: N802  # the name is Twisted's
        """The request line, header lines, and the empty line that ends them."""
        self._headers += 1
        if not self._request:
            self._request = line
        elif not line:
            self._reply()
        elif self._headers > HEADERS:
            self.transport.abortConnection()

    def connectionLost(self, reason: object = None) -> None:  # noqa: ARG002, N802  # Twisted's signature
        """Nobody waits any more."""
        self.setTimeout(None)  # type: ignore[no-untyped-call]  # Twisted's, untyped

    def _reply(self) -> None:
        method, _, rest = self._request.decode("latin-1").partition(" ")
        reply = self._ask(rest.partition(" ")[0]) if method in ("GET", "HEAD") else _WRONG_METHOD
        body = reply.text.encode()
        lines = (
            f"HTTP/1.1 {reply.status:d} {HTTPStatus(reply.status).phrase}",
            f"Content-Type: {reply.kind}",
            *reply.headers,
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        head = "".join(f"{line}\r\n" for line in (*lines, ""))
        self.transport.write(head.encode() + (b"" if method == "HEAD" else body))
        self.transport.loseConnection()


_WRONG_METHOD = Reply(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD\n")


class Site(Factory):
    """Pages by path, as ``{"ready": …}``."""

    noisy = False

    def __init__(self, pages: Mapping[str, Answer]) -> None:
        self._pages = pages

    def buildProtocol(self, addr: object) -> Visit:  # noqa: ARG002, N802  # Twisted's signature
        """A visit for each connection."""
        return Visit(self._page)

    def _page(self, target: str) -> Reply:
        answer = self._pages.get(target.partition("?")[0].removeprefix("/"))
        return Reply(*answer()) if answer else Reply(HTTPStatus.NOT_FOUND, "no such page\n")
