"""Which addresses a Service gets from the pools; data in, data out.

1. A Service with a ``loadBalancerClass`` is for the pools that name it, one without for those without
   classes.  Where no pool is for its class, it is another balancer's, and nothing is said.
2. A pool that names namespaces is for these alone, and comes before those for everybody.  The annotation
   ``skydns/address-pool`` leaves only the pool of that name.
3. Addresses that are asked for (``skydns/addresses``, ``loadBalancerIP``) are given, all of them, or none.
4. Otherwise there is one address for each family of the Service's portal IPs for which a pool has any; of
   each, what the Service has already, else what its status says, else one that it can share, else the
   lowest that is free.
5. What it has it keeps, as long as a pool for it contains the address, or none does any more: taking a
   range out of the settings takes nothing away from anybody.
6. Services share an address where they name the same key (``skydns/allow-shared-address``), have no port in
   common, and are either all without ``externalTrafficPolicy: Local`` or, with it, select the same pods:
   else a node would announce the address for one and drop the packets of the other.
"""

from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address

from skydns_py.balancer.allocation.pool import V4, AddressPool, parse_range
from skydns_py.balancer.store import Reservation
from skydns_py.cluster.objects import Address, Service
from skydns_py.errors import SkydnsError
from skydns_py.settings import PoolSettings


class NoAddress(SkydnsError):
    """There is none for this Service; one line of why."""


class NoPool(NoAddress):
    """No pool is for this Service; what it has already, it keeps."""


class NotOurs(SkydnsError):
    """Another balancer has to care for this Service."""


def owner_of(service: Service) -> str:
    """As reservations name a Service."""
    return f"{service.namespace}/{service.name}"


def shareable(service: Service, others: Sequence[Service]) -> bool:
    """Whether one address can do for all of them (rule 6; the key is the caller's to compare)."""
    ports = {(port.protocol, port.port) for port in service.ports}
    for other in others:
        if ports & {(port.protocol, port.port) for port in other.ports}:
            return False
        local = service.exposure.external_local, other.exposure.external_local
        if any(local) and (not all(local) or service.selector is None or service.selector != other.selector):
            return False
    return True


class Pools:
    """The pools, and what is taken. ``service`` finds a Service by ``my-ns/web``, or None."""

    def __init__(self, pools: Sequence[PoolSettings], service: Callable[[str], Service | None]) -> None:
        ordered = sorted(pools, key=lambda pool: not pool.namespaces)
        self._pools = [(pool, AddressPool(map(parse_range, pool.addresses))) for pool in ordered]
        self._service = service
        self._reservations: dict[Address, Reservation] = {}
        self._held: dict[str, set[Address]] = {}
        self._shared: dict[str, set[Address]] = {}

    def note(self, address: Address, reservation: Reservation | None) -> None:
        """Whose an address is from now on; None for nobody's."""
        before = self._reservations.pop(address, None)
        for owner in before.services if before else ():
            _discard(self._held, owner, address)
        if before:
            _discard(self._shared, before.sharing, address)
        if reservation is not None:
            self._reservations[address] = reservation
            for owner in reservation.services:
                self._held.setdefault(owner, set()).add(address)
            self._shared.setdefault(reservation.sharing, set()).add(address)
        for _, pool in self._pools:
            if reservation is None:
                pool.release(address)
            else:
                pool.take(address)

    def held(self, owner: str) -> frozenset[Address]:
        """What a Service has."""
        return frozenset(self._held.get(owner, ()))

    def owners(self) -> list[str]:
        """Services that have something."""
        return list(self._held)

    def usage(self) -> dict[str, tuple[int, int]]:
        """By pool: how many of its addresses are taken, and how many there are."""
        return {
            settings.name: (
                sum(address in pool for address in self._reservations),
                sum(pool.size(octets) for octets in pool.families),
            )
            for settings, pool in self._pools
        }

    def choose(self, service: Service) -> tuple[Address, ...]:
        """What the Service is to have; NoAddress, or NotOurs where another balancer cares for it."""
        pools = self._for(service)
        wished = service.exposure.wishes.addresses
        if wished:
            return tuple(self._wished(each, service, pools) for each in wished)
        available = dict.fromkeys(octets for pool in pools for octets in pool.families)
        portal = dict.fromkeys(len(each) for each in service.addresses)
        families = [octets for octets in portal if octets in available] or list(available)[:1]
        if portal and not portal.keys() & available.keys():
            raise NoAddress(
                f"no pool for it has {'IPv4' if V4 in portal else 'IPv6'} addresses, as its portal IP"
            )
        return tuple(self._one(octets, service, pools) for octets in families)

    def _for(self, service: Service) -> list[AddressPool]:
        wishes = service.exposure.wishes
        wanted = wishes.balancer_class
        mine = [
            each for each in self._pools if (wanted in each[0].classes if wanted else not each[0].classes)
        ]
        if not mine:
            if wanted:
                raise NotOurs(f"no pool has the class {wanted}")
            raise NoPool("there is no pool for Services without a class; add one to balancer.pools")
        named = [each for each in mine if wishes.pool in ("", each[0].name)]
        if not named:
            raise NoPool(f"there is no pool {wishes.pool} for it; see the annotation skydns/address-pool")
        found = [pool for each, pool in named if not each.namespaces or service.namespace in each.namespaces]
        if not found:
            raise NoPool(f"no pool is for namespace {service.namespace}; see balancer.pools[].namespaces")
        return found

    def _wished(self, address: Address, service: Service, pools: Sequence[AddressPool]) -> Address:
        if not any(address in pool for pool in pools):
            raise NoAddress(f"{ip_address(address)} is asked for and in no pool for it")
        if not self._can_have(address, service):
            others = ", ".join(f"service/{owner}" for owner in self._reservations[address].services)
            raise NoAddress(f"{ip_address(address)} is asked for and belongs to {others}")
        return address

    def _one(self, octets: int, service: Service, pools: Sequence[AddressPool]) -> Address:
        for address in self._known(octets, service, pools):
            if self._can_have(address, service):
                return address
        for pool in pools:
            if octets in pool.families and (found := pool.lowest(octets)) is not None:
                return found
        size = sum(pool.size(octets) for pool in pools)
        family = "IPv4" if octets == V4 else "IPv6"
        raise NoAddress(
            f"none of the {size} {family} addresses of its pools is free; add some to balancer.pools"
        )

    def _known(self, octets: int, service: Service, pools: Sequence[AddressPool]) -> Iterator[Address]:
        """What it may have without a new address being used, the best first."""
        for address in sorted(self.held(owner_of(service))):
            inside = any(address in pool for pool in pools)
            if len(address) == octets and (inside or not any(address in pool for _, pool in self._pools)):
                yield address
        wanted = list(service.exposure.balancer_addresses)
        if key := service.exposure.wishes.sharing_key:
            wanted += sorted(self._shared.get(key, ()))
        for address in wanted:
            if len(address) == octets and any(address in pool for pool in pools):
                yield address

    def _can_have(self, address: Address, service: Service) -> bool:
        reservation, owner = self._reservations.get(address), owner_of(service)
        others = [each for each in reservation.services if each != owner] if reservation else []
        if not reservation or not others:
            return True
        key = service.exposure.wishes.sharing_key
        known = [found for each in others if (found := self._service(each))]
        return bool(key) and key == reservation.sharing and shareable(service, known)


def _discard(table: dict[str, set[Address]], name: str, address: Address) -> None:
    table[name].discard(address)
    if not table[name]:
        del table[name]
