"""What makes every object but a Service, in whichever encoding its fields came (``service`` has Services).

1. A slice's port without a number (any port) is left out: there is nothing to answer for it.
2. An endpoint whose ``ready`` is not said is ready, ``serving`` is as ready is, ``terminating`` is false.
3. A subset without addresses, ready or not, is none.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from sys import intern

from skydns_py.cluster.fields import (
    PROTOCOLS,
    SHARED,
    Fields,
    address,
    addresses,
    choice,
    dns_label,
    dns_subdomain,
    namespace,
    port,
)
from skydns_py.cluster.objects import (
    Address,
    ClusterObject,
    Endpoint,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    Hints,
    Kind,
    Namespace,
    Node,
    Pod,
    Subset,
)
from skydns_py.cluster.service import service
from skydns_py.errors import DecodeError

_Row = tuple[str, str, int]
FAMILIES = ("IPv4", "IPv6", "FQDN")
SLICE_OF = "kubernetes.io/service-name"
_ZONES = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")


def build(kind: Kind, fields: Fields) -> ClusterObject:
    """The object that ``fields`` describe, by the rules of ``kind`` (not RECORD); raises DecodeError."""
    return _BUILDERS[kind](fields)


@lru_cache(SHARED)
def _shared_ports(rows: tuple[_Row, ...]) -> tuple[EndpointPort, ...]:
    return tuple(EndpointPort(*row) for row in rows)


@lru_cache(SHARED)
def _shared_labels(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return pairs


@lru_cache(SHARED)
def _shared_hints(zones: tuple[str, ...], nodes: tuple[str, ...]) -> Hints | None:
    return Hints(zones, nodes) if zones or nodes else None


def _endpoints(fields: Fields) -> Endpoints:
    meta = fields.child("metadata")
    subsets = (_subset(each) for each in fields.children("subsets"))
    return Endpoints(
        namespace(meta),
        intern(dns_subdomain(meta, "name")),
        tuple(each for each in subsets if each.endpoints),
    )


def _subset(fields: Fields) -> Subset:
    ready = [_address_endpoint(each, True) for each in fields.children("addresses")]
    unready = [_address_endpoint(each, False) for each in fields.children("notReadyAddresses")]
    ports = tuple([_endpoint_port(each) for each in fields.children("ports")])
    return Subset((*ready, *unready), _shared_ports(ports))


def _address_endpoint(fields: Fields, ready: bool) -> Endpoint:
    octets = address(fields, "ip", fields.text("ip"))
    hostname = dns_label(fields, "hostname", needed=False)
    return Endpoint(octets, hostname, ready, ready, False, intern(fields.text("nodeName")))


def _endpoint_port(fields: Fields) -> _Row:
    name = dns_label(fields, "name", needed=False)
    return name, choice(fields, "protocol", PROTOCOLS, "TCP"), port(fields, "port")


def _slice(fields: Fields) -> EndpointSlice:
    meta = fields.child("metadata")
    name, service = dns_subdomain(meta, "name"), intern(meta.pair("labels", SLICE_OF))
    family = choice(fields, "addressType", FAMILIES, "")
    backends = fields.children("endpoints") if family != "FQDN" else ()
    endpoints = tuple([endpoint for each in backends for endpoint in _slice_endpoints(each)])
    subset = Subset(endpoints, slice_ports(fields))
    return EndpointSlice(namespace(meta), name, service, (subset,) if endpoints else ())


def slice_ports(fields: Fields) -> tuple[EndpointPort, ...]:
    """The ports of an EndpointSlice (rule 1)."""
    rows = tuple([_endpoint_port(each) for each in fields.children("ports") if each.has("port")])
    return _shared_ports(rows)


def _slice_endpoints(fields: Fields) -> Iterator[Endpoint]:
    ready, serving, terminating = states(fields)
    hostname = dns_label(fields, "hostname", needed=False)
    node, zone = intern(fields.text("nodeName")), intern(fields.text("zone"))
    hints = hints_of(fields) if fields.has("hints") else None
    for octets in addresses(fields, "addresses"):
        yield Endpoint(octets, hostname, ready, serving, terminating, node, zone, hints)


def states(endpoint: Fields) -> tuple[bool, bool, bool]:
    """Whether an endpoint of a slice is ready, serving and terminating (rule 2)."""
    conditions = endpoint.child("conditions")
    ready = conditions.flag("ready", absent=True)
    return ready, conditions.flag("serving", absent=ready), conditions.flag("terminating")


def hints_of(endpoint: Fields) -> Hints | None:
    """Where an endpoint of a slice should be used from; None for anywhere."""
    fields = endpoint.child("hints")
    zones = tuple([each.text("name") for each in fields.children("forZones")])
    return _shared_hints(zones, tuple([each.text("name") for each in fields.children("forNodes")]))


def _pod(fields: Fields) -> Pod:
    meta, spec, status = fields.child("metadata"), fields.child("spec"), fields.child("status")
    labels = meta.pairs("labels")
    states = {each.text("type"): each.text("status") for each in status.children("conditions")}
    return Pod(
        namespace=namespace(meta),
        name=dns_subdomain(meta, "name"),
        addresses=_pod_addresses(status),
        host_network=spec.flag("hostNetwork"),
        finished=status.text("phase") in ("Succeeded", "Failed"),
        ready=states.get("Ready") == "True",
        terminating=meta.has("deletionTimestamp"),
        node=intern(spec.text("nodeName")),
        hostname=dns_label(spec, "hostname", needed=False),
        subdomain=intern(dns_label(spec, "subdomain", needed=False)),
        labels=_shared_labels(tuple([(intern(key), intern(labels[key])) for key in sorted(labels)])),
        ports=_shared_ports(tuple(_container_ports(spec))),
    )


def _container_ports(spec: Fields) -> Iterator[_Row]:
    """The containers' ports that have a name. A bad one costs itself, not the Pod its short names."""
    for container in spec.children("containers"):
        for each in container.children("ports"):
            with suppress(DecodeError):
                if each.text("name"):
                    name = dns_label(each, "name")
                    yield name, choice(each, "protocol", PROTOCOLS, "TCP"), port(each, "containerPort")


def _pod_addresses(status: Fields) -> tuple[Address, ...]:
    places = [(each, "ip") for each in status.children("podIPs")] + [(status, "podIP")]
    found = [address(fields, name, fields.text(name)) for fields, name in places if fields.text(name)]
    return tuple(dict.fromkeys(found))


def _namespace_object(fields: Fields) -> Namespace:
    return Namespace(intern(dns_label(fields.child("metadata"), "name")))


def _node(fields: Fields) -> Node:
    listed = fields.child("status").children("addresses")
    own = [each for each in listed if each.text("type") in ("InternalIP", "ExternalIP")]
    found = dict.fromkeys(address(each, "address", each.text("address")) for each in own)
    meta = fields.child("metadata")
    zone = next(filter(None, (meta.pair("labels", label) for label in _ZONES)), "")
    return Node(intern(dns_subdomain(meta, "name")), tuple(found), intern(zone))


_BUILDERS: Mapping[Kind, Callable[[Fields], ClusterObject]] = {
    Kind.SERVICE: service,
    Kind.ENDPOINTS: _endpoints,
    Kind.SLICE: _slice,
    Kind.POD: _pod,
    Kind.NAMESPACE: _namespace_object,
    Kind.NODE: _node,
}
