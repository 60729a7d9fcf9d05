"""A claim about the zone as one row: a question, and what a cluster's server must reply."""

from typing import NamedTuple

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.builders import TTL, Served, lines, relative

NODATA = "NODATA"
NXDOMAIN = "NXDOMAIN"
VERSION_TTL = 28800

TARGETS = {dns.rdatatype.SRV: "target", dns.rdatatype.NS: "target", dns.rdatatype.MX: "exchange"}
"""Types that point to a host, and the attribute that names it."""


class Claim(NamedTuple):
    """``question`` is ``name TYPE``; ``want`` the answer section, then perhaps NODATA or NXDOMAIN.

    A record is ``TYPE rdata``, or ``owner TYPE rdata`` where the owner is not the question's.  Names are
    below the zone unless they end in a dot; ``@`` is the zone.
    """

    text: str
    question: str
    want: tuple[str, ...]


def claim(text: str, question: str, *want: str) -> Claim:
    """A row."""
    assert want, "say NODATA where no record is wanted"
    return Claim(text, question, want)


def check(served: Served, row: Claim) -> None:
    """Ask, and hold the whole reply against the claim: records, TTLs, response code, SOA and glue."""
    name, rdtype = row.question.split()
    reply = served.ask(name, rdtype)
    marks = {want for want in row.want if want in (NODATA, NXDOMAIN)}
    records = [want for want in row.want if want not in marks]
    wanted = [f"{relative(name)} {each}" if each.split()[0].isupper() else each for each in records]
    assert lines(reply.answer) == sorted(wanted)
    assert dns.rcode.to_text(reply.rcode()) == (NXDOMAIN if NXDOMAIN in marks else "NOERROR")
    assert reply.flags & dns.flags.AA
    assert [rrset.rdtype for rrset in reply.authority] == ([dns.rdatatype.SOA] if marks else [])
    assert all(rrset.ttl == _ttl(rrset) for rrset in (*reply.answer, *reply.authority, *reply.additional))
    assert lines(reply.additional) == _glue(served, reply)


def _ttl(rrset: dns.rrset.RRset) -> int:
    return VERSION_TTL if rrset.rdtype == dns.rdatatype.TXT else TTL


def _glue(served: Served, reply: dns.message.Message) -> list[str]:
    """What the targets of an answer resolve to when they are asked for themselves."""
    found: set[str] = set()
    for rrset in reply.answer:
        for rdata in rrset if rrset.rdtype in TARGETS else ():
            target = getattr(rdata, TARGETS[rrset.rdtype]).to_text()
            found.update(*(lines(served.ask(target, rdtype).answer) for rdtype in ("A", "AAAA")))
    return sorted(found)
