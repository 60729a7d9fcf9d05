"""Changes to a packet, each a small function of the octets and a source of chance."""

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from tests.dataplane import wire

T = TypeVar("T")
Mutation = Callable[[bytearray, random.Random], None]

NUMBERS = (0, 1, 2, 4, 12, 28, 33, 41, 63, 64, 127, 128, 192, 250, 255)
WIDE_NUMBERS = (0, 1, 2, 12, 41, 255, 256, 512, 1232, 0x3FFF, 0x7FFF, 0x8000, 0xC00C, 0xC00E, 0xFFFF)
PIECES = (
    b"\xc0\x0c",
    b"\xff\xff",
    b"\0",
    b"\1*",
    b"\3any",
    b"\x3f" + b"x" * 63,
    b"\5\xff\0.\\\x20",
    wire.encode("cluster.local"),
    wire.encode("my-ns.svc.cluster.local"),
    wire.opt(),
    wire.opt(65535, wire.DO, options=wire.option(10, bytes(8))),
    b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4\x7f\0\0\1",
)
TYPES = (1, 2, 5, 6, 12, 15, 16, 28, 33, 41, 65, 252, 255, 65280)
LARGEST = 4096
"""Octets to which a mutated packet is cut: what the UDP port reads."""


def mutated(seed: bytes, seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """The seed with one to three changes; one time in eight as it is, with another ID."""
    packet = bytearray(seed)
    if len(packet) > 1:
        packet[0:2] = rng.getrandbits(16).to_bytes(2)
    if rng.random() < 0.125:
        return bytes(packet)
    if rng.random() < 0.05:
        other = pick(seeds, rng)
        packet[place(packet, rng) :] = other[int(rng.random() * len(other)) :]
    for _ in range(pick((1, 1, 1, 2, 3), rng)):
        pick(MUTATIONS, rng)(packet, rng)
    return bytes(packet[:LARGEST])


def pick(options: Sequence[T], rng: random.Random) -> T:
    return options[int(rng.random() * len(options))]


def place(packet: bytearray, rng: random.Random) -> int:
    """Any offset, the end included; the first 48 octets twice as often."""
    size = len(packet) + 1
    return int(rng.random() * (min(48, size) if rng.random() < 0.5 else size))


def _flip(packet: bytearray, rng: random.Random) -> None:
    at = place(packet, rng)
    if at < len(packet):
        packet[at] ^= 1 << rng.getrandbits(3)


def _octet(packet: bytearray, rng: random.Random) -> None:
    at = place(packet, rng)
    packet[at : at + 1] = bytes((pick(NUMBERS, rng),))


def _number(packet: bytearray, rng: random.Random) -> None:
    at = place(packet, rng)
    packet[at : at + 2] = pick(WIDE_NUMBERS, rng).to_bytes(2)


def _count(packet: bytearray, rng: random.Random) -> None:
    at = 4 + 2 * rng.getrandbits(2)
    packet[at : at + 2] = pick(WIDE_NUMBERS[:6], rng).to_bytes(2)


def _flags(packet: bytearray, rng: random.Random) -> None:
    packet[2:4] = rng.getrandbits(16).to_bytes(2)


def _cut(packet: bytearray, rng: random.Random) -> None:
    del packet[place(packet, rng) :]


def _remove(packet: bytearray, rng: random.Random) -> None:
    at = place(packet, rng)
    del packet[at : at + 1 + rng.getrandbits(4)]


def _insert(packet: bytearray, rng: random.Random) -> None:
    at = place(packet, rng)
    packet[at:at] = pick(PIECES, rng)


def _name(packet: bytearray, rng: random.Random) -> None:
    packet[12:12] = pick(PIECES, rng)


def _noise(packet: bytearray, rng: random.Random) -> None:
    at = place(packet, rng)
    packet[at:at] = rng.randbytes(1 + rng.getrandbits(4))


def _repeat(packet: bytearray, rng: random.Random) -> None:
    at = place(packet, rng)
    packet[at:at] = packet[at : at + rng.getrandbits(6)] * (1 + rng.getrandbits(3))


def _case(packet: bytearray, rng: random.Random) -> None:
    packet[12:] = packet[12:].swapcase()


def _type(packet: bytearray, rng: random.Random) -> None:
    """Another type, where the name ends at the first zero octet."""
    at = packet.find(0, 12) + 1
    packet[at : at + 2] = pick(TYPES, rng).to_bytes(2)


def _append(packet: bytearray, rng: random.Random) -> None:
    packet += pick(PIECES, rng)


def _count_and_append(packet: bytearray, rng: random.Random) -> None:
    """One more additional record, and its count, so that it is read; mostly an OPT record."""
    if len(packet) >= 12:
        packet[11] = packet[11] + 1 & 0xFF
        bits = rng.getrandbits(32)
        packet += wire.opt(bits & 0xFFFF, bits >> 16) if bits & 3 else pick(PIECES[-3:], rng)


MUTATIONS: tuple[Mutation, ...] = (
    *(_flip, _octet, _number, _count, _flags, _cut, _remove, _insert, _name, _noise, _repeat, _case),
    *(_append, _count_and_append, _type, _type, _case),
)
