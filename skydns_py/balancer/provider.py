"""Who makes a load balancer for a Service: the interface, and the provider that gives addresses from pools.

1. A provider decides on the reactor's thread, from what is known, and returns a ``Task`` for what is to be
   done, or None where all is as it should be.  The task runs in a thread and may block.
2. What is known may be old.  A task reads the Service and the reservations anew, gives up where they differ
   in what matters, and writes everything in one transaction that compares every key it has read and the
   controller's seat.  So two controllers never both write, and no address is given twice.
3. A Service is written back only with what it was given; see ``written``.
4. A store without transactions is written key by key, and a controller that was deposed in between may go on
   at any time later.  The order sees to it that a Service never shows what is not reserved for it:

   - Read what is to be taken away, then the Service, then what is to be given.
   - Write what is given, *each time*, so that whoever is about to take it away finds it changed; then the
     Service; then what is taken away.  Each under the condition of the revision read.
   - Nothing is taken away from a Service that still asks unless the Service was changed for it: else one who
     read it before and gave in the meantime could still write to it.  Where the Service does not show what
     is to be taken away (a gift that was left half done), it is given it first, and that is taken next.

   Proof: that it shows X is written at the revision that was read *before* X was reserved for it.  If X was
   taken away after that reservation, the Service has changed since.  If it was taken away before, the
   reservation was written under a condition that no longer held.
5. What was left half done needs no memory: all of it is in the keys, and the next look goes on from there.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import NamedTuple, Protocol

from skydns_py.balancer.choose import NoAddress, NoPool, NotOurs, Pools, owner_of
from skydns_py.balancer.store import (
    CONTROLLER,
    Held,
    Keys,
    News,
    Reservation,
    Store,
    Write,
    parse_reservation,
)
from skydns_py.balancer.view import View
from skydns_py.balancer.written import Ingress, NotJson, rewritten, with_entries
from skydns_py.cluster import registry
from skydns_py.cluster.objects import Address, Kind, Ref, Service
from skydns_py.errors import DecodeError

AT_ONCE = 0.05
"""Seconds until what somebody else has changed meanwhile is looked at again."""


class Outcome(NamedTuple):
    """What a task has written, and after how many seconds to look again (None: it is done)."""

    news: News
    again: float | None = None


NOT_DONE = Outcome(News({}), AT_ONCE)
Task = Callable[[Store], Outcome]
"""It may raise SkydnsError, one line of why."""


class Provider(Protocol):
    """Called on the reactor's thread, and only on the node that is the controller."""

    parallel: int
    """How many of its tasks may run at once."""

    def ensure(self, service: Service) -> Task | None:
        """What makes it be as the Service asks; NoAddress where that cannot be, NotOurs where it need not."""

    def release(self, owner: str) -> Task | None:
        """What takes away all that ``my-ns/web`` has; the Service may be gone."""

    def owners(self) -> Collection[str]:
        """Those that have something."""


class Change(NamedTuple):
    """What a task has read, and what is to be: keys ``given``, then the Service, then keys ``taken``.

    ``value`` is the Service's new document, None where it stays; ``withdrawn`` the addresses that
    ``taken`` stands for.
    """

    held: Mapping[str, Held]
    given: Mapping[str, bytes]
    value: bytes | None
    taken: Mapping[str, bytes | None]
    withdrawn: Sequence[str] = ()


class Book:
    """Where things are in the store, and writing a Service together with what it has."""

    def __init__(self, keys: Keys, registry_prefix: str, view: View) -> None:
        self.keys = keys
        self._registry = registry_prefix
        self._view = view

    def seat(self) -> dict[str, int]:
        """What proves that this node is still the controller."""
        key = self.keys.owner(CONTROLLER)
        return {key: self._view.revision(key)}

    def service_key(self, owner: str) -> str:
        """Where the Service is."""
        return registry.key_for(_ref(owner), self._registry)

    def decode(self, owner: str, held: Held) -> Service | None:
        """The stored Service; None where there is none that can be used."""
        try:
            found = registry.decode(_ref(owner), held.value) if held.revision else None
        except DecodeError:
            return None
        return found if isinstance(found, Service) else None

    def write(self, store: Store, owner: str, change: Change, seat: Mapping[str, int]) -> Outcome:
        """All of it that is not so already, if everything is still as it was read (rule 4)."""
        held = change.held
        taken = {key: each for key, each in change.taken.items() if (each or b"") != held[key].value}
        change, again = change._replace(taken=taken), None
        if taken and change.value is None and not store.transactions:
            shown = self._shown(owner, held[self.service_key(owner)], change.withdrawn)
            if shown is not None:
                given = {**change.given, **{key: held[key].value for key in taken}}
                change, again = change._replace(given=given, value=shown, taken={}), AT_ONCE
        if change.value is None and not change.taken and _is_so(change.given, held):
            return Outcome(News({}))
        service = {} if change.value is None else {self.service_key(owner): change.value}
        writes = [Write(*each) for part in (change.given, service, change.taken) for each in part.items()]
        revisions = store.write(writes, {key: each.revision for key, each in held.items()} | dict(seat))
        if not revisions:
            return NOT_DONE
        new = {**change.given, **change.taken}
        return Outcome(News({key: Held(each or b"", revisions[key]) for key, each in new.items()}), again)

    def _shown(self, owner: str, held: Held, addresses: Sequence[str]) -> bytes | None:
        """The Service with addresses that are to be taken away; None where it need not change."""
        service = self.decode(owner, held)
        if service is None or not service.exposure.wants_balancer:
            return None
        return with_entries(held.value, addresses)


def _is_so(given: Mapping[str, bytes], held: Mapping[str, Held]) -> bool:
    return all(held[key].value == each for key, each in given.items())


def _ref(owner: str) -> Ref:
    namespace, _, name = owner.partition("/")
    return Ref(Kind.SERVICE, namespace, name)


def same_wish(service: Service, other: Service | None) -> bool:
    """Whether both ask for the same."""
    if other is None or not other.exposure.wants_balancer:
        return False
    return (service.exposure.wishes, service.ports, service.exposure.external_local) == (
        other.exposure.wishes,
        other.ports,
        other.exposure.external_local,
    )


class PoolProvider:
    """Gives addresses from pools; that a node announces them follows from the reservations."""

    parallel = 1  # the next choice has to know of this one

    def __init__(self, pools: Pools, book: Book, view: View) -> None:
        self._pools = pools
        self._book = book
        self._view = view

    def owners(self) -> Collection[str]:
        """See ``Provider``."""
        return self._pools.owners()

    def ensure(self, service: Service) -> Task | None:
        """See ``Provider``."""
        owner = owner_of(service)
        try:
            chosen = self._pools.choose(service)
        except NotOurs:
            if self._pools.held(owner):
                return self.release(owner)
            raise
        except NoPool:
            raise
        except NoAddress:
            if self._pools.held(owner):
                return self.release(owner)
            raise
        if self._is_settled(owner, service, chosen):
            return None
        return partial(self._give, service, chosen, self._pools.held(owner), self._book.seat())

    def release(self, owner: str) -> Task | None:
        """See ``Provider``."""
        has = self._pools.held(owner)
        return partial(self._take_back, owner, has, self._book.seat()) if has else None

    def _is_settled(self, owner: str, service: Service, chosen: Sequence[Address]) -> bool:
        exposure = service.exposure
        shown = exposure.balancer_addresses == tuple(chosen) or set(chosen) <= set(exposure.addresses)
        known = [self._view.reservations.get(_text(each)) for each in chosen]
        reserved = all(
            each and owner in each.services and each.sharing == exposure.wishes.sharing_key for each in known
        )
        return shown and reserved and self._pools.held(owner) == set(chosen)

    def _give(
        self,
        service: Service,
        chosen: Sequence[Address],
        has: Collection[Address],
        seat: Mapping[str, int],
        store: Store,
    ) -> Outcome:
        owner, key = owner_of(service), service.exposure.wishes.sharing_key
        leaving = [each for each in has if each not in chosen]
        held = self._read(store, owner, leaving, chosen)
        stored = held[self._book.service_key(owner)]
        if not same_wish(service, self._book.decode(owner, stored)):
            return NOT_DONE
        given: dict[str, bytes] = {}
        for each in map(self._key, chosen):
            before = parse_reservation(held[each].value)
            others = [other for other in before.services if other != owner]
            if others and (not key or before.sharing != key):
                return NOT_DONE
            given[each] = Reservation(tuple(sorted([*others, owner])), key).encode()
        shown: list[Ingress] = [{"ip": _text(each)} for each in chosen]
        withdrawn = [_text(each) for each in leaving]
        value = rewritten(stored.value, shown, withdrawn)
        taken = self._without(owner, leaving, held)
        return self._book.write(store, owner, Change(held, given, value, taken, withdrawn), seat)

    def _take_back(
        self, owner: str, has: Collection[Address], seat: Mapping[str, int], store: Store
    ) -> Outcome:
        held = self._read(store, owner, has, ())
        withdrawn = [_text(each) for each in has]
        service, value = held[self._book.service_key(owner)], None
        if service.revision:
            with suppress(NotJson):
                value = rewritten(service.value, (), withdrawn)
        taken = self._without(owner, has, held)
        return self._book.write(store, owner, Change(held, {}, value, taken, withdrawn), seat)

    def _read(
        self, store: Store, owner: str, taken: Collection[Address], given: Collection[Address]
    ) -> dict[str, Held]:
        service = self._book.service_key(owner)
        return store.read([*map(self._key, taken), service, *map(self._key, given)])

    def _key(self, address: Address) -> str:
        return self._book.keys.ip(_text(address))

    def _without(
        self, owner: str, addresses: Collection[Address], held: Mapping[str, Held]
    ) -> dict[str, bytes | None]:
        return {key: _left(owner, held[key]) for key in map(self._key, addresses)}


def _left(owner: str, held: Held) -> bytes | None:
    """A reservation without one of its Services; None where nobody is left."""
    before = parse_reservation(held.value)
    rest = tuple(each for each in before.services if each != owner)
    if owner not in before.services:
        return held.value or None
    return Reservation(rest, before.sharing).encode() if rest else None


def _text(address: Address) -> str:
    return str(ip_address(address))
