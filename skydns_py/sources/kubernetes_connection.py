"""One connection to the API server that another thread can break off, and the token that is shown on it.

Breaking off shuts the socket down and leaves its descriptor to the thread that uses it: a descriptor closed
under a reader may belong to another connection by the time it reads on.  While a host name is looked up
there is nothing to shut down; the thread notices after that.
"""

import http.client
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

from skydns_py.errors import ConfigError, StoreError
from skydns_py.sources.kubernetes_access import Access, is_token

IDLE_SECONDS = 60.0
"""How long a connection may lie idle and be used again: routers and load balancers forget one after some
minutes without telling, the API server ends it after 90 s."""
_LONGEST_TOKEN = 1 << 16
_PIECE = 1 << 16


class Connection(http.client.HTTPConnection):
    """HTTP/1.1 over TCP or TLS; whoever opens it closes it, anyone may ``break_off``."""

    auto_open = 0

    def __init__(self, host: str, port: int | None, context: ssl.SSLContext | None) -> None:
        self.default_port = 443 if context else 80
        super().__init__(host, port)
        self.idle_since = 0.0
        self._context = context
        self._guard = threading.Lock()
        self._broken_off = False
        self._socket: socket.socket | None = None

    def open(self, deadline: float, tls_name: str) -> None:
        """Connect to the first of the host's addresses that takes it, and shake hands; raises OSError."""
        connected = self._dial(deadline)
        self.sock = connected
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context is not None:
            name = tls_name or self.host
            secure = self._context.wrap_socket(connected, server_hostname=name, do_handshake_on_connect=False)
            self.sock = secure
            self._hold(secure)
            self.until(deadline)
            secure.do_handshake()

    def until(self, deadline: float) -> None:
        """Whatever is waited for next is waited for no longer than this, in ``time.monotonic`` seconds."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.limit(left)

    def limit(self, seconds: float) -> None:
        """Whatever is waited for next may take so long."""
        if self._socket is not None:
            self._socket.settimeout(seconds)

    def pieces(self, response: http.client.HTTPResponse, deadline: float | None) -> Iterator[bytes]:
        """An answer's body as it comes; IncompleteRead where it breaks, TimeoutError past the deadline."""
        while piece := response.read1(_PIECE):
            yield piece
            if deadline is not None:
                self.until(deadline)
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        response.read()  # read1 leaves a body of known length open at its end

    def is_usable(self) -> bool:
        """False where it lay idle for long, or the peer ended it or said something unasked."""
        if self._socket is None or time.monotonic() - self.idle_since > IDLE_SECONDS:
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def break_off(self) -> None:
        """End what another thread waits for."""
        with self._guard, suppress(OSError):
            self._broken_off = True
            if self._socket is not None:  # below TLS, whose state belongs to the other thread
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _dial(self, deadline: float) -> socket.socket:
        failure: OSError | None = None
        for family, kind, protocol, _, address in socket.getaddrinfo(
            self.host, self.port, type=socket.SOCK_STREAM
        ):
            candidate = socket.socket(family, kind, protocol)
            try:
                self._hold(candidate)
                self.until(deadline)
                candidate.connect(address)
                return candidate
            except OSError as error:
                candidate.close()
                failure = failure or error
        raise failure or ConnectionError

    def _hold(self, connected: socket.socket) -> None:
        with self._guard:
            self._socket = connected
            if self._broken_off:
                raise ConnectionAbortedError


class Token:
    """The bearer token, "" for none; from a file, as the file now is.

    While the file cannot be read the last token stands: a rotation replaces the file, and there is a
    moment between.  Raises ConfigError where the given token is none.
    """

    def __init__(self, access: Access) -> None:
        self._path = access.token_file
        self._value = access.token
        self._stamp: tuple[int, int, int] | None = None
        if access.token and not is_token(access.token):
            raise ConfigError("the token has characters that no bearer token has")

    def forget(self) -> None:
        """Read the file for the next request, changed or not."""
        self._stamp = None

    def current(self) -> str:
        """What to send now; StoreError where no token was ever read."""
        if self._path:
            try:
                self._read()
            except (OSError, ValueError) as error:
                if not self._value:
                    why = error.strerror if isinstance(error, OSError) else error
                    raise StoreError(f"{self._path}: {why}: no token to show the API server") from None
        return self._value

    def _read(self) -> None:
        now = os.stat(self._path)
        stamp = (now.st_mtime_ns, now.st_ino, now.st_size)
        if stamp == self._stamp:
            return
        with open(self._path, "rb") as file:
            value = file.read(_LONGEST_TOKEN).strip().decode("ascii", "replace")
        if not is_token(value):
            raise ValueError("holds no bearer token")
        self._value, self._stamp = value, stamp
