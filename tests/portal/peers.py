"""One network namespace's process: it answers on TCP and UDP, and connects elsewhere when told to.

Run as a program, ``peers.py NAME PORT...``: it serves each port over both protocols and both families, and
takes commands from standard input, one JSON object a line, answered in one line of JSON.  Only the standard
library is used, so that it starts soon.  ``lab.Peer`` is the other end of its standard input and output.

A server greets with ``NAME ADDRESS``: its own name, and the client's address as it sees it.  After that each
line (TCP), like each datagram (UDP), is answered in the same way.
"""

import http.client
import json
import selectors
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
KINDS = {"tcp": TCP, "udp": UDP}
IP_PKTINFO = 8
"""From linux/in.h; Python 3.11 does not know its name."""
RETRY_SECONDS = 0.003


def family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Server(threading.Thread):
    """Answers for ever, in a thread of its own."""

    def __init__(self, name: str, ports: list[int]) -> None:
        super().__init__(daemon=True)
        self._name = name
        self._selector = selectors.DefaultSelector()
        for port in ports:
            for address in ("0.0.0.0", "::"):
                self._watch(self._bound(TCP, address, port), self._accept)
                self._watch(self._bound(UDP, address, port), self._answer_datagram)

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                key.data(key.fileobj)

    def _bound(self, kind: socket.SocketKind, address: str, port: int) -> socket.socket:
        bound = socket.socket(family_of(address), kind)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if ":" in address:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        elif kind == UDP:
            bound.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        bound.bind((address, port))
        if kind == TCP:
            bound.listen(1024)
        return bound

    def _watch(self, watched: socket.socket, ready: Callable[[socket.socket], None]) -> None:
        self._selector.register(watched, selectors.EVENT_READ, ready)

    def _greeting(self, address: str) -> bytes:
        return f"{self._name} {address}\n".encode()

    def _accept(self, listening: socket.socket) -> None:
        connection, peer = listening.accept()
        connection.sendall(self._greeting(peer[0]))
        self._watch(connection, self._answer_line)

    def _answer_line(self, connection: socket.socket) -> None:
        try:
            if connection.recv(4096):
                connection.sendall(self._greeting(connection.getpeername()[0]))
                return
        except OSError:
            pass
        self._selector.unregister(connection)
        connection.close()

    def _answer_datagram(self, bound: socket.socket) -> None:
        """From the very address that was asked, which ip(7) tells, and takes, beside an IPv4 datagram."""
        _, beside, _, peer = bound.recvmsg(4096, 64)
        from_there = [(level, kind, bytes(4) + data[8:12] + bytes(4)) for level, kind, data in beside]
        bound.sendmsg([self._greeting(peer[0])], from_there, 0, peer)


class Talk:
    """A socket connected to an address, greeted by whoever stands behind it."""

    def __init__(self, kind: str, address: str, port: int, timeout: float, source: str = "") -> None:
        self._socket = socket.socket(family_of(address), KINDS[kind])
        self._stream = kind == "tcp"
        self._socket.settimeout(timeout)
        if source:
            self._socket.bind((source, 0))
        try:
            self._socket.connect((address, port))
        except OSError:
            self._socket.close()
            raise

    def greeting(self) -> list[str]:
        """Name and address that the server says when connected to."""
        return self._heard() if self._stream else self.say()

    def say(self) -> list[str]:
        """Name and address that the server answers to another line."""
        self._socket.send(b"hello\n")
        return self._heard()

    def close(self) -> None:
        self._socket.close()

    def _heard(self) -> list[str]:
        heard = self._socket.recv(4096).decode().split()
        if not heard:
            raise ConnectionResetError("closed by the other end")
        return heard


def failure(error: OSError) -> str:
    """How an attempt failed, in one word: the exception's name."""
    return type(error).__name__


class Tally:
    """What came of many attempts."""

    def __init__(self) -> None:
        self.names, self.seen, self.errors = Counter[str](), Counter[str](), Counter[str]()
        self.pairs = set[tuple[str, str]]()
        self.slowest = 0.0

    def attempt(self, kind: str, address: str, port: int, timeout: float, source: str = "") -> None:
        began = time.monotonic()
        try:
            talk = Talk(kind, address, port, timeout, source)
            try:
                name, seen = talk.greeting()
            finally:
                talk.close()
        except OSError as error:
            self.errors[failure(error)] += 1
        else:
            self.names[name] += 1
            self.seen[seen] += 1
            self.pairs.add((name, seen))
        self.slowest = max(self.slowest, time.monotonic() - began)

    def result(self) -> dict[str, Any]:
        counters = {"names": self.names, "seen": self.seen, "errors": self.errors}
        return {**counters, "pairs": sorted(self.pairs), "slowest": self.slowest}


class Load(threading.Thread):
    """Connects at a steady rate, to one place after the other, until stopped."""

    def __init__(self, places: list[list[Any]], rate: float, timeout: float) -> None:
        super().__init__(daemon=True)
        self._places, self._gap, self._timeout = places, 1 / rate, timeout
        self._halt = threading.Event()
        self.tally = Tally()

    def run(self) -> None:
        due, number = time.monotonic(), 0
        while not self._halt.wait(max(0.0, due - time.monotonic())):
            address, port = self._places[number % len(self._places)]
            self.tally.attempt("tcp", address, port, self._timeout)
            due, number = due + self._gap, number + 1

    def stop(self) -> dict[str, Any]:
        self._halt.set()
        self.join()
        return self.tally.result()


class Commands:
    """What standard input may ask for; each method answers with something JSON can carry."""

    def __init__(self) -> None:
        self._talks: dict[str, Talk] = {}
        self._load: Load | None = None

    def many(self, kind: str, places: list[list[Any]], timeout: float, source: str) -> dict[str, Any]:
        """A new connection, or a datagram from a new socket, to each of the places."""
        tally = Tally()
        for address, port in places:
            tally.attempt(kind, address, port, timeout, source)
        return tally.result()

    def until(self, places: list[list[Any]], timeout: float) -> bool:
        """Whether each place, in order, could be connected to in the end."""
        return self._until(places, timeout, reached=True)

    def _until(self, places: list[list[Any]], timeout: float, reached: bool) -> bool:
        end = time.monotonic() + timeout
        for address, port in places:
            while self._reached(address, port) != reached:
                if time.monotonic() > end:
                    return False
                time.sleep(RETRY_SECONDS)
        return True

    def _reached(self, address: str, port: int) -> bool:
        try:
            Talk("tcp", address, port, 0.2).close()
        except OSError:
            return False
        return True

    def open(self, id: str, kind: str, address: str, port: int, timeout: float) -> list[str] | str:
        """Keep a socket; what it was greeted with, or how it failed."""
        try:
            self._talks[id] = Talk(kind, address, port, timeout)
            return self._talks[id].greeting()
        except OSError as error:
            return failure(error)

    def say(self, id: str) -> list[str] | str:
        """Another line or datagram over a kept socket."""
        try:
            return self._talks[id].say()
        except OSError as error:
            return failure(error)

    def close(self, id: str) -> None:
        if id in self._talks:
            self._talks.pop(id).close()

    def load(self, places: list[list[Any]], rate: float, timeout: float) -> None:
        """Start a steady load in the background."""
        self._load = Load(places, rate, timeout)
        self._load.start()

    def unload(self) -> dict[str, Any]:
        """Stop it; what came of it."""
        assert self._load is not None
        return self._load.stop()

    def request(self, method: str, address: str, port: int, path: str, body: str) -> list[Any]:
        """An HTTP request: status and body; [0, reason] where there was no answer."""
        connection = http.client.HTTPConnection(address, port, timeout=10)
        try:
            connection.request(method, path, body or None)
            answer = connection.getresponse()
            return [answer.status, answer.read().decode()]
        except OSError as error:
            return [0, failure(error)]
        finally:
            connection.close()

    def write(self, path: str, text: str) -> None:
        """Write a file as this namespace sees it: what lies below /proc/sys/net is its own."""
        Path(path).write_text(text)


def answer(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main() -> None:
    name, *ports = sys.argv[1:]
    Server(name, [int(port) for port in ports]).start()
    commands = Commands()
    answer("ready")
    for line in sys.stdin:
        command, arguments = json.loads(line)
        answer(getattr(commands, command)(**arguments))


if __name__ == "__main__":
    main()
