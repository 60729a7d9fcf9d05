"""One family's table: what is wanted, what the kernel is known to hold, and the text between the two.

1. A Service's share is one string, its items (``items``); two of them are compared, and nothing else is
   kept of a Service.
2. While the kernel's table is not known, ``next`` is complete: the skeleton, everything emptied but the
   affinity sets, and all items.  When it is known, ``next`` is the difference.
3. Items of ``SHARED`` places are counted over the Services; they come with the first that wants them and go
   with the last.
4. A chain or set that nobody wants any more is *stale*: no element and no rule leads to it from then on, and
   the transaction after that deletes it, unless somebody wants it again by then.
5. A family without items (and without untracked addresses) has no table; the last item takes it along.
6. Two complete transactions that fail in a row are evidence that what stands in the way is in the table:
   the third deletes it first, in the same transaction, and loses the affinity sets.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, filterfalse

from skydns_py.portal.nftables.inventory import Found
from skydns_py.portal.nftables.items import SHARED
from skydns_py.portal.nftables.layout import LAYOUT, Layout, untracked
from skydns_py.portal.nftables.text import OBJECTS, Name, Step, name_of, replacing, skeleton, step
from skydns_py.portal.plan.model import Host, ServiceKey


@dataclass(slots=True)
class _Next:
    """What the last ``next`` leads to once it is committed."""

    stands: bool
    stale: set[Name] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)


class Table:
    """The table of ``family`` on ``host``; ``shape`` gives the rules of a shape's chain."""

    def __init__(self, host: Host, family: int, shape: Callable[[str], str]) -> None:
        self.layout = Layout(host, family)
        self._shape = shape
        self._keep = bool(untracked(host, family))
        self._items: dict[ServiceKey, str] = {}
        self._counts: Counter[str] = Counter()
        self._dirty: dict[ServiceKey, str] = {}
        self._running: dict[ServiceKey, str] = {}
        self._known, self._stands, self._stale = False, False, set[Name]()
        self._found, self._failures = Found(), 0
        self._next: _Next | None = None

    @property
    def untidy(self) -> bool:
        """Whether something stale waits for a later transaction."""
        return bool(self._stale)

    def want(self, service: ServiceKey, items: str) -> None:
        """From now on these are the Service's items."""
        coming = self._running.get(service)
        if items != (self._items.get(service, "") if coming is None else coming):
            self._dirty[service] = items
        else:
            self._dirty.pop(service, None)

    def adopt(self, found: Found) -> None:
        """The kernel holds what ``found`` says, and the elements in it are not known."""
        self._failures = self._failures + 1 if self._next and not self._known else 0
        self._apply({**self._running, **self._dirty})
        self._dirty, self._running, self._next = {}, {}, None
        self._known, self._found, self._stale = False, found, set()

    def next(self) -> str:
        """The statements to what is wanted; "" where there is nothing to do."""
        self._running.update(self._dirty)
        self._dirty = {}
        text = "\n".join(self._difference() if self._known and self._stands else self._complete())
        if not text:
            self.committed()
        return text

    def committed(self) -> None:
        """What ``next`` gave is in the kernel."""
        if self._next is None:
            return
        self._apply(self._running)
        if self._counts:
            self._counts.update(self._next.counts)
            for item in [each for each in self._next.counts if not self._counts[each]]:
                del self._counts[item]
        else:
            self._counts = self._next.counts
        self._stands, self._stale = self._next.stands, self._next.stale
        self._running, self._known, self._next, self._failures = {}, True, None, 0

    def _apply(self, changes: dict[ServiceKey, str]) -> None:
        for service, items in changes.items():
            if items:
                self._items[service] = items
            else:
                self._items.pop(service, None)

    def _wanted(self) -> bool:
        """Whether the family has any item once what is running is committed."""
        if self._keep or any(self._running.values()):
            return True
        return len(self._items) > sum(service in self._items for service in self._running)

    def _complete(self) -> Iterable[str]:
        """Rule 2, of a table that is not known or does not stand."""
        self._counts = Counter()
        found = Found() if self._known else self._found
        if not self._wanted():
            self._next = _Next(stands=False)
            return replacing(self.layout) if found.table else ()
        shared = Counter(filter(_is_shared, self._all()))
        anew = found.table and (LAYOUT not in found.chains or self._failures >= 2)
        stale = set() if anew else self._unwanted(found, shared)
        self._next = _Next(stands=True, stale=stale, counts=shared)
        change = Step(come=chain(shared, filterfalse(_is_shared, self._all())), emptied=stale)
        before = replacing(self.layout) if anew else ()
        return (*before, *skeleton(self.layout), *step(self.layout, change, self._shape))

    def _all(self) -> Iterator[str]:
        """Every item once running is committed."""
        for service, items in self._items.items():
            if service not in self._running:
                yield from items.split("\n")
        for items in self._running.values():
            yield from items.split("\n") if items else ()

    def _unwanted(self, found: Found, shared: Iterable[str]) -> set[Name]:
        names = {*(("chain", each) for each in found.chains), *(("set", each) for each in found.sets)}
        skeleton_names = {*(("chain", each) for each in self.layout.chains)}
        skeleton_names |= {*(("set", each) for each in self.layout.sets)}
        return names - skeleton_names - _names(shared)

    def _difference(self) -> Iterable[str]:
        """Rule 2, of a table that is known."""
        if not self._wanted():
            self._next = _Next(stands=False, counts=Counter({each: -n for each, n in self._counts.items()}))
            return replacing(self.layout)
        gone, come, counts = self._changes()
        emptied, back = _names(gone) - _names(come), _names(come)
        self._next = _Next(stands=True, stale=emptied, counts=counts)
        deleted = self._stale - back
        if not (gone or come or deleted):
            return ()
        change = Step(gone=gone, come=come, deleted=deleted, emptied=emptied)
        return step(self.layout, change, self._shape)

    def _changes(self) -> tuple[list[str], list[str], Counter[str]]:
        gone: list[str] = []
        come: list[str] = []
        counts: Counter[str] = Counter()
        for service, items in self._running.items():
            before, after = _lines(self._items.get(service, "")), _lines(items)
            counts.update(item for item in after if _is_shared(item))
            counts.subtract(item for item in before if _is_shared(item))
            gone += [item for item in before if item not in after and not _is_shared(item)]
            come += [item for item in after if item not in before and not _is_shared(item)]
        counts = Counter({item: count for item, count in counts.items() if count})
        gone += [item for item, count in counts.items() if not self._counts[item] + count]
        come += [item for item in counts if not self._counts[item]]
        return gone, come, counts


def _lines(items: str) -> dict[str, None]:
    return dict.fromkeys(items.split("\n")) if items else {}


def _is_shared(item: str) -> bool:
    return item[: item.index("\t")] in SHARED


def _names(items: Iterable[str]) -> set[Name]:
    return {name_of(item) for item in items if item.startswith(OBJECTS)}
