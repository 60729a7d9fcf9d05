"""Who makes a load balancer for a Service: the interface, and the provider that gives addresses from pools.

1. A provider decides on the reactor's thread, from what is known, and returns a ``Task`` for what is to be
   done, or None where all is as it should be.  The task runs in a thread and may block.
2. What is known may be old.  A task reads the Service and the reservations anew, gives up where they differ
   in what matters, and writes everything in one transaction that compares every key it has read and the
   controller's seat.  So two controllers never both write, and no address is given twice.
3. A Service is written back only with what it was given; see ``written``.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
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
from skydns_py.balancer.written import Ingress, NotJson, rewritten
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


class Book:
    """Where things are in etcd, and writing a Service together with what it has."""

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

    def write(  # noqa: PLR0913, PLR0917  # one transaction: what was read, and what is to be
        self,
        store: Store,
        owner: str,
        held: Mapping[str, Held],
        changes: Mapping[str, bytes | None],
        value: bytes | None,
        seat: Mapping[str, int],
    ) -> Outcome:
        """``changes``, and the Service's new ``value`` (None: as it is), if all is still as ``held`` says."""
        new = {key: each for key, each in changes.items() if (each or b"") != held[key].value}
        written = [Write(key, each) for key, each in new.items()]
        if value is not None:
            written.append(Write(self.service_key(owner), value))
        if not written:
            return Outcome(News({}))
        seen = {key: each.revision for key, each in held.items()}
        revision = store.write(written, {**seen, **seat})
        if not revision:
            return NOT_DONE
        return Outcome(News({key: Held(each or b"", revision) for key, each in new.items()}))


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
        held = self._read(store, owner, {*chosen, *has})
        stored = held[self._book.service_key(owner)]
        if not same_wish(service, self._book.decode(owner, stored)):
            return NOT_DONE
        changes = {self._key(each): self._without(owner, held[self._key(each)]) for each in has}
        for each in map(self._key, chosen):
            before = parse_reservation(held[each].value)
            others = [other for other in before.services if other != owner]
            if others and (not key or before.sharing != key):
                return NOT_DONE
            changes[each] = Reservation(tuple(sorted([*others, owner])), key).encode()
        given: list[Ingress] = [{"ip": _text(each)} for each in chosen]
        value = rewritten(stored.value, given, [_text(each) for each in has if each not in chosen])
        return self._book.write(store, owner, held, changes, value, seat)

    def _take_back(
        self, owner: str, has: Collection[Address], seat: Mapping[str, int], store: Store
    ) -> Outcome:
        held = self._read(store, owner, has)
        changes = {key: self._without(owner, held[key]) for key in map(self._key, has)}
        service, value = held[self._book.service_key(owner)], None
        if service.revision:
            try:
                value = rewritten(service.value, (), [_text(each) for each in has])
            except NotJson:
                value = None
        return self._book.write(store, owner, held, changes, value, seat)

    def _read(self, store: Store, owner: str, addresses: Collection[Address]) -> dict[str, Held]:
        return store.read([self._book.service_key(owner), *map(self._key, addresses)])

    def _key(self, address: Address) -> str:
        return self._book.keys.ip(_text(address))

    def _without(self, owner: str, held: Held) -> bytes | None:
        before = parse_reservation(held.value)
        rest = tuple(each for each in before.services if each != owner)
        if owner not in before.services:
            return held.value or None
        return Reservation(rest, before.sharing).encode() if rest else None


def _text(address: Address) -> str:
    return str(ip_address(address))
