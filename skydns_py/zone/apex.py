"""The names a zone has by itself: its SOA and NS, the name server, and the schema's version."""

import struct

from skydns_py.zone.names import from_labels
from skydns_py.zone.rrset import NS, SOA, TXT, RRset, RRsets
from skydns_py.zone.schema import VERSION, VERSION_TTL, address_rrsets
from skydns_py.zone.settings import Pods, ZoneSettings

REFRESH, RETRY, EXPIRE = 7200, 1800, 86400
"""Seconds a secondary waits (RFC 1035 section 3.3.13); nothing here depends on them."""


class Apex:
    """The static names of all zones served. The SOA's minimum is the TTL: a new Service is seen at once."""

    def __init__(self, settings: ZoneSettings) -> None:
        self._settings = settings
        self._server = from_labels("ns", "dns", base=settings.name)
        self.names: dict[bytes, RRsets] = {}
        self.renew(1)

    def renew(self, serial: int) -> tuple[bytes, ...]:
        """Set the zones' serial (32 bits, RFC 1982); returns the apexes, whose RRsets it changed."""
        settings = self._settings
        names: dict[bytes, RRsets] = {
            self._server: address_rrsets(settings.own_addresses, settings.ttl),
            from_labels("svc", base=settings.name): {},
            from_labels("dns-version", base=settings.name): _version(),
        }
        if settings.pods is not Pods.DISABLED:
            names[from_labels("pod", base=settings.name)] = {}
        self.names = names | {apex: self._apex(serial) for apex in settings.apexes}
        return settings.apexes

    def soa(self, apex: bytes) -> RRset:
        """The SOA RRset of a served zone."""
        return self.names[apex][SOA]

    def _apex(self, serial: int) -> RRsets:
        ttl = self._settings.ttl
        mailbox = from_labels("hostmaster", base=self._settings.name)
        numbers = struct.pack("!5I", serial & 0xFFFFFFFF, REFRESH, RETRY, EXPIRE, ttl)
        return {SOA: RRset(ttl, (self._server + mailbox + numbers,)), NS: RRset(ttl, (self._server,))}


def _version() -> RRsets:
    text = VERSION.encode()
    return {TXT: RRset(VERSION_TTL, (bytes((len(text),)) + text,))}
