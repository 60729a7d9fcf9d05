"""``NativeTable``: the table and the serving threads of the C data plane, driven from the control thread.

1. It fulfils ``Table`` and ``answers.lookup.Directory`` like ``PureTable`` and answers with the same octets;
   beyond that it answers short names and goes on with a client's search (autopath), for which the control
   plane tells it whose address is whose.
2. No Python object is kept for a name or a client: nodes are read back from the C table.
3. All calls come from one thread.  The serving threads see each change as soon as it is made.
"""

import ipaddress
import struct
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from skydns_py.answers.packed import Answer, Node, record
from skydns_py.answers.search import RESERVED, Network
from skydns_py.dataplane.native._plane import (  # type: ignore[import-not-found]  # made by build.py
    ffi,
    lib,
)
from skydns_py.dataplane.unlisted import Unlisted, is_wild
from skydns_py.zone.names import MAX_LABEL, ancestors, from_labels
from skydns_py.zone.rrset import SOA, RRset

MAX_TYPES = 255
MAX_MISSES = 1024
"""Misses fetched at once: all places of the ring."""
_LAZY = 0xFFFF
_HEAD = struct.Struct("=4I2H")
_ABSENT, _IS_LAZY = -1, -2


class Miss(NamedTuple):
    """A question that the threads passed on. ``host`` is the client's address packed, 4 or 16 octets.

    ``socket`` is the index of the socket it came to, ``local`` the address asked (empty where the socket has
    one address), ``raw`` what ``send`` needs.
    """

    packet: bytes
    socket: int
    host: bytes
    port: int
    scope: int
    local: bytes
    raw: bytes

    @property
    def host_text(self) -> str:
        """The client's address as text."""
        return str(ipaddress.ip_address(self.host))


class NativeTable:
    """The C data plane. ``compute`` makes the node of a name that is lazy or in one of ``open_subtrees``.

    ``edns_size`` is the most octets sent over UDP, from 512 on.  Raises MemoryError where memory is short,
    ValueError for what cannot be a table's content.
    """

    def __init__(
        self, compute: Callable[[bytes], Node | None], edns_size: int, open_subtrees: tuple[bytes, ...] = ()
    ) -> None:
        if not 512 <= edns_size <= 0xFFFF:
            raise ValueError(f"edns_size {edns_size}: from 512 to 65535 octets")
        self._compute = compute
        self._plane = ffi.gc(_made(lib.plane_new(edns_size)), lib.plane_free)
        self._reply = ffi.new("uint8_t[]", max(edns_size, 512))
        self._views = ffi.new("struct view[]", MAX_TYPES)
        self._places: dict[bytes, int] = {}
        self._apexes: list[bytes] = []
        self._soas: dict[bytes, RRset] = {}
        self._unlisted = Unlisted(compute, open_subtrees)
        self._wildcards = self._ready = False
        for subtree in open_subtrees:
            self._set_zone(subtree, 0, b"", is_open=True)

    def __len__(self) -> int:
        return int(lib.plane_names(self._plane))

    @property
    def wildcards(self) -> bool:
        """See ``Table``."""
        return self._wildcards

    @wildcards.setter
    def wildcards(self, value: bool) -> None:
        if value != self._wildcards:
            self._wildcards = value
            lib.plane_set_wildcards(self._plane, value)

    @property
    def ready(self) -> bool:
        """Whether the threads answer; until then every question is a miss."""
        return self._ready

    @ready.setter
    def ready(self, value: bool) -> None:
        self._ready = value
        lib.plane_set_ready(self._plane, value)

    def answer(self, packet: bytes, client: bytes = b"") -> bytes | None:
        """The reply to a UDP packet, or None for the slow path; ``client`` is the packed address of who asks.

        For tests, and for sockets that Twisted reads: the threads do the same without a call.
        """
        length = lib.plane_answer(self._plane, packet, len(packet), client, len(client), self._reply)
        return bytes(ffi.buffer(self._reply, length)) if length else None

    # Table

    def replace(self, name: bytes, node: Node | None) -> None:
        """See ``Table.replace``. A node that is in the table already is left as it is."""
        self._unlisted.clear()
        if node is None:
            self._replace(name, _LAZY, 0, b"", b"")
            return
        apex = next(apex for apex in self._apexes if name.endswith(apex))
        heads = b"".join(
            _HEAD.pack(len(a.body), a.answers, a.additionals, a.stride, rdtype, 0)
            for rdtype, a in node.items()
        )
        records = b"".join([answer.body for answer in node.values()])
        self._replace(name, self._places[apex], len(node), heads, records)

    def _replace(self, name: bytes, place: int, count: int, heads: bytes, records: bytes) -> None:
        _done(
            lib.plane_replace(self._plane, name, len(name), place, count, heads, records, len(records)), name
        )

    def defer(self, names: Iterable[bytes]) -> None:
        """See ``Table.defer``; one call into C for all."""
        self._unlisted.clear()
        joined = b"".join(names)
        _done(lib.plane_list(self._plane, joined, len(joined)), joined[:255])

    def remove(self, name: bytes) -> None:
        """See ``Table.remove``."""
        self._unlisted.clear()
        _done(lib.plane_remove(self._plane, name, len(name)), name)

    def replace_zone(self, apex: bytes, soa: RRset) -> None:
        """See ``Table.replace_zone``."""
        self._soas[apex] = soa
        if apex not in self._apexes:
            self._apexes = sorted((*self._apexes, apex), key=len, reverse=True)
        self._set_zone(apex, soa.ttl, record(0xC000, SOA, soa.ttl, soa.rdatas[0]), is_open=False)

    def _set_zone(self, apex: bytes, ttl: int, soa: bytes, *, is_open: bool) -> None:
        place = self._places.setdefault(apex, len(self._places))
        _done(
            lib.plane_set_zone(self._plane, place, apex, len(apex), ttl, soa, len(soa), is_open),
            apex,
        )

    # Directory

    def node(self, name: bytes) -> Node | None:
        """See ``Directory.node``; a lazy node is computed and kept, unless any change may be one of it."""
        found = lib.plane_find(self._plane, name, len(name), self._views)
        if found == _ABSENT:
            return self._unlisted.node(name, wildcards=self._wildcards)
        if found == _IS_LAZY:
            node = self._compute(name)
            if node is not None and not (self._wildcards and is_wild(name)):
                self.replace(name, node)
            return node
        return {view.type: _answer(view) for view in self._views[0:found]}

    def zone_of(self, name: bytes) -> bytes | None:
        """See ``Directory.zone_of``."""
        return next((candidate for candidate in ancestors(name) if candidate in self._soas), None)

    def soa(self, apex: bytes) -> RRset:
        """See ``Directory.soa``."""
        return self._soas[apex]

    # Short names: what ``answers.search`` knows

    def set_client(self, address: bytes, namespace: str | None) -> None:
        """The client at ``address`` is in ``namespace``; None: nobody may tell, so it has none.

        Either way networks have no say about it any more.
        """
        label = from_labels(namespace)[:-1] if namespace and len(namespace) <= MAX_LABEL else b""
        _done(lib.plane_set_client(self._plane, address, len(address), label, len(label)), address)

    def remove_client(self, address: bytes) -> None:
        """Nothing is known about ``address``: the networks decide."""
        _done(lib.plane_remove_client(self._plane, address, len(address)), address)

    def set_search_path(
        self,
        zone: bytes | None,
        networks: Mapping[Network, str],
        top_level: Collection[bytes],
        *,
        autopath: bool = True,
    ) -> None:
        """Short names are names in ``zone``, as ``answers.search`` has them.

        ``networks`` are those of clients that are no pods, ``top_level`` the real top-level domains.  None
        for the zone switches short names and autopath off, which is how a table begins.
        """
        if zone is None:
            lib.plane_set_search(self._plane, ffi.NULL)
            return
        search = _made(lib.search_new(zone, len(zone), len(networks), autopath))
        for network, namespace in sorted(networks.items(), key=lambda pair: -pair[0].prefixlen):
            label, base = from_labels(namespace)[:-1], network.network_address.packed
            made = lib.search_add_network(search, base, len(base), network.prefixlen, label, len(label))
            _done(made, label)
        for last in frozenset(top_level) | RESERVED:
            if len(last) <= MAX_LABEL:
                label = bytes((len(last),)) + last
                _done(lib.search_add_label(self._plane, search, label, len(label)), label)
        lib.plane_set_search(self._plane, search)

    # Serving

    def start(self, fds: list[int], wildcard: list[bool]) -> None:
        """Serve each socket with a thread of its own; ``wildcard``: reply from the address that was asked.

        The sockets are bound, have SO_REUSEPORT where they share an address, and IP_PKTINFO or IPV6_PKTINFO
        switched on where wildcard.  They are made blocking, and stay open for ``stop``'s caller to close.
        Raises OSError.
        """
        flags = bytes(wildcard)
        assert len(flags) == len(fds), "one flag for each socket"
        _done(lib.plane_start(self._plane, fds, flags, len(fds)), b"")

    def stop(self) -> None:
        """End all threads; takes some 0.2 s."""
        lib.plane_stop(self._plane)

    def fileno(self) -> int:
        """A descriptor that is readable while misses wait."""
        return int(lib.plane_event(self._plane))

    def misses(self, most: int = MAX_MISSES) -> list[Miss]:
        """Fetch what waits, ``most`` at most, oldest first; ``fileno`` is readable while any may be left."""
        found = ffi.new("struct miss *[]", most)
        count = lib.plane_take(self._plane, found, most)
        return [_miss(found[i]) for i in range(count)]

    def send(self, reply: bytes, miss: Miss) -> None:
        """Send a miss's reply from the socket and address it came to; never blocks, failures are counted."""
        lib.plane_send(self._plane, ffi.from_buffer("struct miss *", miss.raw), reply, len(reply))

    def counters(self) -> dict[str, Any]:
        """What the threads have counted since the start, summed up; nobody is stopped for it.

        Plain totals by name, then groups of them (``outcomes``, ``rcodes``, ``types``, …), whose buckets of
        sizes and times are named by their upper bound and not cumulative; ``ring_depth`` is the number of
        misses that wait, and ``threads`` what each thread has received.
        """
        from_thread = self._values
        threads = [from_thread(i) for i in range(lib.plane_threads(self._plane))]
        every = [*threads, from_thread(len(threads))]
        totals: dict[str, Any] = {}
        for (group, name), *values in zip(_COUNTERS, *every, strict=True):
            place = totals.setdefault(group, {}) if group else totals
            place[name] = sum(values)
        at = _COUNTERS.index(("", "received"))
        totals["threads"] = [values[at] for values in threads]
        totals["ring_depth"] = int(lib.plane_depth(self._plane))
        return totals

    def _values(self, thread: int) -> list[int]:
        values = ffi.new("uint64_t[]", len(_COUNTERS))
        lib.plane_counters(self._plane, thread, values)
        return list(values)

    def waiting(self) -> int:
        """Pieces of replaced memory that some thread may still be reading."""
        return int(lib.plane_waiting(self._plane))


def _made(pointer: Any) -> Any:
    if pointer == ffi.NULL:
        raise MemoryError("the native data plane cannot be set up")
    return pointer


def _done(result: int, what: bytes) -> None:
    if result == -1:
        raise ValueError(f"{what!r}: out of bounds, or memory is short")
    if result < 0:
        raise OSError(-result, "the native data plane cannot serve")


def _answer(view: Any) -> Answer:
    return Answer(view.answers, view.additionals, bytes(ffi.buffer(view.records, view.length)), view.stride)


def _miss(pointer: Any) -> Miss:
    try:
        miss = Miss(
            bytes(ffi.buffer(pointer.packet, pointer.length)),
            pointer.socket,
            bytes(ffi.buffer(pointer.host, pointer.host_size)),
            pointer.port,
            pointer.scope,
            bytes(ffi.buffer(pointer.local, pointer.local_size)),
            bytes(ffi.buffer(pointer, ffi.sizeof("struct miss"))),
        )
    finally:
        lib.miss_free(pointer)
    return miss


def _text(pointer: Any) -> str:
    text = ffi.string(pointer)
    assert isinstance(text, bytes)
    return text.decode()


_COUNTERS = [(_text(lib.counter_group(i)), _text(lib.counter_name(i))) for i in range(lib.counter_count())]
