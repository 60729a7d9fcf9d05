"""The Kubernetes DNS schema, version 1.1.0: which names a Service owns, and with what records.

1. A cluster-IP Service owns its addresses at ``svc.ns.svc.ZONE`` and an SRV per named port at
   ``_port._proto.`` below it.  Its ready endpoints are names below it as well.
2. A headless Service owns the addresses of its ready endpoints instead, and its SRV records point to them.
   With no ready endpoint it does not exist (section 2.4.1 of the schema: NXDOMAIN).
3. An ExternalName Service owns one CNAME.
4. An endpoint's name is its hostname, else its address with dashes.
5. SRV at a Service's own name lists every port, named or not: in no schema, but clients use it.
6. A name that would pass 255 octets below a long zone is left out (RFC 1035 section 2.3.4).
7. The weight of an SRV record is 100 shared by all records the same question finds, counted before equal
   ones are merged, and at least 1: what clusters have answered for years.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from skydns_py.cluster.objects import Endpoint, EndpointPort, ServicePort
from skydns_py.cluster.state import ServiceView
from skydns_py.zone.names import MAX_LABEL, MAX_NAME, from_labels, from_text, ip_wire_label, wire_label
from skydns_py.zone.rrset import AAAA, CNAME, SRV, A, RRset, RRsets

VERSION = "1.1.0"
VERSION_TTL = 28800
"""Seconds; the value the schema itself shows for ``dns-version`` (section 2.2)."""


_SRV = struct.Struct("!3H")
SPACES = 4096
"""Namespaces, and sets of ports, whose octets are remembered."""


class _Target(NamedTuple):
    """One SRV record to be: where it leads."""

    port: ServicePort | EndpointPort
    host: bytes


Host = tuple[bytes, Endpoint, tuple[EndpointPort, ...]]
"""The name of an endpoint that has one, the endpoint, and its ports."""


@dataclass(frozen=True, slots=True)
class ServiceRecords:
    """What a Service owns: RRsets by name, and for each of its addresses the names its PTR gives."""

    forward: Mapping[bytes, RRsets]
    pointers: Mapping[bytes, tuple[bytes, ...]]


NO_RECORDS = ServiceRecords({}, {})


def records(view: ServiceView, zone: bytes, ttl: int) -> ServiceRecords:
    """Every name the Service owns below ``svc.ZONE``, and its addresses' pointers."""
    service = view.service
    name = _name(view, zone)
    if service.external_name:
        return ServiceRecords({name: {CNAME: RRset(ttl, (from_text(service.external_name),))}}, {})
    hosts = _hosts(view, name)
    if service.headless and not hosts:
        return NO_RECORDS
    owned = _endpoints(hosts, ttl)
    targets = _headless_targets(hosts) if service.headless else _portal_targets(view, name)
    owned[name] = {**addresses(view, ttl), **_srv(targets, ttl)}
    for label, found in _by_port(targets).items():
        if len(port_name := from_labels(*label, base=name)) <= MAX_NAME:
            owned[port_name] = _srv(found, ttl)
    return ServiceRecords(owned, _pointers(service.addresses, name, hosts))


def listed(view: ServiceView, zone: bytes) -> tuple[list[bytes], set[bytes]]:
    """The names and addresses that ``records`` has something for, at a tenth of the work."""
    service = view.service
    name = _name(view, zone)
    if service.external_name:
        return [name], set()
    hosts = _hosts(view, name)
    if service.headless and not hosts:
        return [], set()
    ports: tuple[ServicePort | EndpointPort, ...] = service.ports if service.addresses else ()
    if service.headless:
        ports = tuple({port for _, _, ports in hosts for port in ports})
    services = [above + name for above in _port_names(ports)]
    found = [name, *[host for host, _, _ in hosts], *[each for each in services if len(each) <= MAX_NAME]]
    return found, {*service.addresses, *[endpoint.address for _, endpoint, _ in hosts]}


def _name(view: ServiceView, zone: bytes) -> bytes:
    """The Service's own name."""
    return wire_label(view.service.name) + _space(view.service.namespace, zone)


@lru_cache(SPACES)
def _space(namespace: str, zone: bytes) -> bytes:
    """Where the Services of a namespace are."""
    return from_labels(namespace, "svc", base=zone)


@lru_cache(SPACES)
def _port_names(ports: tuple[ServicePort | EndpointPort, ...]) -> list[bytes]:
    """What stands above a Service's name for its ports; Services have few different ones."""
    return [from_labels(*_port_labels(port), base=b"") for port in ports if _has_label(port)]


def ready(view: ServiceView) -> Iterator[tuple[Endpoint, tuple[EndpointPort, ...]]]:
    """The endpoints that have names, with their ports."""
    for subset in view.subsets:
        for endpoint in subset.endpoints:
            if endpoint.ready or view.service.publish_not_ready:
                yield endpoint, subset.ports


def addresses(view: ServiceView, ttl: int) -> RRsets:
    """The A and AAAA RRsets at the Service's own name."""
    if view.service.headless:
        return address_rrsets((endpoint.address for endpoint, _ in ready(view)), ttl)
    return address_rrsets(view.service.addresses, ttl)


def address_rrsets(found: Iterable[bytes], ttl: int) -> RRsets:
    """Addresses as an A and an AAAA RRset, equal ones once, an empty set left out."""
    unique = tuple(dict.fromkeys(found))
    four = tuple([address for address in unique if len(address) == 4])
    if len(four) == len(unique):
        return {A: RRset(ttl, unique)} if unique else {}
    six = RRset(ttl, tuple([address for address in unique if len(address) == 16]))
    return {A: RRset(ttl, four), AAAA: six} if four else {AAAA: six}


def _hosts(view: ServiceView, name: bytes) -> list[Host]:
    """The endpoints that have names (rule 6)."""
    named = [(_label(each) + name, each, ports) for each, ports in ready(view)]
    return [host for host in named if len(host[0]) <= MAX_NAME]


def _label(endpoint: Endpoint) -> bytes:
    """The wire label of an endpoint below its Service (rule 4)."""
    if endpoint.hostname:
        return from_labels(endpoint.hostname, base=b"")
    return ip_wire_label(endpoint.address)


def _pointers(portals: Iterable[bytes], name: bytes, hosts: list[Host]) -> dict[bytes, tuple[bytes, ...]]:
    found: dict[bytes, tuple[bytes, ...]] = dict.fromkeys(portals, (name,))
    for host, endpoint, _ in hosts:
        known = found.get(endpoint.address, ())
        if host not in known:
            found[endpoint.address] = (*known, host)
    return found


def _endpoints(hosts: list[Host], ttl: int) -> dict[bytes, RRsets]:
    """The endpoints' own names: their addresses, and an SRV for each of their ports."""
    found: dict[bytes, tuple[list[bytes], list[_Target]]] = {}
    for host, endpoint, ports in hosts:
        owned, targets = found.setdefault(host, ([], []))
        owned.append(endpoint.address)
        targets.extend([_Target(port, host) for port in ports])
    return {
        host: {**address_rrsets(owned, ttl), **_srv(targets, ttl)} for host, (owned, targets) in found.items()
    }


def _portal_targets(view: ServiceView, name: bytes) -> list[_Target]:
    return [_Target(port, name) for _ in view.service.addresses for port in view.service.ports]


def _headless_targets(hosts: list[Host]) -> list[_Target]:
    return [_Target(port, host) for host, _, ports in hosts for port in ports]


def _by_port(targets: list[_Target]) -> dict[tuple[str, str], list[_Target]]:
    """Targets of named ports under (``_port``, ``_proto``)."""
    found: dict[tuple[str, str], list[_Target]] = {}
    for target in targets:
        if _has_label(target.port):
            found.setdefault(_port_labels(target.port), []).append(target)
    return found


def _has_label(port: ServicePort | EndpointPort) -> bool:
    """Whether a port gets a name: Kubernetes allows names of 63 octets, which leave no room for the ``_``."""
    return 0 < len(port.name) < MAX_LABEL


def _port_labels(port: ServicePort | EndpointPort) -> tuple[str, str]:
    return f"_{port.name}", f"_{port.protocol.lower()}"


def _srv(targets: list[_Target], ttl: int) -> RRsets:
    """One SRV RRset of all targets (rule 7; RFC 2782: priority, weight, port, target), or nothing."""
    if not targets:
        return {}
    weight = max(1, 100 // len(targets))
    rdatas = dict.fromkeys([_SRV.pack(0, weight, port.port) + host for port, host in targets])
    return {SRV: RRset(ttl, tuple(rdatas))}
