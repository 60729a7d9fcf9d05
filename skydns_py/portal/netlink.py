"""Netlink requests to netfilter and routing, and a walk over attributes that decodes only what is asked for.

pyroute2 turns every attribute of every message into objects: 100 000 connections take it many seconds, and
importing it 0.2 s and 20 MB.  Here a message stays the bytes it is, and the caller looks at what it needs.

1. Every length is checked against what encloses it before it is used; one that does not fit is an error,
   never a shorter walk, for then a part of the kernel's answer would go unseen.
2. Only what the kernel itself sent counts (port id 0), and only answers to the request that is under way.
3. A socket belongs to the network namespace that its process was in when it was opened.

Formats: netlink(7), linux/netlink.h, linux/netfilter/nfnetlink.h.
"""

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from skydns_py.errors import SkydnsError

NETFILTER = 12
"""NETLINK_NETFILTER; connection tracking and nftables."""
REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
ERROR, DONE = 2, 3
DUMP_INTERRUPTED = 0x10
"""What is listed changed on the way; a second listing is due."""

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_SOL_NETLINK, _ADD_MEMBERSHIP, _CAP_ACK = 270, 1, 10
_SO_RCVBUFFORCE = 33
_DATAGRAM = 1 << 18
"""Octets; the kernel sends 32 KiB at most."""
_SECONDS = 10.0
"""The kernel answers within microseconds; this is for a kernel that is broken."""


class Message(NamedTuple):
    """One message: its type, flags and sequence number, and where in its datagram the payload lies."""

    kind: int
    flags: int
    sequence: int
    start: int
    end: int


def messages(datagram: bytes) -> Iterator[Message]:
    """Every message of a datagram; SkydnsError where a length does not fit."""
    position, size, unpack = 0, len(datagram), _HEADER.unpack_from
    while position < size:
        if size - position < 16:
            raise SkydnsError(f"netlink: {size - position} octets behind the last message")
        length, kind, flags, sequence, _ = unpack(datagram, position)
        if not 16 <= length <= size - position:
            raise SkydnsError(f"netlink: a message of {length} octets in {size - position}")
        yield Message(kind, flags, sequence, position + 16, position + length)
        position += (length + 3) & ~3


def attributes(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(type without its flag bits, start and end of the value) of each attribute between two offsets.

    Raises SkydnsError where a length does not fit.
    """
    while start < end:
        if end - start < 4:
            raise SkydnsError(f"netlink: {end - start} octets behind the last attribute")
        length, kind = _ATTRIBUTE.unpack_from(data, start)
        if not 4 <= length <= end - start:
            raise SkydnsError(f"netlink: an attribute of {length} octets in {end - start}")
        yield kind & 0x3FFF, start + 4, start + length
        start += (length + 3) & ~3


def nested(data: bytes, start: int, end: int, *path: int) -> tuple[int, int] | None:
    """Start and end of the first attribute at ``path``, one type a level; None where there is none."""
    for wanted in path:
        for kind, inner, until in attributes(data, start, end):
            if kind == wanted:
                start, end = inner, until
                break
        else:
            return None
    return start, end


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    return _ATTRIBUTE.pack(len(value) + 4, kind) + value + bytes(-len(value) % 4)


def container(kind: int, *inner: bytes) -> bytes:
    """One attribute that holds others."""
    return attribute(kind | 0x8000, b"".join(inner))


class Netlink:
    """A socket to the kernel. ``what`` is what the user would call it, for errors."""

    def __init__(self, protocol: int, what: str) -> None:
        self._what = what
        self._sequence = 0
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        self._socket.bind((0, 0))
        self._socket.settimeout(_SECONDS)
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)

    def __enter__(self) -> "Netlink":
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def close(self) -> None:
        """No more requests."""
        self._socket.close()

    def fileno(self) -> int:
        """Readable when an event waits; see ``listen``."""
        return self._socket.fileno()

    def dump(self, kind: int, body: bytes) -> Iterator[bytes]:
        """The datagrams of a listing; walk each with ``messages``, and skip what is of another type.

        Raises OSError with the kernel's number, and SkydnsError where permission is missing.
        """
        self._send([(kind, REQUEST | DUMP, body)])
        while True:
            datagram = self._receive()
            for message in messages(datagram):
                if message.sequence == self._sequence and message.kind in (ERROR, DONE):
                    yield datagram
                    self._check(self._outcome(datagram, message))
                    return
            yield datagram

    def each(self, requests: Sequence[tuple[int, bytes]], flags: int = 0) -> list[int]:
        """Sends (type, body) requests at once, 128 at most, and returns the error number of each, 0 if none.

        The kernel takes them in order and reports every error, so only the last one asks to be acknowledged.
        Raises SkydnsError where permission is missing.
        """
        first, outcomes = self._sequence + 1, [0] * len(requests)
        plain = [(kind, REQUEST | flags, body) for kind, body in requests]
        self._send([*plain[:-1], *((kind, given | ACK, body) for kind, given, body in plain[-1:])])
        while requests:
            datagram = self._receive()
            for message in messages(datagram):
                index = message.sequence - first
                if message.kind == ERROR and 0 <= index < len(outcomes):
                    outcomes[index] = self._outcome(datagram, message)
                    if index == len(outcomes) - 1:
                        return outcomes
        return outcomes

    def get(self, kind: int, body: bytes) -> tuple[bytes, Message]:
        """The one message that answers a request; OSError with the kernel's number where it refuses."""
        self._send([(kind, REQUEST, body)])
        while True:
            datagram = self._receive()
            for message in messages(datagram):
                if message.sequence == self._sequence:
                    if message.kind == ERROR:
                        self._check(self._outcome(datagram, message))
                    return datagram, message

    def listen(self, group: int, octets: int) -> None:
        """Receive the events of a multicast group from now on, keeping that many octets for the reader.

        Less is kept where the process may not exceed net.core.rmem_max.  Raises SkydnsError where permission
        is missing.
        """
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, octets)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, octets)
        try:
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        except OSError as error:
            self._check(error.errno or errno.EPERM)

    def events(self) -> Iterator[bytes]:
        """The datagrams that wait; ends when there are none.

        Raises OSError (ENOBUFS) once where events were lost; what follows is whole again.
        """
        self._socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                yield self._receive()

    def _send(self, requests: Sequence[tuple[int, int, bytes]]) -> None:
        parts = []
        for kind, flags, body in requests:
            self._sequence += 1
            parts.append(_HEADER.pack(len(body) + 16, kind, flags, self._sequence, 0))
            parts.append(body + bytes(-len(body) % 4))
        self._socket.send(b"".join(parts))

    def _receive(self) -> bytes:
        while True:
            try:
                datagram, _, flags, sender = self._socket.recvmsg(_DATAGRAM)
            except TimeoutError as error:
                raise SkydnsError(f"{self._what}: the kernel does not answer") from error
            if flags & socket.MSG_TRUNC:
                raise SkydnsError(f"{self._what}: the kernel sent more than {_DATAGRAM} octets at once")
            if sender[0] == 0:
                return datagram

    def _outcome(self, datagram: bytes, message: Message) -> int:
        """The error number of an acknowledgement or of a listing's end."""
        if message.end - message.start < 4:
            return 0
        code: int = struct.unpack_from("=i", datagram, message.start)[0]
        return self._permitted(-code)

    def _permitted(self, code: int) -> int:
        if code in (errno.EPERM, errno.EACCES):
            raise SkydnsError(f"{self._what}: not permitted; run as root, or with CAP_NET_ADMIN")
        return code

    def _check(self, code: int) -> None:
        if self._permitted(code):
            raise OSError(code, f"{self._what}: {os.strerror(code)}")
