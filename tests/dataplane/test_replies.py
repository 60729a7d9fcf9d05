"""What holds for every reply, whichever path made it."""

import itertools
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skydns_py.feed import Feed
from skydns_py.zone.names import from_text
from skydns_py.zone.settings import ZoneSettings
from tests.builders import STRANGER, Served, Turns, packed, service
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


@pytest.mark.parametrize("size", [50, 90, 110, 180])
def test_negative_reply_fits_however_long_the_name_of_the_zone(size: int) -> None:
    """The SOA carries the zone's name twice: it may have to go, but 512 octets are all there is."""
    zone = ".".join("z" * 9 for _ in range(size // 10))
    feed = Feed(ZoneSettings(from_text(zone)), EDNS_SIZE, None, Turns())
    feed.synced()
    longest = wire.encode(".".join("x" * 9 for _ in range((254 - size) // 10)) + f".{zone}")
    for name, edns in itertools.product((longest, wire.encode(f"x.{zone}")), (b"", wire.opt(512))):
        packet = wire.query(name, edns=edns)
        slow = feed.responder.respond(packet, packed(STRANGER), stream=False)
        assert feed.answer(packet) in (None, slow)
        assert slow is not None
        assert len(slow) <= 512
        assert wire.read(slow).rcode == wire.NXDOMAIN
        assert bool(wire.read(slow).authorities) != wire.read(slow).truncated


def test_negative_reply_has_the_serial_of_the_last_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 1035 section 3.3.13; the serial is the time, and the hot path keeps SOA records ready."""
    served, packet = Served(), wire.query(f"nothing.{samples.ZONE}")
    seen = []
    for now in (1_000_000_000, 1_000_000_007):
        monkeypatch.setattr("skydns_py.feed.time", SimpleNamespace(time=lambda now=now: float(now)))
        served.change(service(portals=f"10.0.0.{now & 7}"))
        hot = served.feed.answer(packet)
        assert hot is not None
        assert hot == served.feed.responder.respond(packet, packed(STRANGER), stream=False)
        seen.append(int.from_bytes(wire.read(hot).authorities[0].rdata[-20:-16]))
    assert seen == [1_000_000_000, 1_000_000_007]
