"""The cluster every measurement serves: N Services spread over 100 namespaces, two endpoints each.

Service number ``i`` is ``svc-i`` in ``ns-(i % 100)``, with one cluster IP, one port named http, and one
EndpointSlice.  In a dual-stack cluster every second one has an IPv6 cluster IP as well.  Beside them stands
one headless Service with 100 endpoints.  All servers get the same names, addresses and TTL, and all are asked
the same queries.
"""

import ipaddress
import random
from collections.abc import Callable, Iterator
from pathlib import Path

ZONE = "cluster.local"
NAMESPACES = 100
TTL = 5
PORT = 80
SEED = 20
QUERIES = 50_000
"""Lines in a query file: each name of 10 000 comes about five times, in random order."""

_FIRST_SERVICE = int(ipaddress.IPv4Address("10.96.0.1"))
_FIRST_SERVICE_6 = int(ipaddress.IPv6Address("fd00:96::1"))
_FIRST_ENDPOINT = int(ipaddress.IPv4Address("10.128.0.1"))
_FIRST_BACKEND = int(ipaddress.IPv4Address("10.64.0.1"))

HEADLESS = "headless"
"""The headless Service, in namespace 0."""
BACKENDS = 100
"""Its endpoints: as many as one EndpointSlice holds."""


def namespace(index: int) -> str:
    """The namespace of Service number ``index``."""
    return f"ns-{index % NAMESPACES}"


def service(index: int) -> str:
    """The name of Service number ``index``."""
    return f"svc-{index}"


def fqdn(index: int) -> str:
    """The full name of Service number ``index``, without the final dot."""
    return f"{service(index)}.{namespace(index)}.svc.{ZONE}"


def address(index: int) -> str:
    """The cluster IP of Service number ``index``."""
    return str(ipaddress.IPv4Address(_FIRST_SERVICE + index))


def is_dual(index: int) -> bool:
    """Whether Service number ``index`` has an IPv6 cluster IP in a dual-stack cluster."""
    return index % 2 == 0


def address6(index: int) -> str:
    """The IPv6 cluster IP of Service number ``index``, where it has one."""
    return str(ipaddress.IPv6Address(_FIRST_SERVICE_6 + index))


def weight(index: int) -> int:
    """The SRV weight of Service number ``index``: 100 over its addresses, as clusters share it out."""
    return 50 if is_dual(index) else 100


def endpoints(index: int) -> tuple[str, str]:
    """The two endpoint addresses of Service number ``index``."""
    first = _FIRST_ENDPOINT + 2 * index
    return str(ipaddress.IPv4Address(first)), str(ipaddress.IPv4Address(first + 1))


def backends() -> list[str]:
    """The endpoint addresses of the headless Service."""
    return [str(ipaddress.IPv4Address(_FIRST_BACKEND + index)) for index in range(BACKENDS)]


# One row of the report: its name, and the query line for Service number ``index`` out of ``count``.
Row = Callable[[int, int], str]

ROWS: dict[str, Row] = {
    "A": lambda index, _: f"{fqdn(index)} A",
    "SRV": lambda index, _: f"_http._tcp.{fqdn(index)} SRV",
    "AAAA": lambda index, _: f"{fqdn(index - index % 2)} AAAA",
    "AAAA, no data": lambda index, _: f"{fqdn(index - index % 2 + 1)} AAAA",
    "A, no such name": lambda index, count: f"{fqdn(count + index)} A",
    "A, svc.ns": lambda index, _: f"{service(index)}.{namespace(index)} A",
    "A, svc": lambda index, _: f"{service(index - index % NAMESPACES)} A",
    "A, autopath": lambda index, _: f"{service(index)}.{namespace(index)}.{namespace(0)}.svc.{ZONE} A",
}
"""The last three are completed by this server only.  The last two ask from ``ns-0``, for its own Services
and for all of them by the first step of a pod's search."""

SHORT_ROWS = ("A, svc.ns", "A, svc", "A, autopath")

HEADLESS_QUERY = f"{HEADLESS}.{namespace(0)}.svc.{ZONE} A"
HEADLESS_UDP = "100 endpoints, UDP with EDNS, truncated"
HEADLESS_TCP = "100 endpoints, TCP"


def write_queries(path: Path, row: str, count: int) -> None:
    """A query file for dnsperf: ``QUERIES`` lines of ``row`` over ``count`` Services, the same each time."""
    chance = random.Random(SEED)
    lines = (ROWS[row](chance.randrange(count), count) + "\n" for _ in range(QUERIES))
    path.write_text("".join(lines))


def zone_lines(count: int) -> Iterator[str]:
    """The zone of ``count`` Services, dual stack, as a master file (RFC 1035 section 5)."""
    yield f"$ORIGIN {ZONE}.\n$TTL {TTL}\n"
    yield f"@ SOA ns.dns.{ZONE}. hostmaster.{ZONE}. 1 7200 1800 86400 {TTL}\n"
    yield f"@ NS ns.dns.{ZONE}.\nns.dns A 127.0.0.1\n"
    yield from (f"{HEADLESS}.{namespace(0)}.svc A {backend}\n" for backend in backends())
    for index in range(count):
        yield f"{fqdn(index)}. A {address(index)}\n"
        if is_dual(index):
            yield f"{fqdn(index)}. AAAA {address6(index)}\n"
        yield f"_http._tcp.{fqdn(index)}. SRV 0 {weight(index)} {PORT} {fqdn(index)}.\n"


def hosts_lines(count: int) -> Iterator[str]:
    """The addresses of ``count`` Services as a hosts file, for a server that has no zones."""
    for index in range(count):
        yield f"{address(index)} {fqdn(index)}\n"
        if is_dual(index):
            yield f"{address6(index)} {fqdn(index)}\n"
