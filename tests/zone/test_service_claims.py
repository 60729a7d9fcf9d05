"""Services with a portal IP and by another name: sections 2.3 and 2.5 of the Kubernetes DNS schema 1.1.0."""

from functools import cache

import pytest

from tests.builders import Served, alias, endpoints, headless, service, slice_of
from tests.zone.claims import NODATA, NXDOMAIN, Claim, check, claim


@cache
def cluster() -> Served:
    return Served(
        service("web", "10.0.0.1", "http:80 https:443 dns:53/UDP ctl:9/SCTP"),
        slice_of("web", "10.1.0.1 web-0=10.1.0.2 10.1.0.3!", "http:8080 https:8443"),
        service("one", "10.0.0.2", ":6379"),
        service("six", "fd00::1", "http:80"),
        service("dual", "10.0.0.3 fd00::3", "http:80"),
        service("by-hand", "10.0.0.4", "db:5432"),
        endpoints("by-hand", "203.0.113.7", "db:5432"),
        service("unassigned", "", "http:80"),
        service("ported", "10.0.0.5", "dns:53/UDP dns-tcp:53/TCP :9"),
        service("web", "10.0.1.1", "http:80", ns="other"),
        headless("empty", "http:80"),
        alias("outside", "www.example.com."),
        alias("inside", "web.my-ns.svc"),
        alias("chain", "inside.my-ns.svc"),
        alias("gone", "nosuch.my-ns.svc"),
        alias("gone-chain", "gone.my-ns.svc"),
        alias("to-empty", "empty.my-ns.svc"),
        alias("self", "self.my-ns.svc"),
        alias("ring-1", "ring-2.my-ns.svc"),
        alias("ring-2", "ring-1.my-ns.svc"),
        alias("to-old-name", "web.my-ns"),
        alias("to-port", "_http._tcp.web.my-ns.svc"),
    )


CLUSTER_IP = [
    claim("a Service owns its IPv4 portal (2.3.1)", "web.my-ns.svc A", "A 10.0.0.1"),
    claim("and no IPv6 one", "web.my-ns.svc AAAA", NODATA),
    claim("a Service owns its IPv6 portal (2.3.1)", "six.my-ns.svc AAAA", "AAAA fd00::1"),
    claim("an IPv6 Service has no A record", "six.my-ns.svc A", NODATA),
    claim("a dual-stack Service has both, A", "dual.my-ns.svc A", "A 10.0.0.3"),
    claim("a dual-stack Service has both, AAAA", "dual.my-ns.svc AAAA", "AAAA fd00::3"),
    claim("the same name in another namespace is another", "web.other.svc A", "A 10.0.1.1"),
    claim("the case of a question does not count", "WEB.My-Ns.SVC A", "A 10.0.0.1"),
    claim("an unknown Service does not exist", "nosuch.my-ns.svc A", NXDOMAIN),
    claim("an unknown namespace does not exist", "web.nosuch.svc A", NXDOMAIN),
    claim("a Service whose portal is not assigned yet exists, bare", "unassigned.my-ns.svc A", NODATA),
    claim("and has no ports either", "_http._tcp.unassigned.my-ns.svc SRV", NXDOMAIN),
]

PORTS = [
    claim(
        "a named port has an SRV to the Service (2.3.2)",
        "_https._tcp.web.my-ns.svc SRV",
        "SRV 0 100 443 web.my-ns.svc",
    ),
    claim("UDP has its own label", "_dns._udp.web.my-ns.svc SRV", "SRV 0 100 53 web.my-ns.svc"),
    claim("so has SCTP", "_ctl._sctp.web.my-ns.svc SRV", "SRV 0 100 9 web.my-ns.svc"),
    claim("a port under another protocol does not exist", "_dns._tcp.web.my-ns.svc SRV", NXDOMAIN),
    claim("an unknown port does not exist", "_nosuch._tcp.web.my-ns.svc SRV", NXDOMAIN),
    claim("an unnamed port has no label (2.3.2)", "_tcp.one.my-ns.svc SRV", NXDOMAIN),
    claim("but is listed at the Service's name", "one.my-ns.svc SRV", "SRV 0 100 6379 one.my-ns.svc"),
    claim(
        "the Service's name lists every port, sharing the weight",
        "ported.my-ns.svc SRV",
        "SRV 0 33 53 ported.my-ns.svc",
        "SRV 0 33 9 ported.my-ns.svc",
    ),
    claim(
        "a dual-stack portal counts twice in the weight",
        "_http._tcp.dual.my-ns.svc SRV",
        "SRV 0 50 80 dual.my-ns.svc",
    ),
    claim("a port's name has no address", "_https._tcp.web.my-ns.svc A", NODATA),
    claim("the protocol's name exists (RFC 8020)", "_tcp.web.my-ns.svc SRV", NODATA),
]

ENDPOINTS = [
    claim("a ready endpoint is a name, by its address", "10-1-0-1.web.my-ns.svc A", "A 10.1.0.1"),
    claim("a ready endpoint is a name, by its hostname", "web-0.web.my-ns.svc A", "A 10.1.0.2"),
    claim("its hostname replaces its address", "10-1-0-2.web.my-ns.svc A", NXDOMAIN),
    claim("an endpoint that is not ready is none", "10-1-0-3.web.my-ns.svc A", NXDOMAIN),
    claim(
        "an endpoint lists its own ports",
        "web-0.web.my-ns.svc SRV",
        "SRV 0 50 8080 web-0.web.my-ns.svc",
        "SRV 0 50 8443 web-0.web.my-ns.svc",
    ),
    claim("an endpoint's ports have no names below it", "_http._tcp.web-0.web.my-ns.svc SRV", NXDOMAIN),
    claim("endpoints by hand are names as well", "203-0-113-7.by-hand.my-ns.svc A", "A 203.0.113.7"),
    claim("and do not replace the portal", "by-hand.my-ns.svc A", "A 10.0.0.4"),
]

ALIASES = [
    claim("an ExternalName is a CNAME (2.5)", "outside.my-ns.svc CNAME", "CNAME www.example.com."),
    claim("a target outside is left to the client", "outside.my-ns.svc A", "CNAME www.example.com."),
    claim(
        "a target in the zone is followed",
        "inside.my-ns.svc A",
        "CNAME web.my-ns.svc",
        "web.my-ns.svc A 10.0.0.1",
    ),
    claim("unless the CNAME itself is asked for", "inside.my-ns.svc CNAME", "CNAME web.my-ns.svc"),
    claim("a target without the type is NODATA", "inside.my-ns.svc AAAA", "CNAME web.my-ns.svc", NODATA),
    claim(
        "a chain is followed",
        "chain.my-ns.svc A",
        "CNAME inside.my-ns.svc",
        "inside.my-ns.svc CNAME web.my-ns.svc",
        "web.my-ns.svc A 10.0.0.1",
    ),
    claim("a missing target is NXDOMAIN", "gone.my-ns.svc A", "CNAME nosuch.my-ns.svc", NXDOMAIN),
    claim("but its alias is there", "gone.my-ns.svc CNAME", "CNAME nosuch.my-ns.svc"),
    claim(
        "a missing target at the end of a chain is NXDOMAIN",
        "gone-chain.my-ns.svc A",
        "CNAME gone.my-ns.svc",
        "gone.my-ns.svc CNAME nosuch.my-ns.svc",
        NXDOMAIN,
    ),
    claim(
        "a headless target without endpoints is NXDOMAIN",
        "to-empty.my-ns.svc A",
        "CNAME empty.my-ns.svc",
        NXDOMAIN,
    ),
    claim("an alias to itself ends", "self.my-ns.svc A", "CNAME self.my-ns.svc", NODATA),
    claim(
        "a ring of aliases ends where it began",
        "ring-1.my-ns.svc A",
        "CNAME ring-2.my-ns.svc",
        "ring-2.my-ns.svc CNAME ring-1.my-ns.svc",
        NODATA,
    ),
    claim(
        "an alias may lead to a name of old",
        "to-old-name.my-ns.svc A",
        "CNAME web.my-ns",
        "web.my-ns A 10.0.0.1",
    ),
    claim(
        "or to a port",
        "to-port.my-ns.svc SRV",
        "CNAME _http._tcp.web.my-ns.svc",
        "_http._tcp.web.my-ns.svc SRV 0 100 80 web.my-ns.svc",
    ),
    claim("nothing exists below an alias", "x.inside.my-ns.svc A", NXDOMAIN),
]


@pytest.mark.parametrize("row", [*CLUSTER_IP, *PORTS, *ENDPOINTS, *ALIASES], ids=lambda row: row.text)
def test_schema(row: Claim) -> None:
    check(cluster(), row)
