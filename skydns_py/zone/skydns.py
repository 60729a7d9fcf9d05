"""SkyDNS messages: the index of records by name, and which of them a name finds.

1. A record's path is its name read from the top: ``local/cluster/ns/a`` is ``a.ns.cluster.local``.  The
   index is a tree by label.  A change walks one path: it costs that path's depth, whatever the index holds.
2. A name finds every record below it; only where there is none, the record at the name itself.
3. ``*`` and ``any`` in a question stand for exactly one label each.  Such a name finds the records at and
   below every name it fits, and no name fits better than another.
4. The apex is no sum of its zone.  Its records are those of ``apex.dns.ZONE``; failing that, the record at
   the zone's own key, and those one label below that ``targetstrip`` gives back to the apex (the way
   external-dns writes an apex).  Its name servers are those of ``ns.dns.ZONE``.
5. So what a name finds depends on nothing but the tree at and below it: a change touches the record's name
   and the names above, and no others except those with wildcards, which nobody should keep.
6. Labels compare without ASCII case.  Two paths may then be one name; both records stay, in order of path.

Followed: SkyDNS 2.5 and CoreDNS's etcd plugin, as their users know them, except where rule 4 says otherwise.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import attrgetter

from skydns_py.cluster.objects import Record
from skydns_py.zone.names import MAX_NAME, ROOT, labels
from skydns_py.zone.skydns_answers import Found, answers, apex_answers, ascending, path_labels

__all__ = ["MAX_VISITED", "Found", "Records", "has_wildcard"]

MAX_DEPTH = MAX_NAME // 2
"""Labels in a path; a name of 255 octets has no more (RFC 1035 section 2.3.4).  A deeper record is not kept:
whoever writes to etcd could otherwise make one record cost as much as a thousand."""

MAX_VISITED = 5_000
"""Tree nodes that one lookup visits.  Anyone who may ask could name the parent of everything, or ``*.*``; at
the bound a lookup takes 25 to 50 ms.  What lies behind it in key order is left out; it would hardly fit the
64 KiB of a message anyhow (some 4 000 addresses)."""

WILDCARDS = frozenset({b"*", b"any"})

_label = attrgetter("label")


@dataclass(slots=True, eq=False)
class _Node:
    """A label of the tree; ``below`` is sorted by label, ``records`` by path."""

    label: bytes
    below: list["_Node"] = field(default_factory=list)
    records: tuple[Record, ...] = ()

    def child(self, label: bytes) -> "_Node | None":
        at = bisect_left(self.below, label, key=_label)
        return self.below[at] if at < len(self.below) and self.below[at].label == label else None

    def enter(self, label: bytes) -> "_Node":
        """The child of this label, made where it is missing."""
        at = bisect_left(self.below, label, key=_label)
        if at == len(self.below) or self.below[at].label != label:
            self.below.insert(at, _Node(label))
        return self.below[at]

    def drop(self, label: bytes) -> None:
        """Forget the child of this label."""
        del self.below[bisect_left(self.below, label, key=_label)]

    def descend(self, path: Iterable[bytes]) -> "_Node | None":
        """The node at ``path`` (topmost label first) below this one."""
        node: _Node | None = self
        for label in path:
            node = node.child(label) if node else None
        return node


class Records:
    """The index; names are lower-case wire names, and a question's zone is the served zone it lies in."""

    def __init__(self) -> None:
        self._root = _Node(b"")
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, record: Record) -> tuple[bytes, ...]:
        """Add or replace the record at its path; returns the names it touched (rule 5)."""
        path = path_labels(record.path)
        if len(path) > MAX_DEPTH:
            return ()
        node = self._root
        for label in path:
            node = node.enter(label)
        if record in node.records:
            return ()
        others = tuple(other for other in node.records if other.path != record.path)
        self._count += len(others) + 1 - len(node.records)
        node.records = tuple(sorted((*others, record), key=attrgetter("path")))
        return ascending(path)

    def remove(self, path: str) -> tuple[bytes, ...]:
        """Forget the record at ``path``; returns the names it touched (rule 5)."""
        trail = [self._root]
        for label in path_labels(path):
            node = trail[-1].child(label)
            if node is None:
                return ()
            trail.append(node)
        kept = tuple(record for record in trail[-1].records if record.path != path)
        if len(kept) == len(trail[-1].records):
            return ()
        trail[-1].records = kept
        self._count -= 1
        _prune(trail)
        return ascending(path_labels(path))

    def has(self, name: bytes, zone: bytes) -> bool:
        """Whether ``lookup`` finds the name; without wildcards it costs the name's depth."""
        base, pattern = self._place(name, zone)
        if base is None:
            return False
        if not WILDCARDS.isdisjoint(pattern):
            return any(_visit(base, pattern))
        node = base.descend(pattern)
        return bool(node and (node.records or node.below))

    def lookup(self, name: bytes, zone: bytes) -> Found | None:
        """What ``name`` owns, CNAMEs not followed; None where no record is at or below it (rules 2 to 4)."""
        base, pattern = self._place(name, zone)
        if base is None:
            return None
        if not pattern:
            return _apex(base, zone) if base.records or base.below else None
        if not WILDCARDS.isdisjoint(pattern):
            found = list(_visit(base, pattern))
            return answers(name, zone, found, ()) if found else None
        node = base.descend(pattern)
        return answers(name, zone, _found(node), node.records) if node else None

    def _place(self, name: bytes, zone: bytes) -> tuple[_Node | None, tuple[bytes, ...]]:
        """The zone's node, and the labels that lead from there to ``name``, topmost first."""
        below = name[: len(name) - len(zone)] + ROOT
        return self._root.descend(_topmost_first(zone)), _topmost_first(below)


def has_wildcard(name: bytes) -> bool:
    """Whether a label of ``name`` is ``*`` or ``any``: what it owns may change with any record."""
    return not WILDCARDS.isdisjoint(labels(name))


def _topmost_first(name: bytes) -> tuple[bytes, ...]:
    return tuple(labels(name))[::-1]


def _prune(trail: Sequence[_Node]) -> None:
    """Drop the nodes at the end of ``trail`` (root first) that hold nothing any more."""
    for above, node in zip(trail[-2::-1], trail[:0:-1], strict=True):
        if node.records or node.below:
            return
        above.drop(node.label)


def _visit(start: _Node, pattern: Sequence[bytes] = ()) -> Iterator[Record]:
    """The records at and below the nodes that ``pattern`` fits from ``start``, in key order."""
    trail = [iter((start,))]
    visited = 0
    while trail and visited < MAX_VISITED:
        node = next(trail[-1], None)
        if node is None:
            trail.pop()
            continue
        visited += 1
        if len(trail) > len(pattern):
            yield from node.records
        trail.append(_next(node, pattern, len(trail) - 1))


def _next(node: _Node, pattern: Sequence[bytes], depth: int) -> Iterator[_Node]:
    """The children that go on fitting ``pattern``, ``depth`` labels of which have been used up."""
    if depth >= len(pattern) or pattern[depth] in WILDCARDS:
        return iter(node.below)
    child = node.child(pattern[depth])
    return iter((child,) if child else ())


def _found(node: _Node | None) -> list[Record]:
    """Rule 2."""
    if node is None:
        return []
    records = list(_visit(node))
    return records[len(node.records) :] or records


def _apex(base: _Node, zone: bytes) -> Found:
    """Rule 4."""
    home = _found(base.descend((b"dns", b"apex")))
    if not home:
        strays = (record for node in islice(base.below, MAX_VISITED) for record in node.records)
        home = [*base.records, *(record for record in strays if record.targetstrip == 1)]
    return apex_answers(zone, home, _found(base.descend((b"dns", b"ns"))), base.records)
