"""Answers packed at the moment the cluster changes, so that a query costs a lookup and a few copies.

1. A packed answer is what follows the question: its records, and how many are in each section.  The header
   and the question come from the query, which keeps the client's spelling of the name (0x20).
2. The owner of each answer record is a pointer to the question, 0xC00C (RFC 1035 section 4.1.4).  The owner
   of an additional record points to the rdata of the record it belongs to.
3. Names inside rdata are never compressed: RFC 2782 forbids it for SRV, and so a pointer occurs only as a
   whole owner name.  ``rebase`` relies on this to reuse an answer behind a CNAME.
"""

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from skydns_py.zone.rrset import MX, NS, SRV, Names, RRset, RRsets

QUESTION_POINTER = 0xC00C
HEADER = 12
LAST_POINTER = 0x3FFF - 4096
"""Octets; owners beyond get their name in full, so that no pointer passes 14 bits when its answer is rebased
behind as many aliases as a lookup follows: ten records of 267 octets, and a longer name asked."""

_TARGET_AT = {SRV: 6, MX: 2, NS: 0}
"""Where in the rdata the name starts whose addresses are worth adding (RFC 1034 section 4.3.2, RFC 2782)."""

_RECORD = struct.Struct("!HHHIH")
_REST = struct.Struct("!HHIH")


class Answer(NamedTuple):
    """Records after a question: the counts of the answer and additional sections, and the records.

    ``stride`` is the size in octets of each answer record where they are addresses to be rotated, else 0.
    """

    answers: int
    additionals: int
    body: bytes
    stride: int = 0


Node = Mapping[int, Answer]
"""Type number to answer, for one existing name; empty for an empty non-terminal."""


def pack(name: bytes, rrsets: RRsets, glue: Names) -> Node:
    """The node of ``name``; ``glue`` gives the addresses of the names that its records point to."""
    return {rdtype: _answer(name, rdtype, rrset, glue) for rdtype, rrset in rrsets.items()}


def _answer(name: bytes, rdtype: int, rrset: RRset, glue: Names) -> Answer:
    """One RRset packed. Most have one record and no targets: the first branch halves the time to start."""
    if len(rrset.rdatas) == 1 and rdtype not in _TARGET_AT:
        return Answer(1, 0, record(QUESTION_POINTER, rdtype, rrset.ttl, rrset.rdatas[0]))
    records = [record(QUESTION_POINTER, rdtype, rrset.ttl, rdata) for rdata in rrset.rdatas]
    if rdtype in _TARGET_AT:
        extra = _additionals(name, rdtype, rrset, glue)
        return Answer(len(records), len(extra), b"".join(records + extra))
    alike = len({len(each) for each in records}) == 1
    return Answer(len(records), 0, b"".join(records), len(records[0]) if alike else 0)


def _additionals(name: bytes, rdtype: int, rrset: RRset, glue: Names) -> list[bytes]:
    """Address records of the targets, each target once."""
    at = HEADER + len(name) + 4
    owners: dict[bytes, int] = {}
    for rdata in rrset.rdatas:
        owners.setdefault(rdata[_TARGET_AT[rdtype] :], at + _RECORD.size + _TARGET_AT[rdtype])
        at += _RECORD.size + len(rdata)
    found: list[bytes] = []
    for target, position in owners.items():
        for address_type, addresses in glue.get(target, {}).items():
            if address_type in (1, 28):
                found.extend(_glue(target, position, address_type, addresses))
    return found


def _glue(target: bytes, position: int, rdtype: int, rrset: RRset) -> Iterator[bytes]:
    for rdata in rrset.rdatas:
        if position <= LAST_POINTER:
            yield record(0xC000 | position, rdtype, rrset.ttl, rdata)
        else:
            yield target + _REST.pack(rdtype, 1, rrset.ttl, len(rdata)) + rdata


def record(pointer: int, rdtype: int, ttl: int, rdata: bytes) -> bytes:
    """One record of class IN whose owner is a compression pointer."""
    return _RECORD.pack(pointer, rdtype, 1, ttl, len(rdata)) + rdata


def split(body: bytes) -> Iterator[tuple[int, int, int]]:
    """Where the records of a body are: (start, end of the owner name, end), as offsets into it."""
    at = 0
    while at < len(body):
        start = at
        while body[at] and body[at] < 0xC0:
            at += 1 + body[at]
        at += 2 if body[at] else 1
        owner_end = at
        at += _REST.size + int.from_bytes(body[at + 8 : at + 10])
        yield start, owner_end, at


def rebase(body: bytes, owner: int, delta: int, most: int = 65535) -> bytes:
    """``body`` moved ``delta`` octets further into a packet, its answers owned by the name at ``owner``.

    Rule 3 makes this a walk over the owners: pointers to the question become pointers to ``owner``, any
    other moves along.  Beyond ``most`` octets, which will not be sent, nothing is changed: a Service with
    thousands of endpoints costs a datagram no more than what fits.
    """
    parts = []
    for start, owner_end, end in split(body):
        if start > most:
            parts.append(body[start:])
            break
        pointer = int.from_bytes(body[start:owner_end]) if body[start] >= 0xC0 else 0
        if pointer == QUESTION_POINTER:
            parts += [(0xC000 | owner).to_bytes(2), body[owner_end:end]]
        elif pointer:
            parts += [(pointer + delta).to_bytes(2), body[owner_end:end]]
        else:
            parts.append(body[start:end])
    return b"".join(parts)


def rotated(answer: Answer, turn: int) -> bytes:
    """The body with its address records rotated by ``turn`` places."""
    if not answer.stride:
        return answer.body
    cut = turn % answer.answers * answer.stride
    return answer.body[cut:] + answer.body[:cut]
