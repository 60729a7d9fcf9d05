"""From one Service and its endpoints to its portals."""

from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_address, ip_network

from skydns_py import special
from skydns_py.cluster.objects import Address, ServicePort
from skydns_py.cluster.state import ServiceView
from skydns_py.portal.plan.choice import candidates, cluster_targets, local_targets, near
from skydns_py.portal.plan.model import Host, Network, Portal

_OCTETS = {4: 4, 6: 16}


def unusable(address: Address) -> bool:
    """Whether an address means this host, a link, many hosts or none: no Service has such a one.

    They would take over what the node itself is reached by.  As ``special.kind_of``, which costs 20 µs.
    """
    if len(address) == 4:
        first = address[0]
        many = 224 <= first < 240 or address == b"\xff\xff\xff\xff"
        return first in (0, 127) or many or address[:2] == b"\xa9\xfe"
    if not any(address[:10]):
        return address[10:12] in (b"\0\0", b"\xff\xff")
    return address[0] == 0xFF or (address[0] == 0xFE and address[1] & 0xC0 == 0x80)


def passed_over(view: ServiceView | None, host: Host) -> dict[Address, str]:
    """The Service's addresses that get no portal, and why."""
    if view is None:
        return {}
    service, exposure = view.service, view.service.exposure
    every = (*service.addresses, *exposure.addresses, *exposure.balancer_addresses)
    own = [each for each in service.addresses if _is_taken(each, host)]
    return dict.fromkeys(own, "it is this node's own") | {
        each: f"it is {special.kind_of(ip_address(each))}" for each in every if unusable(each)
    }


def _is_taken(address: Address, host: Host) -> bool:
    """Whether the node itself is reached there; not so where that is for a portal's DNS."""
    return address in host.own and address not in host.untracked


def portals(view: ServiceView | None, host: Host) -> tuple[Portal, ...]:
    """A portal for each port and address family; none for a Service that is headless, an alias, or gone.

    Of two ports with one number (or node port) and protocol, which an API server refuses, the first has it.
    """
    if view is None or view.service.headless or view.service.external_name:
        return ()
    ports = _distinct(view.service.ports)
    return tuple(_portal(view, port, family, host) for port in ports for family in _families(view))


def _distinct(ports: tuple[ServicePort, ...]) -> list[ServicePort]:
    if len(ports) == 1:
        return list(ports)
    first = {(port.protocol, port.port): port for port in reversed(ports)}
    wanted = [port for port in ports if first[port.protocol, port.port] is port]
    holder = {(port.protocol, port.node_port): port for port in reversed(wanted)}
    return [p if holder[p.protocol, p.node_port] is p else replace(p, node_port=0) for p in wanted]


def _families(view: ServiceView) -> list[int]:
    service = view.service
    exposure = service.exposure
    lengths = {len(each) for each in (*service.addresses, *exposure.addresses, *exposure.balancer_addresses)}
    if not lengths and any(port.node_port for port in service.ports):
        lengths = {4}
    return [family for family, octets in _OCTETS.items() if octets in lengths]


def _portal(view: ServiceView, port: ServicePort, family: int, host: Host) -> Portal:
    service, exposure = view.service, view.service.exposure
    found = candidates(view, port, family)
    inside = tuple(each for each in _of(family, service.addresses) if not _is_taken(each, host))
    balancer = tuple(each for each in _of(family, exposure.balancer_addresses) if each not in inside)
    public = tuple(each for each in _of(family, exposure.addresses) if each not in (*inside, *balancer))
    policies = exposure.internal_local or exposure.external_local
    cluster = cluster_targets(found, host, service.publish_not_ready)
    local = local_targets(found, host, service.publish_not_ready) if policies else ()
    return Portal(
        namespace=service.namespace,
        service=service.name,
        port_name=port.name,
        family=family,
        protocol=port.protocol,
        port=port.port,
        inside=inside,
        public=public,
        balancer=balancer,
        node_port=port.node_port,
        cluster=cluster,
        local=local,
        near=near(found, host, (*cluster, *local), exposure.external_local),
        internal_local=exposure.internal_local,
        external_local=exposure.external_local,
        source_ranges=_ranges(family, exposure.source_ranges) if balancer else (),
        affinity_seconds=exposure.affinity_seconds,
    )


def _of(family: int, addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    return tuple(each for each in addresses if len(each) == _OCTETS[family] and not unusable(each))


@lru_cache(1024)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


def _ranges(family: int, texts: tuple[str, ...]) -> tuple[Network, ...]:
    """The ranges of this family; none, which is to say all, where one of them covers the whole of it.

    Where every range is of the other family, nobody may come in this one: an impossible source says so.
    """
    networks = [each for each in _networks(texts) if each.version == family]
    if any(each.prefixlen == 0 for each in networks):
        return ()
    if not networks and texts:
        networks = [ip_network("0.0.0.0/32" if family == 4 else "::/128")]
    return tuple(networks)
