"""RRsets as this package carries them: wire rdata under a type, the owner held by whoever holds the set."""

from collections.abc import Mapping
from typing import NamedTuple

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV = 1, 2, 5, 6, 12, 15, 16, 28, 33


class RRset(NamedTuple):
    """The records of one owner and type: a TTL in seconds and each rdata in uncompressed wire form."""

    ttl: int
    rdatas: tuple[bytes, ...]


RRsets = Mapping[int, RRset]
"""Type number to RRset; empty for a name that exists and owns nothing (an empty non-terminal)."""

Names = Mapping[bytes, RRsets]
"""Wire name to what it owns."""
