"""SkyDNS messages: the RRsets that follow from the records a name finds.

1. ``host`` decides: an address makes an address record, a domain name an alias; anything else is bad and
   makes nothing.  ``text`` makes TXT whatever the host is: external-dns puts its ownership text there.
2. Addresses win over an alias, and there is one alias at most: a record at the name itself before one
   below, then in key order.  An alias to the name itself or to a name above it would find itself again (a
   name finds all records below it), so it is no candidate.  An apex has none (RFC 1034 section 3.6.2).
3. SRV, MX and NS need a name to point to.  An address host gets its key's name, less ``targetstrip`` labels
   on the left, and its address as glue.  A strip that would leave the zone is not made, so that no record
   can speak for a name outside.
4. The weight of an SRV record is 100 shared among all records of its priority that the name finds, counted
   before equal ones are merged, rounded down, and at least 1.
5. An RRset has one TTL, the smallest (RFC 2181 section 5.2), no record twice, and the records in key order.
6. A value that its field in the message cannot hold (a port of 70 000) leaves its record out, unclipped.
"""

import re
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

from skydns_py.cluster.objects import Record
from skydns_py.zone.names import MAX_LABEL, MAX_NAME, ROOT, ancestors, from_text, is_within
from skydns_py.zone.rrset import AAAA, CNAME, MX, NS, PTR, SRV, TXT, A, Names, RRset, RRsets

DEFAULT_TTL = 300
"""Seconds, where neither the record nor its lease says (CoreDNS)."""

MAX_TTL = 2**31 - 1
"""Seconds (RFC 2181 section 8)."""

DEFAULT_PRIORITY = 10
DEFAULT_WEIGHT = 100

MAX_RRSET = 65_000
"""Octets of an RRset's records, each with a compressed owner: with header, question and OPT this fills the
64 KiB of a TCP message (RFC 1035 section 4.2.2).  Records that fit no more are left out, later keys first."""

_RR_HEADER = 12
"""Octets before the rdata: a compressed owner, type, class, TTL, length (RFC 1035 section 3.2.1)."""

_TARGET_AT = {SRV: 6, MX: 2, NS: 0}
"""Where in the rdata the target stands."""

_NAME = re.compile(r"[\w*/-]+(\.[\w*/-]+)*\.?", re.ASCII)
"""Host names, with what service names, wildcards and RFC 2317 add to their letters."""


class Found(NamedTuple):
    """What a name owns, and the addresses of those names its SRV, MX and NS records point to."""

    rrsets: RRsets
    glue: Names


class _Host(NamedTuple):
    """A record and what its host says: an address or an alias; ``target`` is rule 3's name, b"" for none."""

    record: Record
    ttl: int
    address: bytes
    alias: bytes
    target: bytes

    @property
    def priority(self) -> int:
        return self.record.priority or DEFAULT_PRIORITY

    @property
    def weight(self) -> int:
        return self.record.weight if self.record.weight > 0 else DEFAULT_WEIGHT


Pairs = Iterable[tuple[int, bytes]]
"""TTL and rdata of each record of an RRset to be."""


def answers(name: bytes, zone: bytes, found: Sequence[Record], exact: Sequence[Record]) -> Found:
    """The RRsets of a name below the apex: ``found`` is what it finds, ``exact`` what is at its own key."""
    hosts = _hosts(found, zone)
    rrsets = _usual(hosts, found, exact, zone)
    if A not in rrsets and AAAA not in rrsets:
        candidates = [*_hosts(exact, zone), *hosts]
        aliases = ((host.ttl, host.alias) for host in candidates if host.alias)
        alias = next((pair for pair in aliases if not is_within(name, pair[1])), None)
        rrsets |= _present({CNAME: [alias] if alias else []})
    return Found(rrsets, _glue(hosts, rrsets))


def apex_answers(
    zone: bytes, found: Sequence[Record], servers: Sequence[Record], exact: Sequence[Record]
) -> Found:
    """The RRsets of the apex: as ``answers``, with NS from ``servers``' addresses and without an alias."""
    hosts = _hosts(found, zone)
    named = [host for host in _hosts(servers, zone) if host.address and host.target]
    rrsets = _usual(hosts, found, exact, zone)
    rrsets |= _present({NS: ((host.ttl, host.target) for host in named)})
    return Found(rrsets, _glue([*hosts, *named], rrsets))


def _usual(
    hosts: Sequence[_Host], found: Sequence[Record], exact: Sequence[Record], zone: bytes
) -> dict[int, RRset]:
    texts = grouped([record for record in found if record.host or record.text])
    mails = (host for host in hosts if host.record.mail and host.target and _fits(host.priority))
    return _addresses(hosts) | _present(
        {
            SRV: _services(hosts),
            MX: ((host.ttl, struct.pack("!H", host.priority) + host.target) for host in mails),
            TXT: ((_ttl(record), _chunks(record.text)) for record in texts if record.text),
            PTR: ((host.ttl, host.alias) for host in _hosts(exact, zone) if host.alias),
        }
    )


def grouped(records: Sequence[Record]) -> Sequence[Record]:
    """The records that belong together: the shallowest key's group, and whatever has no group.

    All of them where that group is empty, or where records as shallow disagree about it.
    """
    if not any(record.group for record in records):
        return records
    group, depth = records[0].group, _depth(records[0])
    for record in records:
        if _depth(record) < depth:
            if not record.group:
                break
            group, depth = record.group, _depth(record)
    strangers = (record for record in records if record.group not in ("", group))
    if not group or any(_depth(record) == depth for record in strangers):
        return records
    return [record for record in records if record.group in ("", group)]


def _depth(record: Record) -> int:
    return len(path_labels(record.path))


# Parts of RRsets


def _services(hosts: Sequence[_Host]) -> list[tuple[int, bytes]]:
    """SRV (RFC 2782); of records that differ only in weight the first stands (rule 4)."""
    able = [host for host in hosts if host.target and _fits(host.priority, host.record.port)]
    sums: Counter[int] = Counter()
    for host in able:
        sums[host.priority] += host.weight
    merged: dict[tuple[int, int, bytes], tuple[int, int]] = {}
    for host in able:
        key = (host.priority, host.record.port, host.target)
        ttl, weight = merged.get(key, (host.ttl, max(1, 100 * host.weight // sums[host.priority])))
        merged[key] = (min(ttl, host.ttl), weight)
    return [
        (ttl, struct.pack("!HHH", priority, weight, port) + target)
        for (priority, port, target), (ttl, weight) in merged.items()
    ]


def _fits(*values: int) -> bool:
    """Rule 6, for fields of 16 bits; a port of 0 fits, as with every peer."""
    return all(0 <= value <= 0xFFFF for value in values)


def _addresses(hosts: Iterable[_Host]) -> dict[int, RRset]:
    pairs = [(host.ttl, host.address) for host in hosts]
    return _present(
        {
            A: (pair for pair in pairs if len(pair[1]) == 4),
            AAAA: (pair for pair in pairs if len(pair[1]) == 16),
        }
    )


def _glue(hosts: Iterable[_Host], rrsets: RRsets) -> Names:
    """The addresses of the targets in ``rrsets``, from the address hosts whose targets they are."""
    wanted = {
        rdata[at:] for type_, at in _TARGET_AT.items() if type_ in rrsets for rdata in rrsets[type_].rdatas
    }
    targets: dict[bytes, list[_Host]] = {}
    for host in hosts:
        if host.address and host.target in wanted:
            targets.setdefault(host.target, []).append(host)
    return {target: _addresses(owners) for target, owners in targets.items()}


def _chunks(text: str) -> bytes:
    """TXT rdata: character strings of at most 255 octets (RFC 1035 section 3.3.14)."""
    octets = text.encode("utf-8", "replace")
    parts = (octets[at : at + 255] for at in range(0, len(octets), 255))
    return b"".join(bytes((len(part),)) + part for part in parts)


def _present(types: dict[int, Pairs]) -> dict[int, RRset]:
    """The RRsets that have a record."""
    sets = {type_: _rrset(pairs) for type_, pairs in types.items()}
    return {type_: rrset for type_, rrset in sets.items() if rrset.rdatas}


def _rrset(pairs: Pairs) -> RRset:
    """Rule 5, cut at ``MAX_RRSET``."""
    ttls: dict[bytes, int] = {}
    room = MAX_RRSET
    for ttl, rdata in pairs:
        if rdata in ttls:
            ttls[rdata] = min(ttl, ttls[rdata])
        elif (size := _RR_HEADER + len(rdata)) <= room:
            ttls[rdata] = ttl
            room -= size
    return RRset(min(ttls.values(), default=0), tuple(ttls))


# One record


def _hosts(records: Iterable[Record], zone: bytes) -> list[_Host]:
    """The group's records that have a usable host."""
    group = grouped([record for record in records if record.host])
    parsed = ((record, *parse_host(record.host)) for record in group)
    return [
        _Host(record, _ttl(record), address, alias, alias or _target(record, zone))
        for record, address, alias in parsed
        if address or alias
    ]


def parse_host(host: str) -> tuple[bytes, bytes]:
    """An address's octets and b"", or b"" and a wire name, or twice b"" where ``host`` is neither.

    An IPv4-mapped address is an IPv4 address.  A name whose topmost label is a number is an address gone
    wrong (RFC 1123 section 2.1).
    """
    return _parse_host(host) if len(host) <= MAX_NAME else (b"", b"")


@lru_cache(maxsize=2**14)  # more than one lookup visits: 9 MB at most, and it halves the time of a large one
def _parse_host(host: str) -> tuple[bytes, bytes]:
    try:
        address = ip_address("" if "%" in host else host)
    except ValueError:
        return b"", _name(host)
    mapped = address.ipv4_mapped if address.version == 6 else None
    return (mapped or address).packed, b""


def _name(host: str) -> bytes:
    if host == ".":
        return ROOT
    if not _NAME.fullmatch(host) or host.rstrip(".").rpartition(".")[2].isdigit():
        return b""
    try:
        return from_text(host)
    except ValueError:
        return b""


def _ttl(record: Record) -> int:
    """The smaller of the record's TTL and its lease's, in seconds, of those it has."""
    known = [seconds for seconds in (record.ttl, record.lease_seconds) if seconds > 0]
    return min(*known, MAX_TTL) if known else DEFAULT_TTL


def _target(record: Record, zone: bytes) -> bytes:
    """Rule 3's name for an address host, b"" where the key makes no name."""
    path = path_labels(record.path)
    if 0 < record.targetstrip < len(path):
        stripped = wire_name(path[: -record.targetstrip])
        if stripped and is_within(stripped, zone):
            return stripped
    return wire_name(path)


# Keys


def path_labels(path: str) -> tuple[bytes, ...]:
    """The labels of a path, topmost first, lower-case; empty ones, as of a slash at the end, do not count."""
    return tuple(part.encode("utf-8", "replace").lower() for part in path.split("/") if part)


def wire_name(path: Sequence[bytes]) -> bytes:
    """The name of ``path`` (topmost label first), b"" where it is too long for one."""
    if any(len(label) > MAX_LABEL for label in path):
        return b""
    name = b"".join([bytes((len(label),)) + label for label in reversed(path)]) + ROOT
    return name if len(name) <= MAX_NAME else b""


def ascending(path: Sequence[bytes]) -> tuple[bytes, ...]:
    """The name of ``path`` and all above it up to the root, without those too long for names."""
    names = (wire_name(path[:depth]) for depth in range(len(path), -1, -1))
    return tuple(ancestors(next(name for name in names if name)))
