"""Announcements as they are on the wire: read back, and summed up by the RFCs' rules."""

import struct
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from skydns_py.balancer.packets import REPLY, REQUEST, Arp, announcement, checksum, parse_arp

MAC = bytes.fromhex("02005e000001")
MACS = st.binary(min_size=6, max_size=6)


@given(MACS, st.binary(min_size=4, max_size=4))
def test_gratuitous_arp_is_a_request_and_a_reply_that_name_the_address_twice_rfc5227(
    mac: bytes, address: bytes
) -> None:
    request, reply = announcement(mac, address)
    assert parse_arp(request) == Arp(REQUEST, mac, address, address)
    assert parse_arp(reply) == Arp(REPLY, mac, address, address)
    for frame in (request, reply):
        assert frame[:14] == b"\xff" * 6 + mac + bytes.fromhex("0806")
        assert frame[14:20] == bytes.fromhex("000108000604")  # Ethernet, IPv4 and their lengths


@given(MACS, st.binary(min_size=16, max_size=16))
def test_an_advertisement_sums_up_and_is_of_this_link_rfc4861(mac: bytes, address: bytes) -> None:
    (frame,) = announcement(mac, address)
    length, protocol, hops = struct.unpack_from("!HBB", frame, 18)
    source, target, body = frame[22:38], frame[38:54], frame[54:]
    assert (length, protocol, hops) == (len(body), 58, 255)
    assert (source, target) == (address, ip_address("ff02::1").packed)
    assert checksum(source + target + struct.pack("!II", len(body), 58) + body) == 0


def test_an_advertisement_overrides_what_was_cached_and_was_not_asked_for() -> None:
    (frame,) = announcement(MAC, ip_address("2001:db8::1").packed)
    body = frame[54:]
    assert (body[0], body[1], body[4]) == (136, 0, 0x20)  # neither router nor solicited
    assert body[8:24] == ip_address("2001:db8::1").packed
    assert body[24:] == b"\x02\x01" + MAC
    assert frame[:6] == bytes.fromhex("333300000001")


def test_the_checksum_is_that_of_rfc1071s_example() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2
    assert checksum(b"\x01") == 0xFFFF - 0x0100


@given(st.binary(max_size=64))
def test_any_frame_is_read_or_none(frame: bytes) -> None:
    found = parse_arp(frame)
    assert found is None or frame[12:14] == bytes.fromhex("0806")
