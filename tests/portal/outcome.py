"""What must become of a new connection's first packet, straight from the rules of portal/plan/model.py.

This is the specification that every backend's tracer is compared with, so it knows nothing of chains, maps
or marks.  Readings of the rules where their wording leaves room, each tested against both backends:

- "is given" (rule 1) and "is empty" (rule 8) speak of the whole setting, not of one family's part of it.
- Exact fronts come before node ports: a public address that is the node's own is found as what it is.
- DNS to an untracked address is never translated nor refused; other ports of that address are.
- A balancer front with ranges drops outsiders (rule 4, "first") even where it would refuse everybody else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from skydns_py.cluster.objects import Address
from skydns_py.portal.plan.model import Host, Network, Portal, Target

DNS_PORT = 53
Kind = Literal["inside", "public", "balancer", "node_port"]


@dataclass(frozen=True)
class Packet:
    """A connection's first packet; ``from_here`` if its source is one of the node's own addresses."""

    source: Address
    destination: Address
    protocol: str
    port: int
    from_here: bool = False

    def __str__(self) -> str:
        here = " (this node)" if self.from_here else ""
        source, destination = ip_address(self.source), ip_address(self.destination)
        return f"{source}{here} -> {destination} {self.protocol} {self.port}"


@dataclass(frozen=True)
class Outcome:
    """``targets`` are all it may be sent to; ``masqueraded`` those among them that see the node's address."""

    kind: Literal["untouched", "refused", "dropped", "sent"]
    targets: frozenset[Target] = frozenset()
    masqueraded: frozenset[Target] = frozenset()


UNTOUCHED = Outcome("untouched")
REFUSED = Outcome("refused")
DROPPED = Outcome("dropped")


def outcome(portals: Sequence[Portal], host: Host, packet: Packet) -> Outcome:
    """The outcome of ``packet`` where exactly ``portals`` are wanted."""
    if _untracked(host, packet):
        return UNTOUCHED
    for kind, portal in _addressed(portals, host, packet):
        return _at_front(kind, portal, host, packet)
    if any(packet.destination in portal.inside for portal in portals):
        return REFUSED  # rule 5, a wrong port
    return UNTOUCHED


def within(address: Address, networks: Sequence[Network]) -> bool:
    """Whether one of the networks, which may be of either family, holds ``address``."""
    return _within(address, tuple(networks))


@cache
def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    value = ip_address(address)
    return any(value in network for network in networks if network.version == value.version)


def _untracked(host: Host, packet: Packet) -> bool:
    dns = packet.port == DNS_PORT and packet.protocol in ("TCP", "UDP")
    return dns and packet.destination in host.untracked


def _addressed(portals: Sequence[Portal], host: Host, packet: Packet) -> Iterator[tuple[Kind, Portal]]:
    """The fronts that the packet is addressed to, the one that counts first."""
    family = 4 if len(packet.destination) == 4 else 6
    mine = [portal for portal in portals if (portal.family, portal.protocol) == (family, packet.protocol)]
    for portal in mine:
        if portal.port == packet.port:
            yield from (("inside", portal) for address in portal.inside if address == packet.destination)
            yield from (("public", portal) for address in portal.public if address == packet.destination)
            yield from (("balancer", portal) for address in portal.balancer if address == packet.destination)
    if _answers_node_ports(host, packet.destination):
        yield from (("node_port", portal) for portal in mine if portal.node_port == packet.port)


def _answers_node_ports(host: Host, address: Address) -> bool:
    """Rule 8."""
    value = ip_address(address)
    if not value.is_loopback and address not in host.own:
        return False
    if isinstance(value, IPv4Address) and value.is_loopback and not host.localhost_node_ports:
        return False
    if host.node_addresses:
        return within(address, host.node_addresses)
    return not (isinstance(value, IPv6Address) and value.is_loopback)


def _at_front(kind: Kind, portal: Portal, host: Host, packet: Packet) -> Outcome:
    if kind == "balancer" and not _admitted(portal, host, packet):
        return DROPPED  # rule 4
    if not portal.cluster:
        return REFUSED  # rule 5
    if kind == "inside":
        return _inside(portal, host, packet)
    return _outside(portal, host, packet)


def _admitted(portal: Portal, host: Host, packet: Packet) -> bool:
    """Rule 4: whether the source is inside the ranges, or there are none."""
    if not portal.source_ranges or within(packet.source, portal.source_ranges):
        return True
    holds_node = any(within(address, portal.source_ranges) for address in host.own)
    return holds_node and packet.source == packet.destination


def undecided(portals: Sequence[Portal], packet: Packet) -> frozenset[Target]:
    """The targets for which rule 6 lets a backend masquerade this packet or not."""
    return frozenset(
        target
        for portal in portals
        for target in (*portal.cluster, *portal.local)
        if target.address == packet.source and packet.source not in portal.near
    )


def _inside(portal: Portal, host: Host, packet: Packet) -> Outcome:
    """Rule 1."""
    cidr = host.of(portal.family).cluster_cidr
    outsider = bool(cidr) and not within(packet.source, cidr)
    targets = portal.local if portal.internal_local else portal.cluster
    return _sent(portal, targets, packet, masquerade=host.masquerade_all or outsider)


def _outside(portal: Portal, host: Host, packet: Packet) -> Outcome:
    """Rules 2 and 3."""
    if not portal.external_local:
        return _sent(portal, portal.cluster, packet, masquerade=True)
    if within(packet.source, host.cluster_cidr):
        return _sent(portal, portal.cluster, packet, masquerade=False)
    if packet.from_here:
        return _sent(portal, portal.cluster, packet, masquerade=True)
    return _sent(portal, portal.local, packet, masquerade=False)


def _sent(portal: Portal, targets: Sequence[Target], packet: Packet, *, masquerade: bool) -> Outcome:
    if not targets:
        return DROPPED
    near = packet.source in portal.near
    hairpin = (target for target in targets if near and target.address == packet.source)  # rule 6
    return Outcome("sent", frozenset(targets), frozenset(targets if masquerade else hairpin))
