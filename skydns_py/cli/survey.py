"""What is wrong with the reservations in etcd, compared with what Services have.

1. Of two Services with the same address (node port) the older one keeps it, by create revision.  The
   younger one is given another, unless an API server has written it.
2. What a Service keeps is reserved for it; anything else that is reserved has leaked.
3. A reservation for a Service that cannot be decoded is left alone: nobody knows what that one has.
4. Everything is read as of one revision, so what is found was wrong at that moment.  Each finding says
   which keys it rests on, and at which revision; a transaction that compares them cannot mend what has
   changed since.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from skydns_py.balancer.allocation.document import with_grant
from skydns_py.balancer.allocation.ledger import Exhausted, Ledger
from skydns_py.balancer.allocation.service import Grant, Item, Lack, granted
from skydns_py.cli import reservations
from skydns_py.cli.kinds import title
from skydns_py.cli.reservations import owner_of, shown
from skydns_py.cli.store import Change, Store, Stored
from skydns_py.cluster import registry
from skydns_py.cluster.objects import Address, Kind, Ref, Service
from skydns_py.settings import EtcdSource


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, what was done (or why nothing can be), and the transaction that does it (none then)."""

    what: str
    done: str
    changes: Sequence[Change] = ()
    unchanged: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Holder:
    """A stored Service."""

    key: str
    ref: Ref
    held: Stored
    service: Service

    @property
    def owner(self) -> str:
        """The value of its reservations."""
        return owner_of(self.ref)


@dataclass(slots=True)
class Survey:
    """What was read. ``unreadable`` are Services that cannot be decoded."""

    prefix: str
    allocations: str
    ledger: Ledger
    reserved: Mapping[str, Stored]
    holders: list[Holder] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    def findings(self) -> list[Finding]:
        """Everything that is wrong."""
        having: dict[Item, list[Holder]] = {}
        for holder in sorted(self.holders, key=lambda each: (each.held.created, each.key)):
            for item in granted(holder.service).items:
                having.setdefault(item, []).append(holder)
        doubles: dict[str, set[Item]] = {}
        for item, holders in having.items():
            for holder in holders[1:]:
                if holder.owner != holders[0].owner:
                    doubles.setdefault(holder.key, set()).add(item)
        found = [
            self._double(holder, doubles[holder.key], having)
            for holder in self.holders
            if holder.key in doubles
        ]
        return [*found, *self._unreserved(having), *self._leaked(having)]

    def _unreserved(self, having: Mapping[Item, Sequence[Holder]]) -> Iterator[Finding]:
        for item, (keeper, *_) in having.items():
            key = reservations.key_of(item, self.allocations)
            held = self.reserved.get(key, Stored())
            if held.value != keeper.owner.encode():
                whose = f"reserved for {_text(held)}" if held.revision else "not reserved"
                change = Change(key, held.revision, keeper.owner.encode())
                unchanged = {keeper.key: keeper.held.revision}
                what = f"{shown(item)} is {whose}, but {keeper.owner} has it"
                yield Finding(what, "reserved for that", [change], unchanged)

    def _leaked(self, having: Mapping[Item, Sequence[Holder]]) -> Iterator[Finding]:
        revisions = {holder.key: holder.held.revision for holder in self.holders}
        for key, held in self.reserved.items():
            item, owner = reservations.parse_key(key, self.allocations), _text(held)
            namespace, _, name = owner.partition("/")
            ref = Ref(Kind.SERVICE, namespace, name)
            if item in having or title(ref) in self.unreadable:
                continue
            rests = registry.key_for(ref, self.prefix)
            what = shown(item) if item is not None else key
            yield Finding(
                f"{what} is reserved for {owner}, which does not have it",
                "released",
                [Change(key, held.revision)],
                {rests: revisions.get(rests, 0)},
            )

    def _double(self, holder: Holder, items: set[Item], having: Mapping[Item, Sequence[Holder]]) -> Finding:
        """What becomes of a Service that shares ``items`` with an older one."""
        shares = ", ".join(f"{shown(item)} with {having[item][0].owner}" for item in sorted(items, key=shown))
        what = f"{holder.owner} shares {shares}"
        document, has = holder.held.document, granted(holder.service)
        if document is None:
            return Finding(what, "left alone: an API server has written it")
        lacks = _lack(has, items)
        if any(octets not in self.ledger.families for octets in lacks.families):
            return Finding(what, "left alone: portal_net has no address of that family")
        try:
            filled = self.ledger.fill(holder.service, _without(has, items), lacks)
        except Exhausted as error:
            return Finding(what, f"left alone: {error}")
        filled = replace(filled, addresses=_in_place(has.addresses, filled.addresses))
        value = json.dumps(with_grant(document, filled), separators=(",", ":")).encode()
        new = sorted(filled.items - has.items, key=shown)
        keys = [reservations.key_of(item, self.allocations) for item in new]
        changes = [Change(key, 0, holder.owner.encode()) for key in keys]
        return Finding(
            what,
            f"given {', '.join(map(shown, new))}",
            [Change(holder.key, holder.held.revision, value), *changes],
        )


def read(place: Store, etcd: EtcdSource) -> Survey:
    """Read reservations and Services."""
    revision = place.now()
    found = Survey(
        place.prefix,
        place.allocations,
        reservations.empty_ledger(etcd),
        dict(reservations.scan(place, revision)),
    )
    for key, held in found.reserved.items():
        item = reservations.parse_key(key, place.allocations)
        if item is not None:
            found.ledger.hold(item, _text(held))
    for key, ref, held in reservations.services(place, revision):
        service = reservations.decode(ref, held)
        if service is None:
            found.unreadable.append(title(ref))
            continue
        found.holders.append(Holder(key, ref, held, service))
        for item in granted(service).items:
            found.ledger.hold(item, owner_of(ref))
    return found


def _text(held: Stored) -> str:
    return held.value.decode(errors="replace")


def _lack(has: Grant, items: set[Item]) -> Lack:
    return Lack(
        tuple(len(each) for each in has.addresses if each in items),
        tuple(at for at, port in enumerate(has.node_ports) if port in items),
        has.health_port in items,
    )


def _without(has: Grant, items: set[Item]) -> Grant:
    return Grant(
        tuple(each for each in has.addresses if each not in items),
        tuple(0 if port in items else port for port in has.node_ports),
        0 if has.health_port in items else has.health_port,
    )


def _in_place(before: Sequence[Address], after: Sequence[Address]) -> tuple[Address, ...]:
    """``after``, where each new address stands where one of its family stood before."""
    new = [each for each in after if each not in before]
    found = list(before)
    for at, each in enumerate(before):
        if each not in after:
            found[at] = next(other for other in new if len(other) == len(each))
            new.remove(found[at])
    return tuple(found)
