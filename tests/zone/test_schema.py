"""``schema.records`` against what holds for any Service, and against ``listed``, its quick form."""

import dns.name
from hypothesis import given
from hypothesis import strategies as st

from skydns_py.cluster.objects import Endpoint, EndpointPort, Service, Subset
from skydns_py.cluster.state import ServiceView
from skydns_py.zone import legacy
from skydns_py.zone.names import MAX_NAME, from_text, is_within, labels, parent
from skydns_py.zone.rrset import AAAA, CNAME, SRV, A
from skydns_py.zone.schema import listed, ready, records
from tests.builders import service
from tests.zone.strategies import views

ZONE = from_text("cluster.local")
TTL = 7


@given(views)
def test_listed_has_the_names_and_addresses_of_records(view: ServiceView) -> None:
    made = records(view, ZONE, TTL)
    names, addresses = listed(view, ZONE)
    assert set(names) == set(made.forward)
    assert addresses == set(made.pointers)


@given(views)
def test_the_name_of_old_is_there_exactly_when_it_is_listed(view: ServiceView) -> None:
    name = legacy.name_of(view, ZONE)
    assert set(legacy.forward(view, ZONE, TTL)) == ({name} if name else set())


@given(views)
def test_every_name_is_a_name_below_its_service(view: ServiceView) -> None:
    own = from_text(f"{view.service.name}.{view.service.namespace}.svc.cluster.local")
    for name in records(view, ZONE, TTL).forward:
        assert is_within(name, own)
        assert dns.name.from_wire(name, 0)[1] == len(name) <= MAX_NAME
        assert name == name.lower()


@given(views)
def test_each_rrset_is_whole(view: ServiceView) -> None:
    for rrsets in records(view, ZONE, TTL).forward.values():
        assert set(rrsets) <= {A, AAAA, SRV} or set(rrsets) == {CNAME}
        for rdtype, rrset in rrsets.items():
            assert rrset.ttl == TTL
            assert rrset.rdatas
            assert len(set(rrset.rdatas)) == len(rrset.rdatas)
            sizes = {A: {4}, AAAA: {16}}.get(rdtype)
            assert sizes is None or {len(rdata) for rdata in rrset.rdatas} == sizes


@given(views)
def test_an_srv_leads_to_a_name_with_an_address(view: ServiceView) -> None:
    made = records(view, ZONE, TTL).forward
    targets = {rdata[6:] for rrsets in made.values() if SRV in rrsets for rdata in rrsets[SRV].rdatas}
    assert all(A in made[target] or AAAA in made[target] for target in targets)


@given(views)
def test_a_pointer_leads_to_a_name_with_that_address(view: ServiceView) -> None:
    made = records(view, ZONE, TTL)
    for address, names in made.pointers.items():
        assert len(set(names)) == len(names) > 0
        for name in names:
            assert address in made.forward[name][A if len(address) == 4 else AAAA].rdatas


@given(views)
def test_an_endpoint_that_is_not_ready_has_no_name(view: ServiceView) -> None:
    shown = {endpoint.address for endpoint, _ in ready(view)} | set(view.service.addresses)
    made = records(view, ZONE, TTL).forward
    found = {
        rdata for rrsets in made.values() for t in (A, AAAA) if t in rrsets for rdata in rrsets[t].rdatas
    }
    assert found <= shown
    assert not view.service.headless or bool(made) == any(ready(view))


@given(views)
def test_a_port_without_a_name_that_fits_a_label_gets_none(view: ServiceView) -> None:
    marked = {
        label for name in records(view, ZONE, TTL).forward for label in labels(name) if label[:1] == b"_"
    }
    assert marked <= {b"_http", b"_dns", b"_" + b"p" * 62, b"_tcp", b"_udp", b"_sctp"}


def test_a_port_name_of_62_octets_is_asked_for_and_one_of_63_is_only_listed() -> None:
    ports = tuple(EndpointPort("p" * length, "TCP", length) for length in (62, 63))
    view = ServiceView(
        Service("my-ns", "web", headless=True), (Subset((Endpoint(b"\x0a\1\0\1", "h"),), ports),)
    )
    made = records(view, ZONE, TTL).forward
    name = from_text("web.my-ns.svc.cluster.local")
    assert [int.from_bytes(rdata[4:6]) for rdata in made[name][SRV].rdatas] == [62, 63]
    assert [next(labels(each)) for each in made if parent(parent(each)) == name] == [b"_" + b"p" * 62]


@given(st.integers(1, 300))
def test_weights_share_100_and_are_never_0(count: int) -> None:
    hosts = tuple(Endpoint(b"\x0a\1" + n.to_bytes(2), f"h{n}") for n in range(count))
    view = ServiceView(
        Service("my-ns", "web", headless=True), (Subset(hosts, (EndpointPort("", "TCP", 80),)),)
    )
    (rrset,) = (
        rrsets[SRV] for name, rrsets in records(view, ZONE, TTL).forward.items() if name[1:4] == b"web"
    )
    assert {int.from_bytes(rdata[2:4]) for rdata in rrset.rdatas} == {max(1, 100 // count)}


def test_names_that_would_pass_255_octets_below_a_long_zone_are_left_out() -> None:
    zone, label = from_text(".".join(["z" * 39] * 3)), "a" * 63
    long_service = service("b" * 63, "10.0.0.9", f"{label[:62]}:80", ns="c" * 63)
    endpoint = Endpoint(bytes((10, 0, 0, 1)), hostname=label)
    view = ServiceView(long_service, (Subset((endpoint,), (EndpointPort("", "TCP", 80),)),))
    owned = records(view, zone, TTL)
    assert [len(name) for name in owned.forward] == [64 + 64 + 4 + len(zone)]
    assert owned.pointers.keys() == set(long_service.addresses)
    assert listed(view, zone) == (list(owned.forward), set(owned.pointers))
