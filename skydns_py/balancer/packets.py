"""What tells neighbours that an address has moved, as whole Ethernet frames.

Gratuitous ARP: RFC 5227 section 3, RFC 826.  Unsolicited neighbour advertisements: RFC 4861 section 7.2.6.
"""

import struct
from typing import NamedTuple

from skydns_py.cluster.objects import Address

ETH_ARP, ETH_IPV6 = 0x0806, 0x86DD
REQUEST, REPLY = 1, 2
_BROADCAST = b"\xff" * 6
_ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
_ALL_NODES_MAC = bytes.fromhex("333300000001")
_ICMPV6, _ADVERTISEMENT, _TARGET_LINK_ADDRESS = 58, 136, 2
_OVERRIDE = 1 << 29


class Arp(NamedTuple):
    """What an ARP packet for IPv4 over Ethernet says."""

    operation: int
    sender_mac: bytes
    sender: Address
    target: Address


def arp(operation: int, mac: bytes, sender: Address, target: Address, target_mac: bytes = bytes(6)) -> bytes:
    """A broadcast frame of 42 octets."""
    head = struct.pack("!6s6sH", _BROADCAST, mac, ETH_ARP)
    return head + struct.pack("!HHBBH6s4s6s4s", 1, 0x0800, 6, 4, operation, mac, sender, target_mac, target)


def parse_arp(frame: bytes) -> Arp | None:
    """What an Ethernet frame says; None where it is no ARP for IPv4 over Ethernet."""
    if len(frame) < 42 or frame[12:20] != bytes.fromhex("0806000108000604"):
        return None
    operation, mac, sender, _, target = struct.unpack_from("!H6s4s6s4s", frame, 20)
    return Arp(operation, mac, sender, target)


def announcement(mac: bytes, address: Address) -> tuple[bytes, ...]:
    """The frames that say where ``address`` is now.

    In IPv4 one as a request and one as a reply, for there are neighbours that heed only one of them.
    """
    if len(address) == 16:
        return (_advertisement(mac, address),)
    return arp(REQUEST, mac, address, address), arp(REPLY, mac, address, address, mac)


def _advertisement(mac: bytes, address: Address) -> bytes:
    body = struct.pack("!BBHI16sBB6s", _ADVERTISEMENT, 0, 0, _OVERRIDE, address, _TARGET_LINK_ADDRESS, 1, mac)
    pseudo = address + _ALL_NODES + struct.pack("!II", len(body), _ICMPV6)
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    head = struct.pack("!IHBB", 6 << 28, len(body), _ICMPV6, 255) + address + _ALL_NODES
    return struct.pack("!6s6sH", _ALL_NODES_MAC, mac, ETH_IPV6) + head + body


def checksum(octets: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets[: len(octets) // 2 * 2]))
    total += octets[-1] << 8 if len(octets) % 2 else 0
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total
