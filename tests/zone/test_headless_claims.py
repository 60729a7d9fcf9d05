"""Headless Services: section 2.4 of the Kubernetes DNS schema 1.1.0, from Endpoints and EndpointSlices."""

from functools import cache

import pytest

from tests.builders import Served, endpoints, headless, service, slice_of
from tests.zone.claims import NODATA, NXDOMAIN, Claim, check, claim


@cache
def cluster() -> Served:
    return Served(
        headless("db", "pg:5432"),
        slice_of("db", "db-0=10.1.0.1 db-1=10.1.0.2 10.1.0.3 db-4=10.1.0.4!", "pg:5432", name="db-v4"),
        slice_of("db", "db-0=fd00::1 fd00::9", "pg:5432", name="db-v6"),
        headless("mixed", "http:80"),
        endpoints("mixed", "a=10.2.0.1", "http:8001"),
        slice_of("mixed", "b=10.2.0.2", "http:8002"),
        headless("by-hand", "http:80"),
        endpoints("by-hand", "203.0.113.7 203.0.113.8", "http:8080 metrics:9100"),
        headless("unready"),
        slice_of("unready", "a=10.3.0.1! 10.3.0.2!", "http:80"),
        headless("published", publish_not_ready=True),
        slice_of("published", "a=10.4.0.1! b=10.4.0.2", "http:80"),
        headless("alone"),
        headless("portless"),
        slice_of("portless", "a=10.5.0.1"),
        headless("unnamed"),
        slice_of("unnamed", "a=10.6.0.1", ":7000"),
        headless("shared-name"),
        slice_of("shared-name", "node=10.7.0.1 node=10.7.0.2", "http:80"),
        headless("moved"),
        slice_of("moved", "a=10.8.0.1", "http:80", name="s1"),
        slice_of("moved", "a=10.8.0.1", "http:8080", name="s2"),
        slice_of("no-service", "a=10.9.0.1", "http:80"),
        endpoints("no-service", "10.9.0.2", "http:80"),
        slice_of("", "a=10.9.0.3", "http:80", name="unlabelled"),
        service("portal", "10.0.0.1", "http:80", publish_not_ready=True),
        slice_of("portal", "a=10.4.1.1!", "http:80"),
    )


ADDRESSES = [
    claim(
        "the name has the address of each ready endpoint (2.4.1)",
        "db.my-ns.svc A",
        *("A 10.1.0.1", "A 10.1.0.2", "A 10.1.0.3"),
    ),
    claim("of either family", "db.my-ns.svc AAAA", "AAAA fd00::1", "AAAA fd00::9"),
    claim("an endpoint's hostname has its address (2.4.1)", "db-0.db.my-ns.svc A", "A 10.1.0.1"),
    claim("and those of every slice", "db-0.db.my-ns.svc AAAA", "AAAA fd00::1"),
    claim("a hostname with one family has no data in the other", "db-1.db.my-ns.svc AAAA", NODATA),
    claim("an endpoint without hostname is named by IPv4 address", "10-1-0-3.db.my-ns.svc A", "A 10.1.0.3"),
    claim("or by IPv6 address", "fd00--9.db.my-ns.svc AAAA", "AAAA fd00::9"),
    claim("an endpoint that is not ready has no name", "db-4.db.my-ns.svc A", NXDOMAIN),
    claim(
        "endpoints of one hostname are one name (2.4.1)",
        "node.shared-name.my-ns.svc A",
        *("A 10.7.0.1", "A 10.7.0.2"),
    ),
    claim("an address in two slices is there once", "moved.my-ns.svc A", "A 10.8.0.1"),
    claim("endpoints by hand count", "by-hand.my-ns.svc A", "A 203.0.113.7", "A 203.0.113.8"),
    claim("slices win over Endpoints", "mixed.my-ns.svc A", "A 10.2.0.2"),
    claim("of which nothing is left then", "a.mixed.my-ns.svc A", NXDOMAIN),
]

ABSENCE = [
    claim("no endpoint at all: the Service does not exist (2.4.1)", "alone.my-ns.svc A", NXDOMAIN),
    claim("no ready endpoint: it does not exist (2.4.1)", "unready.my-ns.svc A", NXDOMAIN),
    claim("for no type", "unready.my-ns.svc SRV", NXDOMAIN),
    claim("nor does an endpoint of it", "a.unready.my-ns.svc A", NXDOMAIN),
    claim(
        "publishNotReadyAddresses makes every endpoint count",
        "published.my-ns.svc A",
        *("A 10.4.0.1", "A 10.4.0.2"),
    ),
    claim("by its name too", "a.published.my-ns.svc A", "A 10.4.0.1"),
    claim("for a Service with a portal as well", "a.portal.my-ns.svc A", "A 10.4.1.1"),
    claim("endpoints without their Service are no name", "no-service.my-ns.svc A", NXDOMAIN),
    claim("a slice without the label belongs to nobody", "a.unlabelled.my-ns.svc A", NXDOMAIN),
]

PORTS = [
    claim(
        "a named port has an SRV to each endpoint (2.4.2)",
        "_pg._tcp.db.my-ns.svc SRV",
        "SRV 0 20 5432 db-0.db.my-ns.svc",
        "SRV 0 20 5432 db-1.db.my-ns.svc",
        "SRV 0 20 5432 10-1-0-3.db.my-ns.svc",
        "SRV 0 20 5432 fd00--9.db.my-ns.svc",
    ),
    claim("an endpoint has its own", "db-1.db.my-ns.svc SRV", "SRV 0 100 5432 db-1.db.my-ns.svc"),
    claim(
        "the endpoints' ports are served, not the Service's",
        "_http._tcp.by-hand.my-ns.svc SRV",
        "SRV 0 50 8080 203-0-113-7.by-hand.my-ns.svc",
        "SRV 0 50 8080 203-0-113-8.by-hand.my-ns.svc",
    ),
    claim(
        "all of them",
        "_metrics._tcp.by-hand.my-ns.svc SRV",
        "SRV 0 50 9100 203-0-113-7.by-hand.my-ns.svc",
        "SRV 0 50 9100 203-0-113-8.by-hand.my-ns.svc",
    ),
    claim(
        "each slice has its own number", "_http._tcp.mixed.my-ns.svc SRV", "SRV 0 100 8002 b.mixed.my-ns.svc"
    ),
    claim(
        "an endpoint in two slices has the ports of both",
        "a.moved.my-ns.svc SRV",
        "SRV 0 50 80 a.moved.my-ns.svc",
        "SRV 0 50 8080 a.moved.my-ns.svc",
    ),
    claim("an unnamed port has no label", "_tcp.unnamed.my-ns.svc SRV", NXDOMAIN),
    claim(
        "but is listed at the Service's name", "unnamed.my-ns.svc SRV", "SRV 0 100 7000 a.unnamed.my-ns.svc"
    ),
    claim("no port, no SRV", "portless.my-ns.svc SRV", NODATA),
    claim("not at the endpoint either", "a.portless.my-ns.svc SRV", NODATA),
]


@pytest.mark.parametrize("row", [*ADDRESSES, *ABSENCE, *PORTS], ids=lambda row: row.text)
def test_schema(row: Claim) -> None:
    check(cluster(), row)
