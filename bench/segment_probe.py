"""The client of a segment: asks an address over and over, and listens to all that ARP says; run in its
namespace.

``python -m bench.segment_probe INTERFACE ADDRESS PORT``.  Every 10 ms a UDP request, every 20 ms an ARP
request as broadcast, so that whoever has the address answers.  When standard input ends, what was seen goes
to standard output as JSON; times are of the monotonic clock, which all processes share.
"""

import json
import select
import socket
import struct
import sys
import time
from contextlib import suppress
from typing import Any

_ARP = 0x0806
_ASK_SECONDS, _PROBE_SECONDS = 0.01, 0.02


class Probe:
    """``answers``: (sent, received, who); ``heard``: (when, operation, MAC, sender's address)."""

    def __init__(self, interface: str, address: str, port: int) -> None:
        self._address = socket.inet_aton(address)
        self._wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ARP))
        self._wire.bind((interface, _ARP))
        self._wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._mac = self._wire.getsockname()[4]
        self._asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._asker.setblocking(False)
        self._place = address, port
        self._sent: list[float] = []
        self.answers: list[tuple[float, float, str]] = []
        self.heard: list[tuple[float, int, str, str]] = []

    def run(self) -> None:
        """Until standard input ends."""
        ask = probe = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= ask:
                ask = max(ask + _ASK_SECONDS, now)
                self._ask(now)
            if now >= probe:
                probe = max(probe + _PROBE_SECONDS, now)
                self._wire.send(self._question())
            wait = max(0.0, min(ask, probe) - time.monotonic())
            ready, _, _ = select.select([self._wire, self._asker, sys.stdin], [], [], wait)
            if sys.stdin in ready:
                return
            self._hear()

    def _ask(self, now: float) -> None:
        with suppress(OSError):
            self._asker.sendto(str(len(self._sent)).encode(), self._place)
        self._sent.append(now)

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            while True:
                frame = self._wire.recv(128, socket.MSG_DONTWAIT)
                (operation,) = struct.unpack_from("!H", frame, 20)
                mac, sender = frame[22:28].hex(":"), socket.inet_ntoa(frame[28:32])
                self.heard.append((time.monotonic(), operation, mac, sender))
        with suppress(OSError):
            while True:
                number, _, who = self._asker.recv(128).decode().partition(" ")
                self.answers.append((self._sent[int(number)], time.monotonic(), who))

    def _question(self) -> bytes:
        """Who has the address? From nobody (RFC 5227 section 2.1.1), so that no cache learns from it."""
        head = struct.pack("!6s6sH", b"\xff" * 6, self._mac, _ARP)
        return head + struct.pack(
            "!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, 1, self._mac, bytes(4), bytes(6), self._address
        )


def serve(name: str, port: int) -> None:
    """The backend of a node: says who it is, from the address it was asked at (IP_PKTINFO, ip(7))."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.setsockopt(socket.IPPROTO_IP, 8, 1)
    server.bind(("0.0.0.0", port))
    while True:
        text, notes, _, peer = server.recvmsg(128, 256)
        answer: Any = [(level, kind, data[:12]) for level, kind, data in notes]
        # The interface index is left out, so that routing decides; the address stays.
        answer = [(level, kind, bytes(4) + data[4:12]) for level, kind, data in answer]
        with suppress(OSError):
            server.sendmsg([text + b" " + name.encode()], answer, 0, peer)


def main() -> None:
    """The client, or with ``serve NAME PORT`` a backend."""
    if sys.argv[1] == "serve":
        serve(sys.argv[2], int(sys.argv[3]))
    probe = Probe(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    print("ready", file=sys.stderr, flush=True)
    probe.run()
    print(json.dumps({"answers": probe.answers, "heard": probe.heard, "sent": probe._sent}))


if __name__ == "__main__":
    main()
