"""How long a reply may be kept, for transports that say so in their own way (RFC 8484 section 5.1)."""

import struct

from skydns_py.answers.packed import HEADER, split

SOA = 6


def lifetime(reply: bytes) -> int:
    """The smallest TTL of the answer, in seconds; for a negative one that of RFC 2308 section 5, by the SOA.

    0 where there is neither.  An alias whose target has nothing may be kept for the shorter of both.
    ``reply`` is one of ours: at most one question, whose name is not compressed.
    """
    questions, answers, authorities = struct.unpack_from("!3H", reply, 4)
    body = reply[_after_question(reply) if questions else HEADER :]
    found = []
    for index, (_, owner_end, end) in zip(range(answers + authorities), split(body), strict=False):
        rdtype, _, ttl = struct.unpack_from("!2HI", body, owner_end)
        if index < answers:
            found.append(ttl)
        elif rdtype == SOA:
            found.append(min(ttl, int.from_bytes(body[end - 4 : end])))
    return min(found, default=0)


def _after_question(reply: bytes) -> int:
    at = HEADER
    while reply[at]:
        at += 1 + reply[at]
    return at + 5
