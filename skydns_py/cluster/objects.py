"""Cluster objects, frozen and small: only the fields this package uses, normalised at the edge.

An address is its octets in network order, 4 for IPv4 and 16 for IPv6: compact, comparable, and
already the rdata of an A or AAAA record.  Names are lower-case text.  Ports are 1..65535.
"""

import enum
from dataclasses import dataclass
from typing import NamedTuple

Address = bytes
"""4 or 16 octets in network order."""


class Kind(enum.Enum):
    """The kinds of object that sources deliver; the values are Kubernetes kinds, and SkyDNS's message."""

    SERVICE = "Service"
    ENDPOINTS = "Endpoints"
    SLICE = "EndpointSlice"
    POD = "Pod"
    NAMESPACE = "Namespace"
    NODE = "Node"
    RECORD = "Record"

    __hash__ = object.__hash__
    """Enum's own is Python code, and a profile's most called; there is one object for each member."""


class Ref(NamedTuple):
    """Names one object. ``namespace`` is "" for Namespace, Node and Record; a Record's name is its path.

    Each event needs some: a tuple is made, compared and hashed in half the time of a dataclass.
    """

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind.value} {place}{self.name}"


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a Service. ``target`` is a number, a container port's name, or 0 where it is ``port``."""

    name: str
    protocol: str
    port: int
    target: int | str = 0
    node_port: int = 0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a Service asks of an external load balancer: which one, and which address; most ask for nothing.

    ``balancer_class`` is ``spec.loadBalancerClass``; Services with one ``sharing_key`` may share an address.
    """

    balancer_class: str = ""
    addresses: tuple[Address, ...] = ()
    pool: str = ""
    sharing_key: str = ""


NO_WISHES = Wishes()


@dataclass(frozen=True, slots=True)
class Exposure:
    """How a Service is reached from outside, and how a client sticks to an endpoint; most have the default.

    ``addresses`` are publicIPs or externalIPs, ``balancer_addresses`` come from ``status.loadBalancer``;
    ``source_ranges`` are CIDR texts; ``affinity_seconds`` is 0 without client affinity.
    """

    addresses: tuple[Address, ...] = ()
    balancer_addresses: tuple[Address, ...] = ()
    wants_balancer: bool = False
    source_ranges: tuple[str, ...] = ()
    external_local: bool = False
    internal_local: bool = False
    health_check_node_port: int = 0
    affinity_seconds: int = 0
    wishes: Wishes = NO_WISHES


UNEXPOSED = Exposure()


@dataclass(frozen=True, slots=True)
class Service:
    """A Service. ``addresses`` are its portal IPs, empty where headless, ExternalName or not assigned yet.

    ``selector`` is None for endpoints written by hand, else the label pairs that pods must carry.
    """

    namespace: str
    name: str
    ports: tuple[ServicePort, ...] = ()
    addresses: tuple[Address, ...] = ()
    headless: bool = False
    external_name: str = ""
    publish_not_ready: bool = False
    selector: tuple[tuple[str, str], ...] | None = None
    exposure: Exposure = UNEXPOSED

    @property
    def ref(self) -> Ref:
        """This object's reference."""
        return Ref(Kind.SERVICE, self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class EndpointPort:
    """A port that a subset's endpoints listen on; ``name`` is "" for the only, unnamed one."""

    name: str
    protocol: str
    port: int


@dataclass(frozen=True, slots=True)
class Hints:
    """Which zones and nodes an endpoint should be used from, as the EndpointSlice controller suggests."""

    zones: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One backend address. ``ready`` is the controller's word; ``hostname`` is "" unless it was set."""

    address: Address
    hostname: str = ""
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    node: str = ""
    zone: str = ""
    hints: Hints | None = None


@dataclass(frozen=True, slots=True)
class Subset:
    """Endpoints that share ports: one subset of an Endpoints object, or the whole of an EndpointSlice."""

    endpoints: tuple[Endpoint, ...]
    ports: tuple[EndpointPort, ...]


@dataclass(frozen=True, slots=True)
class Endpoints:
    """An Endpoints object; its name is its Service's."""

    namespace: str
    name: str
    subsets: tuple[Subset, ...] = ()

    @property
    def ref(self) -> Ref:
        """This object's reference."""
        return Ref(Kind.ENDPOINTS, self.namespace, self.name)

    @property
    def service(self) -> str:
        """The Service these endpoints belong to."""
        return self.name


@dataclass(frozen=True, slots=True)
class EndpointSlice:
    """An EndpointSlice: part of the endpoints of ``service`` ("" where the label is missing: not served)."""

    namespace: str
    name: str
    service: str
    subsets: tuple[Subset, ...] = ()

    @property
    def ref(self) -> Ref:
        """This object's reference."""
        return Ref(Kind.SLICE, self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class Pod:
    """A Pod, as far as names and endpoints need it. ``finished``: its phase is Succeeded or Failed.

    ``ports`` are its containers' named ports; ``labels`` are sorted; ``terminating``: its deletion has begun.
    """

    namespace: str
    name: str
    addresses: tuple[Address, ...] = ()
    host_network: bool = False
    finished: bool = False
    ready: bool = False
    terminating: bool = False
    node: str = ""
    hostname: str = ""
    subdomain: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    ports: tuple[EndpointPort, ...] = ()

    @property
    def ref(self) -> Ref:
        """This object's reference."""
        return Ref(Kind.POD, self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class Namespace:
    """A Namespace."""

    name: str

    @property
    def ref(self) -> Ref:
        """This object's reference."""
        return Ref(Kind.NAMESPACE, "", self.name)


@dataclass(frozen=True, slots=True)
class Node:
    """A Node, its addresses of type InternalIP and ExternalIP, and the zone it says it is in ("" if none)."""

    name: str
    addresses: tuple[Address, ...] = ()
    zone: str = ""

    @property
    def ref(self) -> Ref:
        """This object's reference."""
        return Ref(Kind.NODE, "", self.name)


@dataclass(frozen=True, slots=True)
class Record:
    """A SkyDNS message. ``path`` is the key below the prefix, topmost label first: ``local/cluster/ns/a``.

    ``ttl`` and ``lease_seconds`` are 0 where absent; ``lease_seconds`` is what the key's lease was granted.
    """

    path: str
    host: str = ""
    port: int = 0
    priority: int = 0
    weight: int = 0
    text: str = ""
    mail: bool = False
    ttl: int = 0
    targetstrip: int = 0
    group: str = ""
    lease_seconds: int = 0

    @property
    def ref(self) -> Ref:
        """This object's reference."""
        return Ref(Kind.RECORD, "", self.path)


ClusterObject = Service | Endpoints | EndpointSlice | Pod | Namespace | Node | Record


@dataclass(frozen=True, slots=True)
class Upsert:
    """The object exists and is this."""

    obj: ClusterObject


@dataclass(frozen=True, slots=True)
class Removal:
    """The object is gone."""

    ref: Ref


Event = Upsert | Removal
"""What a source says happened."""
