"""What the RFCs ask of an authoritative server, a row for each rule, over UDP and over TCP.

A row's id is the RFC's section and the rule.  ``None`` for a reply means silence.
"""

from collections.abc import Callable
from typing import NamedTuple

import dns.message
import dns.name
import pytest

from tests.dataplane import samples, wire
from tests.dataplane.strategies import EDNS_SIZE, mixed
from tests.dataplane.wire import Reply, message, opt, option, query, question
from tests.server.listening import Listening

ZONE, SERVICE = samples.ZONE, samples.SERVICE
ABSENT = f"nothing.my-ns.svc.{ZONE}"
BARE = f"_tcp.{SERVICE}"
TEXT = f"text.sky.{ZONE}"
SRV_WITH_GLUE = f"_http._tcp.{samples.FEW_NAME}"

Check = Callable[[Reply], object]


class Row(NamedTuple):
    """A query, the response code it must get, and what else must hold of the reply."""

    packet: bytes
    rcode: int | None
    holds: Check = lambda reply: True


def _fails(*flags: int) -> Check:
    """No records, no question where it could not be read, and these header bits only."""
    expected = wire.QR + sum(flags)
    return lambda reply: (
        reply.flags & ~15 == expected and not reply.answers + reply.authorities + reply.additionals
    )


def _bare(reply: Reply) -> bool:
    return _fails(wire.RD)(reply) and not reply.question  # type: ignore[return-value]  # a bool indeed


def _soa(reply: Reply) -> bool:
    return [record.rdtype for record in reply.authorities] == [wire.SOA] and bool(reply.flags & wire.AA)


def _nothing(reply: Reply) -> bool:
    return not reply.answers and _soa(reply)


def _types(*expected: int) -> Check:
    return lambda reply: tuple(record.rdtype for record in reply.answers) == expected


def _soa_of(zone: str) -> Check:
    name = dns.name.from_text(zone)
    return lambda reply: _nothing(reply) and dns.message.from_wire(reply.raw).authority[0].name == name


def _soa_ttl_is_its_minimum(reply: Reply) -> bool:
    (soa,) = reply.authorities
    return soa.ttl == int.from_bytes(soa.rdata[-4:])


def _opt_is(version: int, bits: int) -> Check:
    def holds(reply: Reply) -> bool:
        assert reply.opt is not None
        found = (reply.opt.ttl >> 16 & 0xFF, reply.opt.ttl & 0xFFFF, reply.opt.rdclass, reply.opt.rdata)
        return found == (version, bits, EDNS_SIZE, b"")

    return holds


def _one_rrset(rdtype: int, count: int) -> Check:
    return lambda reply: [record.rdtype for record in reply.answers] == [rdtype] * count


def _question(name: str, mask: int = 0) -> bytes:
    return mixed(wire.encode(name), mask)


def _opcode(code: int) -> Row:
    flags = code << 11 | wire.RD
    return Row(message(PLAIN, flags=flags), wire.NOTIMP, lambda r: _fails(flags)(r) and not r.question)


LOOP = b"\xc0\x0c"
LONGEST = wire.encode(samples.ABSENT[-1])
TOO_LONG = b"\1x" + LONGEST
A_RECORD = b"\0\1\0\1\0\0\0\0\0\4\x7f\0\0\1"
PLAIN = question(SERVICE)
RESPONSE = wire.QR | wire.RD

ROWS = {
    # RFC 1035
    "RFC1035-2.3.3-case-does-not-matter-and-is-kept": Row(
        query(_question(SERVICE, 0x5A5A5A5A5A)), 0, lambda r: r.question[:10] != PLAIN[:10] and r.answers
    ),
    "RFC1035-2.3.4-name-of-255-octets-is-a-name": Row(query(LONGEST), wire.NXDOMAIN, _nothing),
    "RFC1035-2.3.4-name-over-255-octets-is-malformed": Row(query(TOO_LONG), wire.FORMERR, _bare),
    "RFC1035-2.3.4-label-over-63-octets-is-malformed": Row(
        query(b"\x40" + b"x" * 64 + wire.encode(ZONE)), wire.FORMERR, _bare
    ),
    "RFC1035-3.2.3-transfer-is-not-implemented": Row(query(ZONE, 252), wire.NOTIMP, _fails(wire.RD)),
    "RFC1035-3.2.3-mailbox-questions-are-not-implemented": Row(query(ZONE, 253), wire.NOTIMP),
    "RFC1035-3.2.4-class-CH-is-refused": Row(
        query("version.bind", wire.TXT, wire.CH), wire.REFUSED, _fails(wire.RD)
    ),
    "RFC1035-3.2.5-class-ANY-is-refused": Row(query(SERVICE, wire.A, wire.ANY_CLASS), wire.REFUSED),
    "RFC1035-4.1.1-answer-is-authoritative-recursion-desired-copied": Row(
        query(SERVICE), 0, lambda r: r.flags == wire.QR | wire.AA | wire.RD and r.answers
    ),
    "RFC1035-4.1.1-recursion-not-desired-is-copied": Row(
        query(SERVICE, flags=0), 0, lambda r: r.flags == wire.QR | wire.AA and r.answers
    ),
    "RFC1035-4.1.1-reserved-and-response-bits-of-a-query-are-ignored": Row(
        query(SERVICE, flags=wire.AA | wire.TC | wire.RA | wire.Z | 15),
        0,
        lambda r: r.flags == wire.QR | wire.AA and r.answers,
    ),
    "RFC1035-4.1.1-response-gets-no-reply": Row(query(SERVICE, flags=RESPONSE), None),
    "RFC1035-4.1.1-response-with-any-opcode-gets-no-reply": Row(message(PLAIN, flags=0xFFFF), None),
    "RFC1035-4.1.1-less-than-a-header-gets-no-reply": Row(query(SERVICE)[:11], None),
    "RFC1035-4.1.1-name-of-others-is-refused": Row(query("example.com"), wire.REFUSED, _fails(wire.RD)),
    "RFC1035-4.1.1-the-root-is-refused": Row(query("."), wire.REFUSED),
    "RFC1035-4.1.1-header-alone-with-a-question-counted": Row(message(b""), wire.FORMERR, _bare),
    "RFC1035-4.1.2-name-cut-off": Row(message(PLAIN[:10]), wire.FORMERR, _bare),
    "RFC1035-4.1.2-type-and-class-cut-off": Row(message(PLAIN[:-1]), wire.FORMERR, _bare),
    "RFC1035-4.1.3-record-counted-but-not-there": Row(
        message(PLAIN, counts=(1, 0, 0, 1)), wire.FORMERR, _bare
    ),
    "RFC1035-4.1.3-record-longer-than-the-message": Row(
        message(PLAIN + b"\0" + A_RECORD[:-1], counts=(1, 0, 0, 1)), wire.FORMERR, _bare
    ),
    "RFC1035-4.1.3-record-in-a-query-is-ignored": Row(
        message(PLAIN + b"\xc0\x0c" + A_RECORD, counts=(1, 1, 0, 0)), 0, _types(wire.A)
    ),
    "RFC1035-4.1.4-pointer-to-itself-in-a-question": Row(query(LOOP), wire.FORMERR, _bare),
    "RFC1035-4.1.4-pointer-in-a-question": Row(query(b"\1x" + LOOP), wire.FORMERR, _bare),
    "RFC1035-4.1.4-reserved-label-types": Row(query(b"\x80\0"), wire.FORMERR, _bare),
    "RFC1035-4.2.1-octets-after-the-message-are-ignored": Row(query(SERVICE) + b"\xff" * 9, 0, _types(1)),
    # RFC 2181
    "RFC2181-5.2-one-ttl-in-an-rrset": Row(
        query(samples.FEW_NAME), 0, lambda r: len({record.ttl for record in r.answers}) == 1
    ),
    "RFC2181-9-additional-records-go-without-truncation": Row(
        query(SRV_WITH_GLUE, wire.SRV), 0, lambda r: not r.truncated and len(r.answers) == 6
    ),
    "RFC2181-10.1-type-asked-beside-an-alias-follows-it": Row(
        query(f"inside.my-ns.svc.{ZONE}"), 0, _types(wire.CNAME, wire.A, wire.A, wire.A)
    ),
    "RFC2181-10.1-alias-asked-for-is-not-followed": Row(
        query(f"inside.my-ns.svc.{ZONE}", wire.CNAME), 0, _types(wire.CNAME)
    ),
    "RFC2181-11-any-octet-may-be-in-a-label": Row(
        query(b"\3\0.\xff" + wire.encode(ZONE)), wire.NXDOMAIN, _nothing
    ),
    # RFC 2308
    "RFC2308-2.1-no-such-name-has-the-soa": Row(query(ABSENT), wire.NXDOMAIN, _nothing),
    "RFC2308-2.1-no-such-name-for-any-type-alike": Row(query(ABSENT, wire.ANY), wire.NXDOMAIN, _nothing),
    "RFC2308-2.1-alias-to-no-such-name-is-no-such-name": Row(
        query(f"dangling.my-ns.svc.{ZONE}"),
        wire.NXDOMAIN,
        lambda r: _soa(r) and _types(wire.CNAME)(r),
    ),
    "RFC2308-2.2-no-such-type-has-the-soa": Row(query(SERVICE, wire.MX), 0, _nothing),
    "RFC2308-2.2-name-above-others-has-no-data": Row(query(BARE), 0, _nothing),
    "RFC2308-3-soa-is-that-of-the-zone": Row(query(ABSENT), wire.NXDOMAIN, _soa_of(ZONE)),
    "RFC2308-3-soa-is-that-of-the-reverse-zone": Row(
        query("9.0.0.10.in-addr.arpa", wire.PTR), wire.NXDOMAIN, _soa_of("in-addr.arpa")
    ),
    "RFC2308-3-ttl-of-the-soa-is-its-minimum": Row(query(ABSENT), wire.NXDOMAIN, _soa_ttl_is_its_minimum),
    # RFC 6891
    "RFC6891-6.1.1-no-opt-where-none-was-sent": Row(query(SERVICE), 0, lambda r: r.opt is None),
    "RFC6891-6.1.1-opt-where-one-was-sent": Row(query(SERVICE, edns=opt()), 0, _opt_is(0, 0)),
    "RFC6891-6.1.1-opt-in-negative-answers": Row(query(ABSENT, edns=opt()), wire.NXDOMAIN, _opt_is(0, 0)),
    "RFC6891-6.1.1-opt-in-refusals": Row(query("x.", edns=opt()), wire.REFUSED, _opt_is(0, 0)),
    "RFC6891-6.1.1-two-opts-are-malformed": Row(
        message(PLAIN + opt() + opt(), counts=(1, 0, 0, 2)), wire.FORMERR, _bare
    ),
    "RFC6891-6.1.1-opt-may-stand-before-other-records": Row(
        message(PLAIN + opt() + b"\0" + A_RECORD, counts=(1, 0, 0, 2)), 0, _opt_is(0, 0)
    ),
    "RFC6891-6.1.2-opt-not-at-the-root-is-malformed": Row(
        query(SERVICE, edns=opt(owner=b"\1x\0")), wire.FORMERR, _bare
    ),
    "RFC6891-6.1.2-unknown-option-is-ignored": Row(
        query(SERVICE, edns=opt(options=option(65001, b"whatever"))), 0, _opt_is(0, 0)
    ),
    "RFC6891-6.1.3-version-above-ours-is-badvers": Row(
        query(SERVICE, edns=opt(version=1)), wire.BADVERS, lambda r: not r.answers and _opt_is(0, 0)(r)
    ),
    "RFC6891-6.1.3-badvers-before-anything-else": Row(
        query("example.com", 252, wire.CH, edns=opt(version=255)), wire.BADVERS
    ),
    "RFC6891-6.1.3-extended-rcode-of-a-query-is-ignored": Row(
        query(SERVICE, edns=opt(extended=255)), 0, _opt_is(0, 0)
    ),
    "RFC6891-6.1.4-do-is-copied": Row(query(SERVICE, edns=opt(bits=wire.DO)), 0, _opt_is(0, wire.DO)),
    "RFC6891-6.1.4-unknown-flags-are-cleared": Row(
        query(SERVICE, edns=opt(bits=0xFFFF)), 0, _opt_is(0, wire.DO)
    ),
    "RFC6891-6.2.3-payload-below-512-is-512": Row(
        query(SERVICE, edns=opt(payload=0)), 0, lambda r: r.answers and not r.truncated
    ),
    # RFC 8482
    "RFC8482-4.1-any-gets-one-rrset": Row(query(SERVICE, wire.ANY), 0, _one_rrset(wire.A, 1)),
    "RFC8482-4.1-any-gets-all-of-its-rrset": Row(query(samples.FEW_NAME, wire.ANY), 0, _one_rrset(wire.A, 3)),
    "RFC8482-4.1-any-at-an-alias-gets-it": Row(
        query(f"outside.my-ns.svc.{ZONE}", wire.ANY), 0, _one_rrset(wire.CNAME, 1)
    ),
    "RFC8482-4.1-any-without-records-has-no-data": Row(query(BARE, wire.ANY), 0, _nothing),
    # RFC 8906
    "RFC8906-3.1.1-soa-at-the-apex": Row(query(ZONE, wire.SOA), 0, _types(wire.SOA)),
    "RFC8906-3.1.1-ns-at-the-apex": Row(query(ZONE, wire.NS), 0, _types(wire.NS)),
    "RFC8906-3.1.2-unknown-type-has-no-data": Row(query(SERVICE, 1000), 0, _nothing),
    "RFC8906-3.1.2-unknown-type-of-no-such-name": Row(query(ABSENT, 65534), wire.NXDOMAIN, _nothing),
    "RFC8906-3.1.3-ad-and-cd-are-no-obstacle": Row(
        query(SERVICE, flags=wire.AD | wire.CD), 0, lambda r: r.flags == wire.QR | wire.AA and r.answers
    ),
    "RFC8906-3.1.3-last-reserved-bit-is-no-obstacle": Row(
        query(SERVICE, flags=wire.Z), 0, lambda r: r.flags == wire.QR | wire.AA and r.answers
    ),
    **{f"RFC8906-3.1.4-opcode-{code}-is-not-implemented": _opcode(code) for code in range(1, 16)},
    "RFC8906-3.1.4-opcode-with-nothing-else": Row(message(b"", flags=14 << 11, counts=(0,) * 4), wire.NOTIMP),
    "RFC8906-3.2.3-nsid-cookie-subnet-are-no-obstacle": Row(
        query(SERVICE, edns=opt(options=option(3) + option(10, b"12345678") + option(8, b"\0\1\0\0"))),
        0,
        lambda r: r.answers and _opt_is(0, 0)(r),
    ),
    "RFC8906-3.2.6-do-without-signatures-is-answered": Row(
        query(SERVICE, edns=opt(bits=wire.DO)), 0, _types(wire.A)
    ),
    # RFC 9619
    "RFC9619-4-no-question": Row(message(b"", counts=(0, 0, 0, 0)), wire.FORMERR, _bare),
    "RFC9619-4-two-questions": Row(message(PLAIN * 2, counts=(2, 0, 0, 0)), wire.FORMERR, _bare),
    "RFC9619-4-two-questions-counted-one-there": Row(
        message(PLAIN, counts=(2, 0, 0, 0)), wire.FORMERR, _bare
    ),
    "RFC9619-4-all-the-questions-a-count-can-say": Row(
        message(PLAIN, counts=(65535, 0, 0, 0)), wire.FORMERR, _bare
    ),
}

OVER_TCP_A_REASON_TO_END = {"RFC1035-4.1.1-less-than-a-header-gets-no-reply"}
AFTER = query(SERVICE, ident=0x7777)


def _hold(row: Row, raw: bytes) -> None:
    if row.rcode is None:
        assert raw[:2] == AFTER[:2], "a reply where silence was due"
        return
    reply = wire.read(raw)
    assert raw[:2] == row.packet[:2]
    assert reply.rcode == row.rcode
    if reply.question or reply.rcode not in (wire.FORMERR, wire.NOTIMP):
        assert len(reply.question) > 4
        assert row.packet[12:].startswith(reply.question)
    assert row.holds(reply)


@pytest.mark.parametrize("rule", ROWS)
def test_rule_over_udp(server: Listening, rule: str) -> None:
    with server.udp() as client:
        client.send(ROWS[rule].packet)
        client.send(AFTER)
        _hold(ROWS[rule], client.receive())


@pytest.mark.parametrize("rule", [rule for rule in ROWS if rule not in OVER_TCP_A_REASON_TO_END])
def test_rule_over_tcp(server: Listening, rule: str) -> None:
    """RFC 7766 section 5: TCP is no lesser transport."""
    with server.tcp() as client:
        client.send(ROWS[rule].packet, AFTER)
        _hold(ROWS[rule], client.receive())


SIZES = {
    "RFC1035-4.2.1-512-octets-without-edns": (b"", 512),
    "RFC6891-6.2.3-payload-of-0-is-512": (opt(0), 512),
    "RFC6891-6.2.3-payload-of-511-is-512": (opt(511), 512),
    "RFC6891-6.2.5-payload-is-the-limit": (opt(800), 800),
    "RFC6891-6.2.4-our-own-payload-is-the-limit": (opt(65535), EDNS_SIZE),
}


@pytest.mark.parametrize("rule", SIZES)
def test_size_over_udp(server: Listening, rule: str) -> None:
    """RFC 2181 section 9: as many records as fit, and TC where one had to go; over TCP all of them."""
    edns, limit = SIZES[rule]
    packet = query(samples.WIDE_NAME, edns=edns)
    with server.udp() as client:
        raw = client.ask(packet)
    reply = wire.read(raw)
    assert reply.truncated
    assert limit - len(reply.answers[0].raw) < len(raw) <= limit
    with server.tcp() as client:
        whole = wire.read(client.ask(packet))
    assert not whole.truncated
    assert len(whole.answers) == samples.WIDE


def test_answer_of_which_nothing_fits_is_empty_and_truncated(server: Listening) -> None:
    """RFC 2181 section 9, with one record longer than the limit."""
    with server.udp() as client:
        reply = wire.read(client.ask(query(TEXT, wire.TXT)))
        assert (reply.truncated, reply.answers, reply.rcode) == (True, (), wire.NOERROR)


def test_table_covers_every_rfc_the_server_follows() -> None:
    followed = {"RFC1035", "RFC2181", "RFC2308", "RFC6891", "RFC8482", "RFC8906", "RFC9619"}
    assert {rule.partition("-")[0] for rule in ROWS} == followed
