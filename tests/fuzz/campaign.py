"""A fuzzer of the packet handlers: fast, deterministic by its seed, over the UDP path and the stream path.

1. A packet is a seed with a few mutations.  Most go the way of a datagram, some are framed, cut and fed to a
   connection.  What comes back is checked cheaply each time and strictly now and then.
2. After each burst a well-formed query must get its answer, over both, and the cluster changes a little.
3. ``run`` with the same arguments does the same again, so a finding can be had again.
"""

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from skydns_py.dataplane.counters import Counters
from skydns_py.server.connection import Places
from skydns_py.server.handler import Handler
from skydns_py.server.tcp import Stream, StreamFactory
from tests.builders import STRANGER, Served, endpoints, packed
from tests.dataplane import samples, wire
from tests.dataplane.strategies import EDNS_SIZE
from tests.fuzz import seeds
from tests.fuzz.mutate import mutated, pick, place

BURST = 500
"""Packets between two well-formed queries."""
STREAM_SHARE = 0.05
"""Of all packets: how many are the first of those that a connection carries."""
STRICT_SHARE, EQUAL_SHARE = 0.02, 0.1
"""Of the replies: how many dnspython reads; how many of the hot path's are compared with the slow one's."""
HOSTS = (STRANGER, samples.MAPPED, "10.5.0.1", "fd00:5::1", "::ffff:127.0.0.2", "fe80::1%lo")


@dataclass
class Report:
    """What a campaign did and found; ``rcodes`` counts replies by the header's code, -1 for silence."""

    packets: int = 0
    hot: int = 0
    streams: int = 0
    seconds: float = 0.0
    rcodes: Counter[int] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        codes = ", ".join(f"{code}: {count}" for code, count in sorted(self.rcodes.items()))
        return (
            f"{self.packets} packets in {self.seconds:.1f} s ({self.packets / self.seconds:.0f}/s), "
            f"{self.hot} by the hot path, {self.streams} streams, rcodes {codes}, "
            f"{len(self.findings)} findings"
        )


class Connected(StringTransport):
    """Twisted's transport for tests, with what it lacks of a TCP connection's."""

    bufferSize = 1 << 16  # noqa: N815  # Twisted's

    def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802  # Twisted's
        """Nothing waits here."""


class Target:
    """The server under test, and the packets that are known to have an answer."""

    def __init__(self) -> None:
        self.served = Served(*seeds.objects(), networks=samples.NETWORKS, edns_size=EDNS_SIZE)
        self.counters = Counters()
        self.handler = Handler(self.served.feed.responder, self.counters)
        self.factory = StreamFactory(self.handler, Places(self.counters, 100, 10.0))
        self.clock = Clock()
        self.good = wire.query(samples.SERVICE, edns=wire.opt())
        self.expected = self.served.feed.responder.respond(self.good, packed(STRANGER), stream=True)

    def udp(self, packet: bytes, host: str) -> tuple[bytes | None, bool]:
        """The reply as ``server.udp.Port`` makes it, and whether the hot path did."""
        hot = self.served.feed.answer(packet)
        return (hot, True) if hot else (self.handler.handle(packet, host, stream=False), False)

    def connect(self) -> tuple[Stream, Connected]:
        """A new connection."""
        stream: Any = Stream(self.factory)
        stream.callLater = self.clock.callLater
        transport = Connected(peerAddress=IPv4Address("TCP", STRANGER, 1))  # type: ignore[no-untyped-call]  # Twisted's
        stream.makeConnection(transport)
        return stream, transport

    def change(self, turn: int) -> None:
        """Endpoints come and go."""
        self.served.change(endpoints("few", samples.addresses(1 + turn % 5, 2), "http:80"))


@dataclass
class Campaign:
    """One run."""

    target: Target
    rng: random.Random
    report: Report = field(default_factory=Report)
    packets: list[bytes] = field(default_factory=seeds.packets)
    streams: list[bytes] = field(default_factory=lambda: list(seeds.corpus(seeds.STREAMS)))

    def run(self, count: int) -> None:
        """Send this many packets, in bursts."""
        started = time.perf_counter()
        while self.report.packets < count:
            for _ in range(min(BURST, count - self.report.packets)):
                self.step()
            self.settle()
        self.report.seconds += time.perf_counter() - started

    def step(self) -> None:
        """One packet, or what a connection carries."""
        rng = self.rng
        packet = mutated(pick(self.packets, rng), self.packets, rng)
        self.report.packets += 1
        try:
            if rng.random() < STREAM_SHARE:
                self.stream(packet)
            else:
                self.datagram(packet, pick(HOSTS, rng))
        except Exception as error:
            self.report.findings.append(f"{type(error).__name__}: {error}: {packet.hex()}")

    def datagram(self, packet: bytes, host: str) -> None:
        """Over UDP."""
        failures = self.target.counters.failures
        reply, hot = self.target.udp(packet, host)
        assert self.target.counters.failures == failures, "the handler failed"
        self.report.hot += hot
        self.report.rcodes[reply[3] & 15 if reply else -1] += 1
        self.check(packet, reply)
        if reply and hot and self.rng.random() < EQUAL_SHARE:
            slow = self.target.served.feed.responder.respond(packet, packed(STRANGER), stream=False)
            assert wire.canonical(reply) == wire.canonical(slow), "the paths differ"

    def check(self, packet: bytes, reply: bytes | None) -> None:
        """What holds for any packet, however broken."""
        silent = len(packet) < 12 or packet[2] & 0x80
        assert (reply is None) == bool(silent), "silence in the wrong place"
        if reply is None:
            return
        assert reply[:2] == packet[:2], "another's ID"
        assert reply[2] & 0xF8 == 0x80 | packet[2] & 0x78, "another's opcode, or no response"
        assert len(reply) <= (EDNS_SIZE if b"\0\x29" in packet else 512), "longer than may be"
        if self.rng.random() < STRICT_SHARE:
            found = wire.read(reply)
            assert packet[12:].startswith(found.question), "another's question"

    def stream(self, packet: bytes) -> None:
        """Over TCP: some messages, whose lengths may lie, in two pieces, and perhaps the client's end."""
        rng, target = self.rng, self.target
        octets = b"".join(framed(mutated(each, self.packets, rng), rng) for each in self.some(packet))
        if rng.random() < 0.3:
            octets = mutated(pick(self.streams, rng), self.streams, rng) + octets
        failures = target.counters.failures
        stream, transport = target.connect()
        cut = place(bytearray(octets), rng)
        for piece in (octets[:cut], octets[cut:]):
            if piece and not transport.disconnecting:
                stream.dataReceived(piece)
        if rng.random() < 0.5 and not transport.disconnecting:
            stream.readConnectionLost()
        stream.connectionLost()
        self.report.streams += 1
        assert target.counters.failures == failures, "the handler failed"
        assert unframed(transport.io.getvalue()) is not None, "replies out of step"

    def some(self, packet: bytes) -> list[bytes]:
        """This packet and up to three seeds."""
        return [packet, *(pick(self.packets, self.rng) for _ in range(self.rng.getrandbits(2)))]

    def settle(self) -> None:
        """A well-formed query is answered over both, and the cluster changes."""
        target = self.target
        target.change(self.report.packets // BURST)
        over_udp, _ = target.udp(target.good, STRANGER)
        stream, transport = target.connect()
        stream.dataReceived(len(target.good).to_bytes(2) + target.good)
        stream.connectionLost()
        if over_udp != target.expected or unframed(transport.io.getvalue()) != [target.expected]:
            self.report.findings.append(f"no answer after {self.report.packets} packets")
        target.clock.advance(0)


def framed(message: bytes, rng: random.Random) -> bytes:
    """The message behind its length, which one time in sixteen is wrong."""
    length = pick((0, 11, 12, len(message) + 1, 0xFFFF), rng) if rng.random() < 0.0625 else len(message)
    return length.to_bytes(2) + message


def unframed(octets: bytes) -> list[bytes] | None:
    """The messages on a connection; None where they do not add up."""
    found = []
    while octets:
        end = 2 + int.from_bytes(octets[:2])
        if end < 14 or len(octets) < end:
            return None
        found.append(octets[2:end])
        octets = octets[end:]
    return found


def run(packets: int, seed: int) -> Report:
    """Send this many packets to a server of its own; the findings say what went wrong with which."""
    campaign = Campaign(Target(), random.Random(seed))
    campaign.run(packets)
    return campaign.report
