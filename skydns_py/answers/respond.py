"""The whole of answering, for any packet: what the hot path does not recognise comes here.

``Responder.respond`` raises nothing for any octets: what cannot be answered is an error reply or silence.
"""

import itertools
import struct
from dataclasses import dataclass, field

from skydns_py.answers.lookup import Asked, Directory, Outcome, Result, look_up
from skydns_py.answers.packed import HEADER, split
from skydns_py.answers.query import AA, OPCODE, QR, RD, TC, Query, check, is_silent, parse
from skydns_py.answers.search import SearchPath
from skydns_py.cluster.objects import Address
from skydns_py.errors import QueryError

NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
LARGEST = 65535
"""Octets of a message over a stream (RFC 1035 section 4.2.2: a 16-bit length)."""

NOT_READY = struct.pack("!3H", 15, 2, 14)
"""The EDNS option that says why: Extended DNS Error 14, Not Ready (RFC 8914 section 4.15)."""

SPREAD = 0x9E3779B1
"""Scatters the turns of one counter, so that clients who ask for A and AAAA in turn see every address."""

_RCODES = {
    Outcome.ANSWER: NOERROR,
    Outcome.NODATA: NOERROR,
    Outcome.NXDOMAIN: NXDOMAIN,
    Outcome.OUTSIDE: REFUSED,
}


@dataclass(slots=True)
class Responder:
    """Answers packets from a directory of nodes. ``edns_size``: octets of UDP reply we send at the most.

    Until ``ready`` is set, every name that may turn out to be ours is SERVFAIL: never NXDOMAIN, which a
    client would believe.
    """

    directory: Directory
    search: SearchPath | None
    edns_size: int
    ready: bool = False
    turns: "itertools.count[int]" = field(default_factory=itertools.count)

    def respond(self, packet: bytes, client: Address, *, stream: bool) -> bytes | None:
        """The reply to ``packet`` from ``client``, over TCP where ``stream``; None where silence is due."""
        if is_silent(packet):
            return None
        try:
            query = parse(packet)
        except QueryError as error:
            return _bare(packet, error.rcode)
        try:
            check(query)
        except QueryError as error:
            return self._reply(query, error.rcode, Result(Outcome.OUTSIDE), stream)
        return self._answer(query, client, stream)

    def _answer(self, query: Query, client: Address, stream: bool) -> bytes:
        if not self.ready and self._may_be_ours(query.name):
            return self._reply(query, SERVFAIL, Result(Outcome.OUTSIDE), stream, NOT_READY)
        search, name = self.search, query.name
        candidates = search.candidates(name, client) if search else ()
        rest = search.rest(name, client, self.directory.node) if search else ()
        turn = next(self.turns) * SPREAD >> 16
        asked = Asked(name, query.rdtype, turn, self._limit(query, stream))
        result = look_up(self.directory, asked, candidates, rest)
        return self._reply(query, _RCODES[result.outcome], result, stream)

    def _may_be_ours(self, name: bytes) -> bool:
        if self.search and self.search.may_mean_something(name):
            return True
        return self.directory.zone_of(name) is not None

    def _reply(self, query: Query, rcode: int, result: Result, stream: bool, option: bytes = b"") -> bytes:
        opt = self._opt(query, rcode, option)
        room = self._limit(query, stream) - HEADER - len(query.question) - len(opt)
        truncated = _fit(result, room)
        authoritative = AA if rcode in (NOERROR, NXDOMAIN) else 0
        flags = QR | authoritative | (TC if truncated else 0) | query.flags & RD | rcode & 15
        counts = (1, result.answers, result.authorities, result.additionals + bool(opt))
        return struct.pack("!6H", query.ident, flags, *counts) + query.question + result.body + opt

    def _limit(self, query: Query, stream: bool) -> int:
        """Octets that the reply may have."""
        return LARGEST if stream else min(query.payload, self.edns_size)

    def _opt(self, query: Query, rcode: int, option: bytes) -> bytes:
        """Our OPT record where the client sent one, and only there (RFC 6891 section 6.1.1)."""
        if query.edns is None:
            return b""
        flags = 0x8000 if query.edns.dnssec_ok else 0
        return struct.pack("!BHHBBHH", 0, 41, self.edns_size, rcode >> 4, 0, flags, len(option)) + option


def _bare(packet: bytes, rcode: int) -> bytes:
    """An error reply to a packet whose question is not known: a header, with its opcode kept."""
    ident, flags = struct.unpack_from("!2H", packet)
    return struct.pack("!6H", ident, QR | flags & (OPCODE | RD) | rcode, 0, 0, 0, 0)


def _fit(result: Result, room: int) -> bool:
    """Drop whole records until the body has ``room`` octets at the most; whether an answer had to go.

    Additional records go first and silently, by whole RRsets (RFC 2181 section 9); then answers, which sets
    TC.  What fits of those is kept: some resolvers cannot fall back to TCP.
    """
    body = result.body
    if len(body) <= room:
        return False
    ends, kinds = [0], [b""]
    for start, owner_end, end in split(body):
        kinds.append(body[start : owner_end + 2])
        if end > room:
            break
        ends.append(end)
    needed = result.answers + result.authorities
    keep = len(ends) - 1
    while needed < keep and kinds[keep] == kinds[-1]:
        keep -= 1
    result.parts = [body[: ends[keep]]]
    result.additionals = max(0, keep - needed)
    truncated = keep < needed
    if truncated:
        result.authorities = max(0, keep - result.answers)
        result.answers = min(result.answers, keep)
    return truncated
