"""Small cluster objects, and the whole server without sockets, for tests of names and answers.

``Served`` is a ``Feed`` on a reactor whose turns come when the test says so.  Each question goes through
the hot path and the slow one, which must agree.
"""

from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset

from skydns_py.cluster.objects import (
    Address,
    ClusterObject,
    Endpoint,
    EndpointPort,
    Endpoints,
    EndpointSlice,
    Pod,
    Ref,
    Removal,
    Service,
    ServicePort,
    Subset,
    Upsert,
)
from skydns_py.feed import Feed
from skydns_py.zone.names import from_text
from skydns_py.zone.settings import ZoneSettings

NAMESPACE = "my-ns"
ZONE = "cluster.local"
TTL = 5
REVERSE_ZONES = ("in-addr.arpa", "ip6.arpa")
OWN_ADDRESS = "192.0.2.53"
STRANGER = "198.51.100.1"
"""A client that is no pod and in no configured network."""


def packed(text: str) -> Address:
    """The octets of an address."""
    return ip_address(text).packed


def all_packed(text: str) -> tuple[Address, ...]:
    """The octets of addresses with spaces between."""
    return tuple(map(packed, text.split()))


# Objects


def service(
    name: str = "my-service", portals: str = "", ports: str = "", *, ns: str = NAMESPACE, **fields: Any
) -> Service:
    """A Service with ``portals`` as ``10.0.0.1 fd00::1`` and ``ports`` as ``http:80 dns:53/UDP :8080``."""
    found = tuple(ServicePort(*each) for each in _ports(ports))
    return Service(ns, name, found, all_packed(portals), **fields)


def headless(name: str = "my-service", ports: str = "", *, ns: str = NAMESPACE, **fields: Any) -> Service:
    """A headless Service."""
    return service(name, "", ports, ns=ns, headless=True, **fields)


def alias(name: str, target: str, *, ns: str = NAMESPACE) -> Service:
    """An ExternalName Service; a target without a final dot lies below the zone."""
    return service(name, ns=ns, external_name=qualified(target).rstrip("."))


def endpoints(
    name: str = "my-service", hosts: str = "", ports: str = "", *, ns: str = NAMESPACE
) -> Endpoints:
    """An Endpoints object; ``hosts`` as ``10.1.0.1 web-0=10.1.0.2 10.1.0.3!``, where ! is not ready."""
    return Endpoints(ns, name, (_subset(hosts, ports),))


def slice_of(
    owner: str = "my-service", hosts: str = "", ports: str = "", *, name: str = "", ns: str = NAMESPACE
) -> EndpointSlice:
    """An EndpointSlice of the Service ``owner``; ``hosts`` as for ``endpoints``."""
    return EndpointSlice(ns, name or f"{owner}-1", owner, (_subset(hosts, ports),))


def pod(name: str, addresses: str, *, ns: str = NAMESPACE, **fields: Any) -> Pod:
    """A Pod."""
    return Pod(ns, name, all_packed(addresses), **fields)


def _subset(hosts: str, ports: str) -> Subset:
    return Subset(tuple(map(_endpoint, hosts.split())), tuple(EndpointPort(*each) for each in _ports(ports)))


def _endpoint(text: str) -> Endpoint:
    hostname, _, address = text.removesuffix("!").rpartition("=")
    return Endpoint(packed(address), hostname, ready=not text.endswith("!"))


def _ports(text: str) -> list[tuple[str, str, int]]:
    parts = (part.partition("/") for part in text.split())
    named = ((*place.partition(":"), protocol or "TCP") for place, _, protocol in parts)
    return [(name, protocol, int(number)) for name, _, number, protocol in named]


# The server


def settings(**fields: Any) -> ZoneSettings:
    """Settings of ``ZONE`` and both reverse zones."""
    usual: dict[str, Any] = {
        "ttl": TTL,
        "reverse_zones": tuple(map(from_text, REVERSE_ZONES)),
        "own_addresses": (packed(OWN_ADDRESS),),
    }
    return ZoneSettings(from_text(ZONE), **(usual | fields))


def qualified(name: str) -> str:
    """A name without a final dot is below the zone."""
    return dns.name.from_text(name, origin=dns.name.from_text(ZONE)).to_text()


def relative(name: str) -> str:
    """A name as ``lines`` gives it: without the zone where it is below that, ``@`` for the zone itself."""
    return dns.name.from_text(qualified(name)).choose_relativity(dns.name.from_text(ZONE)).to_text()


class Turns:
    """The part of a reactor that a Feed uses."""

    def __init__(self) -> None:
        self._due: list[Callable[[], None]] = []

    def callLater(self, _delay: float, function: Callable[[], None]) -> object:  # noqa: N802  # Twisted's
        self._due.append(function)
        return function

    def turn(self) -> bool:
        """Run what is due now; whether there was anything."""
        due, self._due = self._due, []
        for function in due:
            function()
        return bool(due)


class Served:
    """The server of a cluster that holds ``objects``; short names where ``networks`` are given."""

    def __init__(
        self,
        *objects: ClusterObject | Ref,
        networks: dict[str, str] | None = None,
        edns_size: int = 1232,
        **fields: Any,
    ) -> None:
        known = None if networks is None else {ip_network(net): ns for net, ns in networks.items()}
        self.turns = Turns()
        self.feed = Feed(settings(**fields), edns_size, known, self.turns)
        self.change(*objects)
        self.feed.synced()
        self._settle()

    def change(self, *news: ClusterObject | Ref) -> None:
        """These objects exist now; what is named by its reference is gone."""
        self.feed.apply([Removal(each) if isinstance(each, Ref) else Upsert(each) for each in news])
        self._settle()

    def _settle(self) -> None:
        while self.turns.turn():
            pass

    def ask(
        self, name: str, rdtype: str = "A", client: str = STRANGER, *, stream: bool = False, payload: int = 0
    ) -> dns.message.QueryMessage:
        """The reply; ``name`` is below the zone unless it ends in a dot, ``payload`` 0 means no EDNS."""
        query = dns.message.make_query(
            qualified(name), rdtype, use_edns=0 if payload else -1, payload=payload
        )
        wire = query.to_wire()
        reply = self.feed.responder.respond(wire, packed(client), stream=stream)
        assert reply is not None
        found = dns.message.from_wire(reply)
        assert query.is_response(found)
        if not stream and (hot := self.feed.answer(wire)) is not None:
            assert outline(dns.message.from_wire(hot)) == outline(found)
        return found  # type: ignore[return-value]  # from_wire makes what the opcode says: a query's message


def outline(message: dns.message.Message) -> tuple[object, ...]:
    """What two replies to one question agree in; of a truncated one that is how many records are left."""
    whole = sections(message)
    return (whole[0], *map(len, whole[1:])) if message.flags & dns.flags.TC else whole


def sections(message: dns.message.Message) -> tuple[int, list[str], list[str], list[str]]:
    """A message's flags (with its response code) and its sections, in an order of their own."""
    return message.flags, lines(message.answer), lines(message.authority), lines(message.additional)


def lines(section: list[dns.rrset.RRset]) -> list[str]:
    """``owner TYPE rdata`` for each record, sorted; owners and targets below the zone are relative to it."""
    origin = dns.name.from_text(ZONE)
    return sorted(
        f"{relative(rrset.name.to_text())} {dns.rdatatype.to_text(rrset.rdtype)}"
        f" {rdata.to_text(origin=origin, relativize=True)}"
        for rrset in section
        for rdata in rrset
    )
