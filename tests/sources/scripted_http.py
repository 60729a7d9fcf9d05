"""An HTTP server that answers with whatever bytes a test gives it."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Self

import pytest

from skydns_py.errors import StoreError
from skydns_py.sources.kubernetes_access import Access
from skydns_py.sources.kubernetes_client import ApiClient

Script = Callable[[str], Iterator[bytes]]
"""From a request's first line to the bytes of its answer as they are sent; after b"" the connection ends."""


class ScriptedHttp:
    """Listens on 127.0.0.1. ``requests`` are the first lines that came, ``heads`` the whole heads."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.requests: list[str] = []
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.came = threading.Semaphore(0)

    @property
    def access(self) -> Access:
        return Access(f"http://127.0.0.1:{self._listener.getsockname()[1]}")

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *unused: object) -> None:
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection, connection.makefile("rb") as stream:
            while head := self._head(stream.readline):
                length = [each.split(":")[1] for each in head if each.lower().startswith("content-length:")]
                self.bodies.append(stream.read(int(length[0])) if length else b"")
                self.heads.append("\n".join(head))
                self.requests.append(head[0].removesuffix(" HTTP/1.1"))
                self.came.release()
                for piece in self._script(self.requests[-1]):
                    if not piece:
                        connection.shutdown(socket.SHUT_RDWR)
                        return
                    connection.sendall(piece)

    def _head(self, readline: Callable[[], bytes]) -> list[str]:
        lines = []
        while line := readline().decode("latin-1").rstrip("\r\n"):
            lines.append(line)
        return lines


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """A whole answer with a body of known length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def always(*pieces: bytes) -> Script:
    """The same answer to every request."""
    return lambda request: iter(pieces)


@contextmanager
def client_of(access: Access, seconds: float = 10.0) -> Iterator[ApiClient]:
    """A client, closed at the end."""
    with closing(ApiClient(access, seconds)) as client:
        yield client


def said(script: Script, method: str = "GET", path: str = "/api/v1/services", seconds: float = 10.0) -> str:
    """The one line that a call fails with."""
    with ScriptedHttp(script) as server, client_of(server.access, seconds) as client:
        with pytest.raises(StoreError) as caught:
            client.call(method, path)
        return one_line(caught.value)


def one_line(error: Exception) -> str:
    """What it says, which is one line for a person."""
    text = str(error)
    assert text.isprintable()
    assert 0 < len(text) < 1000
    return text
