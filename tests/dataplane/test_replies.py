"""What holds for every reply, whichever path made it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skydns_py.zone.names import from_text
from tests.builders import STRANGER, Served, packed
from tests.dataplane import samples, wire
from tests.dataplane.strategies import EDNS_SIZE, Asked, packets, well_formed

CLIENTS = st.sampled_from((packed(STRANGER), packed(samples.MAPPED)))


@pytest.fixture(scope="module")
def served() -> Served:
    return samples.served(edns_size=EDNS_SIZE)


def over_udp(served: Served, packet: bytes, client: bytes) -> bytes | None:
    """As the UDP port does it: the hot path first."""
    return served.feed.answer(packet) or served.feed.responder.respond(packet, client, stream=False)


@settings(max_examples=200, deadline=None)
@given(asked=well_formed(), client=CLIENTS)
def test_reply_to_a_query_that_parses_echoes_its_question_and_fits(
    served: Served, asked: Asked, client: bytes
) -> None:
    raw = over_udp(served, asked.packet, client)
    assert raw is not None
    reply = wire.read(raw)
    if reply.rcode != wire.FORMERR:
        assert reply.question == asked.packet[12 : 12 + len(reply.question)]
        assert len(reply.question) > 4
    assert len(raw) <= asked.limit


@settings(max_examples=200, deadline=None)
@given(packet=packets, client=CLIENTS)
def test_header_of_a_reply_says_what_this_server_does(served: Served, packet: bytes, client: bytes) -> None:
    raw = over_udp(served, packet, client)
    if len(packet) < 12 or packet[2] & 0x80:
        assert raw is None
        return
    assert raw is not None
    reply = wire.read(raw)
    sent = int.from_bytes(packet[2:4])
    assert raw[:2] == packet[:2]
    assert reply.flags & wire.QR
    assert reply.flags & (0x7800 | wire.RD) == sent & (0x7800 | wire.RD)
    assert not reply.flags & (wire.RA | wire.Z | wire.AD | wire.CD)
    assert bool(reply.flags & wire.AA) == (reply.rcode in (wire.NOERROR, wire.NXDOMAIN))


@settings(max_examples=200, deadline=None)
@given(asked=well_formed(), client=CLIENTS)
def test_truncation_bit_means_that_an_answer_or_the_soa_had_to_go(
    served: Served, asked: Asked, client: bytes
) -> None:
    """RFC 2181 section 9: additional records may go without it, what was asked for may not."""
    raw = over_udp(served, asked.packet, client)
    whole = served.feed.responder.respond(asked.packet, client, stream=True)
    assert raw is not None
    assert whole is not None
    reply, full = wire.read(raw), wire.read(whole)
    assert not full.truncated
    needed = full.answers + full.authorities
    assert reply.truncated == (len(reply.answers + reply.authorities) < len(needed))
    assert set(reply.answers + reply.authorities) <= set(needed)
    assert set(reply.additionals) <= set(full.additionals)
    assert reply.rcode == full.rcode


@settings(max_examples=150, deadline=None)
@given(asked=well_formed(), client=CLIENTS)
def test_opt_record_comes_back_where_one_was_sent_and_only_there(
    served: Served, asked: Asked, client: bytes
) -> None:
    """RFC 6891 section 6.1.1 and 7; the DO bit is copied (RFC 3225 section 3)."""
    raw = over_udp(served, asked.packet, client)
    assert raw is not None
    reply = wire.read(raw)
    if reply.rcode == wire.FORMERR and not reply.question:
        return
    sent = asked.packet[10:12] != b"\0\0"
    assert bool(reply.opt) == sent
    if reply.opt:
        ttl = int.from_bytes(asked.packet[12 + len(reply.question) + 5 :][:4])
        assert reply.opt.ttl & 0xFFFF == ttl & wire.DO
        assert reply.opt.rdclass == EDNS_SIZE
        assert [each.rdtype for each in reply.additionals].count(wire.OPT) == 1


@pytest.mark.parametrize("labels", [1, 2, 3])
def test_negative_reply_fits_however_long_the_name_of_the_zone(labels: int) -> None:
    """The SOA carries the zone's name twice; the hot path must not answer more than 512 octets with it."""
    zone = ".".join("z" * 63 for _ in range(labels))
    served = Served(own_addresses=(), reverse_zones=(from_text(zone),))
    longest = ".".join(("x" * 63,) * (3 - labels) + ("y" * 50,) + (zone,))
    for edns in (b"", wire.opt(512)):
        raw = over_udp(served, wire.query(longest, edns=edns), packed(STRANGER))
        assert raw is not None
        assert len(raw) <= 512
        reply = wire.read(raw)
        assert reply.rcode == wire.NXDOMAIN
        assert bool(reply.authorities) != reply.truncated
