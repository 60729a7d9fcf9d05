"""What legacy iptables keeps in the kernel, read with the socket options its own tool uses.

1. A table is one block: built-in chains, then user chains, each headed by an entry whose target is ERROR and
   carries its name.  Jumps are offsets into the block, so they move when anybody's rule comes or goes; here
   the name of the chain stands for them.
2. Each entry carries its counters and a field in which the kernel keeps what it found on a check; both
   change by themselves and are left out.
3. Of a table with foreign rules, ours are the entries of our chains, in their order, and every entry
   elsewhere that jumps to one of them.

Formats: linux/netfilter_ipv4/ip_tables.h, linux/netfilter_ipv6/ip6_tables.h, linux/netfilter/x_tables.h.
"""

import ctypes
import errno
import hashlib
import os
import socket
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from skydns_py.errors import SkydnsError

_GET_INFO, _GET_ENTRIES = 64, 65
_INFO = struct.Struct("=32sI5I5III")
_HEAD = 40
"""Octets before the entries: the table's name, their size, and padding."""
_ATTEMPTS = 5
_libc = ctypes.CDLL(None, use_errno=True)


class Layout(NamedTuple):
    """Where an entry of a family keeps its offsets and its counters' end."""

    domain: int
    level: int
    offsets: int
    counted: int


LAYOUTS = {
    "ip": Layout(socket.AF_INET, socket.IPPROTO_IP, 88, 112),
    "ip6": Layout(socket.AF_INET6, socket.IPPROTO_IPV6, 140, 168),
}


class Table:
    """One table of one family, ``ip`` or ``ip6``, in the network namespace of the process at this moment."""

    def __init__(self, family: str, name: str) -> None:
        self._layout = LAYOUTS[family]
        self._name = name
        self._program = "ip6tables" if family == "ip6" else "iptables"
        self._socket = socket.socket(self._layout.domain, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def info(self) -> bytes:
        """Number of entries, their size and the built-in chains' places; equal octets if those are equal.

        Raises SkydnsError where the kernel has no such table or permission is missing.
        """
        return self._ask(_GET_INFO, self._name.encode().ljust(_INFO.size, b"\0"))

    def digests(self, mine: Callable[[str], bool]) -> tuple[bytes, bytes]:
        """Digests of the jumps into our chains and of our chains; ``mine`` knows them by name.

        Raises SkydnsError like ``info``.
        """
        for _ in range(_ATTEMPTS):
            fields = _INFO.unpack(self.info())
            try:
                block = self._block(fields[-1])
            except BlockingIOError:  # it changed between the two questions
                continue
            hooks = {fields[2 + hook]: hook for hook in range(5) if fields[1] & 1 << hook}
            return digests(block, self._layout, hooks, mine)
        raise SkydnsError(f"{self._program}: table {self._name} changes too fast to be read")

    def _block(self, size: int) -> bytes:
        request = self._name.encode().ljust(32, b"\0") + struct.pack("=II", size, 0) + bytes(size)
        return self._ask(_GET_ENTRIES, request)[_HEAD:]

    def _ask(self, option: int, request: bytes) -> bytes:
        buffer = ctypes.create_string_buffer(request, len(request))
        length = ctypes.c_uint32(len(request))
        number = self._socket.fileno()
        if _libc.getsockopt(number, self._layout.level, option, buffer, ctypes.byref(length)) == 0:
            return buffer.raw
        code = ctypes.get_errno()
        if code in (errno.EAGAIN, errno.EINVAL) and option == _GET_ENTRIES:
            raise BlockingIOError
        if code == errno.EPERM:
            raise SkydnsError(f"{self._program}: not permitted; run as root, or with CAP_NET_ADMIN")
        raise SkydnsError(f"{self._program} (legacy): table {self._name}: {os.strerror(code)}")


def digests(
    block: bytes, layout: Layout, hooks: dict[int, int], mine: Callable[[str], bool]
) -> tuple[bytes, bytes]:
    """``Table.digests`` of a table's entries; ``hooks`` are the built-in chains' numbers by their offsets.

    Raises SkydnsError where a length does not fit.  Jumps are named at the end, when all chains are known.
    """
    checked, counted = layout.offsets + 4, layout.counted
    starts: dict[int, str] = {}
    parts: list[bytes] = []
    targets: list[int] = []
    others: list[tuple[int, int, str, int]] = []
    chain, own = "", False
    for start, end, jump, head in _entries(block, layout):
        if start in hooks:
            chain, own = f"\0{hooks[start]}", False
        if head:
            chain = starts[end] = head
            own = mine(head)
        if own:
            parts += block[start : start + checked], block[start + counted : end - (8 if jump >= 0 else 0)]
            targets.append(jump)
        elif jump >= 0:
            others.append((start, end, chain, jump))
    parts.append("\0".join(starts.get(jump, "") for jump in targets).encode())
    return _jumps(block, layout, others, {at: name for at, name in starts.items() if mine(name)}), _hash(
        parts
    )


def _jumps(
    block: bytes, layout: Layout, others: list[tuple[int, int, str, int]], ours: dict[int, str]
) -> bytes:
    """The digest of those entries of other chains that jump to ours."""
    parts: list[bytes] = []
    for start, end, chain, jump in others:
        if jump in ours:
            parts += block[start : start + layout.offsets + 4], block[start + layout.counted : end - 8]
            parts.append(f"\0{chain}\0{ours[jump]}\0".encode())
    return _hash(parts)


def _hash(parts: list[bytes]) -> bytes:
    return hashlib.blake2b(b"".join(parts), digest_size=16).digest()


def _entries(block: bytes, layout: Layout) -> Iterator[tuple[int, int, int, str]]:
    """Start, end, offset it jumps to (-1 if none) and chain whose head it is ("" if none) of each entry."""
    position, place, least, size = 0, layout.offsets, layout.counted + 32, len(block)
    offsets, standard = struct.Struct("=HH").unpack_from, struct.Struct("=i").unpack_from
    while position < size:
        if size - position < least:
            raise SkydnsError(f"iptables: {size - position} octets behind the last entry")
        target, length = offsets(block, position + place)
        if not least <= target + 32 <= length <= size - position:
            raise SkydnsError(f"iptables: an entry of {length} octets in {size - position}")
        at, end, jump, head = position + target, position + length, -1, ""
        if block[at + 2] == 0 and length >= target + 40:
            jump = standard(block, at + 32)[0]
        elif block.startswith(b"ERROR\0", at + 2):
            head = block[at + 32 : end].split(b"\0", 1)[0].decode("latin-1")
        yield position, end, jump, head
        position = end
