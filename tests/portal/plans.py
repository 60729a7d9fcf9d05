"""Hypothesis strategies for plans: portals that may stand together, the host they stand on, and packets.

The pools are small, so that services share targets, shapes, portal IPs and ranges, and move each other's
fronts about.  What the plan guarantees is kept: one family a portal, fronts unique, targets sorted and
without doubles, local targets only where a policy asks for them and some cluster target exists.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from hypothesis import strategies as st

from skydns_py.cluster.objects import Address
from skydns_py.portal.plan.model import Host, Network, Portal, ServiceKey, Target

from .outcome import Packet


def _addresses(*texts: str) -> tuple[Address, ...]:
    return tuple(ip_address(text).packed for text in texts)


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


@dataclass(frozen=True)
class Pool:
    """The addresses of one family; the first balancer address is the node's own, so is the last target."""

    inside: tuple[Address, ...]
    public: tuple[Address, ...]
    balancer: tuple[Address, ...]
    targets: tuple[Address, ...]
    own: tuple[Address, ...]
    loopback: Address
    strangers: tuple[Address, ...]
    ranges: tuple[Network, ...]
    cluster_cidr: tuple[Network, ...]
    node_addresses: tuple[Network, ...]


POOLS = {
    4: Pool(
        inside=_addresses("10.96.0.1", "10.96.0.2", "10.96.0.3"),
        public=_addresses("192.0.2.1", "192.0.2.2"),
        balancer=_addresses("192.168.1.1", "198.51.100.1", "198.51.100.2"),
        targets=_addresses("10.244.0.1", "10.244.0.2", "10.244.1.3", "172.16.0.9", "192.168.1.1"),
        own=_addresses("192.168.1.1", "10.244.0.254"),
        loopback=ip_address("127.0.0.1").packed,
        strangers=_addresses("203.0.113.7", "203.0.113.200"),
        ranges=_networks(
            "203.0.113.0/25", "203.0.113.7/32", "192.168.0.0/16", "10.244.0.0/16", "10.244.0.0/24"
        ),
        cluster_cidr=_networks("10.244.0.0/16"),
        node_addresses=_networks("192.168.1.0/24"),
    ),
    6: Pool(
        inside=_addresses("fd96::1", "fd96::2", "fd96::3"),
        public=_addresses("2001:db8:2::1", "2001:db8:2::2"),
        balancer=_addresses("fd68::1", "2001:db8:51::1", "2001:db8:51::2"),
        targets=_addresses("fd44::1", "fd44::2", "fd44::1:3", "fd72::9", "fd68::1"),
        own=_addresses("fd68::1", "fd44::fe"),
        loopback=ip_address("::1").packed,
        strangers=_addresses("2001:db8:3::7", "2001:db8:3::c8"),
        ranges=_networks("2001:db8:3::/121", "2001:db8:3::7/128", "fd68::/16", "fd44::/32", "fd44::/112"),
        cluster_cidr=_networks("fd44::/32"),
        node_addresses=_networks("fd68::/64"),
    ),
}
PORTS = (53, 80)
NODE_PORTS = (30053, 30080)
PROTOCOLS = ("TCP", "UDP", "SCTP")
NAMES = (("default", "one"), ("default", "two"), ("prod", "one"))
Front = tuple[Address | None, str, int]
"""(address, protocol, port); no address for a node port, which is then told apart by its family too."""


def _some(values: Sequence[Address], most: int = 2) -> st.SearchStrategy[tuple[Address, ...]]:
    if not values:
        return st.just(())
    return st.lists(st.sampled_from(values), max_size=most, unique=True).map(lambda some: tuple(sorted(some)))


def targets(family: int) -> st.SearchStrategy[tuple[Target, ...]]:
    """Up to four targets, sorted."""
    one = st.builds(Target, st.sampled_from(POOLS[family].targets), st.sampled_from((80, 8080)))
    return st.lists(one, max_size=4, unique=True).map(lambda some: tuple(sorted(some)))


@st.composite
def _portal(draw: st.DrawFn, service: ServiceKey, port_name: str) -> Portal:
    family = draw(st.sampled_from((4, 4, 6)))
    pool = POOLS[family]
    cluster = draw(targets(family))
    internal_local, external_local = draw(st.booleans()), draw(st.booleans())
    asked = bool(cluster) and (internal_local or external_local)
    local = draw(targets(family)) if asked else ()
    near = draw(_some(sorted({target.address for target in (*cluster, *local)}), 4))
    balancer = draw(_some(pool.balancer))
    ranges = st.lists(st.sampled_from(pool.ranges), max_size=2, unique=True).map(tuple)
    return Portal(
        *service,
        port_name,
        family,
        draw(st.sampled_from(PROTOCOLS)),
        draw(st.sampled_from(PORTS)),
        inside=draw(_some(pool.inside, 1)),
        public=draw(_some(pool.public)),
        balancer=balancer,
        node_port=draw(st.sampled_from((0, *NODE_PORTS))),
        cluster=cluster,
        local=local,
        near=near,
        internal_local=internal_local,
        external_local=external_local,
        source_ranges=draw(ranges) if balancer else (),
        affinity_seconds=draw(st.sampled_from((0, 0, 10, 10800))),
    )


@st.composite
def services(draw: st.DrawFn, key: ServiceKey) -> tuple[Portal, ...]:
    """Portals of one Service, each (port, family) once; their fronts may collide with anyone's."""
    names = draw(st.lists(st.sampled_from(("", "web", "dns")), max_size=3))
    made = [draw(_portal(key, name)) for name in names]
    return tuple({(each.port_name, each.protocol, each.family): each for each in made}.values())


def without_shared_fronts(plan: dict[ServiceKey, tuple[Portal, ...]]) -> dict[ServiceKey, tuple[Portal, ...]]:
    """The plan with every front kept only by the first portal that has it."""
    taken: set[tuple[int, Front]] = set()
    return {key: tuple(_claim(portal, taken) for portal in portals) for key, portals in plan.items()}


def _claim(portal: Portal, taken: set[tuple[int, Front]]) -> Portal:
    def free(address: Address | None, port: int) -> bool:
        front = (portal.family, (address, portal.protocol, port))
        fresh = front not in taken
        taken.add(front)
        return fresh

    return replace(
        portal,
        inside=tuple(each for each in portal.inside if free(each, portal.port)),
        public=tuple(each for each in portal.public if free(each, portal.port)),
        balancer=tuple(each for each in portal.balancer if free(each, portal.port)),
        node_port=portal.node_port if portal.node_port and free(None, portal.node_port) else 0,
    )


@st.composite
def plans(draw: st.DrawFn) -> dict[ServiceKey, tuple[Portal, ...]]:
    """A whole plan: every Service's portals, valid together."""
    return without_shared_fronts({key: draw(services(key)) for key in NAMES})


def portal_lists() -> st.SearchStrategy[list[Portal]]:
    """The portals of a plan."""
    return plans().map(lambda plan: [portal for portals in plan.values() for portal in portals])


def histories(most: int = 4) -> st.SearchStrategy[list[dict[ServiceKey, tuple[Portal, ...]]]]:
    """Whole plans that follow one another; a step often changes one Service only."""
    return st.lists(st.one_of(plans(), _one_changed()), min_size=1, max_size=most).map(_merged)


def _one_changed() -> st.SearchStrategy[dict[ServiceKey, tuple[Portal, ...]]]:
    return st.sampled_from(NAMES).flatmap(lambda key: services(key).map(lambda portals: {key: portals}))


def _merged(
    steps: list[dict[ServiceKey, tuple[Portal, ...]]],
) -> list[dict[ServiceKey, tuple[Portal, ...]]]:
    plan: dict[ServiceKey, tuple[Portal, ...]] = {}
    history = []
    for step in steps:
        plan = {**plan, **step}
        history.append(without_shared_fronts(plan))
    return history


def hosts(*, localhost: bool = False) -> st.SearchStrategy[Host]:
    """A host with the own addresses of the pools; ``localhost`` lets it answer node ports at 127.0.0.1."""
    both = POOLS[4], POOLS[6]
    cidr4, cidr6 = (pool.cluster_cidr for pool in both)
    near4, near6 = (pool.node_addresses for pool in both)
    return st.builds(
        Host,
        node=st.just("node-1"),
        own=st.just(both[0].own + both[1].own),
        cluster_cidr=st.sampled_from(((), cidr4 + cidr6, cidr4)),
        masquerade_all=st.booleans(),
        node_addresses=st.sampled_from(((), (), near4 + near6, near4, _networks("0.0.0.0/0", "::/0"))),
        localhost_node_ports=st.booleans() if localhost else st.just(False),
        untracked=st.sampled_from(((), (both[0].inside[0],), (both[0].inside[0], both[1].inside[0]))),
        mark=st.sampled_from((0x4000, 0x1)),
    )


def packets(host: Host, families: Sequence[int] = (4, 6)) -> list[Packet]:
    """Every packet that some plan over the pools could treat in its own way."""
    return [packet for family in families for packet in _packets(host, POOLS[family])]


def _packets(host: Host, pool: Pool) -> Iterator[Packet]:
    places = {*pool.inside, *pool.public, *pool.balancer, *pool.own, *pool.strangers[:1]}
    away = {*pool.targets, *pool.strangers} - set(pool.own)
    for destination in sorted(places):
        for protocol in PROTOCOLS:
            for port in (*PORTS, *NODE_PORTS, 9):
                yield from (Packet(source, destination, protocol, port) for source in sorted(away))
                here = {*pool.own, *({destination} & set(pool.balancer))}
                yield from (Packet(source, destination, protocol, port, True) for source in sorted(here))
    for protocol in PROTOCOLS:
        yield from (Packet(pool.loopback, pool.loopback, protocol, port, True) for port in NODE_PORTS)
