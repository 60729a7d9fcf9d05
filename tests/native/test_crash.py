"""The whole server with native threads, killed and ended while it is asked as fast as a client can."""

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest
import yaml

from tests.dataplane import wire
from tests.native.built import needed
from tests.serving import Serving

pytestmark = needed

SERVICES = 200
ANSWERS = 2000
"""So many right ones show that it serves."""
SOON = 30.0
STOP_SECONDS = 1.0
_LISTENS, _HAS_PORT = "0A", "07"
"""States in /proc/net/tcp, and /proc/net/udp, of a socket that waits for clients."""


class Load:
    """Asks one Service after the other, ``WINDOW`` at a time, whether or not anybody is there.

    ``right`` and ``wrong`` count answers, ``silent`` the windows without all of theirs; SERVFAIL, before the
    server is ready, is neither.
    """

    WINDOW = 32

    def __init__(self, port: int) -> None:
        self.right = self.wrong = self.silent = 0
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *unused: object) -> None:
        self._stop.set()
        self._thread.join(SOON)

    def _run(self) -> None:
        turn = 0
        while not self._stop.is_set():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:  # of any of the server's threads
                sock.settimeout(0.5)
                sock.connect(("127.0.0.1", self._port))
                for _ in range(10):
                    turn += self.WINDOW
                    if not self._window(
                        sock, [number % SERVICES for number in range(turn, turn + self.WINDOW)]
                    ):
                        break  # what comes late would be taken for an answer to the next window

    def _window(self, sock: socket.socket, numbers: list[int]) -> bool:
        """Whether everything was answered."""
        try:
            for ident, number in enumerate(numbers):
                sock.send(wire.query(name(number), ident=ident))
            for _ in numbers:
                self._judge(sock.recv(4096), numbers)
        except (TimeoutError, ConnectionRefusedError):
            self.silent += 1
            self._stop.wait(0.01)
            return False
        return True

    def _judge(self, packet: bytes, numbers: list[int]) -> None:
        reply = wire.take_apart(packet)
        if reply.rcode == wire.SERVFAIL:
            return
        is_right = not reply.rcode and reply.rdatas == [socket.inet_aton(address(numbers[reply.ident]))]
        self.right += is_right
        self.wrong += not is_right


def name(number: int) -> bytes:
    return wire.encode(f"svc-{number}.my-ns.svc.cluster.local")


def address(number: int) -> str:
    return f"10.0.{number // 250}.{number % 250 + 1}"


def service(number: int) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"svc-{number}", "namespace": "my-ns"},
        "spec": {"clusterIP": address(number), "ports": [{"port": 80}]},
    }


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < deadline, f"not within {SOON} s: {what}"
        threading.Event().wait(0.005)


def serves(load: Load) -> None:
    """Wait for more right answers."""
    enough = load.right + ANSWERS
    until(lambda: load.right >= enough, "right answers")


def waiting_on(port: int) -> list[str]:
    """The sockets of this machine that wait for clients on a port of 127.0.0.1."""
    place = f"0100007F:{port:04X}"
    found = []
    for protocol, state in (("udp", _HAS_PORT), ("tcp", _LISTENS)):
        lines = Path(f"/proc/net/{protocol}").read_text().splitlines()[1:]
        found += [
            protocol for _, local, _, now, *_ in map(str.split, lines) if (local, now) == (place, state)
        ]
    return found


@pytest.fixture
def server(tmp_path: Path) -> Serving:
    """Not started yet."""
    manifest = tmp_path / "services.yaml"
    manifest.write_text(yaml.safe_dump_all([service(number) for number in range(SERVICES)]))
    source = {"manifests": {"path": str(manifest)}}
    return Serving(tmp_path, source=source, dataplane={"kind": "native", "threads": 2})


def test_killed_under_load_it_leaves_no_socket_and_answers_right_once_started_again(server: Serving) -> None:
    with Load(server.port) as load:
        for _ in range(3):
            with server:
                server.wait_for("ready:")
                serves(load)
                assert waiting_on(server.port) == ["udp", "udp", "tcp"]
                server.kill()
                assert waiting_on(server.port) == []
                silent = load.silent
                until(lambda now=silent: load.silent > now, "silence")  # type: ignore[misc]  # a bound default
    assert load.wrong == 0


def test_asked_to_end_under_load_it_ends_within_a_second(server: Serving) -> None:
    with Load(server.port) as load, server:
        server.wait_for("ready:")
        serves(load)
        start = time.monotonic()
        server.terminate()
        assert server.exit_code == 0
        assert time.monotonic() - start < STOP_SECONDS
        assert waiting_on(server.port) == []
    assert load.wrong == 0
