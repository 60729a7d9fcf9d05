"""PTR for portal IPs and endpoints (schema 2.3.3 and 2.4.3), in the reverse zones served."""

from functools import cache

import pytest

from skydns_py.cluster.objects import Kind, Ref
from skydns_py.zone.names import from_text, reverse, to_text
from tests.builders import Served, endpoints, headless, packed, service, slice_of
from tests.zone.claims import NODATA, NXDOMAIN, Claim, check, claim

PORTAL_SIX = to_text(reverse(packed("fd00::3")))


@cache
def cluster() -> Served:
    return Served(
        service("web", "10.0.0.1", "http:80"),
        slice_of("web", "10.1.0.1 web-0=10.1.0.2 10.1.0.3!", "http:80"),
        service("dual", "10.0.0.3 fd00::3"),
        headless("db"),
        slice_of("db", "db-0=10.1.0.1 db-0=10.1.0.4 db-1=10.1.0.5", "pg:5432"),
        headless("both-names"),
        slice_of("both-names", "a=10.1.0.6 b=10.1.0.6 a=10.1.0.6"),
        headless("unready"),
        slice_of("unready", "10.1.0.9!"),
        service("by-hand", "10.0.0.4"),
        endpoints("by-hand", "203.0.113.7"),
        service("to-itself", "10.0.0.6"),
        endpoints("to-itself", "10.0.0.6"),
    )


ROWS = [
    claim("a portal IP names its Service (2.3.3)", "1.0.0.10.in-addr.arpa. PTR", "PTR web.my-ns.svc"),
    claim("both families of it do", f"{PORTAL_SIX} PTR", "PTR dual.my-ns.svc"),
    claim("an endpoint names itself (2.4.3)", "5.0.1.10.in-addr.arpa. PTR", "PTR db-1.db.my-ns.svc"),
    claim("of a Service with a portal too", "2.0.1.10.in-addr.arpa. PTR", "PTR web-0.web.my-ns.svc"),
    claim("each address of a hostname does", "4.0.1.10.in-addr.arpa. PTR", "PTR db-0.db.my-ns.svc"),
    claim(
        "an address of several Services names all",
        "1.0.1.10.in-addr.arpa. PTR",
        *("PTR db-0.db.my-ns.svc", "PTR 10-1-0-1.web.my-ns.svc"),
    ),
    claim(
        "an address of several hostnames names all",
        "6.0.1.10.in-addr.arpa. PTR",
        *("PTR a.both-names.my-ns.svc", "PTR b.both-names.my-ns.svc"),
    ),
    claim(
        "a portal that is its own endpoint names both",
        "6.0.0.10.in-addr.arpa. PTR",
        *("PTR to-itself.my-ns.svc", "PTR 10-0-0-6.to-itself.my-ns.svc"),
    ),
    claim(
        "endpoints by hand are named", "7.113.0.203.in-addr.arpa. PTR", "PTR 203-0-113-7.by-hand.my-ns.svc"
    ),
    claim("an endpoint that is not ready is not", "3.0.1.10.in-addr.arpa. PTR", NXDOMAIN),
    claim("nor one of a Service without ready ones", "9.0.1.10.in-addr.arpa. PTR", NXDOMAIN),
    claim("a reverse name has nothing but PTR", "1.0.0.10.in-addr.arpa. A", NODATA),
    claim("an address that nobody has does not exist", "1.2.0.192.in-addr.arpa. PTR", NXDOMAIN),
    claim("what lies above an address exists (RFC 8020)", "0.10.in-addr.arpa. PTR", NODATA),
    claim("below it does not", "1.1.0.0.10.in-addr.arpa. PTR", NXDOMAIN),
    claim("another spelling of the address does not", "01.0.0.10.in-addr.arpa. PTR", NXDOMAIN),
    claim("nor does a whole address below ip6.arpa", "1.0.0.10.ip6.arpa. PTR", NXDOMAIN),
    claim("a reverse zone has an SOA", "in-addr.arpa. PTR", NODATA),
    claim("and the zone's name server", "ip6.arpa. NS", "NS ns.dns"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.text)
def test_schema(row: Claim) -> None:
    check(cluster(), row)


def pointers(served: Served, address: str) -> list[str]:
    """The targets of an address's PTR."""
    reply = served.ask(to_text(reverse(packed(address))), "PTR")
    return sorted(rdata.target.to_text() for rrset in reply.answer for rdata in rrset)


def test_the_last_service_to_give_up_a_shared_address_takes_its_pointer_along() -> None:
    served = Served(service("a", "10.0.0.1"), service("b", "10.0.0.1"))
    assert pointers(served, "10.0.0.1") == ["a.my-ns.svc.cluster.local.", "b.my-ns.svc.cluster.local."]
    served.change(Ref(Kind.SERVICE, "my-ns", "a"))
    assert pointers(served, "10.0.0.1") == ["b.my-ns.svc.cluster.local."]
    served.change(service("b", "10.0.0.2"))
    assert pointers(served, "10.0.0.1") == []
    assert pointers(served, "10.0.0.2") == ["b.my-ns.svc.cluster.local."]


def test_only_addresses_in_the_reverse_zones_have_pointers() -> None:
    served = Served(
        service("in", "10.96.0.1"),
        service("out", "10.97.0.1"),
        reverse_zones=(from_text("96.10.in-addr.arpa"),),
    )
    assert pointers(served, "10.96.0.1") == ["in.my-ns.svc.cluster.local."]
    assert served.ask("1.0.97.10.in-addr.arpa.", "PTR").rcode() == 5
    assert served.ask("10.in-addr.arpa.", "PTR").rcode() == 5


@pytest.mark.parametrize(
    "zones", [("96.10.in-addr.arpa", "in-addr.arpa"), ("in-addr.arpa", "0.96.10.in-addr.arpa")]
)
def test_reverse_zones_may_lie_in_one_another(zones: tuple[str, ...]) -> None:
    served = Served(service("in", "10.96.0.1"), reverse_zones=tuple(map(from_text, zones)))
    assert pointers(served, "10.96.0.1") == ["in.my-ns.svc.cluster.local."]
    above = [served.ask(name, "PTR").rcode() for name in ("0.96.10.in-addr.arpa.", "96.10.in-addr.arpa.")]
    assert above == [0, 0]
    assert served.ask("10.in-addr.arpa.", "PTR").rcode() == 0


def test_a_zone_within_another_exists_in_it_with_all_between() -> None:
    served = Served(reverse_zones=(from_text("in-addr.arpa"), from_text("0.96.10.in-addr.arpa")))
    assert served.ask("96.10.in-addr.arpa.", "PTR").rcode() == 0
    assert served.ask("10.in-addr.arpa.", "PTR").rcode() == 0
    assert served.ask("97.10.in-addr.arpa.", "PTR").rcode() == 3
