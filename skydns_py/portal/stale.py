"""Which flows of connection tracking have lost their endpoint.

Only protocols without connections matter: TCP learns of a dead endpoint by itself.  kube-proxy passes over
Services that drop to no endpoints or are deleted, and their clients' flows lead nowhere for hours
(kubernetes issue 139628); here they count like any other change.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from skydns_py.cluster.objects import Address
from skydns_py.portal.plan.model import Portal, ServiceKey, Target

_PROTOCOLS = ("UDP", "SCTP")
_ANY = b""
Front = tuple[int, str, Address, int]
"""Family, protocol, address (b"" for the node's own) and port."""
Alike = tuple[int, str, int, bool, frozenset[Target]]
"""Family, protocol, port, whether that is a node port, and what to keep."""


@dataclass(frozen=True, slots=True)
class Fronts:
    """Fronts that share what their flows may go on having: addresses with a port, or else a node port."""

    family: int
    protocol: str
    addresses: frozenset[Address]
    port: int
    node_port: int
    keep: frozenset[Target]


class Flows:
    """Remembers the fronts of UDP and SCTP portals, and collects those whose flows must be looked at."""

    def __init__(self) -> None:
        self._fronts_of: dict[ServiceKey, set[Front]] = {}
        self._held: dict[Front, tuple[ServiceKey, frozenset[Target]]] = {}
        self._stale: set[Front] = set()

    def want(self, service: ServiceKey, portals: Sequence[Portal]) -> None:
        """The Service's portals are these from now on."""
        now = dict(_fronts(portals))
        for front in self._fronts_of.pop(service, set()) - now.keys():
            if self._held[front][0] == service:
                del self._held[front]
                self._stale.add(front)
        for front, keep in now.items():
            if self._held.get(front) != (service, keep):
                self._held[front] = service, keep
                self._stale.add(front)
        if now:
            self._fronts_of[service] = set(now)

    def take(self) -> list[Fronts]:
        """What is to be looked at once the kernel has the rules for what is wanted now."""
        alike: dict[Alike, set[Address]] = {}
        for front in self._stale:
            family, protocol, address, port = front
            keep = self._held[front][1] if front in self._held else frozenset[Target]()
            alike.setdefault((family, protocol, port, address == _ANY, keep), set()).add(address)
        self._stale = set()
        return [_joined(shared, addresses) for shared, addresses in alike.items()]

    def put_back(self, stale: Sequence[Fronts]) -> None:
        """They were not looked at after all."""
        for each in stale:
            port = each.node_port or each.port
            self._stale |= {(each.family, each.protocol, a, port) for a in each.addresses or (_ANY,)}


def _fronts(portals: Sequence[Portal]) -> Iterator[tuple[Front, frozenset[Target]]]:
    for portal in portals:
        if portal.protocol in _PROTOCOLS:
            keep = frozenset((*portal.cluster, *portal.local))
            for address in (*portal.inside, *portal.public, *portal.balancer):
                yield (portal.family, portal.protocol, address, portal.port), keep
            if portal.node_port:
                yield (portal.family, portal.protocol, _ANY, portal.node_port), keep


def _joined(shared: Alike, addresses: set[Address]) -> Fronts:
    family, protocol, port, node, keep = shared
    if node:
        return Fronts(family, protocol, frozenset(), 0, port, keep)
    return Fronts(family, protocol, frozenset(addresses), port, 0, keep)
