"""The hot path in Python: from a packet's octets to the reply's with two dictionary probes and one join.

1. The table's key is the question's name as it lies in the packet, lower-cased.  ``find`` may take a zero
   octet inside a label for the end of the name; what it cuts then is no whole name, and no whole name is a
   prefix of another, so the probe finds nothing and the slow path decides.
2. A node is a flat tuple ``(shape, heads, body, stride, heads, body, stride, …)``.  A shape maps the four
   octets of a type and the class IN to an index into it, and is shared by all nodes with the same types in
   the same zone; heads are the header after the ID in four variants (RD, EDNS), shared likewise.  So a node
   costs little more than its records.  Where records rotate, ``stride`` holds their size and a counter of
   their own: one counter for all would give every A the even turns and every AAAA the odd ones.
3. What the packet's header and OPT ask for is a ``plan``, found by those octets as they are; the plans seen
   are kept, up to ``MAX_PLANS``.  No plan: slow path.
4. None is never an answer: it means that the slow path (``answers.respond``) must look.  All that is
   answered here it would answer with the same octets, rotation apart; a test holds the two together.
5. A packet's sender is not known here, so nothing is answered that depends on it.  A name that does not exist
   is denied to all at once only where no client's search could go on from it (``answers.search``, rule 6):
   where its namespace has had no client, or none of the names to be tried next is listed.  The former is one
   probe, which is all that most such questions pay; the slow path, which knows who asks, takes the others.
   Namespaces that have had a client are kept as long as the table: some 100 octets each.
"""

import itertools
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from skydns_py.answers.packed import HEADER, Answer, Node, record
from skydns_py.answers.query import AA, QR, RD, SMALLEST_PAYLOAD
from skydns_py.dataplane.unlisted import Unlisted, is_wild
from skydns_py.zone.names import MAX_LABEL, ancestors, from_labels
from skydns_py.zone.rrset import CNAME, SOA, RRset

MAX_PLANS = 4096
"""Plans kept, about 1 MB. Who sends ever new EDNS sizes fills them; they are then forgotten, and those in use
are made anew, which costs a query 2 µs."""
MAX_COUNTED = 4096
"""Heads kept for sharing, about 2 MB; answers of ever new sizes come as a cluster's endpoints come and go."""

MAX_NAME = 255
_CLASS_IN = b"\0\1"
_CNAME_KEY = struct.pack("!2H", CNAME, 1)
_SPECIAL = frozenset(struct.pack("!H", rdtype) for rdtype in (0, 41, *range(249, 256)))
_OPT = struct.Struct("!BHHBBHH")
_TC = 0x02
"""The truncation bit in the first octet of the flags."""

Flat = tuple[Any, ...]
"""A node as rule 2 lays it out; typed loosely, because its kinds alternate."""

Heads = tuple[Any, ...]
"""Header octets 2..11 without and with RD, the same with EDNS; then the answer and additional counts."""

Plan = tuple[int, int, bytes]
"""Which of the heads, the octets a reply may have, and the OPT record to end it with."""


class Zone:
    """A served zone's negative answers. ``bodies`` holds the SOA record by where the question's name ends."""

    def __init__(self, apex: bytes, soa: RRset) -> None:
        self.apex = apex
        self.soa = soa
        self.bodies: dict[int, bytes] = {}

    def body(self, end: int) -> bytes:
        """The authority section after a question whose name ends at packet offset ``end``.

        Empty, for the slow path to cut, where a client may not take it: only a zone's name of some 90 octets
        and more makes it so long.
        """
        pointer = 0xC000 | end - len(self.apex)
        made = record(pointer, SOA, self.soa.ttl, self.soa.rdatas[0])
        fits = end + 4 + len(made) + _OPT.size <= SMALLEST_PAYLOAD
        return self.bodies.setdefault(end, made if fits else b"")


class Shape(dict[bytes, int]):
    """Type and class octets to an index into a node; ``zone`` is None where the node is not known yet."""

    zone: Zone | None = None


_LAZY = (Shape(),)


def _heads(rcode: int, answers: int, authorities: int, additionals: int) -> Heads:
    """Counts beyond 16 bits belong to answers that fit in no message; they must only not fail here."""
    flags = QR | AA | rcode
    packed = (
        struct.pack("!5H", flags | rd, 1, answers & 0xFFFF, authorities, additionals + edns & 0xFFFF)
        for edns in (0, 1)
        for rd in (0, RD)
    )
    return (*packed, answers, additionals)


_NODATA, _NXDOMAIN = _heads(0, 0, 1, 0), _heads(3, 0, 1, 0)


class PureTable:
    """Fulfils ``Table`` and ``answers.lookup.Directory``; ``answer`` is the hot path.

    ``compute`` makes the node of a name that is lazy or lies in one of ``open_subtrees``.
    """

    def __init__(
        self, compute: Callable[[bytes], Node | None], edns_size: int, open_subtrees: tuple[bytes, ...] = ()
    ) -> None:
        self._compute = compute
        self._edns_size = edns_size
        self._nodes: dict[bytes, Flat] = {}
        self._zones: dict[bytes, Zone | None] = dict.fromkeys(open_subtrees)
        self._apexes: list[bytes] = []
        self._shapes: dict[tuple[bytes, tuple[int, ...]], Shape] = {}
        self._counted: dict[tuple[int, int], Heads] = {}
        self._plans: dict[bytes, Plan] = {}
        self._unlisted = Unlisted(compute, open_subtrees)
        self._open = open_subtrees
        self._namespaces: set[bytes] = set()
        self._path = (b"", b"")
        self.wildcards = self.ready = False

    def answer(self, packet: bytes) -> bytes | None:
        """The reply to a UDP packet, or None for the slow path."""
        end = packet.find(0, HEADER) + 1
        tail = end + 4
        asked = packet[2:HEADER] + packet[tail:]
        plan = self._plans.get(asked) or self._plan(asked)
        if plan is None:
            return None
        name = packet[HEADER:end].lower()
        node = self._nodes.get(name)
        if node is None or (at := node[0].get(packet[end:tail])) is None:
            return self._negative(packet, end, name, node, plan)
        variant, limit, opt = plan
        heads, body, stride = node[at : at + 3]
        if stride:
            size, turns = stride
            cut = next(turns) % heads[4] * size
            body = body[cut:] + body[:cut]
        head, room = heads[variant], limit - tail - len(opt)
        if len(body) > room:
            if not stride:
                return None
            head, body = _truncated(head, body, stride[0], room)
        return b"".join((packet[:2], head, packet[HEADER:tail], body, opt))

    def _negative(self, packet: bytes, end: int, name: bytes, node: Flat | None, plan: Plan) -> bytes | None:
        """NODATA at a name that exists, NXDOMAIN in a zone served; half of all questions end here."""
        tail = end + 4
        if packet[end + 2 : tail] != _CLASS_IN or packet[end : end + 2] in _SPECIAL:
            return None
        if node is None:
            zone, heads = self._zone_around(name), _NXDOMAIN
        else:
            zone, heads = None if _CNAME_KEY in node[0] else node[0].zone, _NODATA
        if zone is None:
            return None
        variant, _, opt = plan
        if not (body := zone.bodies.get(end) or zone.body(end)):
            return None
        return b"".join((packet[:2], heads[variant], packet[HEADER:tail], body, opt))

    def _zone_around(self, name: bytes) -> Zone | None:
        """The zone in which ``name``, which is not listed, does not exist for anyone; None where it might."""
        if len(name) > MAX_NAME or (self.wildcards and is_wild(name)):
            return None
        zones, size = self._zones, len(name)
        before = last = at = 0
        while at < size and 0 < name[at] < 64:
            before, last = last, at
            at += 1 + name[at]
            if (suffix := name[at:]) in zones:
                if name[before:last] in self._namespaces and self._may_go_on(name[:before], name[last:]):
                    return None
                return zones[suffix]
        return None

    def _may_go_on(self, searched: bytes, domain: bytes) -> bool:
        """Whether a search for ``searched`` may go on from a namespace that lies in ``domain`` (rule 5)."""
        branch, zone = self._path
        if not searched or domain != branch:
            return False
        first, second = searched + branch, searched + zone
        listed = first in self._nodes or second in self._nodes
        return listed or first.endswith(self._open) or second.endswith(self._open)

    def _plan(self, asked: bytes) -> Plan | None:
        """The plan for a header (after the ID) and what follows the question, where both are plain."""
        flags, questions, answers, authorities, additionals = struct.unpack_from(
            "!5H", asked.ljust(10, b"\xff")
        )
        opt = asked[10:]
        plain = not flags & 0xFA00 and (questions, answers, authorities) == (1, 0, 0)
        if not plain or additionals != (len(opt) == 11) or len(opt) not in (0, 11):
            return None
        limit, reply = SMALLEST_PAYLOAD, b""
        if opt:
            owner, rdtype, payload, extended, version, bits, length = _OPT.unpack(opt)
            if (owner, rdtype, extended, version, length) != (0, 41, 0, 0, 0):
                return None
            limit = min(max(payload, SMALLEST_PAYLOAD), self._edns_size)
            reply = _OPT.pack(0, 41, self._edns_size, 0, 0, bits & 0x8000, 0)
        plan = (bool(flags & RD) + 2 * bool(opt), limit, reply)
        if len(self._plans) >= MAX_PLANS:
            self._plans.clear()
        self._plans[asked] = plan
        return plan

    def __len__(self) -> int:
        return len(self._nodes)

    # Table

    def replace(self, name: bytes, node: Node | None) -> None:
        """See ``Table.replace``."""
        self._unlisted.clear()
        if node is None:
            self._nodes[name] = _LAZY
            return
        flat: list[Any] = [self._shape(name, tuple(node))]
        for answer in node.values():
            stride = (answer.stride, itertools.count()) if answer.stride else None
            flat += (self._heads(answer), answer.body, stride)
        self._nodes[name] = tuple(flat)

    def defer(self, names: Iterable[bytes]) -> None:
        """See ``Table.defer``."""
        self._unlisted.clear()
        self._nodes.update(dict.fromkeys(names, _LAZY))

    def remove(self, name: bytes) -> None:
        """See ``Table.remove``."""
        self._unlisted.clear()
        self._nodes.pop(name, None)

    def replace_zone(self, apex: bytes, soa: RRset) -> None:
        """See ``Table.replace_zone``."""
        zone = self._zones.get(apex)
        if zone is None:
            self._zones[apex] = Zone(apex, soa)
            self._apexes = sorted((*self._apexes, apex), key=len, reverse=True)
        else:
            zone.soa = soa
            zone.bodies.clear()

    def _shape(self, name: bytes, types: tuple[int, ...]) -> Shape:
        """The shape of a node; its name is the zone's own word, so the end of it tells the zone."""
        apex = next(apex for apex in self._apexes if name.endswith(apex))
        shape = self._shapes.get((apex, types))
        if shape is None:
            keys = (struct.pack("!2H", rdtype, 1) for rdtype in types)
            shape = self._shapes[apex, types] = Shape((key, 1 + 3 * i) for i, key in enumerate(keys))
            shape.zone = self._zones[apex]
        return shape

    def _heads(self, answer: Answer) -> Heads:
        counts = (answer.answers, answer.additionals)
        heads = self._counted.get(counts)
        if heads is None:
            if len(self._counted) >= MAX_COUNTED:
                self._counted.clear()
            heads = self._counted[counts] = _heads(0, answer.answers, 0, answer.additionals)
        return heads

    def set_client(self, address: bytes, namespace: str | None) -> None:  # noqa: ARG002  # the contract's
        """The slow path knows the clients; here only the namespaces that have had any are kept (rule 5)."""
        if namespace and len(namespace) <= MAX_LABEL:
            self._namespaces.add(from_labels(namespace)[:-1])

    def remove_client(self, address: bytes) -> None:
        """See ``set_client``."""

    def set_search_path(
        self,
        zone: bytes,
        networks: Mapping[Any, str],
        top_level: object,  # noqa: ARG002  # the contract's
        *,
        autopath: bool = True,
    ) -> None:
        """Short names are the slow path's; see ``Table.set_search_path`` and rule 5."""
        self._path = (from_labels("svc", base=zone), zone) if autopath else (b"", b"")
        self._namespaces.update(from_labels(namespace)[:-1] for namespace in networks.values())

    # Directory

    def node(self, name: bytes) -> Node | None:
        """See ``Directory.node``; a lazy node is computed and kept, unless any change may be one of it."""
        flat = self._nodes.get(name)
        if flat is None:
            return self._unlisted.node(name, wildcards=self.wildcards)
        if flat is _LAZY:
            node = self._compute(name)
            if node is not None and not (self.wildcards and is_wild(name)):
                self.replace(name, node)
            return node
        return {int.from_bytes(key[:2]): _unflatten(flat, at) for key, at in flat[0].items()}

    def zone_of(self, name: bytes) -> bytes | None:
        """See ``Directory.zone_of``."""
        return next((candidate for candidate in ancestors(name) if self._zones.get(candidate)), None)

    def soa(self, apex: bytes) -> RRset:
        """See ``Directory.soa``."""
        zone = self._zones[apex]
        assert zone is not None, "an open subtree is no zone"
        return zone.soa


def _truncated(head: bytes, body: bytes, size: int, room: int) -> tuple[bytes, bytes]:
    """As many records as fit, with TC set (RFC 2181 section 9); the client may come back over TCP.

    The slow path does the same in time proportional to all the records, of which there may be thousands.
    """
    kept = room // size
    return bytes((head[0] | _TC,)) + head[1:4] + kept.to_bytes(2) + head[6:], body[: kept * size]


def _unflatten(flat: Flat, at: int) -> Answer:
    heads, body, stride = flat[at : at + 3]
    return Answer(heads[4], heads[5], body, stride[0] if stride else 0)
