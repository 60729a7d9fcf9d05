"""Who makes a load balancer for a Service: the interface, and the provider that gives addresses from pools.

1. A provider decides on the reactor's thread, from what is known, and returns a ``Task`` for what is to be
   done, or None where all is as it should be.  The task runs in a thread and may block.
2. What is known may be old.  A task reads the Service and the reservations anew, gives up where they differ
   in what matters, and writes everything in one transaction that compares every key it has read and the
   controller's seat.  So two controllers never both write, and no address is given twice.
3. A Service is written back only with what it was given; see ``written``.
4. How a store without transactions is written is in ``book``.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from typing import Protocol

from skydns_py.balancer.book import NOT_DONE, Book, Change, Outcome, Task
from skydns_py.balancer.choose import NoAddress, NoPool, NotOurs, Pools, owner_of
from skydns_py.balancer.store import Held, Reservation, Store, parse_reservation
from skydns_py.balancer.view import View
from skydns_py.balancer.written import Ingress, NotJson, rewritten
from skydns_py.cluster.objects import Address, Service


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
