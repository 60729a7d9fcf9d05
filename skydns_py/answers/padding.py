"""Padding of replies, so that their size says less of what was asked (RFC 7830, RFC 8467 section 4.1).

Only for encrypted transports, and only where the query was padded: over others it is waste, and over UDP a
gift to those who forge addresses.
"""

import struct
from collections.abc import Iterator

from skydns_py.answers.packed import HEADER, split
from skydns_py.answers.query import OPT

BLOCK = 468
"""Octets that a padded reply is a multiple of (RFC 8467 section 4.1)."""
LARGEST = 65535
PADDING = 12
"""The option's code (RFC 7830 section 3)."""
_OPTION = struct.Struct("!2H")
_OPT_FIXED = 10
"""Octets between the owner of an OPT record and its options; the last two of them say how many follow."""


def padded(query: bytes, reply: bytes) -> bytes:
    """``reply`` with a padding option, up to a multiple of ``BLOCK`` octets, where ``query`` has that option.

    A reply with an OPT record is one to a query that parsed, so that no octets of ``query`` raise anything.
    """
    if not reply[10:12].strip(b"\0") or PADDING not in _options(query):
        return reply
    place = _opt(reply)
    least = len(reply) + _OPTION.size
    if place is None or least > LARGEST:
        return reply
    start, end = place
    zeros = min(-(-least // BLOCK) * BLOCK, LARGEST) - least
    length = end - start + _OPTION.size + zeros
    head, options, rest = reply[: start - 2], reply[start:end], reply[end:]
    return head + length.to_bytes(2) + options + _OPTION.pack(PADDING, zeros) + bytes(zeros) + rest


def _opt(message: bytes) -> tuple[int, int] | None:
    """Where the options of the OPT record begin and end; None without one."""
    answers, authorities, additionals = struct.unpack_from("!3H", message, 6)
    at = HEADER
    while message[at]:
        at += 1 + message[at]
    body, others = at + 5, answers + authorities
    for index, (_, owner_end, end) in zip(range(others + additionals), split(message[body:]), strict=False):
        start = body + owner_end + _OPT_FIXED
        if index >= others and int.from_bytes(message[start - 10 : start - 8]) == OPT:
            return start, body + end
    return None


def _options(query: bytes) -> Iterator[int]:
    """The codes of the options in a query's OPT record."""
    at, end = _opt(query) or (0, 0)
    while at + _OPTION.size <= end:
        code, length = _OPTION.unpack_from(query, at)
        yield code
        at += _OPTION.size + length
