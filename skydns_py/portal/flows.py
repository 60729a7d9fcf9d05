"""Forgets the UDP and SCTP flows that still lead to where nothing serves, right after programming.

A flow's first packet chose its target, and connection tracking sends the later ones the same way for as long
as they keep coming.  TCP finds out when its target is gone; a UDP client with a fixed source port does not.

1. A flow is judged by what it was addressed to (the original destination) and by who answers it (the source
   of the reply direction), never by its client.  It goes if the first is a front and the second is not one
   of the front's targets.  So a flow that was never translated goes too, for its reply source is the front
   itself: it began before the portal was programmed.
2. A front is an address and a port.  A node port is a port of the node's own addresses, and the routing
   table says which those are (a route of type local), as it does for the rules themselves.  Traffic that
   this node only forwards to the same port of another host is not touched, translated or not.
3. A front that is given twice keeps the targets of both: one Service may be gone and another, new one may
   stand at its address.
4. What a flow loses is its entry; its next packet is then translated, refused or dropped as the rules say.
   An entry is deleted by its own tuple, zone and id as the kernel listed them, so nothing but that very
   entry can go.  One that has gone by itself is not missed, and one that sits in a flowtable (hardware or
   software offload) the kernel refuses to delete: it stays until it leaves the flowtable.
5. The kernel lists a family at most once a call.  It is told to list only what all fronts of the family have
   in common (protocol, port, address); kernels before 5.8 do not look at that and list everything.  Each
   entry is looked at here in any case, but only those whose octets hold a wanted port are taken apart.

Formats: linux/netfilter/nfnetlink_conntrack.h, linux/rtnetlink.h.
"""

import errno
import re
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from skydns_py.cluster.objects import Address
from skydns_py.errors import SkydnsError
from skydns_py.portal.netlink import NETFILTER, Netlink, attribute, attributes, container, messages, nested
from skydns_py.portal.stale import Fronts

_CT_NEW, _CT_GET, _CT_DELETE = 0x100, 0x101, 0x102
_ORIG, _REPLY, _ID, _ZONE, _FILTER = 1, 2, 12, 18, 25
_IP, _PROTO = 1, 2
_FILTER_DESTINATION, _FILTER_PROTOCOL, _FILTER_PORT = 1 << 1, 1 << 3, 1 << 5
_ROUTE_GET, _ROUTE_LOCAL = 26, 2
_PROTOCOLS = {"UDP": socket.IPPROTO_UDP, "SCTP": socket.IPPROTO_SCTP}
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_AT_ONCE = 128
"""Deletions in one datagram; their acknowledgements must fit the socket's buffer."""


_Answers = tuple[Address, int]
"""The source of the reply direction."""
_Entry = tuple[int, Address, int, _Answers]
"""A flow as far as rule 1 looks at it: protocol, original destination and port, and who answers."""
_Place = tuple[bytes, int, int]
"""A datagram, and where in it the entry's attributes begin and end."""


@dataclass(slots=True)
class _Wanted:
    """The fronts of one family by what a flow carries; see rule 3."""

    portals: dict[tuple[int, Address, int], frozenset[_Answers]]
    nodes: dict[tuple[int, int], frozenset[_Answers]]

    def filter(self) -> bytes:
        """Attributes that narrow the listing to what all fronts have in common; rule 5."""
        numbers = {key[0] for key in self.portals} | {key[0] for key in self.nodes}
        ports = {key[2] for key in self.portals} | {key[1] for key in self.nodes}
        if len(numbers) > 1:
            return b""
        flags, ip, proto = _FILTER_PROTOCOL, b"", attribute(1, bytes(numbers))
        if len(ports) == 1:
            flags, proto = flags | _FILTER_PORT, proto + attribute(3, ports.pop().to_bytes(2))
        found = {key[1] for key in self.portals}
        if len(found) == 1 and not self.nodes and len(address := found.pop()) == 4:
            flags, ip = flags | _FILTER_DESTINATION, container(_IP, attribute(2, address))
        orig = container(_ORIG, ip, container(_PROTO, proto))
        return orig + container(_FILTER, attribute(1, struct.pack("=I", flags)), attribute(2, bytes(4)))

    def needle(self) -> re.Pattern[bytes]:
        """Finds the attribute of a destination port that some front has."""
        ports = {key[2] for key in self.portals} | {key[1] for key in self.nodes}
        any_port = b"|".join(re.escape(port.to_bytes(2)) for port in sorted(ports))
        return re.compile(re.escape(struct.pack("=HH", 6, 3)) + b"(?:" + any_port + b")", re.DOTALL)


def flush(stale: Sequence[Fronts]) -> int:
    """Deletes the flows of these fronts that lead to none of their targets; how many they were.

    Fronts of TCP need nothing.  It blocks: 5 µs for each flow that
    shares what the fronts have in common, and 10 µs more for each that is deleted.
    Acts on the network namespace of the process.  Raises SkydnsError where permission or the kernel's
    connection tracking is missing.
    """
    wanted = {family: _wanted(stale, family) for family in _FAMILIES}
    if not any(one.portals or one.nodes for one in wanted.values()):
        return 0
    try:
        with Netlink(NETFILTER, "connection tracking") as kernel:
            return sum(
                _flush(kernel, family, one) for family, one in wanted.items() if one.portals or one.nodes
            )
    except OSError as error:
        raise SkydnsError(f"cannot forget stale flows: {error.strerror or error}") from error


def _wanted(stale: Iterable[Fronts], family: int) -> _Wanted:
    wanted = _Wanted({}, {})
    for one in stale:
        number = _PROTOCOLS.get(one.protocol)
        if one.family != family or number is None:
            continue
        keep = frozenset((target.address, target.port) for target in one.keep)
        for address in one.addresses:
            portal = (number, address, one.port)
            wanted.portals[portal] = wanted.portals.get(portal, frozenset()) | keep
        if one.node_port:
            node = (number, one.node_port)
            wanted.nodes[node] = wanted.nodes.get(node, frozenset()) | keep
    return wanted


def _flush(kernel: Netlink, family: int, wanted: _Wanted) -> int:
    local = _Local(family)
    try:
        listed = _listed(kernel, family, wanted)
        doomed = [_name(*place) for entry, place in listed if _is_stale(entry, wanted, local)]
    finally:
        local.close()
    return sum(
        _delete(kernel, family, doomed[start : start + _AT_ONCE]) for start in range(0, len(doomed), _AT_ONCE)
    )


def _is_stale(entry: _Entry, wanted: _Wanted, local: "_Local") -> bool:
    protocol, destination, port, answers = entry
    keep = wanted.portals.get((protocol, destination, port))
    if keep is None:
        keep = wanted.nodes.get((protocol, port))
        if keep is None or answers in keep or not local.has(destination):
            return False
    return answers not in keep


def _listed(kernel: Netlink, family: int, wanted: _Wanted) -> Iterator[tuple[_Entry, _Place]]:
    """Entries that may be meant."""
    header, narrowed, needle = bytes((_FAMILIES[family], 0, 0, 0)), wanted.filter(), wanted.needle()
    try:
        yield from _found(kernel.dump(_CT_GET, header + narrowed), family, needle)
    except OSError as error:
        if not narrowed or error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
        yield from _found(kernel.dump(_CT_GET, header), family, needle)


def _found(
    datagrams: Iterable[bytes], family: int, needle: re.Pattern[bytes]
) -> Iterator[tuple[_Entry, _Place]]:
    layout, heads = _USUAL[family]
    least = layout.size + 4
    for datagram in datagrams:
        for kind, _, _, start, end in messages(datagram):
            if kind != _CT_NEW or not needle.search(datagram, start, end):
                continue
            place = datagram, start + 4, end
            fields = layout.unpack_from(datagram, start + 4) if end - start >= least else ()
            if fields[::2] == heads:
                yield (fields[5], fields[3], fields[9], (fields[11], fields[17])), place
            else:
                yield _entry(*place), place


def _entry(data: bytes, start: int, end: int) -> _Entry:
    orig, reply = nested(data, start, end, _ORIG), nested(data, start, end, _REPLY)
    if orig is None or reply is None:
        raise SkydnsError("connection tracking: an entry without its two directions")
    protocol, _, destination, port = _direction(data, *orig)
    return protocol, destination, port, _direction(data, *reply)[1]


def _name(data: bytes, start: int, end: int) -> bytes:
    """The attributes that name a listed entry in a request to delete it; rule 4."""
    parts = {kind: data[inner:until] for kind, inner, until in attributes(data, start, end)}
    named = (kind for kind in (_ORIG, _ID, _ZONE) if kind in parts)
    return b"".join(attribute(kind | (0x8000 if kind == _ORIG else 0), parts[kind]) for kind in named)


def _direction(data: bytes, start: int, end: int) -> tuple[int, _Answers, Address, int]:
    """Protocol, source, and destination address and port of a tuple."""
    ip = _values(data, nested(data, start, end, _IP))
    proto = _values(data, nested(data, start, end, _PROTO))
    source, destination = ip.get(1) or ip.get(3, b""), ip.get(2) or ip.get(4, b"")
    ports = [int.from_bytes(proto.get(kind, b"")) for kind in (2, 3)]
    return int.from_bytes(proto.get(1, b"")), (source, ports[0]), destination, ports[1]


def _values(data: bytes, place: tuple[int, int] | None) -> Mapping[int, bytes]:
    return {kind: data[start:end] for kind, start, end in attributes(data, *place)} if place else {}


def _usual(octets: int, first: int) -> tuple[struct.Struct, tuple[bytes, ...]]:
    """The layout of an entry's two directions as Linux writes them, and its attribute headers; rule 6."""
    width = octets + 4
    heads: list[bytes] = []
    for kind in (_ORIG, _REPLY):
        ip, proto = 2 * width + 4, 28
        outer = struct.pack("=6H", 4 + ip + proto, kind | 0x8000, ip, _IP | 0x8000, width, first)
        heads += outer, struct.pack("=HH", width, first + 1), struct.pack("=4H", proto, _PROTO | 0x8000, 5, 1)
        heads += struct.pack("=HH", 6, 2), struct.pack("=HH", 6, 3)
    return struct.Struct(">" + f"12s{octets}s4s{octets}s8sB3x4sH2x4sH2x" * 2), tuple(heads)


_USUAL = {4: _usual(4, 1), 6: _usual(16, 3)}


def _delete(kernel: Netlink, family: int, bodies: Sequence[bytes]) -> int:
    header = bytes((_FAMILIES[family], 0, 0, 0))
    outcomes = kernel.each([(_CT_DELETE, header + body) for body in bodies])
    for code in outcomes:
        if code not in (0, errno.ENOENT, errno.EBUSY):
            raise OSError(
                code, f"connection tracking: {errno.errorcode.get(code, code)} on deleting an entry"
            )
    return outcomes.count(0)


class _Local:
    """Whether an address is the node's own, asked of the kernel once an address."""

    def __init__(self, family: int) -> None:
        self._family = _FAMILIES[family]
        self._known: dict[Address, bool] = {}
        self._kernel: Netlink | None = None

    def has(self, address: Address) -> bool:
        if address not in self._known:
            self._known[address] = self._ask(address)
        return self._known[address]

    def close(self) -> None:
        if self._kernel is not None:
            self._kernel.close()

    def _ask(self, address: Address) -> bool:
        if self._kernel is None:
            self._kernel = Netlink(socket.NETLINK_ROUTE, "routing")
        route = struct.pack("=8BI", self._family, len(address) * 8, *bytes(6), 0)
        try:
            answer, message = self._kernel.get(_ROUTE_GET, route + attribute(1, address))
        except OSError:  # no route leads there
            return False
        return answer[message.start + 7] == _ROUTE_LOCAL
