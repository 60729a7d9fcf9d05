"""A TCP proxy that can be cut, as a network is: bytes stop, and nobody is told."""

import socket
import threading
from typing import Self


class Proxy:
    """Forwards 127.0.0.1:``port`` to ``target``, until it is cut and again once it is mended."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._flows = threading.Event()
        self._flows.set()
        self._open: list[socket.socket] = []

    @property
    def url(self) -> str:
        """What to use in place of the target's URL."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._flows.set()
        for each in (self._listener, *self._open):
            each.close()

    def cut(self) -> None:
        """From now on nothing gets through, in connections old and new."""
        self._flows.clear()

    def mend(self) -> None:
        """Let bytes through again; connections that were cut are gone, as after a long outage."""
        lost, self._open = self._open, []
        for each in lost:
            each.close()
        self._flows.set()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:  # it is down: so is this connection
                near.close()
                continue
            self._open += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                self._flows.wait()
                sink.sendall(data)
        except OSError:
            pass
        for each in (source, sink):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
