"""The last line of defence: a packet never raises out of here, whatever it or a bug contains."""

import ipaddress
import logging
from dataclasses import dataclass

from skydns_py.answers.respond import Responder
from skydns_py.dataplane.counters import Counters

log = logging.getLogger(__name__)

_SHOWN = 10
"""Failures logged with a traceback; a packet that finds a bug could otherwise fill the disk."""
_SHOWN_OCTETS = 600
"""Octets of such a packet that are logged: more than any plain query has."""


@dataclass(slots=True)
class Handler:
    """Answers one packet on the slow path, or over a stream."""

    responder: Responder
    counters: Counters

    def handle(self, packet: bytes, host: str, *, stream: bool) -> bytes | None:
        """The reply to ``packet`` from the client at the address ``host``; None where none is due."""
        try:
            client = _packed(host)
            reply = self.responder.respond(packet, client, stream=stream)
        except Exception:
            self.note_failure(packet)
            reply = _failure(packet)
        if reply is None:
            self.counters.silent += 1
        return reply

    def handle_stream(self, message: bytes, host: str) -> bytes | None:
        """As ``handle`` for a message that came over a stream, and counted."""
        self.counters.tcp += 1
        reply = self.handle(message, host, stream=True)
        if reply is not None:
            self.counters.rcodes[reply[3] & 15] += 1
        return reply

    def note_failure(self, packet: bytes) -> None:
        """Count, and at first log, the exception being handled: this packet has found a bug."""
        self.counters.failures += 1
        if self.counters.failures <= _SHOWN:
            shown = packet[:_SHOWN_OCTETS].hex()
            log.exception("a query of %d octets failed; please report it: %s", len(packet), shown)


def _packed(host: str) -> bytes:
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).packed


def _failure(packet: bytes) -> bytes | None:
    """SERVFAIL, with nothing of the packet but its ID; silence for a response."""
    if len(packet) < 12 or packet[2] & 0x80:
        return None
    return packet[:2] + b"\x80\x02" + bytes(8)
