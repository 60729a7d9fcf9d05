"""Messages as octets, made and read without the code under test (RFC 1035 section 4.1, RFC 6891 section 6.1).

Made so that anything can be wrong with them, which a DNS library would not let happen; read strictly.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import dns.message

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, OPT, ANY = 1, 2, 5, 6, 12, 15, 16, 28, 33, 41, 255
QR, AA, TC, RD, RA, Z, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0040, 0x0020, 0x0010
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, BADVERS = 0, 1, 2, 3, 4, 5, 16
IN, CH, NO_CLASS, ANY_CLASS = 1, 3, 254, 255
DO = 0x8000

_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")


def encode(text: str) -> bytes:
    """The wire name of dotted ``text``, whose labels may hold any octet of Latin-1 but the dot."""
    labels = [label.encode("latin-1") for label in text.rstrip(".").split(".") if label]
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def question(name: bytes | str, rdtype: int = A, rdclass: int = IN) -> bytes:
    """A question; ``name`` in dotted text or as octets."""
    octets = encode(name) if isinstance(name, str) else name
    return octets + struct.pack("!2H", rdtype, rdclass)


def message(
    body: bytes, *, ident: int = 0x1234, flags: int = RD, counts: Sequence[int] = (1, 0, 0, 0)
) -> bytes:
    """A header and whatever follows it."""
    return _HEADER.pack(ident, flags, *counts) + body


def opt(
    payload: int = 1232,
    bits: int = 0,
    *,
    version: int = 0,
    extended: int = 0,
    options: bytes = b"",
    owner: bytes = b"\0",
) -> bytes:
    """An OPT record."""
    return owner + struct.pack("!HHBBHH", OPT, payload, extended, version, bits, len(options)) + options


def query(
    name: bytes | str, rdtype: int = A, rdclass: int = IN, *, edns: bytes = b"", **header: int
) -> bytes:
    """A plain query, with an OPT record where ``edns`` is one; ``header`` takes ``ident`` and ``flags``."""
    return message(question(name, rdtype, rdclass) + edns, counts=(1, 0, 0, int(bool(edns))), **header)


def option(code: int, data: bytes = b"") -> bytes:
    """One EDNS option."""
    return struct.pack("!2H", code, len(data)) + data


class Record(NamedTuple):
    """One record of a reply; ``raw`` is all of its octets, ``rdclass`` and ``ttl`` as the fields are."""

    rdtype: int
    rdclass: int
    ttl: int
    rdata: bytes
    raw: bytes


@dataclass(frozen=True)
class Reply:
    """A reply taken apart; ``question`` is its octets, empty where there is none."""

    raw: bytes
    ident: int
    flags: int
    question: bytes
    answers: tuple[Record, ...]
    authorities: tuple[Record, ...]
    additionals: tuple[Record, ...]

    @property
    def opt(self) -> Record | None:
        """The OPT record, which stands last."""
        last = self.additionals[-1:]
        return last[0] if last and last[0].rdtype == OPT else None

    @property
    def rcode(self) -> int:
        """The response code, with the OPT record's bits where there is one."""
        return self.flags & 15 | (self.opt.ttl >> 24 << 4 if self.opt else 0)

    @property
    def truncated(self) -> bool:
        """Whether TC is set."""
        return bool(self.flags & TC)

    @property
    def rdatas(self) -> list[bytes]:
        """The rdata of the answer records."""
        return [record.rdata for record in self.answers]


def read(raw: bytes) -> Reply:
    """Take a reply apart; anything wrong with it is an AssertionError or dnspython's own error."""
    dns.message.from_wire(raw)
    return take_apart(raw)


def take_apart(raw: bytes) -> Reply:
    """As ``read``, but without dnspython's opinion, which takes most of the time."""
    ident, flags, questions, *counts = _HEADER.unpack_from(raw)
    assert questions <= 1
    at = _skip_name(raw, 12) + 4 if questions else 12
    sections, start = [], at
    for count in counts:
        records = []
        for _ in range(count):
            record, at = _record(raw, at)
            records.append(record)
        sections.append(tuple(records))
    assert at == len(raw), "octets after the last record"
    return Reply(raw, ident, flags, raw[12:start], *sections)


def _skip_name(raw: bytes, at: int) -> int:
    while raw[at]:
        if raw[at] >= 0xC0:
            assert int.from_bytes(raw[at : at + 2]) & 0x3FFF < at, "a pointer forward"
            return at + 2
        at += 1 + raw[at]
    return at + 1


def _record(raw: bytes, start: int) -> tuple[Record, int]:
    at = _skip_name(raw, start)
    rdtype, rdclass, ttl, length = _RECORD.unpack_from(raw, at)
    data = at + _RECORD.size
    return Record(rdtype, rdclass, ttl, raw[data : data + length], raw[start : data + length]), data + length


def canonical(raw: bytes | None) -> tuple[bytes, ...] | None:
    """A reply with each run of equal-size records of one type turned to begin with its smallest.

    Two replies that differ by rotation alone are equal in this form, and no others are.  Of a truncated one,
    which shows a different part of its records each time, the types and sizes are compared instead.
    """
    if raw is None:
        return None
    reply = take_apart(raw)
    turned: list[bytes] = []
    if reply.truncated:
        return (raw[:12], reply.question, *(struct.pack("!2H", r.rdtype, len(r.raw)) for r in reply.answers))
    for _, run in groupby(reply.answers, key=lambda record: (record.rdtype, len(record.raw))):
        records = [record.raw for record in run]
        first = records.index(min(records))
        turned += records[first:] + records[:first]
    rest = [record.raw for record in reply.authorities + reply.additionals]
    return (raw[:12], reply.question, *turned, *rest)
