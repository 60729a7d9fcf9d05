"""The sample cluster behind TLS and HTTPS too, and clients that talk to them: blocking sockets in TLS."""

import base64
import itertools
import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h2.config
import h2.connection
import h2.events
from twisted.internet import defer, reactor

from skydns_py.dataplane.counters import Counters
from skydns_py.feed import Feed
from skydns_py.server.doh import NoQuery, Reply, Request, Resource
from skydns_py.server.encrypted import open_encrypted
from skydns_py.server.http1 import Http1
from skydns_py.server.http2 import Http2
from skydns_py.settings import HostPort, HttpsSettings, Settings, TlsSettings
from tests import needs
from tests.reactor import run_in_reactor
from tests.server.listening import SECONDS, Connection, Listening

ANY_PORT = (HostPort("127.0.0.1", 0),)
PATH = "/dns-query"
MEDIA_TYPE = "application/dns-message"
DNS = {"content-type": MEDIA_TYPE}


class Secure(Listening):
    """``Listening`` on 127.0.0.1, with TLS and HTTPS beside it."""

    def __init__(self, feed: Feed, cert: Path, key: Path, ca: Path, **limits: Any) -> None:
        super().__init__(feed, ("127.0.0.1",), **limits)
        self.cert, self.key, self.ca = cert, key, ca

    def _start(self) -> None:
        super()._start()
        tls = TlsSettings(ANY_PORT, str(self.cert), str(self.key))
        found = Settings(tls=tls, https=HttpsSettings(ANY_PORT))
        self.encrypted = open_encrypted(found, self._handler, self.factory.places, reactor, 50)
        self.tls_port, self.https_port = (self.encrypted[name][0].getHost().port for name in ("TLS", "HTTPS"))

    def _stop(self) -> Any:
        ports = [port for ports in self.encrypted.values() for port in ports]
        closing = [defer.maybeDeferred(port.stopListening) for port in ports]
        return defer.gatherResults([*closing, super()._stop()])

    def context(self, *alpn: str) -> ssl.SSLContext:
        """A client's, which trusts the authority and nobody else."""
        context = ssl.create_default_context(cafile=str(self.ca))
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    def tls(self, source: str = "", context: ssl.SSLContext | None = None, **how: Any) -> "TlsConnection":
        """A client of DNS over TLS, after its handshake."""
        return TlsConnection(self.tls_port, context or self.context("dot"), source, **how)

    def http1(self, source: str = "") -> "Http1Client":
        """A client of HTTP/1.1."""
        return Http1Client(self.https_port, self.context("http/1.1"), source)

    def http2(self, source: str = "", **how: Any) -> "Http2Client":
        """A client of HTTP/2."""
        return Http2Client(self.https_port, self.context("h2"), source, **how)


class TlsConnection(Connection):
    """``Connection`` within TLS."""

    def __init__(self, port: int, context: ssl.SSLContext, source: str = "", **how: Any) -> None:
        super().__init__("127.0.0.1", port, source, **how)
        self._file.close()
        plain = self.socket
        try:
            self.socket = context.wrap_socket(plain, server_hostname="127.0.0.1")
        except BaseException:
            plain.close()
            raise
        self._file = self.socket.makefile("rb")

    @property
    def tls(self) -> ssl.SSLSocket:
        assert isinstance(self.socket, ssl.SSLSocket)
        return self.socket


def until(holds: Callable[[], bool]) -> None:
    """Let the reactor turn until this holds, as seen on its thread."""
    deadline = time.monotonic() + SECONDS
    while not run_in_reactor(holds):
        assert time.monotonic() < deadline, "it never held"


def replies(server: Secure, client: Any, ask: Callable[[bytes], Any], packets: list[bytes]) -> list[Any]:
    """The replies that ``ask`` of the client gives, from turn 0 of the rotation on."""
    with client:
        run_in_reactor(setattr, server.feed.responder, "turns", itertools.count())
        return [ask(packet) for packet in packets]


def run(*command: str) -> str:
    """What a real client prints; it must succeed."""
    program = needs.which(command[0])
    assert program
    made = subprocess.run([program, *command[1:]], capture_output=True, timeout=30, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout.decode("latin-1")


def stuff(client: Connection, octets: bytes) -> None:
    """Send these over and over, and read nothing, until the server takes no more."""
    client.socket.settimeout(0.2)
    for _ in range(100_000):
        try:
            client.send_octets(octets)
        except TimeoutError:
            return
    raise AssertionError("it takes everything")


class Answer(NamedTuple):
    """What a request was replied; header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes


def encoded(message: bytes) -> str:
    """As ``dns=`` takes it (RFC 8484 section 6)."""
    return base64.urlsafe_b64encode(message).rstrip(b"=").decode()


class Http1Client(TlsConnection):
    """HTTP/1.1 by hand, so that anything can be wrong with it."""

    def get(self, message: bytes) -> Answer:
        return self.request("GET", f"{PATH}?dns={encoded(message)}")

    def post(self, message: bytes) -> Answer:
        return self.request("POST", PATH, message, DNS)

    def request(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        length = {"content-length": str(len(body))} if body or method == "POST" else {}
        fields = {"host": "dns.example", **length, **(headers or {})}
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        self.send_octets("\r\n".join([*lines, "", ""]).encode() + body)
        return self.read(bare=method == "HEAD")

    def read(self, *, bare: bool = False) -> Answer:
        """The next answer."""
        version, status, _ = self._file.readline().decode().split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {}
        while line := self._file.readline().decode().strip():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        body = b"" if bare or int(status) < 200 else self._file.read(int(headers["content-length"]))
        return Answer(int(status), headers, body)


class Http2Client(TlsConnection):
    """HTTP/2 by ``h2``; ``window`` is what it lets each stream send, ``gives`` whether it gives more."""

    def __init__(
        self, port: int, context: ssl.SSLContext, source: str = "", *, window: int = 65535, gives: bool = True
    ) -> None:
        super().__init__(port, context, source)
        assert self.tls.selected_alpn_protocol() == "h2"
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="ascii"))
        self.gives = gives
        self.events: list[h2.events.Event] = []
        self.h2.initiate_connection()
        self.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.flush()

    def flush(self) -> None:
        self.send_octets(self.h2.data_to_send())

    def ask(self, message: bytes) -> bytes:
        return self.post(message).body

    def get(self, message: bytes) -> Answer:
        return self.request("GET", f"{PATH}?dns={encoded(message)}")

    def post(self, message: bytes) -> Answer:
        return self.request("POST", PATH, message, DNS)

    def request(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        return self.answer(self.begin(method, target, body, headers))

    def begin(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> int:
        """Send a request; the stream to ask ``answer`` for."""
        stream = self.h2.get_next_available_stream_id()
        pseudo = {":method": method, ":scheme": "https", ":authority": "dns.example", ":path": target}
        self.h2.send_headers(stream, list((pseudo | (headers or {})).items()), end_stream=not body)
        while body:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if not room:
                self.flush()
                self.pump()
                continue
            part, body = body[:room], body[room:]
            self.h2.send_data(stream, part, end_stream=not body)
        self.flush()
        return stream

    def pump(self) -> None:
        """Take what has come; AssertionError at the end of the connection."""
        data = self.socket.recv(65536)
        assert data, "the connection has ended"
        for event in self.h2.receive_data(data):
            self.events.append(event)
            if isinstance(event, h2.events.DataReceived) and self.gives:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.flush()

    def answer(self, stream: int) -> Answer:
        """The whole answer on a stream."""
        self.await_event(h2.events.StreamEnded, stream)
        mine = [event for event in self.events if getattr(event, "stream_id", 0) == stream]
        (head,) = (event for event in mine if isinstance(event, h2.events.ResponseReceived))
        headers: dict[str, str] = dict(head.headers)  # type: ignore[arg-type]  # decoded, as configured
        body = b"".join(event.data for event in mine if isinstance(event, h2.events.DataReceived))
        return Answer(int(headers.pop(":status")), headers, body)

    def await_event(self, kind: type[h2.events.Event], stream: int = 0) -> Any:
        """The first such event, on the stream."""
        while True:
            for event in self.events:
                if isinstance(event, kind) and getattr(event, "stream_id", 0) in (stream, None):
                    return event
            self.pump()


class Recording:
    """A channel without a connection."""

    turn_octets = 1024

    def __init__(self, resource: Resource) -> None:
        self.paused = False
        self.sent = b""
        self.closed = False
        self._resource = resource

    def answer(self, request: Request) -> Reply:
        return self._resource.reply(request, "192.0.2.1")

    def refuse(self, error: NoQuery) -> Reply:
        return error.reply

    def write(self, octets: bytes) -> None:
        assert not self.closed
        self.sent += octets

    def close(self) -> None:
        self.closed = self.paused = True


def spoken(kind: type[Http1] | type[Http2], pieces: list[bytes]) -> Recording:
    """What is sent to one who sends these pieces."""
    counters = Counters()
    channel = Recording(Resource(PATH, lambda message, _: message[:2] + bytes(10), counters))
    http = kind(channel)
    for piece in pieces:
        http.receive(piece)
        while not channel.closed and http.serve():
            pass
        if channel.closed:
            break
    return channel
