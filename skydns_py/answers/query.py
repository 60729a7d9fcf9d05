"""A packet from a client: a question to answer, an error to return, or nothing worth a reply.

1. Silence for what is shorter than a header and for responses: answering those lets two servers talk to
   each other for ever.
2. NOTIMP for an opcode other than QUERY, before the rest is looked at (RFC 8906 section 3.1.4).
3. FORMERR unless there is exactly one question (RFC 9619), its name is whole and uncompressed, and every
   record that the header counts is there.  Octets after the last record are ignored.
4. One OPT at the most (RFC 6891 section 6.1.1), owned by the root; a version above 0 is BADVERS; options that
   are not known are ignored; a payload size under 512 means 512 (section 6.2.3).
"""

import struct
from dataclasses import dataclass

from skydns_py.errors import BadVersion, MalformedQuery, RefusedQuery, UnsupportedQuery

HEADER = struct.Struct("!6H")
QR, OPCODE, AA, TC, RD, RA = 0x8000, 0x7800, 0x0400, 0x0200, 0x0100, 0x0080
IN, ANY, OPT = 1, 255, 41
MAX_NAME = 255
SMALLEST_PAYLOAD = 512
"""Octets of a UDP reply that every client takes (RFC 1035 section 4.2.1)."""

_META = frozenset({249, 251, 252, 253, 254})
"""TKEY, IXFR, AXFR, MAILB and MAILA: questions that are no lookup of a type."""


@dataclass(frozen=True, slots=True)
class Edns:
    """What the client's OPT said: the payload it takes, in octets, its version, and the DO bit."""

    payload: int
    version: int
    dnssec_ok: bool


@dataclass(frozen=True, slots=True)
class Query:
    """One question. ``question`` is its octets as sent; ``name`` is lower-case; ``edns`` None without OPT."""

    ident: int
    flags: int
    question: bytes
    name: bytes
    rdtype: int
    rdclass: int
    edns: Edns | None

    @property
    def payload(self) -> int:
        """Octets the client takes over UDP."""
        return self.edns.payload if self.edns else SMALLEST_PAYLOAD


def is_silent(packet: bytes) -> bool:
    """Whether the packet gets no reply at all (rule 1)."""
    return len(packet) < HEADER.size or bool(packet[2] & 0x80)


def parse(packet: bytes) -> Query:
    """The question in a packet that is not ``is_silent``.

    Raises UnsupportedQuery or MalformedQuery by the rules above.  An EDNS version above 0 is left to
    ``check``, which needs the question to be known.
    """
    ident, flags, questions, answers, authorities, additionals = HEADER.unpack_from(packet)
    if flags & OPCODE:
        raise UnsupportedQuery(f"opcode {(flags & OPCODE) >> 11}")
    if questions != 1:
        raise MalformedQuery(f"{questions} questions")
    end = _name_end(packet, HEADER.size, compressed=False)
    if len(packet) < end + 4:
        raise MalformedQuery("the question is cut off")
    rdtype, rdclass = struct.unpack_from("!2H", packet, end)
    edns = _edns(packet, end + 4, answers + authorities, additionals)
    name = packet[HEADER.size : end].lower()
    return Query(ident, flags, packet[HEADER.size : end + 4], name, rdtype, rdclass, edns)


def check(query: Query) -> None:
    """Raise BadVersion, UnsupportedQuery, MalformedQuery or RefusedQuery for what no lookup answers."""
    if query.edns and query.edns.version:
        raise BadVersion(f"EDNS version {query.edns.version}")
    if query.rdtype in _META:
        raise UnsupportedQuery(f"type {query.rdtype}")
    if query.rdtype in (0, OPT, 250):
        raise MalformedQuery(f"type {query.rdtype} in a question")
    if query.rdclass != IN:
        raise RefusedQuery(f"class {query.rdclass}")


def _name_end(packet: bytes, at: int, *, compressed: bool) -> int:
    """The offset after the name at ``at``; a pointer ends it where ``compressed`` ones are welcome."""
    start = at
    while at < len(packet) and packet[at]:
        if packet[at] >= 0xC0 and compressed:
            return at + 2
        if packet[at] > 63:
            raise MalformedQuery("a label longer than 63 octets or a pointer in the question")
        at += 1 + packet[at]
    if at >= len(packet) or at + 1 - start > MAX_NAME:
        raise MalformedQuery("the name is cut off or longer than 255 octets")
    return at + 1


def _edns(packet: bytes, at: int, others: int, additionals: int) -> Edns | None:
    """Walk the records after the question; the OPT among the additional ones."""
    found: Edns | None = None
    for index in range(others + additionals):
        owner = at
        at = _name_end(packet, at, compressed=True)
        if len(packet) < at + 10:
            raise MalformedQuery("a record is cut off")
        rdtype, payload, ttl, length = struct.unpack_from("!HHIH", packet, at)
        at += 10 + length
        if len(packet) < at:
            raise MalformedQuery("a record is cut off")
        if rdtype == OPT and index >= others:
            if found or packet[owner]:
                raise MalformedQuery("two OPT records, or one not at the root")
            found = Edns(max(payload, SMALLEST_PAYLOAD), ttl >> 16 & 0xFF, bool(ttl & 0x8000))
    return found
