"""What the whole cluster's portals are, kept up to date one Service at a time.

1. Two portals never have one front.  Where two Services claim it, one has it: a portal IP goes before any
   outside address (or somebody's ``externalIPs`` would take over a Service, CVE-2020-8554), then the
   first in the order of namespace and name.  Every node decides alike.
2. The one that loses gets the front as soon as the winner lets go of it.
3. The work is in proportion to the Services touched.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address

from skydns_py.cluster.objects import Address
from skydns_py.cluster.state import ServiceView
from skydns_py.portal.plan.model import Host, Portal, ServiceKey
from skydns_py.portal.plan.portals import passed_over, portals

log = logging.getLogger("skydns")

Claim = tuple[int, str, str]
"""Rank (0 for a portal IP, 1 for any other front), namespace and name; the smallest has the front."""
_PROTOCOLS = {"TCP": b"\x06", "UDP": b"\x11", "SCTP": b"\x84"}


class Plan:
    """The portals of all Services; ``view`` tells a Service with its endpoints as it is now."""

    def __init__(self, host: Host, view: Callable[[ServiceKey], ServiceView | None]) -> None:
        self._host = host
        self._view = view
        self._holder: dict[bytes, Claim] = {}
        self._waiting: dict[bytes, set[Claim]] = {}
        self._told: dict[ServiceKey, dict[Address, str]] = {}

    def update(
        self, key: ServiceKey, before: ServiceView | None
    ) -> Iterator[tuple[ServiceKey, tuple[Portal, ...]]]:
        """The Service was ``before``: its portals now, and those of those that gain or lose a front."""
        view = self._view(key)
        found = portals(view, self._host)
        self._tell(key, passed_over(view, self._host))
        was = dict(_claims(portals(before, self._host))) if before is not None else {}
        now = dict(_claims(found))
        rivals: dict[ServiceKey, None] = {}
        for front in (front for front in was if was[front] != now.get(front)):
            rivals |= dict.fromkeys(self._release(front, (was[front], *key)))
        for front in (front for front in now if now[front] != was.get(front)):
            rivals |= dict.fromkeys(self._claim(front, (now[front], *key)))
        yield key, self._without_lost(key, found)
        for rival in rivals:
            if rival != key:
                yield rival, self.portals(rival)

    def move(self, zone: str) -> bool:
        """The node is in that zone; whether it was elsewhere until now, so that hints read differently."""
        elsewhere = zone != self._host.zone
        self._host = replace(self._host, zone=zone)
        return elsewhere

    def portals(self, key: ServiceKey) -> tuple[Portal, ...]:
        """The Service's portals, without the fronts that another Service has."""
        return self._without_lost(key, portals(self._view(key), self._host))

    def _tell(self, key: ServiceKey, reasons: dict[Address, str]) -> None:
        """Say which addresses get no portal, once for as long as that and its reason stay."""
        before = self._told.pop(key, {})
        if reasons:
            self._told[key] = reasons
        for address, reason in reasons.items():
            if before.get(address) != reason:
                log.warning("%s/%s gets no portal at %s: %s", *key, ip_address(address), reason)

    def _without_lost(self, key: ServiceKey, found: tuple[Portal, ...]) -> tuple[Portal, ...]:
        return tuple(self._allowed(each, key) for each in found) if self._waiting else found

    def _claim(self, front: bytes, claim: Claim) -> list[ServiceKey]:
        """Enter a claim; returns who else must be planned anew."""
        holder = self._holder.get(front)
        if holder is None:
            self._holder[front] = claim
            return []
        winner, loser = sorted((holder, claim))
        log.warning("%s does not get %s: %s has it", _shown(loser), _front_text(front), _shown(winner))
        self._holder[front] = winner
        self._waiting.setdefault(front, set()).add(loser)
        return [holder[1:]]

    def _release(self, front: bytes, claim: Claim) -> list[ServiceKey]:
        """Take a claim back; returns who else must be planned anew."""
        waiting = self._waiting.get(front, set())
        waiting.discard(claim)
        if self._holder.get(front) == claim:
            if waiting:
                self._holder[front] = min(waiting)
                waiting.remove(self._holder[front])
            else:
                del self._holder[front]
        if not waiting:
            self._waiting.pop(front, None)
        following = self._holder.get(front)
        return [following[1:]] if following else []

    def _allowed(self, portal: Portal, key: ServiceKey) -> Portal:
        def has(rank: int, address: Address) -> bool:
            return self._holder.get(_front(portal, address)) == (rank, *key)

        return replace(
            portal,
            inside=tuple(each for each in portal.inside if has(0, each)),
            public=tuple(each for each in portal.public if has(1, each)),
            balancer=tuple(each for each in portal.balancer if has(1, each)),
            node_port=portal.node_port if portal.node_port and has(1, b"") else 0,
        )


def _claims(found: tuple[Portal, ...]) -> Iterator[tuple[bytes, int]]:
    """The fronts of a Service's portals, each with its rank."""
    for portal in found:
        yield from ((_front(portal, each), 1) for each in (*portal.public, *portal.balancer))
        if portal.node_port:
            yield _front(portal, b""), 1
        yield from ((_front(portal, each), 0) for each in portal.inside)


def _front(portal: Portal, address: Address) -> bytes:
    """A front as one key; b"" stands for the node's own addresses, of the portal's family."""
    port = portal.port if address else portal.node_port
    place = address or bytes((portal.family,))
    return place + _PROTOCOLS[portal.protocol] + port.to_bytes(2, "big")


def _front_text(front: bytes) -> str:
    protocol = next(name for name, number in _PROTOCOLS.items() if number == front[-3:-2])
    place, port = front[:-3], int.from_bytes(front[-2:], "big")
    return f"{f'{ip_address(place)} port' if len(place) > 1 else 'node port'} {port}/{protocol}"


def _shown(claim: Claim) -> str:
    return f"{claim[1]}/{claim[2]}"
