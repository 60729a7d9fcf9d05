"""The first two packets of SCTP associations by hand, for kernels that track SCTP but have no sockets of it.

Run as a program inside a namespace: ``serve NAME`` answers every INIT with an INIT ACK whose cookie says NAME
and the client's address; ``ask ADDRESS PORT COUNT`` sends that many INITs, each from another port, and prints
one JSON list of cookies, or of the names of exceptions.  IPv4 only.  RFC 9260 sections 3 and 6.8.
"""

import json
import random
import socket
import struct
import sys
import time

SCTP = 132
HEADER = struct.Struct("!HHII")
CHUNK = struct.Struct("!BBHIIHHI")
COOKIE = struct.Struct("!HH")
INIT, INIT_ACK, STATE_COOKIE = 1, 2, 7
WINDOW, STREAMS = 65536, 1
ASK_SECONDS = 0.4


def crc32c(data: bytes) -> int:
    """The checksum of RFC 9260 appendix A."""
    value = 0xFFFFFFFF
    for octet in data:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def packet(source: int, destination: int, tag: int, chunk: bytes) -> bytes:
    """A packet of one chunk; its checksum is the one field in little-endian order."""
    empty = HEADER.pack(source, destination, tag, 0) + chunk
    return empty[:8] + struct.pack("<I", crc32c(empty)) + empty[12:]


def init(kind: int, tag: int, text: bytes = b"") -> bytes:
    """An INIT or INIT ACK chunk with ``tag``, and with a cookie where there is ``text``."""
    padded = text + bytes(-len(text) % 4)
    cookie = COOKIE.pack(STATE_COOKIE, COOKIE.size + len(text)) + padded if text else b""
    length = CHUNK.size + len(cookie)
    return CHUNK.pack(kind, 0, length, tag, WINDOW, STREAMS, STREAMS, 1) + cookie


def serve(name: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, SCTP) as raw:
        print("ready", flush=True)  # noqa: T201 -- whoever started it waits for this
        while True:
            datagram, (address, _) = raw.recvfrom(2048)
            data = datagram[(datagram[0] & 15) * 4 :]
            source, destination, _, _ = HEADER.unpack_from(data)
            kind, _, _, tag, *_ = CHUNK.unpack_from(data, HEADER.size)
            if kind == INIT:
                chunk = init(INIT_ACK, 7, f"{name} {address}".encode())
                raw.sendto(packet(destination, source, tag, chunk), (address, 0))


def ask(address: str, port: int) -> list[str] | str:
    """The words of the cookie, or the name of the exception instead."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, SCTP) as raw:
        raw.connect((address, 0))
        mine = random.randrange(20000, 60000)
        raw.send(packet(mine, port, 0, init(INIT, random.getrandbits(32) or 1)))
        end = time.monotonic() + ASK_SECONDS
        try:
            while (left := end - time.monotonic()) > 0:
                raw.settimeout(left)
                datagram = raw.recv(2048)
                data = datagram[(datagram[0] & 15) * 4 :]
                if HEADER.unpack_from(data)[:2] == (port, mine) and data[HEADER.size] == INIT_ACK:
                    return _cookie(data[HEADER.size + CHUNK.size :])
        except OSError as error:
            return type(error).__name__
        return "TimeoutError"


def _cookie(parameter: bytes) -> list[str]:
    _, length = COOKIE.unpack_from(parameter)
    return parameter[COOKIE.size : length].decode().split()


def main() -> None:
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    address, port, count = sys.argv[2:]
    print(json.dumps([ask(address, int(port)) for _ in range(int(count))]))  # noqa: T201 -- the result


if __name__ == "__main__":
    main()
