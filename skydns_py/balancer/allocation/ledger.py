"""Whose each portal address and node port is, and finding free ones for a Service.

1. Everything that a Service holds is in the ledger, whether a pool contains it or not; the first holder
   counts, until it is dropped.
2. The search begins at a hash of the Service's name.  So the choice is the same each time it is made from
   the same ledger, and two writers with old ledgers seldom choose the same.
"""

from dataclasses import replace

from skydns_py.balancer.allocation.pool import V4, AddressPool, Pool
from skydns_py.balancer.allocation.service import Grant, Item, Lack, shared_port
from skydns_py.cluster.objects import Address, Service
from skydns_py.errors import SkydnsError


class Exhausted(SkydnsError):
    """Nothing free is left of what a Service lacks."""


class Ledger:
    """Owners are texts that name a Service, as ``my-ns/web``."""

    def __init__(self, addresses: AddressPool, node_ports: Pool) -> None:
        self._addresses = addresses
        self._node_ports = node_ports
        self._owners: dict[Item, str] = {}

    @property
    def families(self) -> tuple[int, ...]:
        """The families of the addresses it can give, as octets."""
        return self._addresses.families

    def owner(self, item: Item) -> str:
        """Who holds it; "" for nobody."""
        return self._owners.get(item, "")

    def offers(self, item: Item) -> bool:
        """Whether it is one that can be given, taken or not."""
        return item in self._node_ports if isinstance(item, int) else item in self._addresses

    def hold(self, item: Item, owner: str) -> str:
        """Note that ``owner`` has it, unless somebody has; who holds it now."""
        holder = self._owners.setdefault(item, owner)
        if isinstance(item, int):
            self._node_ports.take(item)
        else:
            self._addresses.take(item)
        return holder

    def drop(self, item: Item) -> None:
        """Nobody has it any more."""
        self._owners.pop(item, None)
        if isinstance(item, int):
            self._node_ports.release(item)
        else:
            self._addresses.release(item)

    def fill(self, service: Service, has: Grant, missing: Lack) -> Grant:
        """``has``, and what is missing from what is free, held at once; Exhausted where nothing is."""
        if not missing:
            return has
        owner = f"{service.namespace}/{service.name}"
        found = [self._find_address(octets, owner) for octets in missing.families]
        has = replace(has, addresses=(*has.addresses, *found))
        for at in missing.ports:
            number = shared_port(service, has, at) or self._find_port(
                f"{owner}:{service.ports[at].name}", owner
            )
            has = replace(has, node_ports=(*has.node_ports[:at], number, *has.node_ports[at + 1 :]))
        if missing.health_port:
            has = replace(has, health_port=self._find_port(f"{owner} health", owner))
        return has

    def _find_address(self, octets: int, owner: str) -> Address:
        found = self._addresses.hashed(octets, owner)
        if found is None:
            family, size = "IPv4" if octets == V4 else "IPv6", self._addresses.size(octets)
            raise Exhausted(f"portal_net: none of its {size} {family} addresses is free; widen it")
        self.hold(found, owner)
        return found

    def _find_port(self, name: str, owner: str) -> int:
        found = self._node_ports.hashed(name)
        if found is None:
            raise Exhausted(f"node_ports: none of its {self._node_ports.size} ports is free; widen it")
        self.hold(found, owner)
        return found
