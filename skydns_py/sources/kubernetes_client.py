"""A small client of the Kubernetes API: JSON calls and watches over one kept-alive connection, blocking.

1. A request is sent a second time by itself only where that is safe: a GET whose kept-alive connection
   turned out to be closed before any answer came.  Before anything else is sent on an idle connection,
   one that has ended is put away: nothing was sent on it, so nothing can be done twice.
2. ``call`` has one deadline, for connecting, sending and the whole answer: who renews a lease must know in
   time.  ``stream`` has one for the head of its answer, then bounds only silence.
3. The token is read from its file for each new connection and whenever the file has changed: service
   account tokens are rotated while a connection lasts.
4. All that a server says is bounded and, in a message, made one printable line.  No message has a token.
"""

import http.client
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from skydns_py import __version__
from skydns_py.errors import StoreError
from skydns_py.sources.kubernetes_access import Access, tls_context
from skydns_py.sources.kubernetes_answer import (
    Answer,
    ApiError,
    Unusable,
    bounded,
    document,
    lines,
    refusal,
    why,
)
from skydns_py.sources.kubernetes_connection import Connection, Token

__all__ = ["ApiClient", "ApiError"]

_AGENT = f"skydns_py/{__version__}"
_WENT_AWAY = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)
"""What a request meets on a connection that the server had ended."""


class ApiClient:
    """One kept-alive connection to the API server; for one thread at a time, ``close`` from any.

    ``seconds`` bounds each call, from connecting to the last byte of its answer.  Raises ConfigError
    where a certificate, key or token of ``access`` is none.
    """

    def __init__(self, access: Access, seconds: float) -> None:
        self._url = urlsplit(access.server)
        self._context = tls_context(access) if self._url.scheme == "https" else None
        self._tls_name = access.tls_name
        self._seconds = seconds
        self._token = Token(access)
        self._lock = threading.Lock()
        self._idle: Connection | None = None
        self._used: set[Connection] = set()
        self._closed = False

    def call(
        self, method: str, path: str, body: object = None, *, kind: str = "application/json"
    ) -> dict[str, Any]:
        """Send one request, its path with the query, and return the JSON object it is answered with.

        ``body`` is sent as JSON of the media type ``kind``.  Raises ApiError, StoreError.
        """
        content = None if body is None else json.dumps(body).encode()
        request = _Request(method, path, content, kind)
        deadline = time.monotonic() + self._seconds
        with (
            self._errors(request, self._seconds),
            self._exchange(request, deadline) as (connection, response),
        ):
            whole = b"".join(bounded(connection.pieces(response, deadline)))
            return document(whole, Answer.of(response).kind)

    def stream(self, path: str, seconds: float) -> Iterator[dict[str, Any]]:
        """A watch: one JSON document a line as it comes; ends when the server ends it.

        Raises ApiError where it is refused, StoreError where it breaks or nothing came for ``seconds``.
        Leave it before its end by closing the iterator; its connection ends with it.
        """
        request = _Request("GET", path)
        deadline = time.monotonic() + self._seconds
        with (
            self._errors(request, self._seconds),
            self._exchange(request, deadline) as (connection, response),
        ):
            connection.limit(seconds)
            with self._errors(request, seconds):
                kind = Answer.of(response).kind
                for line in lines(connection.pieces(response, None)):
                    yield document(line, kind)
                self._refuse_if_closed()

    def close(self) -> None:
        """Break off whatever is under way, from any thread; whatever is asked later fails."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, None
            used = list(self._used)
        if idle is not None:
            idle.close()
        for connection in used:
            connection.break_off()

    @contextmanager
    def _exchange(
        self, request: "_Request", deadline: float
    ) -> Iterator[tuple[Connection, http.client.HTTPResponse]]:
        """A request sent, and the head of its answer; ApiError unless it is a success."""
        connection, response = self._ask(request, deadline)
        try:
            if not 200 <= response.status < 300:
                raise refusal(str(request), Answer.of(response), connection.pieces(response, deadline))
            yield connection, response
        finally:
            self._put_away(connection, response)

    def _ask(self, request: "_Request", deadline: float) -> tuple[Connection, http.client.HTTPResponse]:
        """On the idle connection where there is one; where there is none, or it had ended, on a new one."""
        idle = self._take_idle()
        if idle is not None:
            try:
                return idle, self._send(idle, request, deadline)
            except _WENT_AWAY:
                if request.method != "GET":
                    raise
        fresh = self._connect(deadline)
        return fresh, self._send(fresh, request, deadline)

    def _send(self, connection: Connection, request: "_Request", deadline: float) -> http.client.HTTPResponse:
        try:
            connection.until(deadline)
            path = self._url.path.rstrip("/") + request.path
            with suppress(BrokenPipeError, ssl.SSLEOFError):  # it may have said why before it stopped reading
                connection.request(request.method, path, request.content, self._headers(request))
            return connection.getresponse()
        except BaseException:
            self._drop(connection)
            raise

    def _headers(self, request: "_Request") -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": _AGENT}
        if request.content is not None:
            headers["Content-Type"] = request.kind
        token = self._token.current()
        return {**headers, "Authorization": f"Bearer {token}"} if token else headers

    def _connect(self, deadline: float) -> Connection:
        connection = Connection(self._url.hostname or "", self._url.port, self._context)
        with self._lock:
            self._refuse_if_closed()
            self._used.add(connection)
        try:
            connection.open(deadline, self._tls_name)
        except BaseException:
            self._drop(connection)
            raise
        self._token.forget()
        return connection

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise ConnectionAbortedError

    def _take_idle(self) -> Connection | None:
        with self._lock:
            connection, self._idle = self._idle, None
            if connection is None:
                return None
            self._used.add(connection)
        if connection.is_usable():
            return connection
        self._drop(connection)
        return None

    def _put_away(self, connection: Connection, response: http.client.HTTPResponse) -> None:
        """Keep a connection whose answer was read to its end; close any other."""
        whole = response.isclosed() and not response.will_close
        response.close()
        connection.idle_since = time.monotonic()
        with self._lock:
            kept = whole and not self._closed and self._idle is None
            if kept:
                self._used.discard(connection)
                self._idle = connection
        if not kept:
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        with self._lock:
            self._used.discard(connection)
        connection.close()

    @contextmanager
    def _errors(self, request: "_Request", seconds: float) -> Iterator[None]:
        """Every failure of the connection as a StoreError of one line."""
        try:
            yield
        except (OSError, http.client.HTTPException, ValueError, Unusable) as error:
            reason = "the client was closed" if self._closed else why(error, seconds)
            server = f"{self._url.scheme}://{self._url.netloc}"
            raise StoreError(f"{request} at {server}: {reason}") from None


@dataclass(frozen=True, slots=True)
class _Request:
    """What is asked; its text is the method and the path without the query."""

    method: str
    path: str
    content: bytes | None = None
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.path.partition('?')[0]}"
