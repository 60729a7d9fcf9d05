"""What a portal does with a new connection, as data that every backend prints and a tracer can follow.

A *front* is what a client connects to: an address, a protocol and a port; or, for a node port, any of the
node's own addresses.  Later packets of a connection follow its first one, through connection tracking.

1. Inside fronts (portal IPs): the source is masqueraded if ``masquerade_all``, or if ``cluster_cidr`` has
   networks of the family and the source lies outside them.  The targets are ``cluster``; with
   ``internal_local`` they are ``local``, and where those are none but ``cluster`` has some, the packet is
   dropped.
2. Outside fronts (public, balancer, node port) without ``external_local``: masqueraded, to ``cluster``.
3. Outside fronts with ``external_local``: a source inside ``cluster_cidr`` goes to ``cluster`` as it is; a
   source that is the node itself goes to ``cluster``, masqueraded; any other goes to ``local`` as it is,
   and is dropped where there are none.
4. A balancer front with ``source_ranges`` first drops every source outside them.  Should one of them hold
   an address of the node, the balancer's own address counts as inside too, for it is what the node's own
   connections to that address carry as their source.  Node ports, public and inside fronts do not look
   at the ranges.
5. A front whose ``cluster`` is empty is refused: TCP by a reset, all else by ICMP port unreachable.  So
   is everything else that is addressed to a portal IP and was not translated: a wrong port.
6. A connection whose target is its own source (hairpin) is masqueraded whatever else is said, if that
   source is one of ``near``.  Any other pod's connections are translated on the node where it runs, except
   to this node's own outside fronts; so ``near`` are the targets on this node, those whose node is not known,
   and with ``external_local``, where rule 3 may keep a distant pod's address, all of them.  A backend may
   masquerade such connections of others too.
7. Targets are chosen uniformly at random; with ``affinity_seconds``, a source that got a target of the same
   portal within that time, through whichever front, gets it again while the target is among those allowed.
8. Node ports answer at the node's addresses within ``Host.node_addresses``, or at all of them but the
   loopback's where that is empty; at 127.0.0.0/8 only with ``Host.localhost_node_ports`` (iptables, IPv4).
   ``node_addresses`` of one family only mean that the other has no node ports: it is a restriction.
9. DNS (port 53, TCP and UDP) at ``Host.untracked`` addresses is neither translated nor refused.
"""

from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network

from skydns_py.cluster.objects import Address

Network = IPv4Network | IPv6Network
ServiceKey = tuple[str, str]
"""(namespace, name) of a Service."""


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """Where a connection may be sent."""

    address: Address
    port: int


@dataclass(frozen=True, slots=True)
class Portal:
    """One port of a Service in one address family (4 or 6); every address and target is of that family.

    ``protocol`` is TCP, UDP or SCTP; ``node_port`` is 0 without one.  ``cluster`` are the targets anywhere,
    ``local`` those on this node (empty where no policy asks for them); both sorted, without doubles.
    ``near`` are the addresses of those targets that rule 6 is about, likewise sorted.
    No two portals that are planned at once share a front.
    """

    namespace: str
    service: str
    port_name: str
    family: int
    protocol: str
    port: int
    inside: tuple[Address, ...] = ()
    public: tuple[Address, ...] = ()
    balancer: tuple[Address, ...] = ()
    node_port: int = 0
    cluster: tuple[Target, ...] = ()
    local: tuple[Target, ...] = ()
    near: tuple[Address, ...] = ()
    internal_local: bool = False
    external_local: bool = False
    source_ranges: tuple[Network, ...] = ()
    affinity_seconds: int = 0

    def __str__(self) -> str:
        name = f":{self.port_name}" if self.port_name else ""
        return f"{self.namespace}/{self.service}{name}"


@dataclass(frozen=True, slots=True)
class Host:
    """The node that is programmed. ``own``: its addresses; ``mark``: the bit of packets to masquerade."""

    node: str = ""
    zone: str = ""
    own: tuple[Address, ...] = ()
    cluster_cidr: tuple[Network, ...] = ()
    masquerade_all: bool = False
    node_addresses: tuple[Network, ...] = ()
    localhost_node_ports: bool = False
    untracked: tuple[Address, ...] = ()
    mark: int = 0x4000

    def of(self, family: int) -> "Host":
        """As it is for one family (4 or 6): ``cluster_cidr`` has that family's networks alone."""
        return replace(self, cluster_cidr=tuple(each for each in self.cluster_cidr if each.version == family))
